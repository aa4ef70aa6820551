"""The fields of sequence numbers, and which numbers GetShardIterator, PutRecord and SubscribeToShard take."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds import World

SHARD = "shardId-000000000000"
END = 2**63 - 1
# The first second that AWS takes for no creation time.
TOO_LATE = 16_025_175_000


def number(create: int, index: int, time: int, shard: int, version: int = 2, lead: int = 2) -> str:
    return str(lead << 184 | create << 148 | (shard & 15) << 144 | index << 80 | time << 36 | (shard & 2**32 - 1) << 4 | version)


def create_of(sequence: str) -> int:
    return int(sequence) >> 148 & 2**36 - 1


def time_of(sequence: str) -> int:
    return int(sequence) >> 36 & 2**36 - 1


def created(world: World, name: str) -> int:
    return create_of(world.shards(name)[0]["SequenceNumberRange"]["StartingSequenceNumber"])


def test_a_shards_first_and_last_number(free_world: World) -> None:
    name = free_world.create(2)
    free_world.call("MergeShards", StreamName=name, ShardToMerge="0", AdjacentShardToMerge="1")
    free_world.active(name)
    *parents, child = [shard["SequenceNumberRange"] for shard in free_world.shards(name)]
    starts = [parent["StartingSequenceNumber"] for parent in parents]
    ends = [parent["EndingSequenceNumber"] for parent in parents]
    for shard, (start, end) in enumerate(zip(starts, ends)):
        second = create_of(start)
        assert start == number(second, 0, second, shard)
        assert end == number(second, END, time_of(end), shard)
    # Both close in one second, and the child is created a second later.
    assert time_of(ends[0]) == time_of(ends[1])
    second = time_of(ends[0]) + 1
    assert child["StartingSequenceNumber"] == number(second, 0, second, 2)


# What is no sequence number at all. `create` is the shard's.
NONE: dict[str, Any] = {
    "version 0 with the lead of version 2": lambda create: number(create, 0, create, 0, version=0),
    "version 3": lambda create: number(create, 0, create, 0, version=3),
    "version 4": lambda create: number(create, 0, create, 0, version=4),
    "a lead of 1": lambda create: number(create, 0, create, 0, lead=1),
    "a lead of 3": lambda create: number(create, 0, create, 0, lead=3),
    "an index of 64 bits": lambda create: number(create, 2**63, create, 0),
    "a date too large": lambda _: number(TOO_LATE, 0, TOO_LATE, 0),
    "a few more digits": lambda create: number(create, 0, create, 0) + "0" * 10,
    "all digits": lambda _: "9" * 129,
}


def test_what_is_no_sequence_number(free_world: World) -> None:
    name = free_world.create()
    create = created(free_world, name)
    for what, made in NONE.items():
        none = made(create)
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            assert free_world.refused(
                "GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType=kind, StartingSequenceNumber=none
            ) == (
                "InvalidArgumentException",
                f"StartingSequenceNumber {none} used in GetShardIterator on shard {SHARD} in stream {name} under account "
                f"{free_world.account} is invalid.",
            ), what
        assert free_world.refused(
            "PutRecord", StreamName=name, Data=b"", PartitionKey="k", SequenceNumberForOrdering=none
        ) == (
            "InvalidArgumentException",
            f"ExclusiveMinimumSequenceNumber {none} used in PutRecord on stream {name} under account "
            f"{free_world.account} is invalid.",
        ), what


def test_numbers_of_other_shards_and_times(free_world: World) -> None:
    """The shard is compared before the creation time."""
    name = free_world.create()
    create = created(free_world, name)

    def refused(given: str) -> tuple[str, str]:
        return free_world.refused(
            "GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=given,
        )

    def encodes(shard: str) -> tuple[str, str]:
        return (
            "InvalidArgumentException",
            f"Invalid StartingSequenceNumber. It encodes {shard}, while it was used in a call to a shard with {SHARD}",
        )

    assert refused(number(create, 0, create, 7)) == encodes("shardId-000000000007")
    assert refused(number(create - 1000, 0, create, 7)) == encodes("shardId-000000000007")
    assert refused(number(create, 0, create, 2**31)) == encodes("shardId--02147483648")
    assert refused("5") == encodes("shardId-000000000005")
    for foreign in (number(create - 1000, 0, create, 0), number(create, 0, create, 0, version=1)):
        assert refused(foreign) == (
            "InvalidArgumentException",
            f"StartingSequenceNumber {foreign} used in GetShardIterator on shard {SHARD} in stream {name} under account "
            f"{free_world.account} is invalid because it did not come from this stream.",
        )


def test_a_number_of_version_0_breaks_without_a_word(world: World) -> None:
    name = world.create()
    body = {
        "StreamName": name, "ShardId": "0", "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "0",
    }
    answer = world.http.call("GetShardIterator", body)
    assert (answer.status, answer.json()) == (500, {"__type": "InternalFailure"})
    answer = world.http.call_in_cbor("GetShardIterator", body)
    assert (answer.status, answer.cbor()) == (500, {"__type": "InternalFailure"})


@pytest.mark.parametrize("malformed", ["", "x", "-1", "05", "1" * 130, "1.5"])
@pytest.mark.parametrize("operation", ["GetShardIterator", "PutRecord", "SubscribeToShard"])
def test_what_does_not_look_like_one(world: World, operation: str, malformed: str) -> None:
    members, path = {
        "GetShardIterator": (
            {"ShardId": "0", "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": malformed},
            "startingSequenceNumber",
        ),
        "PutRecord": ({"Data": "", "PartitionKey": "k", "SequenceNumberForOrdering": malformed}, "sequenceNumberForOrdering"),
        "SubscribeToShard": (
            {
                "ConsumerARN": f"{world.arn('any')}/consumer/c:1", "ShardId": "0",
                "StartingPosition": {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": malformed},
            },
            "startingPosition.sequenceNumber",
        ),
    }[operation]
    if operation != "SubscribeToShard":
        members["StreamName"] = "any"
    error = world.http.error(operation, members)
    assert error == (
        400,
        "ValidationException",
        f"1 validation error detected: Value '{malformed}' at '{path}' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,128})",
    )


def test_numbers_to_order_by(free_world: World) -> None:
    """Any past number will do, of whatever shard and of an older layout too; the answer's is greater than one of its own."""
    name = free_world.create()
    create = created(free_world, name)
    for fine in (
        number(create, 0, create, 7),
        number(create, 0, create, 2**31),
        number(create - 1000, 5, create, 0),
        number(create, 0, create, 0, version=1),
    ):
        assert free_world.put(name, SequenceNumberForOrdering=fine)["ShardId"] == SHARD
    # A record of the future is none to come after.
    future = number(create, 5, create + 10**6, 0)
    assert free_world.refused(
        "PutRecord", StreamName=name, Data=b"", PartitionKey="k", SequenceNumberForOrdering=future
    )[0] == "InvalidArgumentException"


def test_subscribers_numbers_are_checked_alike(free_world: World) -> None:
    name = free_world.create(2)
    consumer = free_world.register(name)
    create = created(free_world, name)

    def refused(kind: str, **position: Any) -> tuple[str, str]:
        return free_world.refused(
            "SubscribeToShard", ConsumerARN=consumer, ShardId="0", StartingPosition={"Type": kind, **position}
        )

    used = f"used in SubscribeToShard on shard {SHARD} in stream {name} under account {free_world.account} is invalid"
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        none = number(create, 0, create, 0, lead=3)
        assert refused(kind, SequenceNumber=none) == (
            "InvalidArgumentException", f"StartingSequenceNumber {none} {used}.",
        )
        assert refused(kind, SequenceNumber=number(create, 0, create, 1)) == (
            "InvalidArgumentException",
            "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with "
            f"{SHARD}",
        )
        foreign = number(create - 1000, 0, create, 0)
        assert refused(kind, SequenceNumber=foreign) == (
            "InvalidArgumentException", f"StartingSequenceNumber {foreign} {used} because it did not come from this stream.",
        )
        assert refused(kind)[0] == "InvalidArgumentException"
    for kind in ("LATEST", "TRIM_HORIZON"):
        start = number(create, 0, create, 0)
        assert refused(kind, SequenceNumber=start)[0] == "InvalidArgumentException", kind
