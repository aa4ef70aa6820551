"""ListShards: pages, tokens, filters."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from support.worlds import World


def numbers(shards: list[dict[str, Any]]) -> list[int]:
    return [int(shard["ShardId"][8:]) for shard in shards]


def test_pages(free_world: World) -> None:
    name = free_world.create(7)
    first = free_world.call("ListShards", StreamName=name, MaxResults=3)
    assert numbers(first["Shards"]) == [0, 1, 2]
    second = free_world.call("ListShards", NextToken=first["NextToken"], MaxResults=3)
    assert numbers(second["Shards"]) == [3, 4, 5]
    # Without MaxResults the rest comes whole.
    third = free_world.call("ListShards", NextToken=second["NextToken"])
    assert (numbers(third["Shards"]), "NextToken" in third) == ([6], False)
    pages = free_world.kinesis.get_paginator("list_shards").paginate(StreamName=name, MaxResults=1000)
    assert numbers([shard for page in pages for shard in page["Shards"]]) == list(range(7))


def test_start_after_a_shard(free_world: World) -> None:
    name = free_world.create(4)
    shards = free_world.shards(name, ExclusiveStartShardId="shardId-000000000001")
    assert numbers(shards) == [2, 3]
    assert free_world.shards(name, ExclusiveStartShardId="shardId-000000000077") == []


def test_both_name_and_arn(free_world: World) -> None:
    name = free_world.create(2)
    assert len(free_world.shards(name, StreamARN=free_world.arn(name))) == 2


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"StreamName": "any"}, "NextToken and StreamName cannot be provided together."),
        ({"StreamARN": "{arn}"}, "NextToken and StreamARN cannot be provided together."),
        ({"ExclusiveStartShardId": "0"}, "NextToken and ExclusiveStartShardId cannot be provided together."),
        ({"ShardFilter": {"Type": "AT_LATEST"}}, "NextToken and ShardFilter cannot be provided together."),
        ({"StreamCreationTimestamp": 1}, "NextToken and StreamCreationTimestamp cannot be provided together."),
    ],
)
def test_a_token_comes_alone(free_world: World, members: dict[str, Any], message: str) -> None:
    name = free_world.create(2)
    token = free_world.call("ListShards", StreamName=name, MaxResults=1)["NextToken"]
    members = {key: free_world.arn(name) if value == "{arn}" else value for key, value in members.items()}
    assert free_world.refused("ListShards", NextToken=token, **members) == ("InvalidArgumentException", message)


def test_neither_stream_nor_token(world: World) -> None:
    assert world.refused("ListShards") == (
        "InvalidArgumentException", "Either NextToken or StreamName should be provided.",
    )


def test_bad_tokens(free_world: World) -> None:
    name = free_world.create(2)
    token = free_world.call("ListShards", StreamName=name, MaxResults=1)["NextToken"]
    for bad in ("x", token[:-4] + "AAAA", free_world.iterator(name)):
        assert free_world.refused("ListShards", NextToken=bad)[0] == "InvalidArgumentException", bad
    stranger = World(free_world.server)
    assert stranger.refused("ListShards", NextToken=token)[0] in (
        "InvalidArgumentException", "AccessDeniedException", "ResourceNotFoundException",
    )


def test_validation(world: World) -> None:
    assert world.refused("ListShards", StreamName="any", MaxResults=10_001)[0] == "ValidationException"
    code, message = world.refused("ListShards", StreamName="any", ShardFilter={"Type": "SOME"})
    assert code == "ValidationException"
    assert message.startswith(
        "1 validation error detected: Value 'SOME' at 'shardFilter.type' failed to satisfy constraint: "
        "Member must satisfy enum value set: ["
    )
    assert world.refused("ListShards", StreamName="any", ShardFilter={}) == (
        "ValidationException",
        "1 validation error detected: Value null at 'shardFilter.type' failed to satisfy constraint: Member must not be null",
    )


def test_filters(free_world: World) -> None:
    name = free_world.create(2)
    created = free_world.summary(name)["StreamCreationTimestamp"]
    free_world.call("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey=str(2**126))
    free_world.active(name)

    def listed(kind: str, **more: Any) -> list[int]:
        return numbers(free_world.shards(name, ShardFilter={"Type": kind, **more}))

    now = datetime.datetime.now(datetime.timezone.utc)
    ago = created - datetime.timedelta(days=2)
    assert listed("AT_LATEST") == [1, 2, 3]
    assert listed("AT_TRIM_HORIZON") == [0, 1]
    assert listed("FROM_TRIM_HORIZON") == [0, 1, 2, 3]
    assert listed("AFTER_SHARD_ID", ShardId="shardId-000000000001") == [2, 3]
    # Before the stream was there, the shards that it began with; they tile the hash space.
    assert listed("AT_TIMESTAMP", Timestamp=ago) == [0, 1]
    assert listed("FROM_TIMESTAMP", Timestamp=ago) == [0, 1, 2, 3]
    later = now + datetime.timedelta(hours=1)
    assert listed("AT_TIMESTAMP", Timestamp=later) == [1, 2, 3]


def test_filters_at_any_time_tile_the_hash_space(free_world: World) -> None:
    """A consumer that starts from a time needs every hash key exactly once."""
    name = free_world.create(2)
    for lower, upper in ((0, 1), (None, None), (3, 4)):
        if lower is None:
            free_world.call("SplitShard", StreamName=name, ShardToSplit="2", NewStartingHashKey="1000")
        else:
            free_world.call("MergeShards", StreamName=name, ShardToMerge=str(lower), AdjacentShardToMerge=str(upper))
        free_world.active(name)
    created = free_world.summary(name)["StreamCreationTimestamp"]
    for seconds in range(-2, 10):
        at = created + datetime.timedelta(seconds=seconds / 2)
        shards = free_world.shards(name, ShardFilter={"Type": "AT_TIMESTAMP", "Timestamp": at})
        keys = ("StartingHashKey", "EndingHashKey")
        ranges = sorted(tuple(int(shard["HashKeyRange"][key]) for key in keys) for shard in shards)
        assert ranges[0][0] == 0 and ranges[-1][1] == 2**128 - 1
        assert all(end + 1 == start for (_, end), (start, _) in zip(ranges, ranges[1:])), (seconds, ranges)


@pytest.mark.parametrize(
    "shard_filter",
    [{"Type": "AFTER_SHARD_ID"}, {"Type": "AT_TIMESTAMP"}, {"Type": "FROM_TIMESTAMP"}],
    ids=lambda shard_filter: shard_filter["Type"],
)
def test_filters_need_their_argument(free_world: World, shard_filter: dict[str, Any]) -> None:
    name = free_world.create()
    assert free_world.refused("ListShards", StreamName=name, ShardFilter=shard_filter)[0] == "InvalidArgumentException"


@pytest.mark.parametrize("shard_filter", [
    {"Type": "AT_LATEST", "ShardId": "0"},
    {"Type": "AT_TRIM_HORIZON", "Timestamp": 1},
    {"Type": "AFTER_SHARD_ID", "ShardId": "0", "Timestamp": 1},
    {"Type": "AT_TIMESTAMP", "Timestamp": 1, "ShardId": "0"},
], ids=lambda shard_filter: shard_filter["Type"])
def test_filters_take_no_other_argument(free_world: World, shard_filter: dict[str, Any]) -> None:
    name = free_world.create()
    assert free_world.refused("ListShards", StreamName=name, ShardFilter=shard_filter)[0] == "InvalidArgumentException"


def test_the_creation_time_tells_streams_of_one_name_apart(free_world: World) -> None:
    name = free_world.create()
    created = free_world.summary(name)["StreamCreationTimestamp"]
    assert len(free_world.shards(name, StreamCreationTimestamp=created)) == 1


def test_a_token_keeps_its_filter(free_world: World) -> None:
    name = free_world.create(3)
    free_world.call("SplitShard", StreamName=name, ShardToSplit="1", NewStartingHashKey=str(2**127))
    free_world.active(name)
    answer = free_world.call("ListShards", StreamName=name, MaxResults=1, ShardFilter={"Type": "AT_LATEST"})
    found = numbers(answer["Shards"])
    while token := answer.get("NextToken"):
        answer = free_world.call("ListShards", NextToken=token, MaxResults=1)
        found += numbers(answer["Shards"])
    assert found == [0, 2, 3, 4]
