"""Streams by name, by ARN, by both, by neither; accounts and regions as separate worlds; StreamId."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds import World

# Each operation that takes a name or an ARN, and what else it needs to succeed on an ACTIVE stream.
EITHER: list[tuple[str, dict[str, Any]]] = [
    ("DescribeStream", {}),
    ("DescribeStreamSummary", {}),
    ("ListShards", {}),
    ("PutRecord", {"Data": b"x", "PartitionKey": "k"}),
    ("PutRecords", {"Records": [{"Data": b"x", "PartitionKey": "k"}]}),
    ("GetShardIterator", {"ShardId": "0", "ShardIteratorType": "LATEST"}),
    ("AddTagsToStream", {"Tags": {"a": "b"}}),
    ("ListTagsForStream", {}),
    ("RemoveTagsFromStream", {"TagKeys": ["a"]}),
    ("IncreaseStreamRetentionPeriod", {"RetentionPeriodHours": 24}),
    ("DecreaseStreamRetentionPeriod", {"RetentionPeriodHours": 24}),
    ("EnableEnhancedMonitoring", {"ShardLevelMetrics": ["IncomingBytes"]}),
    ("DisableEnhancedMonitoring", {"ShardLevelMetrics": ["IncomingBytes"]}),
    ("UpdateShardCount", {"TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"}),
]

# Each operation that takes an ARN only, the member that takes it, and what else it needs.
ARN_ONLY: list[tuple[str, str, dict[str, Any]]] = [
    ("UpdateStreamMode", "StreamARN", {"StreamModeDetails": {"StreamMode": "PROVISIONED"}}),
    ("UpdateMaxRecordSize", "StreamARN", {"MaxRecordSizeInKiB": 1024}),
    ("UpdateStreamRecordDistributionStrategy", "StreamARN", {"RecordDistributionStrategy": "USER_PARTITION_KEY"}),
    ("GetResourcePolicy", "ResourceARN", {}),
    ("TagResource", "ResourceARN", {"Tags": {"a": "b"}}),
    ("ListTagsForResource", "ResourceARN", {}),
    ("UntagResource", "ResourceARN", {"TagKeys": ["a"]}),
]


@pytest.mark.parametrize(("operation", "members"), EITHER, ids=[operation for operation, _ in EITHER])
def test_name_arn_both_or_neither(free_world: World, operation: str, members: dict[str, Any]) -> None:
    name = free_world.create()
    arn = free_world.arn(name)
    for address in ({"StreamName": name}, {"StreamARN": arn}, {"StreamName": name, "StreamARN": arn}):
        free_world.call(operation, **address, **members)
        free_world.active(name)
    assert free_world.refused(operation, StreamName="other", StreamARN=arn, **members)[0] == "InvalidArgumentException"
    assert free_world.refused(operation, **members)[0] == "InvalidArgumentException"


def test_split_merge_and_delete_by_arn(free_world: World) -> None:
    name = free_world.create()
    arn = free_world.arn(name)
    free_world.call("SplitShard", StreamARN=arn, ShardToSplit="0", NewStartingHashKey=str(2**127))
    free_world.active(name)
    free_world.call("MergeShards", StreamARN=arn, ShardToMerge="1", AdjacentShardToMerge="2")
    free_world.active(name)
    free_world.call("DeleteStream", StreamARN=arn)
    free_world.gone(name)


def test_get_records_checks_the_arn_against_the_iterator(free_world: World) -> None:
    name, other = free_world.create(), free_world.create()
    iterator = free_world.iterator(name)
    assert free_world.call("GetRecords", ShardIterator=iterator, StreamARN=free_world.arn(name))["Records"] == []
    refused = free_world.refused("GetRecords", ShardIterator=iterator, StreamARN=free_world.arn(other))
    assert refused[0] == "InvalidArgumentException"


def test_a_malformed_arn(world: World) -> None:
    code, message = world.http.error("DescribeStream", {"StreamARN": "arn:aws:s3:::bucket"})[1:]
    assert (code, message) == (
        "ValidationException",
        "1 validation error detected: Value 'arn:aws:s3:::bucket' at 'streamARN' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:stream/\S+",
    )


def test_stream_id_is_accepted_and_ignored(world: World) -> None:
    name = world.create()
    answer = world.http.call("DescribeStreamSummary", {"StreamName": name, "StreamId": "abcdefghij0123456789-abc"})
    assert answer.status == 200
    assert "StreamId" not in answer.json()["StreamDescriptionSummary"]


def test_accounts_and_regions_never_meet(world: World) -> None:
    name = world.create(1, name="shared-name")
    world.put(name, b"mine")
    stranger = World(world.server)
    abroad = World(world.server, account=world.account, region="eu-west-1")
    for other in (stranger, abroad):
        assert other.patiently("ListStreams")["StreamNames"] == []
        assert other.refused("DescribeStream", StreamName=name)[0] == "ResourceNotFoundException"
        other.create(1, name=name)
        assert other.read(name) == []
        other.put(name, b"theirs")
    assert [record["Data"] for record in world.read(name)] == [b"mine"]
    assert abroad.summary(name)["StreamARN"] == f"arn:aws:kinesis:eu-west-1:{world.account}:stream/{name}"


def test_another_accounts_arn_is_refused(world: World) -> None:
    name = world.create()
    world.put(name)
    stranger = World(world.server)
    for operation, members in EITHER[:6]:
        assert stranger.refused(operation, StreamARN=world.arn(name), **members)[0] == "AccessDeniedException", operation


@pytest.mark.parametrize(("operation", "member", "members"), ARN_ONLY, ids=[operation for operation, *_ in ARN_ONLY])
def test_operations_that_take_an_arn(free_world: World, operation: str, member: str, members: dict[str, Any]) -> None:
    name = free_world.create()
    arn = free_world.arn(name)
    free_world.call(operation, **{member: arn}, **members)
    # StreamId is accepted with anything. SDKs would send it to AWS, so it goes by hand.
    answer = free_world.http.call(operation, {member: arn, "StreamId": "abcdefghij0123456789-abc", **members})
    assert answer.status == 200, answer.body
    assert free_world.refused(operation, **{member: free_world.arn("nowhere")}, **members) == (
        "ResourceNotFoundException", f"Stream nowhere under account {free_world.account} not found.",
    )
    stranger = World(free_world.server)
    code, message = stranger.refused(operation, **{member: arn}, **members)
    assert code == "AccessDeniedException"
    assert f"is not authorized to perform: kinesis:{operation} on resource: {arn}" in message


def test_an_arn_of_another_region_is_refused(world: World) -> None:
    name = world.create()
    world.put(name)
    abroad = World(world.server, account=world.account, region="eu-west-1")
    arn = world.arn(name)
    refusal = ("InvalidArgumentException", f"{arn} is not in the region eu-west-1.")
    for operation, members in EITHER[:6]:
        assert abroad.refused(operation, StreamARN=arn, **members) == refusal, operation
    assert abroad.refused("ListTagsForResource", ResourceARN=arn) == refusal
    consumer = f"{arn}/consumer/c:1700000000"
    consumer_refusal = ("InvalidArgumentException", f"{consumer} is not in the region eu-west-1.")
    assert abroad.refused("DescribeStreamConsumer", ConsumerARN=consumer) == consumer_refusal
    assert abroad.refused("GetResourcePolicy", ResourceARN=consumer) == consumer_refusal
    assert abroad.refused("GetRecords", ShardIterator=world.iterator(name), StreamARN=arn) == refusal


def test_another_accounts_iterator_is_refused(world: World) -> None:
    name = world.create()
    world.put(name)
    iterator = world.iterator(name)
    assert World(world.server).refused("GetRecords", ShardIterator=iterator)[0] in (
        "AccessDeniedException", "InvalidArgumentException", "ResourceNotFoundException",
    )


def test_a_key_that_is_no_account_means_the_default_account(world: World) -> None:
    default = World(world.server, account="AKIAIOSFODNN7EXAMPLE", region="ap-southeast-2")
    name = default.create()
    assert default.summary(name)["StreamARN"] == f"arn:aws:kinesis:ap-southeast-2:000000000000:stream/{name}"
    same = World(world.server, account="000000000000", region="ap-southeast-2")
    assert same.patiently("ListStreams")["StreamNames"] == [name]


def test_warm_throughput_by_name_arn_both_or_neither(free_world: World) -> None:
    commitment = {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}}
    free_world.call("UpdateAccountSettings", **commitment)
    name = free_world.create_on_demand()
    arn = free_world.arn(name)
    warm = {"WarmThroughputMiBps": 4}
    for address in ({"StreamName": name}, {"StreamARN": arn}, {"StreamName": name, "StreamARN": arn}):
        free_world.call("UpdateStreamWarmThroughput", **address, **warm)
        free_world.active(name)
    assert free_world.refused("UpdateStreamWarmThroughput", StreamName="other", StreamARN=arn, **warm) == (
        "InvalidArgumentException", "StreamName and StreamARN do not name the same stream.",
    )
    assert free_world.refused("UpdateStreamWarmThroughput", **warm) == (
        "InvalidArgumentException", "Either StreamName or StreamARN must be provided.",
    )
