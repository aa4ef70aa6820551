"""Pages of listings: how long they are without a word, and at most; and what their tokens go with."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds import World


def test_streams_and_consumers_come_by_the_hundred(free_world: World) -> None:
    world = free_world
    names = sorted(world.name("s") for _ in range(101))
    for name in names:
        world.call("CreateStream", StreamName=name, ShardCount=1)
    for limit in ({}, {"Limit": 10_000}):
        page = world.call("ListStreams", **limit)
        assert (page["StreamNames"], page["HasMoreStreams"]) == (names[:100], True)
        rest = world.call("ListStreams", NextToken=page["NextToken"])
        assert (rest["StreamNames"], rest["HasMoreStreams"], "NextToken" in rest) == (names[100:], False, False)
    arn = world.arn(names[0])
    consumers = [f"c{number:03}" for number in range(101)]
    world.active(names[0])
    for consumer in consumers:
        world.call("RegisterStreamConsumer", StreamARN=arn, ConsumerName=consumer)
    for limit in ({}, {"MaxResults": 10_000}):
        page = world.call("ListStreamConsumers", StreamARN=arn, **limit)
        assert [consumer["ConsumerName"] for consumer in page["Consumers"]] == consumers[:100]
        rest = world.call("ListStreamConsumers", StreamARN=arn, NextToken=page["NextToken"])
        assert [consumer["ConsumerName"] for consumer in rest["Consumers"]] == consumers[100:]
        assert "NextToken" not in rest


def test_shards_come_by_the_thousand(free_world: World) -> None:
    name = free_world.create(1001)
    for limit in ({}, {"MaxResults": 10_000}):
        page = free_world.call("ListShards", StreamName=name, **limit)
        assert len(page["Shards"]) == 1000
        assert [shard["ShardId"] for shard in free_world.call("ListShards", NextToken=page["NextToken"])["Shards"]] == [
            "shardId-000000001000"
        ]


def test_tags_come_fifty_at_a_time_in_the_order_of_their_keys(free_world: World) -> None:
    name = free_world.create()
    keys = sorted([f"k{number:02}" for number in range(46)] + ["ÿ", "Zb", "_", " "])
    assert keys[-1] == "ÿ"
    free_world.call("AddTagsToStream", StreamName=name, Tags={key: "" for key in keys})
    answer = free_world.call("ListTagsForStream", StreamName=name)
    assert ([tag["Key"] for tag in answer["Tags"]], answer["HasMoreTags"]) == (keys, False)
    assert all(tag["Value"] == "" for tag in answer["Tags"])


@pytest.mark.parametrize("operation", ["ListStreams", "ListStreamConsumers", "ListShards"])
def test_tokens_that_are_none(free_world: World, operation: str) -> None:
    """Garbage, and a token of another operation."""
    name = free_world.create(2)
    arn = free_world.arn(name)
    other = free_world.call("ListShards", StreamName=name, MaxResults=1)["NextToken"]
    if operation == "ListShards":
        free_world.create()
        other = free_world.call("ListStreams", Limit=1)["NextToken"]
    address = {"StreamARN": arn} if operation == "ListStreamConsumers" else {}
    for token in ("x", "AAAA", other):
        assert free_world.refused(operation, NextToken=token, **address) == ("InvalidArgumentException", "Invalid NextToken.")


def test_a_consumers_token_is_its_streams(free_world: World) -> None:
    name, other = free_world.create(), free_world.create()
    for consumer in ("a", "b"):
        free_world.register(name, consumer)
    token = free_world.call("ListStreamConsumers", StreamARN=free_world.arn(name), MaxResults=1)["NextToken"]
    assert free_world.refused("ListStreamConsumers", StreamARN=free_world.arn(other), NextToken=token)[0] == (
        "InvalidArgumentException"
    )


@pytest.mark.parametrize(("operation", "members"), [
    ("ListStreamConsumers", {}), ("RegisterStreamConsumer", {"ConsumerName": "c"}),
])
def test_consumers_of_a_stream_that_is_not_there(world: World, operation: str, members: dict[str, Any]) -> None:
    assert world.refused(operation, StreamARN=world.arn("nowhere"), **members) == (
        "ResourceNotFoundException", f"Stream nowhere under account {world.account} not found.",
    )


def test_another_creation_time_means_another_stream(free_world: World) -> None:
    """What had that name at another time is not there any more."""
    name = free_world.create()
    for operation, address in (("ListShards", {"StreamName": name}), ("ListStreamConsumers", {"StreamARN": free_world.arn(name)})):
        assert free_world.refused(operation, StreamCreationTimestamp=1, **address)[0] == "ResourceNotFoundException"
