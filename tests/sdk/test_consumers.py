"""Enhanced fan-out consumers: registration, addressing, listing, limits, deletion, restart."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from support import waiting
from support.server import Server
from support.worlds import World


def describe(world: World, **members: Any) -> dict[str, Any]:
    return world.patiently("DescribeStreamConsumer", **members)["ConsumerDescription"]


def names(world: World, stream: str) -> list[str]:
    pages = world.kinesis.get_paginator("list_stream_consumers").paginate(
        StreamARN=world.arn(stream), PaginationConfig={"PageSize": 3}
    )
    return [consumer["ConsumerName"] for page in pages for consumer in page["Consumers"]]


def gone(world: World, arn: str) -> None:
    """Waits until a consumer is no more."""

    def look() -> bool:
        try:
            return not describe(world, ConsumerARN=arn)
        except ClientError as error:
            return error.response["Error"]["Code"] == "ResourceNotFoundException"

    waiting.until(look, f"{arn} is gone")


def test_a_consumer_from_its_registration_to_its_end(world: World) -> None:
    name = world.create()
    registered = world.call("RegisterStreamConsumer", StreamARN=world.arn(name), ConsumerName="c")["Consumer"]
    assert set(registered) == {"ConsumerName", "ConsumerARN", "ConsumerStatus", "ConsumerCreationTimestamp"}
    assert registered["ConsumerStatus"] == "CREATING"
    second = int(registered["ConsumerCreationTimestamp"].timestamp())
    assert registered["ConsumerCreationTimestamp"].timestamp() == second
    arn = f"{world.arn(name)}/consumer/c:{second}"
    assert registered["ConsumerARN"] == arn
    waiting.until(lambda: describe(world, ConsumerARN=arn)["ConsumerStatus"] == "ACTIVE", "it is ACTIVE")
    assert describe(world, ConsumerARN=arn) == {**registered, "ConsumerStatus": "ACTIVE", "StreamARN": world.arn(name)}
    assert world.summary(name)["ConsumerCount"] == 1
    assert world.call("DeregisterStreamConsumer", ConsumerARN=arn) == {}
    gone(world, arn)
    assert world.refused("DescribeStreamConsumer", ConsumerARN=arn) == (
        "ResourceNotFoundException",
        f"Consumer c with creation timestamp {second} under stream: {name}, account {world.account} not found.",
    )
    assert world.summary(name)["ConsumerCount"] == 0


def test_a_name_again_means_another_consumer(world: World) -> None:
    name = world.create()
    first = world.register(name, "c")
    assert world.refused("RegisterStreamConsumer", StreamARN=world.arn(name), ConsumerName="c")[0] == "ResourceInUseException"
    world.call("DeregisterStreamConsumer", StreamARN=world.arn(name), ConsumerName="c")
    gone(world, first)
    assert world.register(name, "c") != first


@pytest.mark.parametrize("by", [("ConsumerARN",), ("StreamARN", "ConsumerName"), ("StreamARN", "ConsumerARN"),
                                ("ConsumerARN", "StreamARN", "ConsumerName")])
def test_ways_to_name_a_consumer(world: World, by: tuple[str, ...]) -> None:
    name = world.create()
    arn = world.register(name, "c")
    members = {"ConsumerARN": arn, "StreamARN": world.arn(name), "ConsumerName": "c"}
    named = {member: members[member] for member in by}
    assert describe(world, **named)["ConsumerARN"] == arn
    world.call("DeregisterStreamConsumer", **named)
    gone(world, arn)


def test_names_that_do_not_fit(world: World) -> None:
    name, other = world.create(), world.create()
    arn = world.register(name, "c")
    for members in [{}, {"ConsumerName": "c"}, {"StreamARN": world.arn(name)},
                    {"ConsumerARN": arn, "StreamARN": world.arn(other)}, {"ConsumerARN": arn, "ConsumerName": "d"}]:
        assert world.refused("DescribeStreamConsumer", **members)[0] == "InvalidArgumentException", members
    missing = world.refused("DescribeStreamConsumer", StreamARN=world.arn(name), ConsumerName="d")
    assert missing == ("ResourceNotFoundException", f"Consumer d, account {world.account} not found.")
    assert world.refused("DescribeStreamConsumer", ConsumerARN="arn:aws:kinesis:x")[0] == "ValidationException"


def test_listing(free_world: World) -> None:
    name = free_world.create()
    for number in (4, 2, 7, 1, 3, 6, 5):
        free_world.register(name, f"c{number}")
    assert names(free_world, name) == [f"c{number}" for number in range(1, 8)]
    page = free_world.call("ListStreamConsumers", StreamARN=free_world.arn(name), MaxResults=2)
    assert set(page["Consumers"][0]) == {"ConsumerName", "ConsumerARN", "ConsumerStatus", "ConsumerCreationTimestamp"}
    created = free_world.summary(name)["StreamCreationTimestamp"]
    assert free_world.refused(
        "ListStreamConsumers", StreamARN=free_world.arn(name), NextToken=page["NextToken"], StreamCreationTimestamp=created
    ) == ("InvalidArgumentException", "NextToken and StreamCreationTimestamp cannot be provided together.")
    listed = free_world.call("ListStreamConsumers", StreamARN=free_world.arn(name), StreamCreationTimestamp=created)
    assert len(listed["Consumers"]) == 7
    assert free_world.call("ListStreamConsumers", StreamARN=free_world.arn(free_world.create())) == {"Consumers": []}


def test_twenty_consumers(own_server: Server) -> None:
    world = World(own_server)
    name = world.create()
    for number in range(20):
        world.register(name, f"c{number}")
    code, message = world.refused("RegisterStreamConsumer", StreamARN=world.arn(name), ConsumerName="one-more")
    if message.startswith("Rate exceeded"):
        with pytest.raises(ClientError) as refusal:
            world.patiently("RegisterStreamConsumer", StreamARN=world.arn(name), ConsumerName="one-more")
        error = refusal.value.response["Error"]
        code, message = error["Code"], error["Message"]
    assert code == "LimitExceededException"
    assert message.endswith("Limit: 20.")


def test_a_stream_with_consumers_goes_only_by_force(world: World) -> None:
    name = world.create()
    arn = world.register(name)
    assert world.refused("DeleteStream", StreamName=name)[0] == "ResourceInUseException"
    world.patiently("DeleteStream", StreamName=name, EnforceConsumerDeletion=True)
    world.gone(name)
    assert world.refused("DescribeStreamConsumer", ConsumerARN=arn)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_consumers_outlive_a_restart(own_server: Server, kill: bool) -> None:
    world = World(own_server)
    name = world.create()
    arn = world.register(name, "stays", Tags={"a": "b"})
    world.call("RegisterStreamConsumer", StreamARN=world.arn(name), ConsumerName="late")
    own_server.restart(kill)
    assert describe(world, ConsumerARN=arn)["ConsumerStatus"] == "ACTIVE"
    assert names(world, name) == ["late", "stays"]
    waiting.until(
        lambda: describe(world, StreamARN=world.arn(name), ConsumerName="late")["ConsumerStatus"] == "ACTIVE",
        "a transition goes on",
    )


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
