"""SplitShard, MergeShards, UpdateShardCount."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds import MAX_HASH, World


def spans(shards: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Per shard number its hash range."""
    return {
        str(int(shard["ShardId"][8:])): (
            int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"]),
        )
        for shard in shards
    }


def tiles(shards: list[dict[str, Any]]) -> bool:
    """Whether shards cover all hash keys, each once."""
    ranges = sorted(spans(shards).values())
    starts, ends = [start for start, _ in ranges], [end for _, end in ranges]
    return starts == [0] + [end + 1 for end in ends[:-1]] and ends[-1] == MAX_HASH


def split(world: World, name: str, shard: str, at: int) -> None:
    world.call("SplitShard", StreamName=name, ShardToSplit=shard, NewStartingHashKey=str(at))
    world.active(name)


def merge(world: World, name: str, lower: str, upper: str) -> None:
    world.call("MergeShards", StreamName=name, ShardToMerge=lower, AdjacentShardToMerge=upper)
    world.active(name)


def test_split(free_world: World) -> None:
    name = free_world.create()
    before = [free_world.put(name, f"p{index}".encode(), ExplicitHashKey="7") for index in range(3)]
    split(free_world, name, "0", 1000)
    parent, lower, upper = free_world.shards(name)
    assert spans([parent, lower, upper]) == {"0": (0, MAX_HASH), "1": (0, 999), "2": (1000, MAX_HASH)}
    closed = parent["SequenceNumberRange"]
    assert int(closed["EndingSequenceNumber"]) > int(before[-1]["SequenceNumber"])
    for child in (lower, upper):
        assert child["ParentShardId"] == "shardId-000000000000"
        assert "AdjacentParentShardId" not in child
        assert set(child["SequenceNumberRange"]) == {"StartingSequenceNumber"}
        assert int(child["SequenceNumberRange"]["StartingSequenceNumber"]) > int(closed["EndingSequenceNumber"])
    # The parent keeps its records; new ones go to the children.
    assert free_world.put(name, b"c", ExplicitHashKey="999")["ShardId"] == "shardId-000000000001"
    assert free_world.put(name, b"c", ExplicitHashKey="1000")["ShardId"] == "shardId-000000000002"
    assert [record["Data"] for record in free_world.read(name, "0")] == [b"p0", b"p1", b"p2"]
    assert [record["Data"] for record in free_world.read(name, "1")] == [b"c"]


def test_merge(free_world: World) -> None:
    name = free_world.create(3)
    free_world.put(name, b"left", ExplicitHashKey="0")
    merge(free_world, name, "0", "1")
    shards = free_world.shards(name)
    child = shards[3]
    assert (child["ParentShardId"], child["AdjacentParentShardId"]) == ("shardId-000000000000", "shardId-000000000001")
    ranges = spans(shards)
    assert ranges["3"] == (ranges["0"][0], ranges["1"][1])
    endings = [shard["SequenceNumberRange"].get("EndingSequenceNumber") for shard in shards]
    assert [ending is not None for ending in endings] == [True, True, False, False]
    start = int(child["SequenceNumberRange"]["StartingSequenceNumber"])
    assert start > max(int(ending) for ending in endings[:2])
    assert free_world.put(name, b"new", ExplicitHashKey="0")["ShardId"] == "shardId-000000000003"
    assert free_world.summary(name)["OpenShardCount"] == 2


def test_a_chain_of_splits_and_merges_loses_nothing(free_world: World) -> None:
    name = free_world.create()
    put = 0
    for _ in range(10):
        (only,) = free_world.open_shards(name)
        free_world.put(name, str(put).encode(), "k")
        put += 1
        split(free_world, name, only["ShardId"], 2**127)
        lower, upper = free_world.open_shards(name)
        free_world.put(name, str(put).encode(), "k")
        put += 1
        merge(free_world, name, lower["ShardId"], upper["ShardId"])
    shards = free_world.shards(name)
    assert len(shards) == 31
    records = [record for shard in shards for record in free_world.read(name, shard["ShardId"])]
    assert [record["Data"] for record in records] == [str(number).encode() for number in range(put)]
    numbers = [int(record["SequenceNumber"]) for record in records]
    assert numbers == sorted(set(numbers)), "one key's sequence numbers rise from parent to child"


def test_two_hundred_splits_without_a_pause(free_world: World) -> None:
    """Shards are created faster than seconds pass, and their numbers still tell parents from children."""
    name = free_world.create()
    for number in range(200):
        split(free_world, name, str(2 * number), 2**127 + 2 * number)
    shards = free_world.shards(name)
    assert len(shards) == 401
    assert tiles(free_world.open_shards(name))
    by_id = {shard["ShardId"]: shard["SequenceNumberRange"] for shard in shards}
    for shard in shards[1:]:
        parent = by_id[shard["ParentShardId"]]
        start = int(shard["SequenceNumberRange"]["StartingSequenceNumber"])
        assert start > int(parent["EndingSequenceNumber"]) > int(parent["StartingSequenceNumber"])
    last = shards[-1]["ShardId"]
    number = free_world.put(name, b"x", ExplicitHashKey=str(MAX_HASH))
    assert number["ShardId"] == last
    records = free_world.read(name, last, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=number["SequenceNumber"])
    assert [record["Data"] for record in records] == [b"x"]


@pytest.mark.parametrize(("at", "fine"), [(0, False), (1, False), (2, True), (MAX_HASH - 1, True), (MAX_HASH, False)])
def test_where_a_shard_can_be_split(free_world: World, at: int, fine: bool) -> None:
    name = free_world.create()
    if fine:
        split(free_world, name, "0", at)
        assert tiles(free_world.open_shards(name))
        return
    refused = free_world.refused("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey=str(at))
    assert refused == (
        "InvalidArgumentException",
        f"NewStartingHashKey {at} used in SplitShard() on shard shardId-000000000000 in stream {name} under account "
        f"{free_world.account} is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's "
        f"EndingHashKey {MAX_HASH}.",
    )


def test_shards_that_are_not_there(free_world: World) -> None:
    name = free_world.create()
    account = free_world.account
    refused = free_world.refused

    def could_not(shard: str, stream: str) -> tuple[str, str]:
        return "ResourceNotFoundException", f"Could not find shard {shard} in stream {stream} under account {account}."

    # Syntax comes before the stream, the stream before the shard.
    at = {"NewStartingHashKey": "5"}
    assert refused("SplitShard", StreamName="nowhere", ShardToSplit="x.y", **at) == could_not("x.y", "nowhere")
    not_found = ("ResourceNotFoundException", f"Stream nowhere under account {account} not found.")
    assert refused("SplitShard", StreamName="nowhere", ShardToSplit="0", **at) == not_found
    assert refused("SplitShard", StreamName=name, ShardToSplit="x-7", **at) == could_not("shardId-000000000007", name)
    pairs = (("x.y", "z.z", "x.y"), ("0", "z.z", "z.z"))
    for lower, upper, blamed in pairs:
        answer = refused("MergeShards", StreamName="nowhere", ShardToMerge=lower, AdjacentShardToMerge=upper)
        assert answer == could_not(blamed, "nowhere")
    answer = refused("MergeShards", StreamName="nowhere", ShardToMerge="0", AdjacentShardToMerge="1")
    assert answer == not_found
    for lower, upper, blamed in (("8", "9", 8), ("0", "9", 9)):
        answer = refused("MergeShards", StreamName=name, ShardToMerge=lower, AdjacentShardToMerge=upper)
        assert answer == could_not(f"shardId-{blamed:012}", name)


def test_shards_that_are_no_pair(free_world: World) -> None:
    name = free_world.create(3)
    for lower, upper in ((0, 2), (1, 0), (0, 0)):
        refused = free_world.refused(
            "MergeShards", StreamName=name, ShardToMerge=str(lower), AdjacentShardToMerge=str(upper)
        )
        assert refused == (
            "InvalidArgumentException",
            f"Shards shardId-{lower:012} and shardId-{upper:012} in stream {name} under account {free_world.account} "
            "are not an adjacent pair of shards eligible for merging",
        )


def test_closed_shards_stay_closed(free_world: World) -> None:
    name = free_world.create(2)
    merge(free_world, name, "0", "1")
    closed = (
        "InvalidArgumentException",
        f"Shard shardId-000000000000 in stream {name} under account {free_world.account} has already been merged or "
        "split, and thus is not eligible for merging or splitting.",
    )
    assert free_world.refused("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey="9") == closed
    assert free_world.refused("MergeShards", StreamName=name, ShardToMerge="0", AdjacentShardToMerge="1") == closed


def test_on_demand_streams_are_not_resharded(world: World) -> None:
    name = world.create_on_demand()
    refused = (
        "ValidationException",
        f"Request is invalid. Stream {name} under account {world.account} is in On-Demand mode.",
    )
    assert world.refused("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey="9") == refused
    assert world.refused("MergeShards", StreamName=name, ShardToMerge="0", AdjacentShardToMerge="1") == refused
    update = {"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}
    assert world.refused("UpdateShardCount", StreamName=name, **update) == refused


@pytest.mark.parametrize(
    ("before", "after", "shards"), [(1, 2, 3), (2, 4, 6), (4, 2, 6), (4, 5, 15), (4, 3, 11), (5, 3, None), (3, 3, 3)]
)
def test_update_shard_count(free_world: World, before: int, after: int, shards: int | None) -> None:
    name = free_world.create(before)
    answer = free_world.call(
        "UpdateShardCount", StreamName=name, TargetShardCount=after, ScalingType="UNIFORM_SCALING"
    )
    assert answer == {
        "StreamName": name,
        "StreamARN": free_world.arn(name),
        "CurrentShardCount": before,
        "TargetShardCount": after,
    }
    assert free_world.active(name)["OpenShardCount"] == after
    everything = free_world.shards(name)
    # Parents come before children, and the ids tell so.
    for shard in everything:
        for parent in (shard.get("ParentShardId"), shard.get("AdjacentParentShardId")):
            assert parent is None or parent < shard["ShardId"]
    if shards is not None:
        assert len(everything) == shards
    now_open = free_world.open_shards(name)
    assert tiles(now_open)
    step = 2**128 // after
    assert sorted(start for start, _ in spans(now_open).values()) == pytest.approx([step * k for k in range(after)], abs=8)
    if (before, after) == (4, 3):
        assert [int(shard["ShardId"][8:]) for shard in now_open] == [6, 9, 10]


def test_update_shard_count_refusals(world: World) -> None:
    name = world.create(4)

    def refused(target: int) -> tuple[str, str]:
        return world.refused("UpdateShardCount", StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")

    assert refused(9) == (
        "LimitExceededException",
        "UpdateShardCount cannot scale up over double your current open shard count. "
        "Current open shard count: 4, Target shard count: 9",
    )
    assert refused(1) == (
        "LimitExceededException",
        "UpdateShardCount cannot scale down below half your current open shard count. "
        "Current open shard count: 4, Target shard count: 1",
    )
    assert refused(0)[0] == "ValidationException"
    assert world.refused("UpdateShardCount", StreamName=name, TargetShardCount=4, ScalingType="X") == (
        "ValidationException",
        "1 validation error detected: Value 'X' at 'scalingType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [UNIFORM_SCALING]",
    )


def test_update_shard_count_ten_times_a_day(world: World) -> None:
    name = world.create(1)
    for call in range(10):
        world.patiently(
            "UpdateShardCount", StreamName=name, TargetShardCount=1 + (call + 1) % 2, ScalingType="UNIFORM_SCALING"
        )
        world.active(name)
    refused = world.refused("UpdateShardCount", StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    assert refused[0] == "LimitExceededException"


def test_shard_ids_are_lenient_everywhere(free_world: World) -> None:
    """Split, merge and subscribe read them as GetShardIterator does."""
    name = free_world.create(2)
    free_world.call("SplitShard", StreamName=name, ShardToSplit="x-00000", NewStartingHashKey="5")
    free_world.active(name)
    free_world.call("MergeShards", StreamName=name, ShardToMerge="3", AdjacentShardToMerge="anything-1")
    free_world.active(name)
    assert [shard["ShardId"][-1] for shard in free_world.open_shards(name)] == ["2", "4"]
    for none in ("ABKLFD8", "2.14E4", "2147483648"):
        assert free_world.refused("SplitShard", StreamName=name, ShardToSplit=none, NewStartingHashKey="5") == (
            "ResourceNotFoundException",
            f"Could not find shard {none} in stream {name} under account {free_world.account}.",
        )
    consumer = free_world.register(name)
    for shard, shown in (("9", "shardId-000000000009"), ("-00002147483647", "shardId-002147483647")):
        assert free_world.refused(
            "SubscribeToShard", ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": "LATEST"}
        ) == ("ResourceNotFoundException", f"Shard {shown} in stream {name} under account {free_world.account} does not exist")
