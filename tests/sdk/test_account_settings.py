"""DescribeAccountSettings, UpdateAccountSettings, and warm throughput, which they unlock; DescribeLimits."""

from __future__ import annotations

import datetime
from typing import Any

from support.server import Server
from support.worlds import World

DAY = datetime.timedelta(days=1)


def commitment(world: World) -> dict[str, Any]:
    answer = world.patiently("DescribeAccountSettings")
    assert set(answer) == {"MinimumThroughputBillingCommitment"}
    return answer["MinimumThroughputBillingCommitment"]


def commit(world: World, status: str) -> dict[str, Any]:
    answer = world.patiently("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": status})
    assert set(answer) == {"MinimumThroughputBillingCommitment"}
    return answer["MinimumThroughputBillingCommitment"]


def test_a_commitment(own_server: Server) -> None:
    world = World(own_server)
    assert commitment(world) == {"Status": "DISABLED"}
    assert commit(world, "DISABLED") == {"Status": "DISABLED"}
    enabled = commit(world, "ENABLED")
    assert set(enabled) == {"Status", "StartedAt", "EarliestAllowedEndAt"}
    assert enabled["Status"] == "ENABLED"
    assert enabled["EarliestAllowedEndAt"] - enabled["StartedAt"] == DAY
    assert commit(world, "ENABLED") == enabled
    pending = {**enabled, "Status": "ENABLED_UNTIL_EARLIEST_ALLOWED_END"}
    assert commit(world, "DISABLED") == pending
    own_server.restart(kill=True)
    assert commitment(world) == pending
    assert commit(world, "ENABLED") == enabled
    # Each account and region has its own.
    assert commitment(World(own_server)) == {"Status": "DISABLED"}
    assert commitment(World(own_server, account=world.account, region="eu-west-1")) == {"Status": "DISABLED"}


def test_refusals(world: World) -> None:
    code, _ = world.patiently_refused("UpdateAccountSettings")
    assert code == "ValidationException"
    for status in ("MAYBE", "ENABLED_UNTIL_EARLIEST_ALLOWED_END"):
        members = {"MinimumThroughputBillingCommitment": {"Status": status}}
        assert world.patiently_refused("UpdateAccountSettings", **members)[0] == "ValidationException"
    assert commitment(world) == {"Status": "DISABLED"}


def test_five_calls_a_second(world: World) -> None:
    refusals = set()
    for _ in range(100):
        try:
            world.call("DescribeAccountSettings")
        except world.kinesis.exceptions.LimitExceededException as error:
            refusals.add(error.response["Error"]["Message"])
    assert refusals == {f"Rate exceeded for account {world.account}."}


def test_warm_throughput(world: World) -> None:
    name = world.create_on_demand()
    arn = world.arn(name)
    needs_commitment = (
        "ValidationException",
        "WarmThroughputMiBps requires MinimumThroughputBillingCommitment to be enabled for the account "
        f"{world.account}.",
    )
    assert world.patiently_refused("UpdateStreamWarmThroughput", StreamARN=arn, WarmThroughputMiBps=8) == needs_commitment
    on_demand = {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    assert world.patiently_refused("CreateStream", StreamName="w", WarmThroughputMiBps=8, **on_demand) == needs_commitment
    assert "WarmThroughput" not in world.summary(name)
    commit(world, "ENABLED")
    answer = world.patiently("UpdateStreamWarmThroughput", StreamName=name, WarmThroughputMiBps=10)
    assert answer == {
        "StreamARN": arn, "StreamName": name, "WarmThroughput": {"TargetMiBps": 10, "CurrentMiBps": 4},
    }
    summary = world.active(name)
    assert (summary["WarmThroughput"], summary["OpenShardCount"]) == ({"TargetMiBps": 10, "CurrentMiBps": 10}, 10)
    # Every shard that closed has its children, as after any split.
    parents = {shard["ParentShardId"] for shard in world.shards(name) if "ParentShardId" in shard}
    open_shards = {shard["ShardId"] for shard in world.open_shards(name)}
    assert {shard["ShardId"] for shard in world.shards(name)} - open_shards == parents
    born_warm = world.create_on_demand(WarmThroughputMiBps=6)
    assert world.summary(born_warm)["OpenShardCount"] == 6
    assert world.patiently_refused("UpdateStreamWarmThroughput", StreamARN=arn, WarmThroughputMiBps=10241) == (
        "LimitExceededException", "WarmThroughputMiBps cannot be greater than 10240. Requested: 10241.",
    )
    assert world.patiently_refused("UpdateStreamWarmThroughput", StreamARN=arn, WarmThroughputMiBps=-1)[0] == (
        "ValidationException"
    )
    # Only on-demand streams have it, and those of accounts with a commitment.
    provisioned = world.create()
    assert world.patiently_refused("UpdateStreamWarmThroughput", StreamName=provisioned, WarmThroughputMiBps=2) == (
        "ValidationException",
        f"Request is invalid. Stream {provisioned} under account {world.account} is in Provisioned mode.",
    )
    assert "WarmThroughput" not in world.summary(provisioned)
    world.patiently("UpdateStreamMode", StreamARN=world.arn(provisioned), WarmThroughputMiBps=5, **on_demand)
    summary = world.active(provisioned)
    assert summary["WarmThroughput"] == {"TargetMiBps": 5, "CurrentMiBps": 5}
    assert summary["StreamModeDetails"]["StreamMode"] == "ON_DEMAND"


def test_what_is_no_longer_warm(free_world: World) -> None:
    """The same again, or less, releases what is too much; a stream keeps the capacity of a new one."""
    commit(free_world, "ENABLED")
    name = free_world.create_on_demand()
    for target, before, after in ((10, 4, 10), (10, 10, 10), (5, 10, 5), (0, 5, 4)):
        answer = free_world.call("UpdateStreamWarmThroughput", StreamName=name, WarmThroughputMiBps=target)
        assert answer["WarmThroughput"] == {"TargetMiBps": target, "CurrentMiBps": before}
        summary = free_world.active(name)
        assert summary["WarmThroughput"] == {"TargetMiBps": target, "CurrentMiBps": after}
        assert summary["OpenShardCount"] == after


def test_records_survive_warming(free_world: World) -> None:
    commit(free_world, "ENABLED")
    name = free_world.create_on_demand()
    keys = [f"key {number}" for number in range(100)]
    for key in keys:
        free_world.put(name, key.encode(), key)
    free_world.call("UpdateStreamWarmThroughput", StreamName=name, WarmThroughputMiBps=30)
    assert free_world.active(name)["OpenShardCount"] == 30
    for key in keys:
        free_world.put(name, key.encode(), key)
    read = [record["PartitionKey"] for shard in free_world.shards(name) for record in free_world.read(name, shard["ShardId"])]
    assert sorted(read) == sorted(keys * 2)


def test_describe_limits(world: World) -> None:
    world.create(3)
    world.create_on_demand()
    assert world.patiently("DescribeLimits") == {
        "ShardLimit": 20000, "OpenShardCount": 3, "OnDemandStreamCount": 1, "OnDemandStreamCountLimit": 50,
        "ChannelCount": 0, "ChannelCountLimit": 100,
    }
