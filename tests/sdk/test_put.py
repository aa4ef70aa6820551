"""PutRecord and PutRecords: routing, sequence numbers, sizes, order, and what is refused."""

from __future__ import annotations

import hashlib
import re

import pytest

from support.worlds import MAX_HASH, World


def parts(sequence: str) -> dict[str, int]:
    """The fields of a 56-digit sequence number."""
    number = int(sequence)
    return {
        "lead": number >> 184,
        "create": number >> 148 & 2**36 - 1,
        "nibble": number >> 144 & 15,
        "index": number >> 80 & 2**64 - 1,
        "time": number >> 36 & 2**36 - 1,
        "shard": number >> 4 & 2**32 - 1,
        "version": number & 15,
    }


def test_put_record_answers_shard_and_sequence_number(world: World) -> None:
    name = world.create()
    put = world.put(name, b"bytes \x00\xff", "key")
    assert set(put) == {"ShardId", "SequenceNumber"}
    assert put["ShardId"] == "shardId-000000000000"
    fields = parts(put["SequenceNumber"])
    assert re.fullmatch(r"\d{56}", put["SequenceNumber"])
    assert (fields["lead"], fields["nibble"], fields["shard"], fields["version"]) == (2, 0, 0, 2)
    assert fields["time"] >= fields["create"]
    start = world.shards(name)[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert parts(start)["create"] == fields["create"]
    assert int(put["SequenceNumber"]) > int(start)
    (record,) = world.read(name)
    assert set(record) == {"SequenceNumber", "ApproximateArrivalTimestamp", "Data", "PartitionKey"}
    assert (record["SequenceNumber"], record["Data"], record["PartitionKey"]) == (
        put["SequenceNumber"], b"bytes \x00\xff", "key",
    )


@pytest.mark.parametrize(("key", "shard"), [("a", 0), ("b", 1), ("e", 2), ("f", 1)])
def test_routing_by_partition_key(world: World, key: str, shard: int) -> None:
    name = world.create(3)
    assert world.put(name, key=key)["ShardId"] == f"shardId-{shard:012}"


def test_routing_of_many_keys_is_md5(free_world: World) -> None:
    name = free_world.create(7)
    ranges = [shard["HashKeyRange"] for shard in free_world.shards(name)]
    keys = [f"key {number} ü 😀" for number in range(200)]
    answer = free_world.call(
        "PutRecords", StreamName=name, Records=[{"Data": key.encode(), "PartitionKey": key} for key in keys]
    )
    assert answer["FailedRecordCount"] == 0
    for key, result in zip(keys, answer["Records"]):
        hashed = int.from_bytes(hashlib.md5(key.encode()).digest(), "big")
        (expected,) = [
            index for index, span in enumerate(ranges)
            if int(span["StartingHashKey"]) <= hashed <= int(span["EndingHashKey"])
        ]
        assert result["ShardId"] == f"shardId-{expected:012}"


def test_explicit_hash_keys(world: World) -> None:
    name = world.create(2)
    for hash_key, shard in ((0, 0), (2**127 - 1, 0), (2**127, 1), (MAX_HASH, 1)):
        assert world.put(name, ExplicitHashKey=str(hash_key))["ShardId"] == f"shardId-{shard:012}"
    refused = (
        "InvalidArgumentException",
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
        f"Specified value was {MAX_HASH + 1}",
    )
    too_high = {"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": str(MAX_HASH + 1)}
    assert world.refused("PutRecord", StreamName=name, **too_high) == refused
    fine = {"Data": b"x", "PartitionKey": "k"}
    assert world.refused("PutRecords", StreamName=name, Records=[fine, too_high]) == refused
    assert len(world.read(name, "0") + world.read(name, "1")) == 4
    for malformed in ("01", "-1", "x", ""):
        assert world.refused(
            "PutRecord", StreamName=name, Data=b"x", PartitionKey="k", ExplicitHashKey=malformed
        )[0] == "ValidationException", malformed


def test_empty_data_is_a_record(world: World) -> None:
    name = world.create()
    world.put(name, b"")
    assert [record["Data"] for record in world.read(name)] == [b""]


def test_a_records_size_counts_its_key(world: World) -> None:
    name = world.create(2)
    key = "ü" * 10
    limit = 1_048_576 - 20
    world.put(name, bytes(limit), key, ExplicitHashKey="0")
    too_long = (
        "ValidationException",
        "1 validation error detected: Value at 'data' failed to satisfy constraint: "
        "Member must have length less than or equal to 1048576",
    )
    assert world.refused("PutRecord", StreamName=name, Data=bytes(limit + 1), PartitionKey=key) == too_long
    assert world.refused(
        "PutRecords",
        StreamName=name,
        Records=[{"Data": b"", "PartitionKey": "k"}, {"Data": bytes(limit + 1), "PartitionKey": key}],
    ) == (
        "ValidationException",
        "1 validation error detected: Value at 'records.2.member.data' failed to satisfy constraint: "
        "Member must have length less than or equal to 1048576",
    )


def test_put_records_as_a_whole_is_bounded(world: World) -> None:
    name = world.create(2)
    halves = [{"Data": bytes(524_287), "PartitionKey": "k", "ExplicitHashKey": str(2**127 * (n % 2))} for n in range(20)]
    answer = world.call("PutRecords", StreamName=name, Records=halves)
    assert len(answer["Records"]) == 20
    entry = {"Data": b"", "PartitionKey": "k"}
    assert world.refused("PutRecords", StreamName=name, Records=[*halves, entry]) == (
        "InvalidArgumentException", "Records size exceeds 10 MB limit",
    )
    assert world.refused("PutRecords", StreamName=name, Records=[entry] * 501) == (
        "ValidationException",
        "1 validation error detected: Value at 'records' failed to satisfy constraint: "
        "Member must have length less than or equal to 500",
    )
    code, message = world.refused("PutRecords", StreamName=name, Records=[])
    assert code == "ValidationException"
    assert message.endswith("Member must have length greater than or equal to 1")


def test_at_most_ten_errors_are_told(world: World) -> None:
    code, message = world.refused("PutRecords", StreamName="any", Records=[{"Data": b"", "PartitionKey": ""}] * 50)
    assert code == "ValidationException"
    assert message.startswith("10 validation errors detected: ")
    assert (
        "Value '' at 'records.1.member.partitionKey' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    ) in message


def test_partition_key_lengths(world: World) -> None:
    name = world.create()
    world.put(name, key="ü" * 256)
    code, message = world.refused("PutRecord", StreamName=name, Data=b"", PartitionKey="k" * 257)
    assert code == "ValidationException"
    assert message.endswith("at 'partitionKey' failed to satisfy constraint: Member must have length less than or equal to 256")
    # The newest model no longer requires it; a stream that places by key does.
    assert world.refused("PutRecord", StreamName=name, Data=b"")[0] in ("InvalidArgumentException", "ValidationException")


def test_put_records_keeps_the_order_of_the_request(free_world: World) -> None:
    name = free_world.create(3)
    entries = [{"Data": str(number).encode(), "PartitionKey": f"key-{number}"} for number in range(500)]
    answer = free_world.call("PutRecords", StreamName=name, Records=entries)
    assert answer["FailedRecordCount"] == 0
    assert all(set(result) == {"ShardId", "SequenceNumber"} for result in answer["Records"])
    for shard in range(3):
        shard_id = f"shardId-{shard:012}"
        expected = [
            (entry["Data"], result["SequenceNumber"])
            for entry, result in zip(entries, answer["Records"])
            if result["ShardId"] == shard_id
        ]
        assert expected
        read = [(record["Data"], record["SequenceNumber"]) for record in free_world.read(name, shard_id)]
        assert read == expected
        indexes = [parts(sequence)["index"] for _, sequence in expected]
        assert indexes == sorted(set(indexes))


def test_put_records_partial_failure(world: World) -> None:
    """A shard takes 1,000 records a second; what is over fails record by record, within an answer of 200."""
    name = world.create(2)
    full = [{"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": "0"}] * 499
    other = {"Data": b"other", "PartitionKey": "k", "ExplicitHashKey": str(MAX_HASH)}
    taken = other_taken = calls = 0
    while True:
        answer = world.call("PutRecords", StreamName=name, Records=[*full, other])
        failed = [result for result in answer["Records"] if "ErrorCode" in result]
        assert answer["FailedRecordCount"] == len(failed)
        assert len(answer["Records"]) == 500
        taken += 500 - len(failed)
        calls += 1
        other_taken += "ErrorCode" not in answer["Records"][-1]
        if failed:
            break
        assert calls < 200, "a hundred thousand records in a few seconds were never too many for a shard"
    for result in failed:
        assert result == {
            "ErrorCode": "ProvisionedThroughputExceededException",
            "ErrorMessage": f"Rate exceeded for shard shardId-000000000000 in stream {name} under account {world.account}.",
        }
    # The other shard is not concerned, and what failed was not written.
    assert "ErrorCode" not in answer["Records"][-1]
    read = world.read(name, "0") + world.read(name, "1")
    assert len(read) == taken
    assert sum(record["Data"] == b"other" for record in read) == other_taken


def test_put_record_is_throttled_whole(world: World) -> None:
    name = world.create()
    # A full bucket of 10 MiB for large records, which refills with 1 MiB/s.
    for _ in range(200):
        try:
            world.put(name, bytes(1_000_000))
        except world.kinesis.exceptions.ProvisionedThroughputExceededException as error:
            assert error.response["Error"]["Message"] == (
                f"Rate exceeded for shard shardId-000000000000 in stream {name} under account {world.account}."
            )
            return
    raise AssertionError("200 MB in a few seconds were never too much for a shard")


def test_sequence_number_for_ordering(world: World) -> None:
    name = world.create()
    first = world.put(name)["SequenceNumber"]
    second = world.put(name, SequenceNumberForOrdering=first)["SequenceNumber"]
    assert int(second) > int(first)
    bad = "30000000000000000000000000000000000000000000000000000001"
    assert world.refused("PutRecord", StreamName=name, Data=b"", PartitionKey="k", SequenceNumberForOrdering=bad) == (
        "InvalidArgumentException",
        f"ExclusiveMinimumSequenceNumber {bad} used in PutRecord on stream {name} under account {world.account} is invalid.",
    )
    code, message = world.refused("PutRecord", StreamName=name, Data=b"", PartitionKey="k", SequenceNumberForOrdering="x")
    assert code == "ValidationException"
    assert "at 'sequenceNumberForOrdering' failed to satisfy constraint: Member must satisfy regular expression" in message


def test_unknown_stream(world: World) -> None:
    refused = ("ResourceNotFoundException", f"Stream nowhere under account {world.account} not found.")
    assert world.refused("PutRecord", StreamName="nowhere", Data=b"", PartitionKey="k") == refused
    assert world.refused("PutRecords", StreamName="nowhere", Records=[{"Data": b"", "PartitionKey": "k"}]) == refused


def test_dry_run_writes_nothing(world: World) -> None:
    name = world.create()
    put = {"Data": b"x", "PartitionKey": "k", "DryRun": True}
    assert world.refused("PutRecord", StreamName=name, **put) == (
        "DryRunOperationException", "Request would have succeeded, but DryRun flag is set.",
    )
    assert world.refused("PutRecord", StreamName="nowhere", **put)[0] == "ResourceNotFoundException"
    assert world.read(name) == []
