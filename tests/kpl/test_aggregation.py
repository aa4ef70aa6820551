"""Aggregated records, made by the producers' own libraries: the server keeps them as they are, and our own function takes
them apart as the libraries do."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import subprocess
from typing import Any

import aiokpl
from aiokpl.aggregation import UserRecord, decode_aggregated, encode_aggregated
from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import deaggregate_records

from support.worlds import World

MAX_HASH = 2**128 - 1


def taken_apart(*records: bytes) -> list[Any]:
    """What our function makes of each record: a list of user records, or None for an ordinary one."""
    lines = "".join(base64.b64encode(record).decode() + "\n" for record in records)
    done = subprocess.run([os.environ["MILLSTREAM_DEAGGREGATE"]], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def shown(records: Any) -> list[tuple[str, str | None, bytes]]:
    return [(r["partition_key"], r["explicit_hash_key"], base64.b64decode(r["data"])) for r in records]


def made_up(seed: int) -> list[tuple[str, str | None, bytes]]:
    """At least two user records (one alone is put as it is): few keys, some with an explicit hash key, data of any bytes."""
    pick = random.Random(seed)
    return [
        (
            pick.choice(["a", "ключ", "k" * 256, f"key-{pick.randrange(5)}"]),
            pick.choice([None, "0", str(MAX_HASH), str(pick.randrange(MAX_HASH))]),
            pick.randbytes(pick.choice([0, 1, 7, 200, 3000])),
        )
        for _ in range(pick.randrange(2, 60))
    ]


def test_our_function_agrees_with_aiokpl() -> None:
    batches = [made_up(seed) for seed in range(50)]
    whole = [encode_aggregated([UserRecord(key, data, explicit) for key, explicit, data in batch]) for batch in batches]
    for batch, bytes_, records in zip(batches, whole, taken_apart(*whole)):
        assert shown(records) == batch
        assert [r["sub_sequence_number"] for r in records] == list(range(len(batch)))
        theirs = [(r.partition_key, r.explicit_hash_key, r.data) for r in decode_aggregated(bytes_)]
        assert shown(records) == theirs


def test_our_function_agrees_with_aws_kinesis_agg() -> None:
    for seed in range(50):
        aggregator = RecordAggregator()
        batch = [(key, explicit, data) for key, explicit, data in made_up(seed) if data]
        for key, explicit, data in batch:
            assert aggregator.add_user_record(key, data, explicit) is None, "it fits into one record"
        if not batch:
            continue
        _, _, whole = aggregator.clear_and_get().get_contents()
        [records] = taken_apart(whole)
        theirs = deaggregate_records({
            "kinesis": {
                "data": base64.b64encode(whole), "partitionKey": "a", "sequenceNumber": "1",
                "approximateArrivalTimestamp": 1.0, "kinesisSchemaVersion": "1.0",
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": "shardId-000000000000:1",
            "eventName": "aws:kinesis:record", "invokeIdentityArn": "", "awsRegion": "", "eventSourceARN": "",
        })
        expected = [(r["kinesis"]["partitionKey"], base64.b64decode(r["kinesis"]["data"])) for r in theirs]
        assert [(key, data) for key, _, data in shown(records)] == expected == [(key, data) for key, _, data in batch]


def test_ordinary_records_are_left_alone() -> None:
    whole = encode_aggregated([UserRecord("a", b"x"), UserRecord("b", b"y")])
    broken = [b"", b"plain", whole[:-1], whole[:4], whole[:5] + b"\x00" + whole[6:], whole + b"\x00"]
    assert taken_apart(*broken) == [None] * len(broken)


def test_the_server_keeps_aggregated_records_as_they_are(free_world: World) -> None:
    stream = free_world.create()
    batches = [made_up(seed) for seed in range(20)]
    whole = [encode_aggregated([UserRecord(key, data, explicit) for key, explicit, data in batch]) for batch in batches]
    for bytes_ in whole:
        free_world.put(stream, bytes_, "a", ExplicitHashKey="0")
    kept = [record["Data"] for record in free_world.read(stream)]
    assert kept == whole
    assert [shown(records) for records in taken_apart(*kept)] == batches


def test_what_the_producer_puts_is_read_by_taking_it_apart(free_world: World) -> None:
    """aiokpl, from ListShards to PutRecords: it predicts shards, aggregates per shard, and checks where records went."""
    stream = free_world.create(shards=3)
    wanted = {f"{number} of many".encode() for number in range(2000)}

    async def produce() -> None:
        config = aiokpl.Config(
            region=free_world.region,
            endpoint_url=free_world.server.endpoint,
            aws_access_key_id=free_world.account,
            aws_secret_access_key="secret",
        )
        async with aiokpl.Producer(config) as producer:
            outcomes = [
                await producer.put_record(stream=stream, partition_key=f"key {place % 37}", data=data)
                for place, data in enumerate(sorted(wanted))
            ]
            await producer.flush()
            for outcome in outcomes:
                result = await outcome.wait()
                assert result.success, result
                assert result.shard_id is not None and result.shard_id.startswith("shardId-")

    asyncio.run(produce())
    found: list[bytes] = []
    shards = free_world.shards(stream)
    for shard in shards:
        low, high = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
        records = free_world.read(stream, shard["ShardId"])
        assert records, "2,000 records of 37 keys reach every shard"
        for record, parts in zip(records, taken_apart(*(r["Data"] for r in records))):
            if parts is None:
                found.append(record["Data"])
                continue
            assert record["PartitionKey"] == "a", "the key that the producer's library gives aggregated records"
            for part in parts:
                assert low <= int(part["hash_key"]) <= high, "a user record is on the shard of its key"
                found.append(base64.b64decode(part["data"]))
    assert len(found) == len(wanted) and set(found) == wanted
