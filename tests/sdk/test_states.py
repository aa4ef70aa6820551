"""What a stream allows in each of its states. Transitions take ten minutes here, which the clock is moved by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import clock
from support.server import Server
from support.worlds import World

SHARD = "shardId-000000000000"

# The changes that need an ACTIVE stream, each with what it needs.
BY_NAME: list[tuple[str, dict[str, Any]]] = [
    ("SplitShard", {"ShardToSplit": "0", "NewStartingHashKey": "5"}),
    ("MergeShards", {"ShardToMerge": "0", "AdjacentShardToMerge": "1"}),
    ("UpdateShardCount", {"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}),
    ("IncreaseStreamRetentionPeriod", {"RetentionPeriodHours": 48}),
    ("DecreaseStreamRetentionPeriod", {"RetentionPeriodHours": 24}),
    ("EnableEnhancedMonitoring", {"ShardLevelMetrics": ["ALL"]}),
    ("DisableEnhancedMonitoring", {"ShardLevelMetrics": ["ALL"]}),
]
BY_ARN: list[tuple[str, dict[str, Any]]] = [
    ("UpdateStreamMode", {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
    ("UpdateMaxRecordSize", {"MaxRecordSizeInKiB": 2048}),
    ("UpdateStreamRecordDistributionStrategy", {"RecordDistributionStrategy": "USER_PARTITION_KEY"}),
]


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ("--test-controls", "--transition-delay", "10m", "--limits", "none")
    with Server(tmp_path_factory.mktemp("states") / "data", *flags) as server:
        yield server


@pytest.fixture
def slow_world(slow: Server) -> World:
    return World(slow)


def create(world: World, **members: Any) -> str:
    name = world.name()
    world.call("CreateStream", StreamName=name, ShardCount=2, **members)
    clock.advance(world, "10m")
    assert world.summary(name)["StreamStatus"] == "ACTIVE"
    return name


def not_active(world: World, name: str, state: str) -> tuple[str, str]:
    return (
        "ResourceInUseException",
        f"Stream {name} under account {world.account} not ACTIVE, instead in state {state}",
    )


def refuses_changes(world: World, name: str, state: str) -> None:
    for operation, members in BY_NAME:
        assert world.refused(operation, StreamName=name, **members) == not_active(world, name, state), operation
    for operation, members in BY_ARN:
        assert world.refused(operation, StreamARN=world.arn(name), **members) == not_active(world, name, state), operation


def test_creating(slow_world: World) -> None:
    world = slow_world
    name = world.name()
    world.call("CreateStream", StreamName=name, ShardCount=2, Tags={"a": "b"})
    refuses_changes(world, name, "CREATING")
    refusal = not_active(world, name, "CREATING")
    arn = world.arn(name)
    assert world.refused("AddTagsToStream", StreamName=name, Tags={"a": "c"}) == refusal
    assert world.refused("RemoveTagsFromStream", StreamName=name, TagKeys=["a"]) == refusal
    assert world.refused("ListShards", StreamName=name) == refusal
    assert world.refused("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c") == refusal
    # What only looks is answered.
    assert world.summary(name)["StreamStatus"] == "CREATING"
    assert world.summary(name)["OpenShardCount"] == 0
    assert world.call("ListTagsForStream", StreamName=name)["Tags"] == [{"Key": "a", "Value": "b"}]
    assert world.call("ListTagsForResource", ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    assert world.call("ListStreams")["StreamNames"] == [name]


def test_updating(slow_world: World) -> None:
    """Each change that takes time shows UPDATING, and no other is begun until it is done."""
    world = slow_world
    name = create(world)
    arn = world.arn(name)
    for operation, address, members in (
        ("SplitShard", {"StreamName": name}, {"ShardToSplit": "0", "NewStartingHashKey": "5"}),
        ("MergeShards", {"StreamName": name}, {"ShardToMerge": "2", "AdjacentShardToMerge": "3"}),
        ("UpdateShardCount", {"StreamName": name}, {"TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"}),
        ("IncreaseStreamRetentionPeriod", {"StreamName": name}, {"RetentionPeriodHours": 48}),
        ("DecreaseStreamRetentionPeriod", {"StreamName": name}, {"RetentionPeriodHours": 24}),
        ("UpdateMaxRecordSize", {"StreamARN": arn}, {"MaxRecordSizeInKiB": 2048}),
        ("EnableEnhancedMonitoring", {"StreamName": name}, {"ShardLevelMetrics": ["ALL"]}),
        ("UpdateStreamMode", {"StreamARN": arn}, {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
    ):
        world.call(operation, **address, **members)
        assert world.summary(name)["StreamStatus"] == "UPDATING", operation
        refuses_changes(world, name, "UPDATING")
        assert world.refused("DeleteStream", StreamName=name) == not_active(world, name, "UPDATING")
        clock.advance(world, "10m")
        assert world.summary(name)["StreamStatus"] == "ACTIVE", operation


def test_updating_goes_on_serving(slow_world: World) -> None:
    """A stream in UPDATING is read and written as before; its shards change when it is done, not earlier."""
    world = slow_world
    name = create(world)
    arn = world.arn(name)
    before = world.shards(name)
    world.call("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey="5")
    assert world.shards(name) == before
    assert world.summary(name)["OpenShardCount"] == 2
    assert world.put(name, b"to the parent", ExplicitHashKey="0")["ShardId"] == SHARD
    answer = world.call(
        "PutRecords", StreamName=name, Records=[{"Data": b"too", "PartitionKey": "k", "ExplicitHashKey": "9"}]
    )
    assert answer["Records"][0]["ShardId"] == SHARD
    iterator = world.iterator(name)
    assert [record["Data"] for record in world.page(iterator)["Records"]] == [b"to the parent", b"too"]
    world.call("AddTagsToStream", StreamName=name, Tags={"a": "b"})
    world.call("TagResource", ResourceARN=arn, Tags={"c": "d"})
    world.call("UntagResource", ResourceARN=arn, TagKeys=["c"])
    world.call("RemoveTagsFromStream", StreamName=name, TagKeys=["a"])
    consumer = world.call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c")["Consumer"]
    assert consumer["ConsumerStatus"] == "CREATING"
    assert world.call("DescribeStream", StreamName=name)["StreamDescription"]["StreamStatus"] == "UPDATING"
    clock.advance(world, "10m")
    shards = world.shards(name)
    assert [shard["ShardId"][-1] for shard in shards] == ["0", "1", "2", "3"]
    assert world.put(name, b"to the child", ExplicitHashKey="0")["ShardId"] == "shardId-000000000002"


def test_deleting(slow_world: World) -> None:
    world = slow_world
    name = create(world)
    arn = world.arn(name)
    consumer = world.call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    world.call("DeleteStream", StreamARN=arn, EnforceConsumerDeletion=True)
    refuses_changes(world, name, "DELETING")
    refusal = not_active(world, name, "DELETING")
    assert world.refused("AddTagsToStream", StreamName=name, Tags={"a": "c"}) == refusal
    assert world.refused("RemoveTagsFromStream", StreamName=name, TagKeys=["a"]) == refusal
    assert world.refused("UntagResource", ResourceARN=arn, TagKeys=["a"]) == refusal
    assert world.refused("ListShards", StreamName=name) == refusal
    assert world.refused("RegisterStreamConsumer", StreamARN=arn, ConsumerName="d") == refusal
    assert world.refused("DeleteStream", StreamName=name) == refusal
    assert world.refused(
        "SubscribeToShard", ConsumerARN=consumer, ShardId="0", StartingPosition={"Type": "LATEST"}
    )[0] == "ResourceNotFoundException"
    # The name is taken until the stream is gone.
    assert world.refused("CreateStream", StreamName=name, ShardCount=1) == (
        "ResourceInUseException", f"Stream {name} under account {world.account} already exists.",
    )
    assert world.summary(name)["StreamStatus"] == "DELETING"
    assert world.call("DescribeStream", StreamName=name)["StreamDescription"]["StreamStatus"] == "DELETING"
    assert world.call("ListTagsForStream", StreamName=name)["Tags"] == []
    (listed,) = world.call("ListStreams")["StreamSummaries"]
    assert (listed["StreamName"], listed["StreamStatus"]) == (name, "DELETING")
    clock.advance(world, "10m")
    assert world.call("ListStreams")["StreamNames"] == []
    create(world)


def test_a_consumers_states(slow_world: World) -> None:
    world = slow_world
    name = create(world)
    arn = world.arn(name)
    consumer = world.call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    second = consumer.rpartition(":")[2]

    def status() -> str:
        (listed,) = world.call("ListStreamConsumers", StreamARN=arn)["Consumers"]
        described = world.call("DescribeStreamConsumer", ConsumerARN=consumer)["ConsumerDescription"]
        assert listed["ConsumerStatus"] == described["ConsumerStatus"]
        return described["ConsumerStatus"]

    assert status() == "CREATING"
    # It counts from the beginning, and has its name.
    assert world.summary(name)["ConsumerCount"] == 1
    assert world.refused("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c") == (
        "ResourceInUseException", f"Consumer c under stream {name} already exists for account {world.account}.",
    )
    statement = {"Effect": "Allow", "Principal": "*", "Action": "kinesis:SubscribeToShard", "Resource": consumer}
    policy = '{"Version":"2012-10-17","Statement":[%s]}' % str(statement).replace("'", '"')
    assert world.refused("PutResourcePolicy", ResourceARN=consumer, Policy=policy) == (
        "ResourceInUseException",
        f"Consumer c with creation timestamp {second} under stream {name} and account {world.account} is not in ACTIVE "
        "status.",
    )
    clock.advance(world, "10m")
    assert status() == "ACTIVE"
    world.call("PutResourcePolicy", ResourceARN=consumer, Policy=policy)
    assert world.call("DeregisterStreamConsumer", ConsumerARN=consumer) == {}
    assert status() == "DELETING"
    assert world.refused(
        "SubscribeToShard", ConsumerARN=consumer, ShardId="0", StartingPosition={"Type": "LATEST"}
    ) == (
        "ResourceInUseException",
        f"Consumer c with creation timestamp {second} under stream: {name} , account {world.account} is not in ACTIVE "
        "status.",
    )
    clock.advance(world, "10m")
    assert world.call("ListStreamConsumers", StreamARN=arn) == {"Consumers": []}
    missing = (
        "ResourceNotFoundException",
        f"Consumer c with creation timestamp {second} under stream: {name}, account {world.account} not found.",
    )
    for operation in ("DescribeStreamConsumer", "DeregisterStreamConsumer"):
        assert world.refused(operation, ConsumerARN=consumer) == missing
        assert world.refused(operation, StreamARN=arn, ConsumerName="c") == (
            "ResourceNotFoundException", f"Consumer c, account {world.account} not found.",
        )
    assert world.refused(
        "SubscribeToShard", ConsumerARN=consumer, ShardId="0", StartingPosition={"Type": "LATEST"}
    ) == missing
