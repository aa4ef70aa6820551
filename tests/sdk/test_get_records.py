"""GetRecords: pages, limits, the tip, closed shards, and a deleted stream."""

from __future__ import annotations

import pytest

from support.worlds import World


def test_limit_and_following_pages(free_world: World) -> None:
    name = free_world.create()
    entries = [{"Data": str(number).encode(), "PartitionKey": "k"} for number in range(25)]
    free_world.call("PutRecords", StreamName=name, Records=entries)
    iterator, sizes, read = free_world.iterator(name), [], []
    while len(read) < 25:
        page = free_world.page(iterator, Limit=10)
        sizes.append(len(page["Records"]))
        read += [record["Data"] for record in page["Records"]]
        iterator = page["NextShardIterator"]
    assert sizes == [10, 10, 5]
    assert read == [entry["Data"] for entry in entries]


def test_limit_validation(world: World) -> None:
    assert world.refused("GetRecords", ShardIterator="x", Limit=10_001) == (
        "ValidationException",
        "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 10000",
    )
    assert world.refused("GetRecords", ShardIterator="x", Limit=0)[0] == "ValidationException"
    assert world.refused("GetRecords") == (
        "ValidationException",
        "1 validation error detected: Value null at 'shardIterator' failed to satisfy constraint: Member must not be null",
    )


def test_a_page_holds_ten_thousand_records(free_world: World) -> None:
    name = free_world.create()
    for batch in range(21):
        entries = [{"Data": f"{batch}.{number}".encode(), "PartitionKey": "k"} for number in range(500)]
        assert free_world.call("PutRecords", StreamName=name, Records=entries)["FailedRecordCount"] == 0
    page = free_world.page(free_world.iterator(name))
    assert len(page["Records"]) <= 10_000
    assert page["MillisBehindLatest"] >= 0
    everything = [record["Data"] for record in free_world.read(name)]
    assert everything == [f"{batch}.{number}".encode() for batch in range(21) for number in range(500)]


def test_a_page_holds_ten_mebibytes(world: World) -> None:
    name = world.create()
    for _ in range(12):
        world.patiently("PutRecord", StreamName=name, Data=bytes(1_000_000), PartitionKey="k")
    page = world.page(world.iterator(name))
    assert 1 <= len(page["Records"]) <= 10
    assert len(page["Records"]) + len(world.drain(page["NextShardIterator"])) == 12


def test_the_tip(free_world: World) -> None:
    name = free_world.create()
    page = free_world.page(free_world.iterator(name))
    assert (page["Records"], page["MillisBehindLatest"]) == ([], 0)
    assert set(page) == {"Records", "NextShardIterator", "MillisBehindLatest"}
    free_world.put(name, b"x")
    page = free_world.page(page["NextShardIterator"])
    assert [record["Data"] for record in page["Records"]] == [b"x"]
    assert page["MillisBehindLatest"] == 0


def test_reading_behind_is_told(free_world: World) -> None:
    name = free_world.create()
    for number in range(3):
        free_world.put(name, str(number).encode())
    page = free_world.page(free_world.iterator(name), Limit=1)
    assert page["MillisBehindLatest"] >= 0
    records = free_world.drain(page["NextShardIterator"])
    assert [record["Data"] for record in records] == [b"1", b"2"]


def test_arrival_times_do_not_fall(free_world: World) -> None:
    name = free_world.create()
    for _ in range(20):
        free_world.put(name)
    times = [record["ApproximateArrivalTimestamp"] for record in free_world.read(name)]
    assert times == sorted(times)


@pytest.mark.parametrize("kind", ["TRIM_HORIZON", "LATEST"])
def test_a_split_shards_end(free_world: World, kind: str) -> None:
    name = free_world.create()
    free_world.put(name, b"x")
    free_world.call("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey=str(2**127))
    free_world.active(name)
    iterator = free_world.iterator(name, kind=kind)
    data = []
    while True:
        page = free_world.page(iterator)
        data += [record["Data"] for record in page["Records"]]
        # A consumer takes the end only from both signs at once.
        assert ("NextShardIterator" in page) == ("ChildShards" not in page)
        if "NextShardIterator" not in page:
            break
        iterator = page["NextShardIterator"]
    assert data == ([b"x"] if kind == "TRIM_HORIZON" else [])
    assert page["ChildShards"] == [
        {
            "ShardId": f"shardId-{index:012}",
            "ParentShards": ["shardId-000000000000"],
            "HashKeyRange": {"StartingHashKey": str(start), "EndingHashKey": str(end)},
        }
        for index, start, end in ((1, 0, 2**127 - 1), (2, 2**127, 2**128 - 1))
    ]


def test_a_merged_shards_end(free_world: World) -> None:
    name = free_world.create(2)
    free_world.call("MergeShards", StreamName=name, ShardToMerge="0", AdjacentShardToMerge="1")
    free_world.active(name)
    for shard in ("0", "1"):
        page = free_world.page(free_world.iterator(name, shard, "LATEST"))
        assert "NextShardIterator" not in page
        (child,) = page["ChildShards"]
        assert sorted(child["ParentShards"]) == ["shardId-000000000000", "shardId-000000000001"]
        assert child["ShardId"] == "shardId-000000000002"


def test_a_closed_shard_from_its_numbers(free_world: World) -> None:
    name = free_world.create()
    number = free_world.put(name, b"x")["SequenceNumber"]
    free_world.call("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey=str(2**127))
    free_world.active(name)
    ending = free_world.shards(name)[0]["SequenceNumberRange"]["EndingSequenceNumber"]
    assert int(ending) > int(number)
    page = free_world.page(free_world.iterator(name, kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=ending))
    assert page["Records"] == []
    assert "NextShardIterator" not in page and len(page["ChildShards"]) == 2
    records = free_world.read(name, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=number)
    assert [record["Data"] for record in records] == [b"x"]


def test_a_deleted_streams_iterator(free_world: World) -> None:
    name = free_world.create()
    iterator = free_world.iterator(name)
    free_world.call("DeleteStream", StreamName=name)
    free_world.gone(name)
    assert free_world.refused("GetRecords", ShardIterator=iterator) == (
        "ResourceNotFoundException",
        f"Shard shardId-000000000000 in stream {name} under account {free_world.account} does not exist",
    )


def test_readers_and_a_writer_agree(free_world: World) -> None:
    """A reader that follows a writer sees each record once, in order."""
    name = free_world.create()
    iterator, read = free_world.iterator(name, kind="LATEST"), []
    for number in range(100):
        free_world.put(name, str(number).encode())
        page = free_world.page(iterator)
        read += [record["Data"] for record in page["Records"]]
        iterator = page["NextShardIterator"]
    read += [record["Data"] for record in free_world.drain(iterator)]
    assert read == [str(number).encode() for number in range(100)]
