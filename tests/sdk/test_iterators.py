"""GetShardIterator: the five types, and every way to ask wrongly."""

from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest

from support import waiting
from support.worlds import World

SHARD = "shardId-000000000000"
EITHER_OR = (
    "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "
    "(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {what} StartingSequenceNumber."
)
SEQUENCE_ERROR = "StartingSequenceNumber {number} used in GetShardIterator on shard {shard} in stream {name} under account {account} is invalid"


def data(records: list[Any]) -> list[bytes]:
    return [record["Data"] for record in records]


def test_the_five_types(free_world: World) -> None:
    name = free_world.create()
    latest_of_empty = free_world.iterator(name, kind="LATEST")
    numbers = [free_world.put(name, f"r{index}".encode())["SequenceNumber"] for index in range(5)]
    everything = [b"r0", b"r1", b"r2", b"r3", b"r4"]
    assert data(free_world.read(name)) == everything
    assert data(free_world.drain(latest_of_empty)) == everything
    assert free_world.read(name, kind="LATEST") == []
    for index, number in enumerate(numbers):
        assert data(free_world.read(name, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=number)) == everything[index:]
        after = free_world.read(name, kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number)
        assert data(after) == everything[index + 1:]
    start = free_world.shards(name)[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert data(free_world.read(name, kind=kind, StartingSequenceNumber=start)) == everything


def test_latest_keeps_its_place(free_world: World) -> None:
    """What is put after the call is read by it, however late the first read is."""
    name = free_world.create()
    free_world.put(name, b"before")
    iterator = free_world.iterator(name, kind="LATEST")
    free_world.put(name, b"after")
    for _ in range(2):
        assert data(free_world.page(iterator)["Records"]) == [b"after"]


def test_at_timestamp(free_world: World) -> None:
    name = free_world.create()
    free_world.put(name, b"first")
    (first,) = free_world.read(name)
    arrived = first["ApproximateArrivalTimestamp"]

    def put_later() -> bool:
        """Puts until one arrives in a later millisecond than the first."""
        free_world.put(name, b"later")
        return free_world.read(name)[-1]["ApproximateArrivalTimestamp"] > arrived

    waiting.until(put_later, "a record arrives later")
    assert data(free_world.read(name, kind="AT_TIMESTAMP", Timestamp=arrived))[0] == b"first"
    just_after = arrived + datetime.timedelta(milliseconds=1)
    from_there = free_world.read(name, kind="AT_TIMESTAMP", Timestamp=just_after)
    assert set(data(from_there)) == {b"later"}
    assert all(record["ApproximateArrivalTimestamp"] >= just_after for record in from_there)
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
    assert data(free_world.read(name, kind="AT_TIMESTAMP", Timestamp=long_ago))[0] == b"first"


def test_shard_ids_are_read_leniently(free_world: World) -> None:
    name = free_world.create(2)
    free_world.put(name, b"x", ExplicitHashKey="0")
    for shard in ("0", "shard-0", "x-00", "shardId-000000000000"):
        assert data(free_world.read(name, shard)) == [b"x"]


@pytest.mark.parametrize("shard", ["ABKLFD8", "2.14E4", "2147483648", "shardId-"])
def test_what_is_no_shard_id(world: World, shard: str) -> None:
    """It is found out before the stream is looked for."""
    assert world.refused("GetShardIterator", StreamName="nowhere", ShardId=shard, ShardIteratorType="LATEST") == (
        "ResourceNotFoundException",
        f"Could not find shard {shard} in stream nowhere under account {world.account}.",
    )


def test_unknown_stream_and_shard(world: World) -> None:
    name = world.create()
    for stream, shard in (("nowhere", 0), (name, 5)):
        assert world.refused("GetShardIterator", StreamName=stream, ShardId=f"x-{shard}", ShardIteratorType="LATEST") == (
            "ResourceNotFoundException",
            f"Shard shardId-{shard:012} in stream {stream} under account {world.account} does not exist",
        )


@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
def test_a_number_is_needed(world: World, kind: str) -> None:
    assert world.refused("GetShardIterator", StreamName="any", ShardId="0", ShardIteratorType=kind) == (
        "InvalidArgumentException", EITHER_OR.format(kind=kind, what="no"),
    )


@pytest.mark.parametrize("kind", ["TRIM_HORIZON", "LATEST"])
def test_a_number_is_forbidden(world: World, kind: str) -> None:
    assert world.refused(
        "GetShardIterator", StreamName="any", ShardId="0", ShardIteratorType=kind, StartingSequenceNumber="5"
    ) == ("InvalidArgumentException", EITHER_OR.format(kind=kind, what="also a"))


def test_timestamps_needed_and_in_the_future(world: World) -> None:
    name = world.create()
    assert world.refused("GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType="AT_TIMESTAMP") == (
        "InvalidArgumentException",
        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. "
        "Current request has no timestamp parameter.",
    )
    future = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)
    code, message = world.refused(
        "GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType="AT_TIMESTAMP", Timestamp=future
    )
    assert code == "InvalidArgumentException"
    assert message.startswith(
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
        "timestampInMillis: 4102444800000, currentTimestampInMillis: "
    )


def test_a_timestamp_is_ignored_by_other_types(free_world: World) -> None:
    name = free_world.create()
    number = free_world.put(name, b"x")["SequenceNumber"]
    future = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)
    assert data(free_world.read(name, Timestamp=future)) == [b"x"]
    assert data(free_world.read(name, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=number, Timestamp=future)) == [b"x"]
    assert free_world.read(name, kind="LATEST", Timestamp=future) == []


def test_validation(world: World) -> None:
    assert world.refused("GetShardIterator", StreamName="any", ShardId="0", ShardIteratorType="OLDEST") == (
        "ValidationException",
        "1 validation error detected: Value 'OLDEST' at 'shardIteratorType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]",
    )
    code, message = world.refused(
        "GetShardIterator", StreamName="any", ShardId="0", ShardIteratorType="LATEST", StartingSequenceNumber="05"
    )
    assert code == "ValidationException"
    assert message.startswith(
        "1 validation error detected: Value '05' at 'startingSequenceNumber' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: "
    )
    code, message = world.refused("GetShardIterator")
    assert (code, message[:28]) == ("ValidationException", "2 validation errors detected")


def test_foreign_sequence_numbers(free_world: World) -> None:
    name, other = free_world.create(2), free_world.create(2)
    of_shard_1 = free_world.put(name, ExplicitHashKey=str(2**127))["SequenceNumber"]

    def refused(number: str) -> tuple[str, str]:
        return free_world.refused(
            "GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=number,
        )

    assert refused(of_shard_1) == (
        "InvalidArgumentException",
        "Invalid StartingSequenceNumber. It encodes shardId-000000000001, "
        "while it was used in a call to a shard with shardId-000000000000",
    )
    expected = SEQUENCE_ERROR.format(name=name, shard=SHARD, account=free_world.account, number="{}")
    not_a_number = str(3 << 184)
    assert refused(not_a_number) == ("InvalidArgumentException", expected.format(not_a_number) + ".")
    # A whole number of this layout and shard, but made at another time.
    own = int(free_world.shards(name)[0]["SequenceNumberRange"]["StartingSequenceNumber"])
    elsewhere = str(own - (1000 << 148))
    assert refused(elsewhere) == (
        "InvalidArgumentException", expected.format(elsewhere) + " because it did not come from this stream.",
    )
    assert free_world.read(other) == []


def test_version_0_numbers_break_as_they_break_on_aws(world: World) -> None:
    name = world.create()
    refused = world.refused(
        "GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber="0",
    )
    assert refused[0] == "InternalFailure"


def test_iterators_survive_use_and_differ(free_world: World) -> None:
    name = free_world.create()
    free_world.put(name, b"x")
    iterator = free_world.iterator(name)
    assert len(iterator) <= 512
    pages = [free_world.page(iterator) for _ in range(3)]
    assert all(data(page["Records"]) == [b"x"] for page in pages)
    tip = pages[0]["NextShardIterator"]
    empty = free_world.page(tip)
    assert empty["Records"] == []
    assert empty["NextShardIterator"] not in (tip, iterator)


def test_iterators_in_quotes(free_world: World) -> None:
    name = free_world.create()
    free_world.put(name, b"x")
    iterator = free_world.iterator(name)
    assert data(free_world.page(f'"{iterator}"')["Records"]) == [b"x"]


@pytest.mark.parametrize("iterator", ["x", "AAAAAAAAAAE", "not base64!", "AAAA" * 60, "A" * 512])
def test_what_is_no_iterator(world: World, iterator: str) -> None:
    assert world.refused("GetRecords", ShardIterator=iterator) == ("InvalidArgumentException", "Invalid ShardIterator.")


def test_altered_iterators(free_world: World) -> None:
    name = free_world.create()
    iterator = free_world.iterator(name)
    for at in range(0, len(iterator), 7):
        changed = iterator[:at] + ("B" if iterator[at] != "B" else "C") + iterator[at + 1:]
        assert free_world.refused("GetRecords", ShardIterator=changed)[0] == "InvalidArgumentException", at


def test_iterator_lengths(world: World) -> None:
    for iterator in ("", "A" * 513):
        assert world.refused("GetRecords", ShardIterator=iterator)[0] == "ValidationException"


def test_the_form_of_iterators(free_world: World) -> None:
    """Canonical base64 of blocks after a leading 1, as clients that look at it expect."""
    for name in (free_world.create(), free_world.create(name="n" * 128)):
        iterator = free_world.iterator(name)
        raw = base64.b64decode(iterator, validate=True)
        assert base64.b64encode(raw).decode() == iterator
        assert (raw[:8], (len(raw) - 152) % 16, len(raw) >= 152, len(iterator) <= 512) == (bytes(7) + b"\x01", 0, True, True)
