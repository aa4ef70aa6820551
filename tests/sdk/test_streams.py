"""CreateStream, DescribeStream, DescribeStreamSummary, ListStreams, DeleteStream, DescribeLimits."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from support.server import Server
from support.worlds import MAX_HASH, World

NOT_FOUND = "Stream {name} under account {account} not found."


def test_provisioned_stream(world: World) -> None:
    name = world.name()
    assert world.call("CreateStream", StreamName=name, ShardCount=3) == {}
    world.active(name)
    description = world.call("DescribeStream", StreamName=name)["StreamDescription"]
    created = description.pop("StreamCreationTimestamp")
    age = datetime.datetime.now(datetime.timezone.utc) - created
    assert abs(age.total_seconds()) < 3600
    shards = description.pop("Shards")
    assert description == {
        "StreamName": name,
        "StreamARN": world.arn(name),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "HasMoreShards": False,
        "RetentionPeriodHours": 24,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
    }
    assert [shard["ShardId"] for shard in shards] == [f"shardId-{index:012}" for index in range(3)]
    third = 113427455640312821154458202477256070485
    assert [shard["HashKeyRange"] for shard in shards] == [
        {"StartingHashKey": "0", "EndingHashKey": str(third - 1)},
        {"StartingHashKey": str(third), "EndingHashKey": str(2 * third - 1)},
        {"StartingHashKey": str(2 * third), "EndingHashKey": str(MAX_HASH)},
    ]
    starts = [int(shard["SequenceNumberRange"]["StartingSequenceNumber"]) for shard in shards]
    assert [later - earlier for earlier, later in zip(starts, starts[1:])] == [2**144 + 2**4] * 2
    for shard in shards:
        assert set(shard) == {"ShardId", "HashKeyRange", "SequenceNumberRange"}
        assert set(shard["SequenceNumberRange"]) == {"StartingSequenceNumber"}


def test_summary(world: World) -> None:
    name = world.create(2)
    summary = world.summary(name)
    summary.pop("StreamCreationTimestamp")
    # Counts of later features are allowed, as AWS has them.
    counts = {summary.pop(key, 0) for key in ("ChannelCount", "QueueCount")}
    assert counts == {0}
    assert summary == {
        "StreamName": name,
        "StreamARN": world.arn(name),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "RetentionPeriodHours": 24,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
        "OpenShardCount": 2,
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": 1024,
    }


def test_on_demand_stream(world: World) -> None:
    name = world.create_on_demand()
    summary = world.summary(name)
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert summary["OpenShardCount"] == 4


def test_neither_mode_nor_count_gives_four_shards(world: World) -> None:
    name = world.name()
    world.call("CreateStream", StreamName=name)
    assert world.active(name)["OpenShardCount"] == 4


def test_on_demand_takes_no_shard_count(world: World) -> None:
    code, _ = world.refused(
        "CreateStream", StreamName=world.name(), ShardCount=2, StreamModeDetails={"StreamMode": "ON_DEMAND"}
    )
    assert code in ("InvalidArgumentException", "ValidationException")


def test_a_name_is_taken_once(world: World) -> None:
    name = world.create()
    assert world.refused("CreateStream", StreamName=name, ShardCount=1) == (
        "ResourceInUseException",
        f"Stream {name} under account {world.account} already exists.",
    )


def test_create_validation(world: World) -> None:
    assert world.refused("CreateStream", ShardCount=1) == (
        "ValidationException",
        "1 validation error detected: Value null at 'streamName' failed to satisfy constraint: Member must not be null",
    )
    assert world.refused("CreateStream", StreamName="a", ShardCount=0) == (
        "ValidationException",
        "1 validation error detected: Value '0' at 'shardCount' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1",
    )
    assert world.refused("CreateStream", StreamName="a b", ShardCount=1) == (
        "ValidationException",
        "1 validation error detected: Value 'a b' at 'streamName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
    )
    assert world.refused("CreateStream", StreamName="a", MaxRecordSizeInKiB=1000)[0] == "ValidationException"
    assert world.refused("CreateStream", StreamName="a", StreamModeDetails={}) == (
        "ValidationException",
        "1 validation error detected: Value null at 'streamModeDetails.streamMode' failed to satisfy constraint: "
        "Member must not be null",
    )


def test_several_errors_are_told_at_once(world: World) -> None:
    code, message = world.refused("CreateStream", StreamName="x" * 129, ShardCount=-1)
    assert code == "ValidationException"
    head, _, rest = message.partition(" validation errors detected: ")
    assert head == "2"
    assert sorted(rest.split("; ")) == [
        "Value '-1' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1",
        f"Value '{'x' * 129}' at 'streamName' failed to satisfy constraint: "
        "Member must have length less than or equal to 128",
    ]


def test_the_shard_quota(world: World) -> None:
    elsewhere = World(world.server, region="eu-north-1")
    for where, quota in ((world, 20_000), (elsewhere, 1_000)):
        limits = where.patiently("DescribeLimits")
        assert (limits["ShardLimit"], limits["OpenShardCount"]) == (quota, 0)
        assert (limits["OnDemandStreamCount"], limits["OnDemandStreamCountLimit"]) == (0, 50)
    name = elsewhere.create(2)
    assert elsewhere.refused("CreateStream", StreamName=elsewhere.name(), ShardCount=999) == (
        "LimitExceededException",
        f"This request would exceed the shard limit for the account {elsewhere.account} in eu-north-1. "
        "Current shard count for the account: 2. Limit: 1000. "
        "Number of additional shards that would have resulted from this request: 999. "
        "Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) "
        "for current limits and how to request higher limits.",
    )
    elsewhere.create_on_demand()
    limits = elsewhere.patiently("DescribeLimits")
    assert (limits["OpenShardCount"], limits["OnDemandStreamCount"]) == (2, 1), name


@pytest.mark.parametrize("operation", ["DescribeStream", "DescribeStreamSummary", "DeleteStream", "ListTagsForStream"])
def test_unknown_streams(world: World, operation: str) -> None:
    expected = ("ResourceNotFoundException", NOT_FOUND.format(name="nowhere", account=world.account))
    assert world.refused(operation, StreamName="nowhere") == expected
    # The text has the name, also when the request had the ARN.
    assert world.refused(operation, StreamARN=world.arn("nowhere")) == expected


def test_describe_pages(world: World) -> None:
    name = world.create(5)
    first = world.call("DescribeStream", StreamName=name, Limit=2)["StreamDescription"]
    assert first["HasMoreShards"] is True
    assert [shard["ShardId"][-1] for shard in first["Shards"]] == ["0", "1"]
    rest = world.call("DescribeStream", StreamName=name, ExclusiveStartShardId=first["Shards"][-1]["ShardId"])
    assert rest["StreamDescription"]["HasMoreShards"] is False
    assert [shard["ShardId"][-1] for shard in rest["StreamDescription"]["Shards"]] == ["2", "3", "4"]
    beyond = world.call("DescribeStream", StreamName=name, ExclusiveStartShardId="shardId-000000000099")
    assert beyond["StreamDescription"]["Shards"] == []
    paginator = world.kinesis.get_paginator("describe_stream")
    pages = paginator.paginate(StreamName=name, PaginationConfig={"PageSize": 2})
    assert [len(page["StreamDescription"]["Shards"]) for page in pages] == [2, 2, 1]


def test_describe_clamps_its_limit(free_world: World) -> None:
    name = free_world.create(101)
    for limit in ({}, {"Limit": 10_000}):
        description = free_world.call("DescribeStream", StreamName=name, **limit)["StreamDescription"]
        assert (len(description["Shards"]), description["HasMoreShards"]) == (100, True)
    assert free_world.refused("DescribeStream", StreamName=name, Limit=10_001)[0] == "ValidationException"


def test_list_streams_pages(free_world: World) -> None:
    names = sorted(f"{stem}{number}" for stem in ("B", "a", "_", "-") for number in range(2))
    for name in names:
        free_world.create(name=name)
    whole = free_world.call("ListStreams")
    assert (whole["StreamNames"], whole["HasMoreStreams"]) == (names, False)
    assert "NextToken" not in whole
    assert [summary["StreamName"] for summary in whole["StreamSummaries"]] == names
    summary = whole["StreamSummaries"][0]
    assert set(summary) == {"StreamName", "StreamARN", "StreamStatus", "StreamModeDetails", "StreamCreationTimestamp"}

    first = free_world.call("ListStreams", Limit=3)
    assert (first["StreamNames"], first["HasMoreStreams"]) == (names[:3], True)
    second = free_world.call("ListStreams", Limit=3, NextToken=first["NextToken"])
    assert second["StreamNames"] == names[3:6]
    by_name = free_world.call("ListStreams", Limit=3, ExclusiveStartStreamName=names[2])
    assert by_name["StreamNames"] == names[3:6]
    # The start need not exist.
    assert free_world.call("ListStreams", ExclusiveStartStreamName="B00")["StreamNames"] == names[names.index("B1"):]
    paginator = free_world.kinesis.get_paginator("list_streams")
    pages = paginator.paginate(PaginationConfig={"PageSize": 3})
    assert [name for page in pages for name in page["StreamNames"]] == names


def test_delete(world: World) -> None:
    name = world.create()
    world.put(name)
    assert world.call("DeleteStream", StreamName=name) == {}
    world.gone(name)
    assert world.patiently("ListStreams")["StreamNames"] == []
    assert world.refused("DeleteStream", StreamName=name) == (
        "ResourceNotFoundException",
        NOT_FOUND.format(name=name, account=world.account),
    )


def test_a_recreated_stream_starts_empty(world: World) -> None:
    name = world.create(2)
    old = world.put(name)
    old_start = world.shards(name)[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    iterator = world.iterator(name, old["ShardId"])
    world.call("DeleteStream", StreamName=name, EnforceConsumerDeletion=True)
    world.gone(name)
    world.create(1, name=name)
    assert world.read(name) == []
    new_start = world.shards(name)[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert int(new_start) > int(old_start)
    code, _ = world.refused("GetRecords", ShardIterator=iterator)
    assert code in ("ResourceNotFoundException", "InvalidArgumentException", "InternalFailure")
    code, message = world.refused(
        "GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=old_start,
    )
    assert code == "InvalidArgumentException"
    assert message.endswith("is invalid because it did not come from this stream.")


def test_created_and_deleted_in_a_loop(free_world: World) -> None:
    """A name's streams never share sequence numbers, however fast they follow each other."""
    name, numbers = free_world.name(), []
    for _ in range(20):
        free_world.create(name=name)
        numbers.append(int(free_world.shards(name)[0]["SequenceNumberRange"]["StartingSequenceNumber"]))
        numbers.append(int(free_world.put(name)["SequenceNumber"]))
        assert len(free_world.read(name)) == 1
        free_world.call("DeleteStream", StreamName=name)
        free_world.gone(name)
    assert numbers == sorted(set(numbers))


def test_a_slow_creation_shows_its_state(tmp_path: Path) -> None:
    """What a stream in CREATING and in DELETING allows. The delay is long; nothing waits for its end."""
    with Server(tmp_path / "data", "--transition-delay", "10m") as slow:
        world = World(slow)
        name = world.name()
        world.call("CreateStream", StreamName=name, ShardCount=1)
        description = world.call("DescribeStream", StreamName=name)["StreamDescription"]
        assert (description["StreamStatus"], description["Shards"], description["HasMoreShards"]) == ("CREATING", [], False)
        assert description["RetentionPeriodHours"] == 24
        assert description["EncryptionType"] == "NONE"
        assert world.call("ListStreams")["StreamSummaries"][0]["StreamStatus"] == "CREATING"
        assert world.refused("CreateStream", StreamName=name, ShardCount=1)[0] == "ResourceInUseException"
        not_found = ("ResourceNotFoundException", NOT_FOUND.format(name=name, account=world.account))
        assert world.refused("PutRecord", StreamName=name, Data=b"x", PartitionKey="k") == not_found
        assert world.refused("PutRecords", StreamName=name, Records=[{"Data": b"x", "PartitionKey": "k"}]) == not_found
        assert world.refused(
            "GetShardIterator", StreamName=name, ShardId="shardId-000000000000", ShardIteratorType="LATEST"
        ) == (
            "ResourceNotFoundException",
            f"Shard shardId-000000000000 in stream {name} under account {world.account} does not exist",
        )
        in_use = (
            "ResourceInUseException",
            f"Stream {name} under account {world.account} not ACTIVE, instead in state CREATING",
        )
        for operation, members in (
            ("SplitShard", {"ShardToSplit": "0", "NewStartingHashKey": "5"}),
            ("MergeShards", {"ShardToMerge": "0", "AdjacentShardToMerge": "1"}),
            ("UpdateShardCount", {"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}),
            ("IncreaseStreamRetentionPeriod", {"RetentionPeriodHours": 48}),
            ("EnableEnhancedMonitoring", {"ShardLevelMetrics": ["ALL"]}),
            ("AddTagsToStream", {"Tags": {"a": "b"}}),
        ):
            assert world.refused(operation, StreamName=name, **members) == in_use, operation
        assert world.call("ListTagsForStream", StreamName=name) == {"Tags": [], "HasMoreTags": False}
        # It can be deleted before it is there.
        world.call("DeleteStream", StreamName=name)
        description = world.call("DescribeStream", StreamName=name)["StreamDescription"]
        assert (description["StreamStatus"], description["Shards"]) == ("DELETING", [])
        assert world.refused("DeleteStream", StreamName=name) == (
            "ResourceInUseException",
            f"Stream {name} under account {world.account} not ACTIVE, instead in state DELETING",
        )
        # And several at once, up to five.
        for _ in range(4):
            world.patiently("CreateStream", StreamName=world.name(), ShardCount=1)
        code, message = world.refused("CreateStream", StreamName=world.name(), ShardCount=1)
        assert code == "LimitExceededException"
        assert "simultaneously be in CREATING or DELETING" in message or message.startswith("Rate exceeded")


def test_tags_at_creation(world: World) -> None:
    name = world.create(Tags={"team": "ingest", "empty": ""})
    tags = world.call("ListTagsForStream", StreamName=name)["Tags"]
    assert tags == [{"Key": "empty", "Value": ""}, {"Key": "team", "Value": "ingest"}]


def test_large_records_at_creation(world: World) -> None:
    name = world.create(MaxRecordSizeInKiB=10_240)
    assert world.summary(name)["MaxRecordSizeInKiB"] == 10_240
    data = bytes(10_485_760 - len("key"))
    put = world.put(name, data)
    # A reader takes it in one page, although it is larger than what a second allows.
    page = world.page(world.iterator(name))
    assert [(record["SequenceNumber"], record["Data"]) for record in page["Records"]] == [(put["SequenceNumber"], data)]


def test_the_ends_of_a_four_shard_stream(free_world: World) -> None:
    step = 85070591730234615865843651857942052864
    ranges = [shard["HashKeyRange"] for shard in free_world.shards(free_world.create(4))]
    assert [int(keys["StartingHashKey"]) for keys in ranges] == [0, step, 2 * step, 3 * step]
    assert [int(keys["EndingHashKey"]) for keys in ranges] == [step - 1, 2 * step - 1, 3 * step - 1, 2**128 - 1]


def test_provisioned_streams_need_a_count_and_no_warmth(free_world: World) -> None:
    provisioned = {"StreamModeDetails": {"StreamMode": "PROVISIONED"}}
    assert free_world.refused("CreateStream", StreamName="p", **provisioned)[0] == "InvalidArgumentException"
    assert free_world.refused("CreateStream", StreamName="p", ShardCount=1, WarmThroughputMiBps=5)[0] == "ValidationException"
    arn = free_world.arn(free_world.create_on_demand())
    assert free_world.refused("UpdateStreamMode", StreamARN=arn, WarmThroughputMiBps=5, **provisioned)[0] == (
        "ValidationException"
    )
