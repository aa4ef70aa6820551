"""Quotas and rates: each is met once, with AWS's words. The quotas are configured low, so that they are soon reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support import clock
from support.server import Server
from support.worlds import MAX_HASH, World

CONFIG = """
[limits]
scale = "none"
shards_in_large_region = 6
on_demand_streams = 2
tags = 50
consumers = 2
consumers_with_commitment = 4
consumers_creating = 1
streams_in_transition = 5
update_shard_count_factor = 2
update_shard_count_shards = 4
update_shard_count_per_day = 2
"""


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("quotas")
    config = directory / "millstream.toml"
    config.write_text(CONFIG)
    flags = ("--test-controls", "--transition-delay", "10m", "--config", str(config))
    with Server(directory / "data", *flags) as server:
        yield server


@pytest.fixture
def narrow_world(narrow: Server) -> World:
    return World(narrow)


def create(world: World, shards: int) -> str:
    name = world.name()
    world.call("CreateStream", StreamName=name, ShardCount=shards)
    clock.advance(world, "10m")
    return name


def shard_limit(world: World, current: int, more: int) -> tuple[str, str]:
    return (
        "LimitExceededException",
        f"This request would exceed the shard limit for the account {world.account} in us-east-1. Current shard count for "
        f"the account: {current}. Limit: 6. Number of additional shards that would have resulted from this request: {more}. "
        "Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for "
        "current limits and how to request higher limits.",
    )


def test_shards_of_an_account(narrow_world: World) -> None:
    world = narrow_world
    name = create(world, 4)
    assert world.refused("CreateStream", StreamName=world.name(), ShardCount=3) == shard_limit(world, 4, 3)
    create(world, 2)
    # A split needs one more. That is found out before where it splits.
    for key in ("5", str(MAX_HASH)):
        refused = world.refused("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey=key)
        assert refused == shard_limit(world, 6, 1), key
    # A merge needs none.
    world.call("MergeShards", StreamName=name, ShardToMerge="0", AdjacentShardToMerge="1")
    clock.advance(world, "10m")
    assert world.summary(name)["OpenShardCount"] == 3


def test_update_shard_count(narrow_world: World) -> None:
    world = narrow_world
    name = create(world, 3)

    def update(target: int) -> dict[str, Any]:
        return {"StreamName": name, "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"}

    assert world.refused("UpdateShardCount", **update(5)) == (
        "LimitExceededException",
        "Target shard count or number of open shards cannot be greater than 4. "
        "Current open shard count: 3, Target shard count: 5",
    )
    for target in (4, 3):
        world.call("UpdateShardCount", **update(target))
        clock.advance(world, "10m")
    # Those that were refused do not count for the day, those that succeeded do.
    assert world.refused("UpdateShardCount", **update(4)) == (
        "LimitExceededException",
        f"Stream {name} under account {world.account} has been scaled 2 times in the last 24 hours, which is the limit.",
    )
    clock.advance(world, "24h")
    world.call("UpdateShardCount", **update(4))


def test_on_demand_streams_of_an_account(narrow_world: World) -> None:
    world = narrow_world
    on_demand = {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    for _ in range(2):
        world.call("CreateStream", StreamName=world.name(), **on_demand)
    provisioned = create(world, 1)
    limits = world.call("DescribeLimits")
    assert (limits["OnDemandStreamCount"], limits["OnDemandStreamCountLimit"]) == (2, 2)
    # Their shards are not those of the quota.
    assert (limits["OpenShardCount"], limits["ShardLimit"]) == (1, 6)
    refusal = (
        "LimitExceededException",
        f"This request would exceed the limit of on-demand streams for the account {world.account} in us-east-1. Limit: 2.",
    )
    assert world.refused("CreateStream", StreamName=world.name(), **on_demand) == refusal
    assert world.refused("UpdateStreamMode", StreamARN=world.arn(provisioned), **on_demand) == refusal


def test_streams_in_transition(narrow_world: World) -> None:
    world = narrow_world
    first = create(world, 1)
    names = [world.name() for _ in range(5)]
    for name in names:
        world.call("CreateStream", StreamName=name, ShardCount=1)
    refusal = (
        "LimitExceededException",
        "This request would have exceed the limit on the number  of streams that can simultaneously be in CREATING or "
        f"DELETING for the account {world.account}. Limit: 5.",
    )
    assert world.refused("CreateStream", StreamName=world.name(), ShardCount=1) == refusal
    assert world.refused("DeleteStream", StreamName=first) == refusal
    clock.advance(world, "10m")
    world.call("DeleteStream", StreamName=first)


def test_tags_of_a_stream(narrow_world: World) -> None:
    world = narrow_world
    name = create(world, 1)
    arn = world.arn(name)
    world.call("AddTagsToStream", StreamName=name, Tags={f"key{number}": "" for number in range(50)})
    refusal = (
        "InvalidArgumentException",
        f"Failed to add tags to stream {name} under account {world.account} because a given stream cannot have more than "
        "10 tags associated with it.",
    )
    assert world.refused("AddTagsToStream", StreamName=name, Tags={"one more": ""}) == refusal
    assert world.refused("TagResource", ResourceARN=arn, Tags={"one more": ""}) == refusal
    many = {f"key{number}": "" for number in range(51)}
    assert world.refused("CreateStream", StreamName=world.name(), ShardCount=1, Tags=many)[0] == "InvalidArgumentException"
    # The model takes up to 200 in a call.
    assert world.refused("AddTagsToStream", StreamName=name, Tags={f"k{n}": "" for n in range(201)})[0] == "ValidationException"


def test_consumers_of_a_stream(narrow_world: World) -> None:
    world = narrow_world
    arn = world.arn(create(world, 1))

    def register(consumer: str) -> None:
        world.call("RegisterStreamConsumer", StreamARN=arn, ConsumerName=consumer)

    register("a")
    code, message = world.refused("RegisterStreamConsumer", StreamARN=arn, ConsumerName="b")
    assert (code, "CREATING" in message) == ("LimitExceededException", True), message
    clock.advance(world, "10m")
    register("b")
    clock.advance(world, "10m")
    code, message = world.refused("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c")
    assert (code, message.endswith("Limit: 2.")) == ("LimitExceededException", True), message
    # The commitment gives room for more.
    world.call("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    for consumer in ("c", "d"):
        register(consumer)
        clock.advance(world, "10m")
    code, message = world.refused("RegisterStreamConsumer", StreamARN=arn, ConsumerName="e")
    assert (code, message.endswith("Limit: 4.")) == ("LimitExceededException", True), message


# Per operation how many calls a second AWS takes, and what to call it with.
ON_STREAMS: list[tuple[str, int, dict[str, Any]]] = [
    ("AddTagsToStream", 5, {"Tags": {"a": "b"}}),
    ("RemoveTagsFromStream", 5, {"TagKeys": ["a"]}),
    ("ListTagsForStream", 5, {}),
    ("DescribeStream", 10, {}),
    ("DescribeStreamSummary", 20, {}),
    ("IncreaseStreamRetentionPeriod", 5, {"RetentionPeriodHours": 24}),
    ("DecreaseStreamRetentionPeriod", 5, {"RetentionPeriodHours": 24}),
    ("EnableEnhancedMonitoring", 5, {"ShardLevelMetrics": ["ALL"]}),
    ("DisableEnhancedMonitoring", 5, {"ShardLevelMetrics": ["ALL"]}),
    ("MergeShards", 5, {"ShardToMerge": "0", "AdjacentShardToMerge": "1"}),
    ("SplitShard", 5, {"ShardToSplit": "0", "NewStartingHashKey": "5"}),
    ("UpdateShardCount", 10, {"TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"}),
    ("DeleteStream", 5, {}),
    ("CreateStream", 5, {"ShardCount": 1}),
]
ON_ARNS: list[tuple[str, int, str, dict[str, Any]]] = [
    ("UpdateStreamMode", 5, "StreamARN", {"StreamModeDetails": {"StreamMode": "PROVISIONED"}}),
    ("UpdateMaxRecordSize", 5, "StreamARN", {"MaxRecordSizeInKiB": 1024}),
    ("UpdateStreamWarmThroughput", 5, "StreamARN", {"WarmThroughputMiBps": 1}),
    ("ListStreamConsumers", 5, "StreamARN", {}),
    ("RegisterStreamConsumer", 5, "StreamARN", {"ConsumerName": "c"}),
    ("DeregisterStreamConsumer", 5, "StreamARN", {"ConsumerName": "c"}),
    ("DescribeStreamConsumer", 20, "StreamARN", {"ConsumerName": "c"}),
    ("TagResource", 5, "ResourceARN", {"Tags": {"a": "b"}}),
    ("UntagResource", 5, "ResourceARN", {"TagKeys": ["a"]}),
    ("PutResourcePolicy", 5, "ResourceARN", {"Policy": "{}"}),
    ("DeleteResourcePolicy", 5, "ResourceARN", {}),
    ("GetResourcePolicy", 5, "ResourceARN", {}),
    ("ListTagsForResource", 5, "ResourceARN", {}),
    ("UpdateStreamRecordDistributionStrategy", 5, "StreamARN", {"RecordDistributionStrategy": "AUTO"}),
]


def calls_until_refused(world: World, operation: str, **members: Any) -> tuple[int, str, str]:
    """How many calls were let through, whether they succeeded or not, and the refusal's name and message."""
    for calls in range(2000):
        try:
            world.call(operation, **members)
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if message.startswith("Rate exceeded"):
                return calls, code, message
    raise AssertionError(f"{operation} was never too often")


def test_rates_of_operations_on_streams(world: World) -> None:
    """The stream need not be there: who calls too often is not told more."""
    refusal = ("LimitExceededException", f"Rate exceeded for stream s under account {world.account}.")
    for operation, rate, members in ON_STREAMS:
        calls, *refused = calls_until_refused(world, operation, StreamName="s", **members)
        assert (calls >= rate, tuple(refused)) == (True, refusal), operation
    for operation, rate, member, members in ON_ARNS:
        calls, *refused = calls_until_refused(world, operation, **{member: world.arn("s")}, **members)
        assert (calls >= rate, tuple(refused)) == (True, refusal), operation


def test_rates_of_operations_without_a_stream(world: World) -> None:
    for operation, rate, members in (
        ("ListStreams", 5, {}),
        ("DescribeLimits", 1, {}),
        ("DescribeAccountSettings", 5, {}),
        ("UpdateAccountSettings", 5, {"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}}),
    ):
        calls, code, message = calls_until_refused(world, operation, **members)
        assert calls >= rate, operation
        assert (code, message) == ("LimitExceededException", f"Rate exceeded for account {world.account}."), operation


def test_subscriptions_one_a_second(world: World) -> None:
    name = world.create()
    consumer = world.register(name)
    position = {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "3" * 56}
    calls, code, message = calls_until_refused(
        world, "SubscribeToShard", ConsumerARN=consumer, ShardId="0", StartingPosition=position
    )
    assert calls >= 1
    assert (code, message) == (
        "LimitExceededException",
        f"Rate exceeded for consumer consumer on shard shardId-000000000000 in stream {name} under account {world.account}.",
    )
