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
