"""CBOR 1.1, as the Java SDKs and the KCL speak it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from support import cbor, waiting
from support.cbor import Instant, Raw, pieces
from support.http import CBOR, Answer, Http, authorization
from support.server import Server
from support.worlds import World

SHARD = "shardId-000000000000"
FORMS = pytest.mark.parametrize("indefinite", [False, True], ids=["definite", "indefinite"])


@pytest.fixture
def http(server: Server) -> Http:
    return World(server).http


def good(answer: Answer) -> Any:
    assert (answer.status, answer.headers["content-type"]) == (200, CBOR), answer.body
    assert int(answer.headers["content-length"]) == len(answer.body)
    return answer.cbor() if answer.body else None


def refused(answer: Answer) -> tuple[int, dict[str, str]]:
    assert answer.headers["content-type"] == CBOR
    return answer.status, answer.cbor()


def as_json(value: Any) -> Any:
    """A CBOR answer as boto3 shows it in JSON, for comparison: timestamps to whole milliseconds."""
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.milliseconds if isinstance(value, Instant) else value


def from_boto(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: from_boto(item) for name, item in value.items()}
    if isinstance(value, list):
        return [from_boto(item) for item in value]
    return round(value.timestamp() * 1000) if hasattr(value, "timestamp") else value


@FORMS
def test_records_go_in_and_out(world: World, indefinite: bool) -> None:
    name = world.create()
    data = bytes(range(256))
    put = good(world.http.call_in_cbor(
        "PutRecord", {"StreamName": name, "Data": data, "PartitionKey": "é"}, indefinite,
    ))
    assert put.keys() == {"ShardId", "SequenceNumber"} and put["ShardId"] == SHARD
    records = [{"Data": pieces(data), "PartitionKey": pieces("key")}, {"Data": b"", "PartitionKey": "b", "ExplicitHashKey": None}]
    put = good(world.http.call_in_cbor("PutRecords", {"StreamName": name, "Records": records}, indefinite))
    assert put["FailedRecordCount"] == 0 and len(put["Records"]) == 2

    iterator = good(world.http.call_in_cbor(
        "GetShardIterator", {"StreamName": name, "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}, indefinite,
    ))["ShardIterator"]
    before = time.time() * 1000
    page = good(world.http.call_in_cbor("GetRecords", {"ShardIterator": iterator, "Limit": 10}, indefinite))
    assert [(record["Data"], record["PartitionKey"]) for record in page["Records"]] == [(data, "é"), (data, "key"), (b"", "b")]
    for record in page["Records"]:
        assert abs(record["ApproximateArrivalTimestamp"].milliseconds - before) < 60_000
        assert "EncryptionType" not in record
    assert page["MillisBehindLatest"] == 0 and page["NextShardIterator"]
    assert as_json(page["Records"]) == from_boto(world.read(name))


def test_large_records_are_not_longer_than_they_are(free_world: World) -> None:
    name = free_world.create()
    data = bytes((1 << 20) - 1)
    records = [{"Data": data, "PartitionKey": str(number)} for number in range(9)]
    assert good(free_world.http.call_in_cbor("PutRecords", {"StreamName": name, "Records": records}))["FailedRecordCount"] == 0
    answer = free_world.http.call_in_cbor("GetRecords", {"ShardIterator": free_world.iterator(name)})
    assert len(good(answer)["Records"]) == 9
    assert len(answer.body) < 9 * ((1 << 20) + 300)


@pytest.mark.parametrize("shift", [-60_000, 0])
@pytest.mark.parametrize("form", ["tagged", "untagged", "float"])
def test_timestamps_are_milliseconds(world: World, shift: int, form: str) -> None:
    name = world.create()
    world.put(name)
    arrival = round(world.read(name)[0]["ApproximateArrivalTimestamp"].timestamp() * 1000)
    moment = arrival + shift
    at: Any = {"tagged": Instant(moment), "untagged": moment, "float": Raw(b"\xc1" + cbor.encode(float(moment)))}[form]
    answer = world.http.call_in_cbor("GetShardIterator", {
        "StreamName": name, "ShardId": SHARD, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": at,
    })
    page = good(world.http.call_in_cbor("GetRecords", {"ShardIterator": good(answer)["ShardIterator"]}))
    assert [record["ApproximateArrivalTimestamp"] for record in page["Records"]] == [Instant(arrival)]


def test_control_operations_answer_as_in_json(world: World) -> None:
    """Each operation that reads gives in CBOR what it gives in JSON."""
    name, http = world.name(), world.http

    def call(operation: str, **members: Any) -> Any:
        """It waits out the account's and the stream's rates."""
        def attempt() -> Answer | None:
            answer = http.call_in_cbor(operation, members)
            text = b"" if answer.status == 200 else answer.body
            return None if b"Rate exceeded" in text else answer
        return good(waiting.until(attempt, f"{operation} is not throttled"))

    assert call("CreateStream", StreamName=name, ShardCount=2, Tags={"a": "1"}) is None
    world.active(name)
    assert call("AddTagsToStream", StreamName=name, Tags={"b": "2"}) is None
    assert call("RemoveTagsFromStream", StreamName=name, TagKeys=["a"]) is None
    assert call("IncreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=48) is None
    world.active(name)
    assert call("DecreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=24) is None
    world.active(name)
    monitoring = call("EnableEnhancedMonitoring", StreamName=name, ShardLevelMetrics=["IncomingBytes"])
    assert monitoring["DesiredShardLevelMetrics"] == ["IncomingBytes"]
    world.active(name)
    call("DisableEnhancedMonitoring", StreamName=name, ShardLevelMetrics=["ALL"])
    world.active(name)
    for operation, members in [
        ("DescribeStream", {"StreamName": name}),
        ("DescribeStreamSummary", {"StreamName": name}),
        ("DescribeLimits", {}),
        ("ListShards", {"StreamName": name}),
        ("ListStreams", {}),
        ("ListTagsForStream", {"StreamName": name}),
    ]:
        assert as_json(call(operation, **members)) == from_boto(world.patiently(operation, **members)), operation
    assert call("MergeShards", StreamName=name, ShardToMerge=SHARD, AdjacentShardToMerge="shardId-000000000001") is None
    world.active(name)
    half = str(2**127)
    assert call("SplitShard", StreamName=name, ShardToSplit="shardId-000000000002", NewStartingHashKey=half) is None
    world.active(name)
    count = call("UpdateShardCount", StreamName=name, TargetShardCount=1, ScalingType="UNIFORM_SCALING")
    assert count["TargetShardCount"] == 1
    world.active(name)
    assert call("UpdateStreamMode", StreamARN=world.arn(name), StreamModeDetails={"StreamMode": "ON_DEMAND"}) is None
    world.active(name)
    assert call("DeleteStream", StreamName=name, EnforceConsumerDeletion=True) is None


def test_errors(http: Http) -> None:
    answer = http.call_in_cbor("DescribeStreamSummary", {"StreamName": "nobody"})
    assert refused(answer) == (400, {
        "__type": "ResourceNotFoundException",
        "message": f"Stream nobody under account {http.account} not found.",
    })
    in_json = http.call("CreateStream", {"StreamName": "?", "ShardCount": 0}).json()
    assert refused(http.call_in_cbor("CreateStream", {"StreamName": "?", "ShardCount": 0})) == (400, in_json)
    assert in_json["__type"] == "ValidationException"


def test_the_order_of_checks_is_that_of_json(http: Http) -> None:
    kind = {"Content-Type": CBOR}
    known = {**kind, "X-Amz-Target": "Kinesis_20131202.ListStreams"}
    unknown = {**kind, "X-Amz-Target": "Kinesis_20131202.Nonsense"}
    wrong_type = cbor.encode({"Limit": "x"})
    missing = {"__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"}
    for headers, body, expected in [
        (known, None, {"__type": "SerializationException"}),
        (unknown, None, {"__type": "UnknownOperationException"}),
        (unknown, b"hello", {"__type": "SerializationException"}),
        (unknown, wrong_type, {"__type": "UnknownOperationException"}),
        (kind, wrong_type, {"__type": "UnknownOperationException"}),
        (known, wrong_type, missing),
        (known, b"\xf6", {"__type": "SerializationException"}),
    ]:
        assert refused(http.send(headers=headers, body=body)) == (400, expected), (headers, body)
    assert refused(http.send(headers={**known, **authorization()}, body=wrong_type)) == (400, {
        "__type": "SerializationException", "Message": "class java.lang.String can not be converted to an Integer",
    })
    # Parameters of the content type do not matter, and the answer's is without them.
    assert good(http.call("ListStreams", b"\xa0", Content_Type=f"{CBOR} ; charset=x"))["StreamNames"] == []


@pytest.mark.parametrize("body", [
    b"{}", b"\xf5", b"\x80", b"\x81\xa0", b"\xa1", b"\xbf", b"\xa0\xa0", b"\xff", b"\xa1\x01\x01", b"\xa1\x61a\xff",
    b"\xa1\x61a\x61\xff", b"\xbb" + b"\xff" * 8, b"\xa1\x65Limit\x5b" + b"\xff" * 8, b"\xa1\x65Limit\x1c",
    b"\xa1\x61a" * 100_000, b"\xa1\x65Limit" + b"\x9f" * 500_000, b"\xa1\x65Limit" + b"\xc1" * 500_000,
], ids=lambda body: body[:12].hex())
def test_bodies_that_are_no_map(http: Http, body: bytes) -> None:
    assert refused(http.call_in_cbor("ListStreams", body)) == (400, {"__type": "SerializationException"})
    assert http.call("ListStreams").status == 200


@pytest.mark.parametrize(("operation", "body", "message"), [
    ("ListStreams", {"ExclusiveStartStreamName": True}, "class java.lang.Boolean can not be converted to an String"),
    ("ListStreams", {"ExclusiveStartStreamName": b"a"}, "class java.nio.HeapByteBuffer can not be converted to an String"),
    ("ListStreams", {"ExclusiveStartStreamName": []}, "Start of list found where not expected"),
    ("ListStreams", {"ExclusiveStartStreamName": {}}, "Start of structure or map found where not expected."),
    ("ListStreams", {"Limit": "5"}, "class java.lang.String can not be converted to an Integer"),
    ("PutRecord", {"Data": True}, "class java.lang.Boolean can not be converted to a Blob"),
    ("PutRecords", {"Records": "x"}, "Expected list or null"),
    ("AddTagsToStream", {"Tags": 5}, "Expected map or null"),
    ("CreateStream", {"StreamModeDetails": "x"}, "Expected null"),
    (
        "GetShardIterator", {"Timestamp": "2026-01-01"},
        "class java.lang.String can not be converted to milliseconds since epoch",
    ),
])
def test_wrong_types(http: Http, operation: str, body: object, message: str) -> None:
    assert refused(http.call_in_cbor(operation, body)) == (400, {"__type": "SerializationException", "Message": message})


def test_null_and_undefined_are_absent(http: Http) -> None:
    for nothing in (None, Raw(b"\xf7")):
        assert good(http.call_in_cbor("ListStreams", {"Limit": nothing, "Unknown": [{"a": b"b"}]}))["StreamNames"] == []
        answer = http.call_in_cbor("CreateStream", {"StreamName": nothing})
        assert refused(answer)[1]["message"].startswith("1 validation error detected: Value null at 'streamName'")


def test_numbers_are_cut_and_saturate(http: Http) -> None:
    for number, shown in [(2**63, "2147483647"), (-(2**64), "-2147483648"), (10**5 + 0.5, "100000"), (Raw(b"\xf9\x3c\x00"), None)]:
        answer = http.call_in_cbor("ListStreams", {"Limit": number})
        if shown is None:
            assert answer.status == 200
        else:
            assert f"'{shown}'" in refused(answer)[1]["message"]
