"""RecordDistributionStrategy: streams that spread their records themselves."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import Any

from support.worlds import World

AUTO, BY_KEY = "AUTO", "USER_PARTITION_KEY"


def distribute(world: World, name: str, strategy: str) -> dict[str, Any]:
    return world.call(
        "UpdateStreamRecordDistributionStrategy", StreamARN=world.arn(name), RecordDistributionStrategy=strategy
    )


def records(world: World, name: str) -> list[dict[str, Any]]:
    return [record for shard in world.shards(name) for record in world.read(name, shard["ShardId"])]


def test_records_without_keys_are_spread_evenly(free_world: World) -> None:
    name = free_world.create_on_demand(RecordDistributionStrategy=AUTO)
    assert free_world.summary(name)["RecordDistributionStrategy"] == AUTO
    shards: Counter[str] = Counter()
    for batch in range(10):
        answer = free_world.call(
            "PutRecords", StreamName=name, Records=[{"Data": f"{batch}.{n}".encode()} for n in range(50)]
        )
        assert answer["FailedRecordCount"] == 0
        shards.update(result["ShardId"] for result in answer["Records"])
    for number in range(100):
        put = free_world.call("PutRecord", StreamName=name, Data=str(number).encode())
        assert set(put) == {"ShardId", "SequenceNumber"}
        shards[put["ShardId"]] += 1
    assert sorted(shards.values()) == [150] * 4
    read = records(free_world, name)
    assert len(read) == 600
    assert all("PartitionKey" not in record for record in read)


def test_no_reader_gets_a_key_that_was_not_given(free_world: World) -> None:
    """Neither in CBOR nor by subscription, also after the stream places by key again."""
    name = free_world.create_on_demand(RecordDistributionStrategy=AUTO)
    shard = free_world.call("PutRecord", StreamName=name, Data=b"x")["ShardId"]
    distribute(free_world, name, BY_KEY)
    answer = free_world.http.call_in_cbor("GetRecords", {"ShardIterator": free_world.iterator(name, shard)})
    (record,) = answer.cbor()["Records"]
    assert set(record) == {"SequenceNumber", "ApproximateArrivalTimestamp", "Data"}
    with closing(free_world.subscribe(free_world.register(name), shard, "TRIM_HORIZON")) as stream:
        (record,) = next(iter(stream))["SubscribeToShardEvent"]["Records"]
    assert set(record) == {"SequenceNumber", "ApproximateArrivalTimestamp", "Data"}


def test_keys_are_kept_and_do_not_place(free_world: World) -> None:
    name = free_world.create_on_demand(RecordDistributionStrategy=AUTO)
    entries = [{"Data": b"x", "PartitionKey": "same", "ExplicitHashKey": "0"} for _ in range(8)]
    answer = free_world.call("PutRecords", StreamName=name, Records=entries)
    assert sorted(Counter(result["ShardId"] for result in answer["Records"]).values()) == [2] * 4
    assert [record["PartitionKey"] for record in records(free_world, name)] == ["same"] * 8


def test_ordering_is_refused(world: World) -> None:
    name = world.create_on_demand(RecordDistributionStrategy=AUTO)
    put = world.call("PutRecord", StreamName=name, Data=b"x")
    for number in (put["SequenceNumber"], "5"):
        assert world.refused("PutRecord", StreamName=name, Data=b"y", SequenceNumberForOrdering=number) == (
            "InvalidArgumentException",
            "Stream has SERVICE_DEFINED PartitionKey enabled. SequenceNumberForOrdering must not be provided.",
        )


def test_the_size_rule(free_world: World) -> None:
    name = free_world.create_on_demand(RecordDistributionStrategy=AUTO)
    free_world.call("PutRecord", StreamName=name, Data=bytes(1 << 20))
    refused = free_world.refused("PutRecord", StreamName=name, Data=bytes(1 << 20), PartitionKey="k")
    assert refused[0] == "ValidationException"


def test_switching(free_world: World) -> None:
    name = free_world.create_on_demand()
    assert free_world.summary(name)["RecordDistributionStrategy"] == BY_KEY
    missing = (
        "InvalidArgumentException",
        "PartitionKey must be provided for a stream whose RecordDistributionStrategy is USER_PARTITION_KEY.",
    )
    assert free_world.refused("PutRecord", StreamName=name, Data=b"x") == missing
    assert distribute(free_world, name, AUTO) == {}
    # At once: there is no UPDATING.
    summary = free_world.summary(name)
    assert (summary["StreamStatus"], summary["RecordDistributionStrategy"]) == ("ACTIVE", AUTO)
    free_world.call("PutRecord", StreamName=name, Data=b"x")
    assert distribute(free_world, name, AUTO) == {}
    distribute(free_world, name, BY_KEY)
    assert free_world.refused("PutRecords", StreamName=name, Records=[{"Data": b"x"}]) == missing
    (record,) = records(free_world, name)
    assert "PartitionKey" not in record


def test_only_on_demand_streams(world: World) -> None:
    name = world.create()
    assert "RecordDistributionStrategy" not in world.summary(name)

    def needs_on_demand(stream: str) -> tuple[str, str]:
        return (
            "InvalidArgumentException",
            f"RecordDistributionStrategy=AUTO is only supported for on-demand streams. Stream {stream} is using "
            "PROVISIONED mode.",
        )

    refused = world.patiently_refused(
        "UpdateStreamRecordDistributionStrategy", StreamARN=world.arn(name), RecordDistributionStrategy=AUTO
    )
    assert refused == needs_on_demand(name)
    refused = world.patiently_refused("CreateStream", StreamName="p", ShardCount=1, RecordDistributionStrategy=AUTO)
    assert refused == needs_on_demand("p")
    assert distribute(world, name, BY_KEY) == {}
    by_key = world.create(RecordDistributionStrategy=BY_KEY)
    assert "RecordDistributionStrategy" not in world.summary(by_key)


def test_a_switch_to_provisioned_ends_it(world: World) -> None:
    name = world.create_on_demand(RecordDistributionStrategy=AUTO)
    world.call("PutRecord", StreamName=name, Data=b"x")
    world.call("UpdateStreamMode", StreamARN=world.arn(name), StreamModeDetails={"StreamMode": "PROVISIONED"})
    assert "RecordDistributionStrategy" not in world.active(name)
    assert world.refused("PutRecord", StreamName=name, Data=b"x")[0] == "InvalidArgumentException"
    world.call("PutRecord", StreamName=name, Data=b"x", PartitionKey="k")


def test_a_dry_run_follows_the_strategy(world: World) -> None:
    name = world.create_on_demand()
    assert world.refused("PutRecord", StreamName=name, Data=b"x", DryRun=True)[0] == "InvalidArgumentException"
    distribute(world, name, AUTO)
    assert world.refused("PutRecord", StreamName=name, Data=b"x", DryRun=True) == (
        "DryRunOperationException", "Request would have succeeded, but DryRun flag is set.",
    )
    assert records(world, name) == []


def test_refusals(world: World) -> None:
    operation = "UpdateStreamRecordDistributionStrategy"
    code, message = world.patiently_refused(operation)
    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected:")
    arn = world.arn("nowhere")
    refused = world.patiently_refused(operation, StreamARN=arn, RecordDistributionStrategy="RANDOM")
    assert refused[0] == "ValidationException"
    refused = world.patiently_refused(operation, StreamARN=arn, RecordDistributionStrategy=AUTO)
    assert refused[0] == "ResourceNotFoundException"
