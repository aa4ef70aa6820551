"""TagResource, UntagResource, ListTagsForResource on streams and consumers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server
from support.worlds import World


def tags(world: World, name: str) -> list[tuple[str, str]]:
    answer = world.patiently("ListTagsForResource", ResourceARN=world.arn(name))
    assert set(answer) == {"Tags"}
    return [(tag["Key"], tag["Value"]) for tag in answer["Tags"]]


def test_a_streams_tags_are_those_of_both_families(free_world: World) -> None:
    name = free_world.create(Tags={"born": "with"})
    arn = free_world.arn(name)
    assert tags(free_world, name) == [("born", "with")]
    assert free_world.call("TagResource", ResourceARN=arn, Tags={"a:b": "1/2=3+4-5@6", "ü x": ""}) == {}
    free_world.call("AddTagsToStream", StreamName=name, Tags={"born": "again"})
    assert tags(free_world, name) == [("a:b", "1/2=3+4-5@6"), ("born", "again"), ("ü x", "")]
    listed = free_world.call("ListTagsForStream", StreamName=name)["Tags"]
    assert [(tag["Key"], tag["Value"]) for tag in listed] == tags(free_world, name)
    assert free_world.call("UntagResource", ResourceARN=arn, TagKeys=["born", "never there"]) == {}
    free_world.call("RemoveTagsFromStream", StreamName=name, TagKeys=["a:b"])
    assert tags(free_world, name) == [("ü x", "")]


def test_a_consumers_tags(free_world: World) -> None:
    name = free_world.create(Tags={"of": "the stream"})
    arn = free_world.register(name, "c", Tags={"born": "with"})

    def of_consumer() -> dict[str, str]:
        answer = free_world.call("ListTagsForResource", ResourceARN=arn)
        return {tag["Key"]: tag["Value"] for tag in answer["Tags"]}

    assert of_consumer() == {"born": "with"}
    free_world.call("TagResource", ResourceARN=arn, Tags={"a:b": "c"})
    free_world.call("UntagResource", ResourceARN=arn, TagKeys=["born"])
    assert of_consumer() == {"a:b": "c"}
    assert tags(free_world, name) == [("of", "the stream")]
    code, message = free_world.refused("TagResource", ResourceARN=arn, Tags={"50%": ""})
    assert (code, message.startswith(f"Some tags of consumer {arn} contained illegal")) == ("InvalidArgumentException", True)


def test_refusals(world: World) -> None:
    name = world.create()
    arn = world.arn(name)
    invalid = (
        "InvalidArgumentException",
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.",
    )
    for bad in ({"a;b": "c"}, {"a": "b,c"}, {"a": "x\ny"}):
        assert world.patiently_refused("TagResource", ResourceARN=arn, Tags=bad) == invalid, bad
    assert world.patiently_refused("UntagResource", ResourceARN=arn, TagKeys=["a;b"]) == invalid
    code, message = world.patiently_refused("TagResource", ResourceARN=arn, Tags={"50%": ""})
    assert (code, message.split(" because ")[0]) == (
        "InvalidArgumentException", f"Failed to add tags to stream {name} under account {world.account}",
    )
    assert world.patiently_refused("TagResource", ResourceARN=arn, Tags={"aws:x": ""}) == (
        "InvalidArgumentException", "Tag key aws:x begins with aws:, which is reserved for system use.",
    )
    world.patiently("TagResource", ResourceARN=arn, Tags={f"k{number}": "" for number in range(50)})
    assert world.patiently_refused("TagResource", ResourceARN=arn, Tags={"one more": ""})[0] == "InvalidArgumentException"
    world.patiently("TagResource", ResourceARN=arn, Tags={"k0": "replaced"})
    assert len(tags(world, name)) == 50
    # What the model says is said first.
    for members in ({"Tags": {}}, {"Tags": {"": "v"}}, {"Tags": {"k": "v" * 257}}, {}):
        assert world.patiently_refused("TagResource", ResourceARN=arn, **members)[0] == "ValidationException", members
    too_many = [f"k{number}" for number in range(51)]
    assert world.patiently_refused("UntagResource", ResourceARN=arn, TagKeys=too_many)[0] == "ValidationException"


def test_a_consumers_tags_are_its_own(free_world: World) -> None:
    world = free_world
    name = world.create(Tags={"of": "the stream"})
    consumer = world.register(name, Tags={"born": "with"})

    def consumers_tags() -> list[tuple[str, str]]:
        answer = world.call("ListTagsForResource", ResourceARN=consumer)
        return [(tag["Key"], tag["Value"]) for tag in answer["Tags"]]

    assert consumers_tags() == [("born", "with")]
    assert world.call("TagResource", ResourceARN=consumer, Tags={"a:b": "", "born": "again"}) == {}
    assert consumers_tags() == [("a:b", ""), ("born", "again")]
    assert world.call("UntagResource", ResourceARN=consumer, TagKeys=["born", "never there"]) == {}
    assert consumers_tags() == [("a:b", "")]
    assert tags(world, name) == [("of", "the stream")]
    for bad in ({"a;b": "c"}, {"aws:x": ""}):
        assert world.refused("TagResource", ResourceARN=consumer, Tags=bad)[0] == "InvalidArgumentException", bad
    missing = consumer.replace("/consumer:", "/nobody:")
    for operation, members in (("TagResource", {"Tags": {"a": "b"}}), ("UntagResource", {"TagKeys": ["a"]}), ("ListTagsForResource", {})):
        assert world.refused(operation, ResourceARN=missing, **members) == (
            "ResourceNotFoundException",
            f"Consumer nobody with creation timestamp {consumer.rpartition(':')[2]} under stream: {name}, account "
            f"{world.account} not found.",
        ), operation


def test_fifty_tags_of_a_consumer(world: World) -> None:
    consumer = world.register(world.create(), Tags={f"k{number}": "" for number in range(50)})
    code, message = world.patiently_refused("TagResource", ResourceARN=consumer, Tags={"one more": ""})
    assert (code, message) == (
        "InvalidArgumentException",
        f"Failed to add tags to consumer {consumer} because a given consumer cannot have more than 50 tags associated with it.",
    )
    world.patiently("TagResource", ResourceARN=consumer, Tags={"k0": "replaced"})


@pytest.fixture
def slow_world(tmp_path: Path) -> Iterator[World]:
    """A world on a server where streams come and go very slowly."""
    with Server(tmp_path / "data", "--transition-delay", "1h") as server:
        yield World(server)


def test_tags_wait_until_the_stream_is_there(slow_world: World) -> None:
    world = slow_world
    name = world.name()
    world.call("CreateStream", StreamName=name, ShardCount=1, Tags={"a": "b"})
    arn = world.arn(name)
    not_active = (
        "ResourceInUseException", f"Stream {name} under account {world.account} not ACTIVE, instead in state CREATING",
    )
    assert world.refused("TagResource", ResourceARN=arn, Tags={"c": "d"}) == not_active
    assert world.refused("UntagResource", ResourceARN=arn, TagKeys=["a"]) == not_active
    assert tags(world, name) == [("a", "b")]
    world.call("DeleteStream", StreamName=name)
    assert world.refused("TagResource", ResourceARN=arn, Tags={"c": "d"}) == (
        "ResourceInUseException", f"Stream {name} under account {world.account} not ACTIVE, instead in state DELETING",
    )
