"""DryRun: the five operations that have it check all and do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support import clock, waiting
from support.server import Server
from support.worlds import World

SHARD = "shardId-000000000000"
DONE = ("DryRunOperationException", "Request would have succeeded, but DryRun flag is set.")


def requests(world: World, name: str, consumer: str) -> dict[str, dict[str, Any]]:
    """A request of each of the five that succeeds without DryRun."""
    entry = {"Data": b"x", "PartitionKey": "k"}
    return {
        "PutRecord": {"StreamName": name, **entry},
        "PutRecords": {"StreamName": name, "Records": [entry]},
        "GetShardIterator": {"StreamName": name, "ShardId": SHARD, "ShardIteratorType": "LATEST"},
        "GetRecords": {"ShardIterator": world.iterator(name)},
        "SubscribeToShard": {"ConsumerARN": consumer, "ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}},
    }


def test_all_five_answer_with_an_error_and_do_nothing(free_world: World) -> None:
    name = free_world.create()
    for operation, members in requests(free_world, name, free_world.register(name)).items():
        assert free_world.refused(operation, **members, DryRun=True) == DONE, operation
        in_cbor = free_world.http.call_in_cbor(operation, {**members, "DryRun": True})
        assert (in_cbor.status, in_cbor.cbor()) == (400, {"__type": DONE[0], "message": DONE[1]}), operation
    assert free_world.read(name) == []
    # False is as if it were absent.
    assert free_world.put(name, DryRun=False)["ShardId"] == SHARD


def test_what_would_fail_fails_alike(free_world: World) -> None:
    name = free_world.create()
    consumer = free_world.register(name)
    good = requests(free_world, name, consumer)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("PutRecord", {"StreamName": "nowhere"}),
        ("PutRecord", {"PartitionKey": ""}),
        ("PutRecord", {"ExplicitHashKey": str(2**128)}),
        ("PutRecord", {"Data": bytes(1 << 20)}),
        ("PutRecord", {"SequenceNumberForOrdering": "3" * 56}),
        ("PutRecords", {"StreamName": "nowhere"}),
        ("PutRecords", {"Records": []}),
        ("PutRecords", {"Records": [{"Data": b"x"}]}),
        ("GetShardIterator", {"ShardIteratorType": "OLDEST"}),
        ("GetShardIterator", {"ShardIteratorType": "AT_TIMESTAMP"}),
        ("GetShardIterator", {"ShardIteratorType": "AT_SEQUENCE_NUMBER"}),
        ("GetShardIterator", {"ShardId": "x.y"}),
        ("GetShardIterator", {"ShardId": "shardId-000000000009"}),
        ("GetRecords", {"ShardIterator": "x"}),
        ("GetRecords", {"Limit": 0}),
        ("SubscribeToShard", {"ShardId": "shardId-000000000009"}),
        ("SubscribeToShard", {"ConsumerARN": consumer.replace("/consumer:", "/nobody:")}),
        ("SubscribeToShard", {"StartingPosition": {"Type": "AT_SEQUENCE_NUMBER"}}),
    ]
    for operation, change in wrong:
        members = {**good[operation], **change}
        real = free_world.refused(operation, **members)
        assert free_world.refused(operation, **members, DryRun=True) == real, (operation, change)


def test_reading_dry_moves_nothing(free_world: World) -> None:
    name = free_world.create()
    iterator = free_world.iterator(name)
    free_world.put(name, b"x")
    assert free_world.refused("GetRecords", ShardIterator=iterator, DryRun=True) == DONE
    assert [record["Data"] for record in free_world.page(iterator)["Records"]] == [b"x"]


def test_subscribing_dry_takes_nothing_over(free_world: World) -> None:
    name = free_world.create()
    consumer = free_world.register(name)
    members = requests(free_world, name, consumer)["SubscribeToShard"]
    with closing(free_world.subscribe(consumer)) as stream:
        incoming = iter(stream)
        next(incoming)
        free_world.refused("SubscribeToShard", **members, DryRun=True)
        free_world.put(name, b"still here")
        records: list[Any] = []
        while not records:
            records = next(incoming)["SubscribeToShardEvent"]["Records"]
    assert [record["Data"] for record in records] == [b"still here"]


def test_one_a_second_for_all_five_together(world: World) -> None:
    """What one operation has taken of a stream is refused to another."""
    for operation in ("PutRecord", "PutRecords", "GetShardIterator", "GetRecords", "SubscribeToShard"):
        name = world.create()
        members = requests(world, name, world.register(name))[operation]

        def refused() -> bool:
            """Whether it is throttled right after another dry run, be that let through or not."""
            put = world.refused("PutRecord", StreamName=name, Data=b"x", PartitionKey="k", DryRun=True)
            assert put == DONE or put[0] == "ThrottlingException"
            code, message = world.refused(operation, **members, DryRun=True)
            assert code == "ThrottlingException" or (code, message) == DONE
            return code == "ThrottlingException"

        waiting.until(refused, f"{operation} is throttled")
        # What is no dry run is not concerned, nor is another stream.
        world.put(name)


@pytest.fixture
def timed(tmp_path: Path) -> Iterator[World]:
    with Server(tmp_path / "data", "--test-controls", "--transition-delay", "0ms") as server:
        yield World(server)


def test_an_iterator_that_expired(timed: World) -> None:
    iterator = timed.iterator(timed.create())
    clock.advance(timed, "301s")
    assert timed.refused("GetRecords", ShardIterator=iterator, DryRun=True)[0] == "ExpiredIteratorException"
