"""Pages of listings: how long they are without a word, and at most; and what their tokens go with."""

from __future__ import annotations

import base64
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


def test_the_form_of_iterators(free_world: World) -> None:
    """Canonical base64 of blocks after a leading 1, as clients that look at it expect."""
    for name in (free_world.create(), free_world.create(name="n" * 128)):
        iterator = free_world.iterator(name)
        raw = base64.b64decode(iterator, validate=True)
        assert base64.b64encode(raw).decode() == iterator
        assert (raw[:8], (len(raw) - 152) % 16, len(raw) >= 152, len(iterator) <= 512) == (bytes(7) + b"\x01", 0, True, True)


def test_the_ends_of_a_four_shard_stream(free_world: World) -> None:
    step = 85070591730234615865843651857942052864
    ranges = [shard["HashKeyRange"] for shard in free_world.shards(free_world.create(4))]
    assert [int(keys["StartingHashKey"]) for keys in ranges] == [0, step, 2 * step, 3 * step]
    assert [int(keys["EndingHashKey"]) for keys in ranges] == [step - 1, 2 * step - 1, 3 * step - 1, 2**128 - 1]


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


def test_percent_in_a_tag_and_the_characters_of_a_creations_tags(free_world: World) -> None:
    name = free_world.create()
    for operation, members in (
        ("AddTagsToStream", {"StreamName": name, "Tags": {"a": "50%"}}),
        ("TagResource", {"ResourceARN": free_world.arn(name), "Tags": {"a": "50%"}}),
    ):
        assert free_world.refused(operation, **members) == (
            "InvalidArgumentException",
            f"Failed to add tags to stream {name} under account {free_world.account} because some tags contained illegal "
            "characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.",
        )
    assert free_world.refused("CreateStream", StreamName="bad-tags", ShardCount=1, Tags={"a;": "b"})[0] == (
        "InvalidArgumentException"
    )
    assert free_world.refused("DescribeStream", StreamName="bad-tags")[0] == "ResourceNotFoundException"


def test_deletion_refused_for_consumers_names_the_way_out(free_world: World) -> None:
    name = free_world.create()
    free_world.register(name)
    refusal = (
        "ResourceInUseException",
        f"DeleteStream can’t delete {free_world.account}:{name} because there are consumers associated with this data stream. "
        f"To delete {name} anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of all the "
        "consumers that are associated with it.",
    )
    for more in ({}, {"EnforceConsumerDeletion": False}):
        assert free_world.refused("DeleteStream", StreamName=name, **more) == refusal


def test_provisioned_streams_need_a_count_and_no_warmth(free_world: World) -> None:
    provisioned = {"StreamModeDetails": {"StreamMode": "PROVISIONED"}}
    assert free_world.refused("CreateStream", StreamName="p", **provisioned)[0] == "InvalidArgumentException"
    assert free_world.refused("CreateStream", StreamName="p", ShardCount=1, WarmThroughputMiBps=5)[0] == "ValidationException"
    arn = free_world.arn(free_world.create_on_demand())
    assert free_world.refused("UpdateStreamMode", StreamARN=arn, WarmThroughputMiBps=5, **provisioned)[0] == (
        "ValidationException"
    )
