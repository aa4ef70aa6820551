"""The limits that are on by default: AWS's. Every test asks until it is refused, so that none depends on speed."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.worlds import World


def refused_in_the_end(world: World, operation: str, calls: int = 2000, **members: Any) -> tuple[str, str]:
    """The first refusal of a call that is made again and again."""
    for _ in range(calls):
        try:
            world.call(operation, **members)
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
            return error.response["Error"]["Code"], error.response["Error"]["Message"]
    raise AssertionError(f"{operation} was never too often")


def test_five_reads_a_second(world: World) -> None:
    name = world.create()
    world.put(name)
    iterator = world.iterator(name)
    assert refused_in_the_end(world, "GetRecords", ShardIterator=iterator) == (
        "ProvisionedThroughputExceededException",
        f"Rate exceeded for shard shardId-000000000000 in stream {name} under account {world.account}.",
    )
    # It passes, and the same iterator goes on.
    assert len(world.page(iterator)["Records"]) == 1


def test_five_iterators_a_second(world: World) -> None:
    name = world.create()
    assert refused_in_the_end(world, "GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType="LATEST") == (
        "ProvisionedThroughputExceededException",
        f"Rate exceeded for shard shardId-000000000000 in stream {name} under account {world.account}.",
    )
    world.iterator(name)


def test_two_mebibytes_read_a_second(world: World) -> None:
    name = world.create()
    for _ in range(8):
        world.patiently("PutRecord", StreamName=name, Data=bytes(1_000_000), PartitionKey="k")
    iterator, total = world.iterator(name), 0
    # All of it comes, over several reads, some of them after a refusal.
    while total < 8:
        page = world.page(iterator)
        total += len(page["Records"])
        iterator = page["NextShardIterator"]
    assert total == 8


def test_control_plane_rates(world: World) -> None:
    name = world.create()
    for operation, members in (
        ("DescribeStream", {"StreamName": name}),
        ("DescribeStreamSummary", {"StreamName": name}),
        ("ListTagsForStream", {"StreamName": name}),
        ("AddTagsToStream", {"StreamName": name, "Tags": {"a": "b"}}),
    ):
        assert refused_in_the_end(world, operation, **members) == (
            "LimitExceededException", f"Rate exceeded for stream {name} under account {world.account}.",
        ), operation


@pytest.mark.parametrize("operation", ["ListStreams", "DescribeLimits"])
def test_rates_without_a_stream(world: World, operation: str) -> None:
    code, message = refused_in_the_end(world, operation)
    assert code == "LimitExceededException"
    assert message.startswith("Rate exceeded")


def test_one_accounts_calls_do_not_count_for_another(world: World) -> None:
    refused_in_the_end(world, "ListStreams")
    World(world.server).call("ListStreams")
    World(world.server, account=world.account, region="eu-central-1").call("ListStreams")


def test_limits_can_be_lifted(free_world: World) -> None:
    name = free_world.create()
    entries = [{"Data": bytes(2000), "PartitionKey": "k"}] * 500
    for _ in range(20):
        assert free_world.call("PutRecords", StreamName=name, Records=entries)["FailedRecordCount"] == 0
    iterator = free_world.iterator(name)
    for _ in range(30):
        free_world.call("GetRecords", ShardIterator=iterator, Limit=1)
        free_world.call("ListStreams")


def test_after_ten_mebibytes_a_shard_rests(world: World) -> None:
    """Five seconds' worth has been read at once: the next read is too early, and the same iterator goes on later."""
    name = world.create(MaxRecordSizeInKiB=10_240)
    world.put(name, bytes(10_485_760 - 1), "k")
    page = world.page(world.iterator(name))
    assert len(page["Records"]) == 1
    for iterator in (page["NextShardIterator"], page["NextShardIterator"]):
        assert world.refused("GetRecords", ShardIterator=iterator) == (
            "ProvisionedThroughputExceededException",
            f"Rate exceeded for shard shardId-000000000000 in stream {name} under account {world.account}.",
        )


def test_five_large_records_at_once(world: World) -> None:
    """As was seen of AWS: the first of five records of 1 MB goes in. A call of which all fails is answered with 200."""
    name = world.create()
    megabyte = {"Data": bytes(1_000_000), "PartitionKey": "k"}
    throttled = {
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": f"Rate exceeded for shard shardId-000000000000 in stream {name} under account {world.account}.",
    }
    answer = world.call("PutRecords", StreamName=name, Records=[megabyte] * 5)
    assert (answer["FailedRecordCount"], answer["Records"][1:]) == (4, [throttled] * 4)
    # A smaller one after a large one that failed still has room.
    answer = world.call("PutRecords", StreamName=name, Records=[megabyte, {"Data": b"small", "PartitionKey": "k"}, megabyte])
    assert answer["Records"][0] == answer["Records"][2] == throttled
    assert (answer["FailedRecordCount"], set(answer["Records"][1])) == (2, {"ShardId", "SequenceNumber"})
    answer = world.call("PutRecords", StreamName=name, Records=[megabyte])
    assert answer == {"FailedRecordCount": 1, "Records": [throttled]}
    assert len(world.read(name)) == 2
