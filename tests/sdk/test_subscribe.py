"""SubscribeToShard through boto3: what is pushed, when a subscription ends, and how the next one goes on."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any, Iterator

import pytest
from botocore.exceptions import ClientError, EventStreamError

from support import waiting
from support.server import Server
from support.worlds import World

SHARD = "shardId-000000000000"


def events(stream: Any) -> Iterator[dict[str, Any]]:
    for event in stream:
        assert set(event) == {"SubscribeToShardEvent"}
        yield event["SubscribeToShardEvent"]


def records(incoming: Iterator[dict[str, Any]], count: int) -> tuple[list[bytes], dict[str, Any]]:
    """The data of the next `count` records, and the event that brought the last of them."""
    data: list[bytes] = []
    for event in incoming:
        assert event["ContinuationSequenceNumber"].isdigit() and len(event["ContinuationSequenceNumber"]) == 56
        assert "ChildShards" not in event
        data += [record["Data"] for record in event["Records"]]
        if len(data) >= count:
            return data, event
    raise AssertionError(f"the subscription ended after {data}")


def put(world: World, name: str, *data: bytes) -> list[str]:
    answer = world.call("PutRecords", StreamName=name, Records=[{"Data": one, "PartitionKey": "key"} for one in data])
    assert answer["FailedRecordCount"] == 0
    return [record["SequenceNumber"] for record in answer["Records"]]


def test_records_are_pushed_as_they_are_put(world: World) -> None:
    name = world.create()
    consumer = world.register(name)
    numbers = put(world, name, b"1", b"2")
    with closing(world.subscribe(consumer, kind="TRIM_HORIZON")) as stream:
        incoming = events(stream)
        data, event = records(incoming, 2)
        assert (data, event["MillisBehindLatest"]) == ([b"1", b"2"], 0)
        assert [record["SequenceNumber"] for record in event["Records"]] == numbers
        assert set(event["Records"][0]) == {"SequenceNumber", "ApproximateArrivalTimestamp", "Data", "PartitionKey"}
        assert event["ContinuationSequenceNumber"] > numbers[-1]
        put(world, name, b"3", b"4", b"5", b"6", b"7")
        data, event = records(incoming, 5)
        assert data == [b"3", b"4", b"5", b"6", b"7"]
        assert len(event["Records"]) == 5, "what one call puts comes as one event"


def test_an_empty_event_comes_first_if_there_is_nothing(world: World) -> None:
    name = world.create()
    put(world, name, b"before")
    with closing(world.subscribe(world.register(name))) as stream:
        first = next(events(stream))
    assert (first["Records"], first["MillisBehindLatest"]) == ([], 0)
    number = first["ContinuationSequenceNumber"]
    put(world, name, b"after")
    with closing(world.subscribe(world.register(name, "other"), kind="AFTER_SEQUENCE_NUMBER", SequenceNumber=number)) as stream:
        assert records(events(stream), 1)[0] == [b"after"]


def test_heartbeats(world: World) -> None:
    name = world.create()
    with closing(world.subscribe(world.register(name))) as stream:
        incoming = events(stream)
        numbers = [next(incoming)["ContinuationSequenceNumber"] for _ in range(2)]
    assert numbers == sorted(set(numbers)), "they advance"


@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
def test_the_continuation_number_goes_on_exactly(world: World, kind: str) -> None:
    name = world.create()
    consumers = [world.register(name, f"c{number}") for number in range(2)]
    put(world, name, b"1", b"2")
    with closing(world.subscribe(consumers[0], kind="TRIM_HORIZON")) as stream:
        _, event = records(events(stream), 2)
    put(world, name, b"3", b"4")
    number = event["ContinuationSequenceNumber"]
    with closing(world.subscribe(consumers[1], kind=kind, SequenceNumber=number)) as stream:
        assert records(events(stream), 2)[0] == [b"3", b"4"]
    assert [record["Data"] for record in world.read(name, kind=kind, StartingSequenceNumber=number)] == [b"3", b"4"]


def test_a_split_ends_it_with_the_children(world: World) -> None:
    name = world.create()
    consumer = world.register(name)
    with closing(world.subscribe(consumer)) as stream:
        incoming = events(stream)
        next(incoming)
        put(world, name, b"last")
        world.call("SplitShard", StreamName=name, ShardToSplit=SHARD, NewStartingHashKey=str(2**127))
        assert records(incoming, 1)[0] == [b"last"]
        *before, end = incoming
    assert all(event["Records"] == [] for event in before)
    assert "ContinuationSequenceNumber" not in end
    assert [child["ShardId"] for child in end["ChildShards"]] == ["shardId-000000000001", "shardId-000000000002"]
    assert {tuple(child["ParentShards"]) for child in end["ChildShards"]} == {(SHARD,)}
    shards = {shard["ShardId"]: shard["HashKeyRange"] for shard in world.shards(name)}
    assert all(child["HashKeyRange"] == shards[child["ShardId"]] for child in end["ChildShards"])


def test_a_second_call_is_refused(world: World) -> None:
    name = world.create()
    consumer = world.register(name)
    position = {"Type": "LATEST"}
    with closing(world.subscribe(consumer)) as stream:
        next(events(stream))
        for shard in (SHARD, "0"):
            assert world.refused("SubscribeToShard", ConsumerARN=consumer, ShardId=shard, StartingPosition=position) == (
                "ResourceInUseException",
                f"Another active subscription exists for this consumer: {world.account}:{name}:{SHARD}:consumer",
            )


def test_a_later_call_takes_over(world: World) -> None:
    name = world.create()
    consumer = world.register(name)
    with closing(world.subscribe(consumer)) as first:
        incoming = events(first)
        next(incoming)

        def attempt() -> Any:
            try:
                return world.subscribe(consumer)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "ResourceInUseException"
                return None

        with closing(waiting.until(attempt, "five seconds have passed")) as second:
            with pytest.raises(EventStreamError) as ended:
                list(incoming)
            put(world, name, b"for the second")
            assert records(events(second), 1)[0] == [b"for the second"]
    assert ended.value.response["Error"]["Code"] == "ResourceInUseException"


@pytest.mark.parametrize("what", ["consumer", "stream"])
def test_what_it_reads_is_deleted(world: World, what: str) -> None:
    name = world.create()
    consumer = world.register(name)
    with closing(world.subscribe(consumer)) as stream:
        incoming = events(stream)
        next(incoming)
        if what == "consumer":
            world.call("DeregisterStreamConsumer", ConsumerARN=consumer)
        else:
            world.patiently("DeleteStream", StreamName=name, EnforceConsumerDeletion=True)
        with pytest.raises(EventStreamError) as ended:
            list(incoming)
    assert ended.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_errors_before_the_first_event(world: World) -> None:
    name = world.create()
    consumer = world.register(name)

    def refused(shard: str = SHARD, arn: str = consumer, dry: bool = False, **position: Any) -> tuple[str, str]:
        members = {"ConsumerARN": arn, "ShardId": shard, "StartingPosition": position}
        return world.refused("SubscribeToShard", **members, **({"DryRun": True} if dry else {}))

    assert refused("shardId-000000000007", Type="LATEST") == (
        "ResourceNotFoundException",
        f"Shard shardId-000000000007 in stream {name} under account {world.account} does not exist",
    )
    assert refused(arn=consumer.replace("/consumer:", "/nobody:"), Type="LATEST")[0] == "ResourceNotFoundException"
    assert refused(Type="AT_SEQUENCE_NUMBER")[0] == "InvalidArgumentException"
    assert refused(Type="AT_TIMESTAMP")[0] == "InvalidArgumentException"
    assert refused(Type="NEVER")[0] == "ValidationException"
    assert refused(dry=True, Type="LATEST")[0] == "DryRunOperationException"


def test_a_consumer_that_is_not_active(own_server: Server) -> None:
    world = World(own_server)
    name = world.create()
    own_server.flags = (*own_server.flags[:-1], "60s")
    own_server.restart(kill=False)
    arn = world.call("RegisterStreamConsumer", StreamARN=world.arn(name), ConsumerName="c")["Consumer"]["ConsumerARN"]
    second = arn.rpartition(":")[2]
    assert world.refused("SubscribeToShard", ConsumerARN=arn, ShardId=SHARD, StartingPosition={"Type": "LATEST"}) == (
        "ResourceInUseException",
        f"Consumer c with creation timestamp {second} under stream: {name} , account {world.account} is not in ACTIVE status.",
    )


def test_two_consumers_each_get_everything(free_world: World) -> None:
    name = free_world.create()
    consumers = [free_world.register(name, f"c{number}") for number in range(2)]
    data = [str(number).encode() for number in range(2000)]
    read: list[list[bytes]] = [[], []]
    streams = [free_world.subscribe(consumer, kind="TRIM_HORIZON") for consumer in consumers]

    def follow(at: int) -> None:
        read[at] = records(events(streams[at]), len(data))[0]

    threads = [threading.Thread(target=follow, args=[at]) for at in range(2)]
    for thread in threads:
        thread.start()
    for start in range(0, len(data), 250):
        put(free_world, name, *data[start : start + 250])
    for thread in threads:
        thread.join(60)
    for stream in streams:
        stream.close()
    assert read == [data, data]


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_subscriber_goes_on_after_a_restart(own_server: Server, kill: bool) -> None:
    world = World(own_server)
    name = world.create()
    consumer = world.register(name)
    put(world, name, b"1")
    stream = world.subscribe(consumer, kind="TRIM_HORIZON")
    _, event = records(events(stream), 1)
    own_server.restart(kill)
    stream.close()
    put(world, name, b"2")
    number = event["ContinuationSequenceNumber"]
    with closing(world.subscribe(consumer, kind="AFTER_SEQUENCE_NUMBER", SequenceNumber=number)) as stream:
        assert records(events(stream), 1)[0] == [b"2"]
