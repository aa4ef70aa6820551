"""What time does: retention, iterators, tokens, shards, subscriptions. The clock is moved, so nothing waits."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from support import clock
from support.server import Server
from support.worlds import World

SHARD = "shardId-000000000000"
UTC = datetime.timezone.utc


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ("--test-controls", "--transition-delay", "0ms", "--limits", "none")
    with Server(tmp_path_factory.mktemp("time") / "data", *flags) as server:
        yield server


@pytest.fixture
def timed_world(timed: Server) -> World:
    return World(timed)


def now(world: World) -> datetime.datetime:
    """The server's."""
    answer = world.http.send("GET", "/_millstream/clock")
    return datetime.datetime.fromtimestamp(answer.json()["now"] / 1000, UTC)


def data(records: list[Any]) -> list[bytes]:
    return [record["Data"] for record in records]


def numbers(shards: list[dict[str, Any]]) -> list[int]:
    return [int(shard["ShardId"][8:]) for shard in shards]


def test_an_expired_iterator_says_when(timed_world: World) -> None:
    """With the dates as Java writes them, and before anything else is found out about the iterator."""
    world = timed_world
    name, gone = world.create(), world.create()
    iterators = [world.iterator(name), world.iterator(gone)]
    world.call("DeleteStream", StreamName=gone)
    world.gone(gone)
    clock.advance(world, "299s")
    assert world.page(iterators[0])["Records"] == []
    clock.advance(world, "2s")
    form = "%a %b %d %H:%M:%S UTC %Y"
    for iterator in iterators:
        code, message = world.refused("GetRecords", ShardIterator=iterator)
        assert code == "ExpiredIteratorException"
        head, _, rest = message.partition("Iterator expired. The iterator was created at time ")
        created, _, rest = rest.partition(" while right now it is ")
        at, _, tail = rest.partition(" which is further in the future than the tolerated delay of ")
        assert (head, tail) == ("", "300000 milliseconds.")
        span = datetime.datetime.strptime(at, form) - datetime.datetime.strptime(created, form)
        assert 300 <= span.total_seconds() <= 330


def test_each_answer_gives_an_iterator_five_minutes(timed_world: World) -> None:
    world = timed_world
    iterator = world.iterator(world.create())
    for _ in range(3):
        clock.advance(world, "200s")
        iterator = world.page(iterator)["NextShardIterator"]


@pytest.mark.parametrize("operation", ["ListShards", "ListStreams", "ListStreamConsumers"])
def test_tokens_expire(timed_world: World, operation: str) -> None:
    world = timed_world
    name = world.create(2)
    world.create()
    for consumer in ("a", "b"):
        world.register(name, consumer)
    first, again, items = {
        "ListShards": ({"StreamName": name, "MaxResults": 1}, {}, "Shards"),
        "ListStreams": ({"Limit": 1}, {}, "StreamNames"),
        "ListStreamConsumers": (
            {"StreamARN": world.arn(name), "MaxResults": 1}, {"StreamARN": world.arn(name)}, "Consumers",
        ),
    }[operation]
    token = world.call(operation, **first)["NextToken"]
    clock.advance(world, "299s")
    assert len(world.call(operation, NextToken=token, **again)[items]) == 1
    clock.advance(world, "2s")
    code, message = world.refused(operation, NextToken=token, **again)
    assert code == "ExpiredNextTokenException"
    assert message.endswith("which is further in the future than the tolerated delay of 300000 milliseconds.")


def test_retention_hides_at_once_and_brings_nothing_back(timed_world: World) -> None:
    world = timed_world
    name = world.create()
    world.call("IncreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=72)
    world.active(name)
    old = world.put(name, b"old")["SequenceNumber"]
    clock.advance(world, "48h")
    world.put(name, b"new")
    assert data(world.read(name)) == [b"old", b"new"]
    world.call("DecreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=24)
    world.active(name)
    assert data(world.read(name)) == [b"new"]
    # A number from before the horizon means the horizon.
    assert data(world.read(name, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=old)) == [b"new"]
    assert data(world.read(name, kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=old)) == [b"new"]
    long_ago = now(world) - datetime.timedelta(hours=47)
    assert data(world.read(name, kind="AT_TIMESTAMP", Timestamp=long_ago)) == [b"new"]
    # Records go with the horizon, and once trimmed they stay away.
    clock.advance(world, "25h")
    assert world.read(name) == []
    world.put(name, b"newest")
    world.call("IncreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=8760)
    world.active(name)
    assert b"old" not in data(world.read(name))


def test_how_far_behind_a_reader_is(timed_world: World) -> None:
    world = timed_world
    name = world.create()
    world.put(name, b"1")
    clock.advance(world, "10s")
    world.put(name, b"2")
    page = world.page(world.iterator(name), Limit=1)
    assert (data(page["Records"]), 10_000 <= page["MillisBehindLatest"] < 40_000) == ([b"1"], True), page
    page = world.page(page["NextShardIterator"], Limit=1)
    assert (data(page["Records"]), page["MillisBehindLatest"]) == ([b"2"], 0)
    page = world.page(page["NextShardIterator"], Limit=1)
    assert (page["Records"], page["MillisBehindLatest"]) == ([], 0)


def test_a_timestamp_is_at_most_now(timed_world: World) -> None:
    """AT_TIMESTAMP takes the present; the refusal of what lies ahead says both times."""
    world = timed_world
    name = world.create()
    world.put(name, b"1")
    clock.advance(world, "5s")
    between = now(world)
    clock.advance(world, "5s")
    world.put(name, b"2")
    assert data(world.read(name, kind="AT_TIMESTAMP", Timestamp=between)) == [b"2"]
    ahead = now(world) + datetime.timedelta(minutes=10)
    before = int(now(world).timestamp() * 1000)
    code, message = world.refused(
        "GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType="AT_TIMESTAMP", Timestamp=ahead
    )
    given = round(ahead.timestamp() * 1000)
    head, _, current = message.rpartition(" ")
    assert (code, head) == (
        "InvalidArgumentException",
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
        f"timestampInMillis: {given}, currentTimestampInMillis:",
    )
    assert before <= int(current) <= before + 30_000
    consumer = world.register(name)
    code, message = world.refused(
        "SubscribeToShard", ConsumerARN=consumer, ShardId="0", StartingPosition={"Type": "AT_TIMESTAMP", "Timestamp": ahead}
    )
    assert (code, message.rpartition(" ")[0]) == ("InvalidArgumentException", head)


def test_a_closed_shard_expires(timed_world: World) -> None:
    """After the retention from its closing it is in no listing; its children still name it."""
    world = timed_world
    name = world.create()
    world.put(name, b"x")
    start = world.shards(name)[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    clock.advance(world, "20h")
    world.call("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey=str(2**127))
    world.active(name)
    # Its records go before it does.
    clock.advance(world, "20h")
    assert numbers(world.shards(name)) == [0, 1, 2]
    assert world.read(name) == []
    clock.advance(world, "5h")
    assert numbers(world.shards(name)) == [1, 2]
    for kind in ("AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST"):
        assert numbers(world.shards(name, ShardFilter={"Type": kind})) == [1, 2], kind
    description = world.call("DescribeStream", StreamName=name)["StreamDescription"]
    assert numbers(description["Shards"]) == [1, 2]
    assert [shard["ParentShardId"] for shard in description["Shards"]] == [SHARD, SHARD]
    gone = ("ResourceNotFoundException", f"Shard {SHARD} in stream {name} under account {world.account} does not exist")
    assert world.refused("GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType="LATEST") == gone
    assert world.refused(
        "GetShardIterator", StreamName=name, ShardId="0", ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=start,
    ) == gone


def test_filters_by_time(timed_world: World) -> None:
    world = timed_world
    name = world.create(2)
    clock.advance(world, "10m")
    first = now(world)
    clock.advance(world, "10m")
    world.call("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey=str(2**126))
    world.active(name)
    clock.advance(world, "10m")
    second = now(world)
    clock.advance(world, "10m")
    world.call("MergeShards", StreamName=name, ShardToMerge="3", AdjacentShardToMerge="1")
    world.active(name)
    clock.advance(world, "10m")

    def listed(kind: str, at: datetime.datetime) -> list[int]:
        return numbers(world.shards(name, ShardFilter={"Type": kind, "Timestamp": at}))

    assert listed("AT_TIMESTAMP", first) == [0, 1]
    assert listed("AT_TIMESTAMP", second) == [1, 2, 3]
    assert listed("AT_TIMESTAMP", now(world)) == [2, 4]
    assert listed("FROM_TIMESTAMP", first) == [0, 1, 2, 3, 4]
    assert listed("FROM_TIMESTAMP", second) == [1, 2, 3, 4]
    assert listed("FROM_TIMESTAMP", now(world)) == [2, 4]
    # What lies before the horizon is raised to it.
    assert listed("FROM_TIMESTAMP", now(world) - datetime.timedelta(days=400)) == [0, 1, 2, 3, 4]
    clock.advance(world, "1410m")
    # The horizon now lies between the split and the merge.
    assert numbers(world.shards(name, ShardFilter={"Type": "AT_TRIM_HORIZON"})) == [1, 2, 3]
    assert numbers(world.shards(name, ShardFilter={"Type": "FROM_TRIM_HORIZON"})) == [1, 2, 3, 4]


def test_a_closed_shards_reader_is_not_behind(timed_world: World) -> None:
    world = timed_world
    name = world.create()
    iterator = world.iterator(name, kind="LATEST")
    world.call("SplitShard", StreamName=name, ShardToSplit="0", NewStartingHashKey=str(2**127))
    world.active(name)
    page = world.page(iterator)
    while "NextShardIterator" in page:
        page = world.page(page["NextShardIterator"])
    assert 0 <= page["MillisBehindLatest"] <= 10_000


def test_a_subscription_ends_after_five_minutes(timed_world: World) -> None:
    """Without an error; the next goes on from its last number."""
    world = timed_world
    name = world.create()
    consumer = world.register(name)
    with closing(world.subscribe(consumer)) as stream:
        incoming = iter(stream)
        number = next(incoming)["SubscribeToShardEvent"]["ContinuationSequenceNumber"]
        clock.advance(world, "301s")
        for event in incoming:
            number = event["SubscribeToShardEvent"]["ContinuationSequenceNumber"]
    world.put(name, b"x")
    with closing(world.subscribe(consumer, kind="AFTER_SEQUENCE_NUMBER", SequenceNumber=number)) as stream:
        records: list[Any] = []
        incoming = iter(stream)
        while not records:
            records = next(incoming)["SubscribeToShardEvent"]["Records"]
    assert data(records) == [b"x"]


def test_a_commitment_ends_after_a_day(timed_world: World) -> None:
    world = timed_world

    def commit(status: str) -> dict[str, Any]:
        answer = world.call("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": status})
        return answer["MinimumThroughputBillingCommitment"]

    enabled = commit("ENABLED")
    assert commit("DISABLED")["Status"] == "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
    clock.advance(world, "25h")
    ended = world.call("DescribeAccountSettings")["MinimumThroughputBillingCommitment"]
    assert ended["Status"] == "DISABLED"
    assert ended["EndedAt"] == enabled["EarliestAllowedEndAt"]
    # After the day it ends as soon as it is asked to.
    commit("ENABLED")
    clock.advance(world, "25h")
    assert commit("DISABLED")["Status"] == "DISABLED"
