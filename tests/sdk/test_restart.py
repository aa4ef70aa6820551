"""What a restart keeps, after a clean stop and after SIGKILL."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.server import Server
from support.worlds import World

HOW = pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])


@HOW
def test_everything_is_kept(own_server: Server, kill: bool) -> None:
    world = World(own_server)
    name = world.create(2, Tags={"a": "b"})
    other = world.create_on_demand()
    world.call("IncreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=48)
    world.active(name)
    world.call("EnableEnhancedMonitoring", StreamName=name, ShardLevelMetrics=["IncomingBytes"])
    world.active(name)
    world.call("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey="1000")
    world.active(name)
    answer = world.call(
        "PutRecords", StreamName=name, Records=[{"Data": bytes([n]), "PartitionKey": f"k{n}"} for n in range(100)]
    )
    assert answer["FailedRecordCount"] == 0
    before = {
        "summary": world.summary(name),
        "other": world.summary(other),
        "shards": world.shards(name),
        "tags": world.call("ListTagsForStream", StreamName=name)["Tags"],
        "records": [world.read(name, shard["ShardId"]) for shard in world.shards(name)],
    }
    own_server.restart(kill)
    after = {
        "summary": world.summary(name),
        "other": world.summary(other),
        "shards": world.shards(name),
        "tags": world.call("ListTagsForStream", StreamName=name)["Tags"],
        "records": [world.read(name, shard["ShardId"]) for shard in world.shards(name)],
    }
    assert after == before
    assert sum(len(records) for records in after["records"]) == 100


@HOW
def test_iterators_and_tokens_stay_valid(own_server: Server, kill: bool) -> None:
    world = World(own_server)
    name = world.create(3)
    for number in range(3):
        world.put(name, str(number).encode(), ExplicitHashKey="0")
    start = world.iterator(name)
    second = world.page(start, Limit=1)["NextShardIterator"]
    latest = world.iterator(name, kind="LATEST")
    token = world.call("ListShards", StreamName=name, MaxResults=1)["NextToken"]
    own_server.restart(kill)
    world.put(name, b"after", ExplicitHashKey="0")
    data = {
        iterator: [record["Data"] for record in world.drain(iterator)] for iterator in (start, second, latest)
    }
    assert data == {start: [b"0", b"1", b"2", b"after"], second: [b"1", b"2", b"after"], latest: [b"after"]}
    shards = world.call("ListShards", NextToken=token)["Shards"]
    assert [shard["ShardId"][-1] for shard in shards] == ["1", "2"]


@HOW
def test_sequence_numbers_go_on(own_server: Server, kill: bool) -> None:
    world = World(own_server)
    name = world.create()
    numbers = []
    for _ in range(3):
        numbers += [int(world.put(name)["SequenceNumber"]) for _ in range(5)]
        own_server.restart(kill)
    assert numbers == sorted(set(numbers))
    assert [int(record["SequenceNumber"]) for record in world.read(name)] == numbers


@HOW
def test_a_deleted_stream_stays_deleted(own_server: Server, kill: bool) -> None:
    world = World(own_server)
    name = world.create()
    world.put(name)
    world.call("DeleteStream", StreamName=name)
    world.gone(name)
    own_server.restart(kill)
    assert world.patiently("ListStreams")["StreamNames"] == []
    world.create(name=name)
    assert world.read(name) == []


def test_what_was_under_way_goes_on(tmp_path: Path) -> None:
    """A kill in the middle of a creation, a split and a deletion: each comes to its end after the restart."""
    with Server(tmp_path / "data", "--transition-delay", "300ms") as server:
        world = World(server)
        split, deleted = world.create(), world.create()
        world.put(split, b"kept")
        created = world.name()
        world.call("CreateStream", StreamName=created, ShardCount=1)
        world.call("SplitShard", StreamName=split, ShardToSplit="0", NewStartingHashKey=str(2**127))
        world.call("DeleteStream", StreamName=deleted)
        server.restart(kill=True)
        world.active(created)
        world.put(created)
        assert world.active(split)["OpenShardCount"] == 2
        assert [record["Data"] for record in world.read(split, "0")] == [b"kept"]
        world.gone(deleted)


def test_an_ephemeral_server_keeps_nothing(tmp_path: Path) -> None:
    ephemeral = Server(None, "--ephemeral", "--transition-delay", "0ms", env={"TMPDIR": str(tmp_path)})
    with ephemeral:
        world = World(ephemeral)
        name = world.create()
        world.put(name, b"x")
        assert [record["Data"] for record in world.read(name)] == [b"x"]
        ephemeral.restart()
        assert world.patiently("ListStreams")["StreamNames"] == []
    assert "ephemeral" in ephemeral.output


def test_relaxed_durability_keeps_what_a_clean_stop_leaves(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--durability", "relaxed=50", "--transition-delay", "0ms") as server:
        world = World(server)
        name = world.create()
        for number in range(20):
            world.put(name, str(number).encode())
        server.restart()
        assert [record["Data"] for record in world.read(name)] == [str(number).encode() for number in range(20)]
