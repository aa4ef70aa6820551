"""Retention, tags, enhanced monitoring, capacity modes."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds import World

METRICS = [
    "IncomingBytes", "IncomingRecords", "IteratorAgeMilliseconds", "OutgoingBytes", "OutgoingRecords",
    "ReadProvisionedThroughputExceeded", "WriteProvisionedThroughputExceeded",
]


def tags(world: World, name: str, **members: Any) -> dict[str, str]:
    answer = world.call("ListTagsForStream", StreamName=name, **members)
    return {tag["Key"]: tag["Value"] for tag in answer["Tags"]}


def test_retention(free_world: World) -> None:
    name = free_world.create()

    def change(operation: str, hours: int) -> int:
        assert free_world.call(operation, StreamName=name, RetentionPeriodHours=hours) == {}
        return free_world.active(name)["RetentionPeriodHours"]

    # What Terraform always sends: the value that it has.
    assert change("IncreaseStreamRetentionPeriod", 24) == 24
    assert change("IncreaseStreamRetentionPeriod", 8760) == 8760
    assert change("DecreaseStreamRetentionPeriod", 100) == 100
    assert change("DecreaseStreamRetentionPeriod", 100) == 100


@pytest.mark.parametrize(
    ("operation", "hours", "message"),
    [
        ("Increase", 23, "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short."),
        ("Decrease", 23, "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short."),
        ("Increase", 8761, "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long."),
        (
            "Decrease", 72,
            "Requested retention period (72 hours) for stream {name} can not be longer than existing retention period "
            "(48 hours). Use IncreaseRetentionPeriod API.",
        ),
        (
            "Increase", 24,
            "Requested retention period (24 hours) for stream {name} can not be shorter than existing retention period "
            "(48 hours). Use DecreaseRetentionPeriod API.",
        ),
    ],
)
def test_retention_refusals(world: World, operation: str, hours: int, message: str) -> None:
    name = world.create()
    world.call("IncreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=48)
    world.active(name)
    operation = f"{operation}StreamRetentionPeriod"
    refused = world.refused(operation, StreamName=name, RetentionPeriodHours=hours)
    assert refused == ("InvalidArgumentException", message.format(name=name))
    # The stream is looked for first.
    refused = world.refused(operation, StreamName="nowhere", RetentionPeriodHours=hours)
    assert refused[0] == "ResourceNotFoundException"


def test_retention_validation(world: World) -> None:
    code, message = world.refused("IncreaseStreamRetentionPeriod", StreamName="any")
    assert (code, message) == (
        "ValidationException",
        "1 validation error detected: Value null at 'retentionPeriodHours' failed to satisfy constraint: "
        "Member must not be null",
    )


def test_tags(free_world: World) -> None:
    name = free_world.create()
    assert tags(free_world, name) == {}
    assert free_world.call("AddTagsToStream", StreamName=name, Tags={"b": "1", "a": "2", "ü": ""}) == {}
    free_world.call("AddTagsToStream", StreamName=name, Tags={"a": "3", "c d": "x/y=z@w_.+-"})
    assert tags(free_world, name) == {"a": "3", "b": "1", "c d": "x/y=z@w_.+-", "ü": ""}
    answer = free_world.call("ListTagsForStream", StreamName=name)
    assert [tag["Key"] for tag in answer["Tags"]] == ["a", "b", "c d", "ü"]
    assert free_world.call("RemoveTagsFromStream", StreamName=name, TagKeys=["b", "never there"]) == {}
    assert "b" not in tags(free_world, name)


def test_tag_pages(free_world: World) -> None:
    name = free_world.create()
    keys = [" ", "+", "/", "0", "=", "@", "Zb", "_", "a"]
    free_world.call("AddTagsToStream", StreamName=name, Tags={key: key for key in keys})
    first = free_world.call("ListTagsForStream", StreamName=name, Limit=4)
    assert ([tag["Key"] for tag in first["Tags"]], first["HasMoreTags"]) == (keys[:4], True)
    rest = free_world.call("ListTagsForStream", StreamName=name, ExclusiveStartTagKey=keys[3])
    assert ([tag["Key"] for tag in rest["Tags"]], rest["HasMoreTags"]) == (keys[4:], False)
    # The start need not be there, nor be a tag at all.
    assert list(tags(free_world, name, ExclusiveStartTagKey="Z")) == ["Zb", "_", "a"]
    assert list(tags(free_world, name, ExclusiveStartTagKey="A;b")) == ["Zb", "_", "a"]
    assert free_world.refused("ListTagsForStream", StreamName=name, Limit=51)[0] == "ValidationException"


def test_tag_refusals(free_world: World) -> None:
    name = free_world.create()
    invalid = (
        "InvalidArgumentException",
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.",
    )
    for bad in ({"a;b": "c"}, {"a": "b,c"}, {"a": "x\ny"}):
        assert free_world.refused("AddTagsToStream", StreamName=name, Tags=bad) == invalid, bad
    assert free_world.refused("RemoveTagsFromStream", StreamName=name, TagKeys=["a;b"]) == invalid
    illegal = (
        "some tags contained illegal characters. The allowed characters are Unicode letters, white-spaces, "
        "'_',',','/','=','+','-','@'."
    )
    account = free_world.account
    assert free_world.refused("AddTagsToStream", StreamName=name, Tags={"a%": "b"}) == (
        "InvalidArgumentException", f"Failed to add tags to stream {name} under account {account} because {illegal}",
    )
    assert free_world.refused("RemoveTagsFromStream", StreamName=name, TagKeys=["a%"]) == (
        "InvalidArgumentException", f"Failed to remove tags from stream {name} under account {account} because {illegal}",
    )
    assert free_world.refused("AddTagsToStream", StreamName=name, Tags={"aws:x": "b"})[0] == "InvalidArgumentException"
    # The stream is looked for before the characters.
    assert free_world.refused("AddTagsToStream", StreamName="nowhere", Tags={";": ""})[0] == "ResourceNotFoundException"
    assert tags(free_world, name) == {}


def test_tag_validation(world: World) -> None:
    lengths = "[Member must have length less than or equal to {}, Member must have length greater than or equal to {}]"
    code, message = world.refused("AddTagsToStream", StreamName="any", Tags={"": "v"})
    assert code == "ValidationException"
    assert message.endswith(f"at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: {lengths.format(128, 1)}")
    code, message = world.refused("AddTagsToStream", StreamName="any", Tags={"k": "v" * 257})
    assert code == "ValidationException"
    assert message.endswith(f"at 'tags' failed to satisfy constraint: Map value must satisfy constraint: {lengths.format(256, 0)}")
    code, message = world.refused("RemoveTagsFromStream", StreamName="any", TagKeys=["k" * 129])
    assert code == "ValidationException"
    assert message.endswith(f"at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: {lengths.format(128, 1)}")


def test_fifty_tags(world: World) -> None:
    name = world.create()

    def add(tags: dict[str, str]) -> None:
        world.patiently("AddTagsToStream", StreamName=name, Tags=tags)

    for start in range(0, 50, 10):
        add({f"key{index:02}": "" for index in range(start, start + 10)})
    assert len(world.patiently("ListTagsForStream", StreamName=name, Limit=50)["Tags"]) == 50
    # Changing one that is there is no addition.
    add({"key07": "changed"})
    with pytest.raises(world.kinesis.exceptions.InvalidArgumentException) as refused:
        add({"one more": ""})
    assert refused.value.response["Error"]["Message"].startswith(
        f"Failed to add tags to stream {name} under account {world.account} because a given stream cannot have more than "
    )


def test_enhanced_monitoring(free_world: World) -> None:
    name = free_world.create()

    def change(operation: str, metrics: list[str], **address: str) -> tuple[list[str], list[str]]:
        answer = free_world.call(operation, **(address or {"StreamName": name}), ShardLevelMetrics=metrics)
        assert (answer["StreamName"], answer["StreamARN"]) == (name, free_world.arn(name))
        summary = free_world.active(name)
        (monitoring,) = summary["EnhancedMonitoring"]
        assert sorted(monitoring["ShardLevelMetrics"]) == sorted(answer["DesiredShardLevelMetrics"])
        return sorted(answer["CurrentShardLevelMetrics"]), sorted(answer["DesiredShardLevelMetrics"])

    two = ["IncomingBytes", "OutgoingBytes"]
    assert change("EnableEnhancedMonitoring", two) == ([], two)
    assert change("EnableEnhancedMonitoring", two) == (two, two)
    assert change("DisableEnhancedMonitoring", ["OutgoingBytes"], StreamARN=free_world.arn(name)) == (two, ["IncomingBytes"])
    assert change("EnableEnhancedMonitoring", ["ALL"]) == (["IncomingBytes"], METRICS)
    assert change("DisableEnhancedMonitoring", ["ALL"]) == (METRICS, [])
    assert change("DisableEnhancedMonitoring", two) == ([], [])


def test_enhanced_monitoring_validation(world: World) -> None:
    for metrics in ([], ["Nothing"], ["ALL"] * 8):
        refused = world.refused("EnableEnhancedMonitoring", StreamName="any", ShardLevelMetrics=metrics)
        assert refused[0] == "ValidationException", metrics


def test_capacity_modes(world: World) -> None:
    name = world.create(3)
    arn = world.arn(name)
    assert world.call("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"}) == {}
    summary = world.active(name)
    assert (summary["StreamModeDetails"], summary["OpenShardCount"]) == ({"StreamMode": "ON_DEMAND"}, 3)
    world.put(name)
    world.patiently("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "PROVISIONED"})
    summary = world.active(name)
    assert (summary["StreamModeDetails"], summary["OpenShardCount"]) == ({"StreamMode": "PROVISIONED"}, 3)
    # Two switches a day.
    code, message = world.refused("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert code == "LimitExceededException"
    assert message


def test_capacity_mode_refusals(world: World) -> None:
    missing = world.arn("nowhere")
    assert world.refused("UpdateStreamMode", StreamARN=missing, StreamModeDetails={"StreamMode": "ON_DEMAND"}) == (
        "ResourceNotFoundException", f"Stream nowhere under account {world.account} not found.",
    )
    assert world.refused("UpdateStreamMode", StreamARN=missing, StreamModeDetails={"StreamMode": "X"})[0] == "ValidationException"
    assert world.refused("UpdateStreamMode", StreamARN=missing)[0] == "ValidationException"


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
