"""Requests no SDK would send, and the answers AWS gives to them."""

from __future__ import annotations

import base64
import json
import re
import uuid

import pytest

from support.http import CBOR, JSON, Http, authorization
from support.server import Server
from support.worlds import World

TARGET = {"X-Amz-Target": "Kinesis_20131202.ListStreams"}
CANNOT_TELL = (
    b"<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized</Message>\n"
    b"</AccessDeniedException>\n"
)


@pytest.fixture
def http(server: Server) -> Http:
    """Requests as a new account."""
    return World(server).http


def test_headers_of_every_answer(http: Http) -> None:
    for answer in (http.call("ListStreams"), http.call("Nonsense"), http.send("GET"), http.call("CreateStream")):
        assert str(uuid.UUID(answer.headers["x-amzn-requestid"])) == answer.headers["x-amzn-requestid"]
        assert 64 <= len(base64.b64decode(answer.headers["x-amz-id-2"])) <= 80
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["date"])


def test_request_ids_differ(http: Http) -> None:
    assert len({http.call("Nonsense").headers["x-amzn-requestid"] for _ in range(10)}) == 10


def test_a_good_request(http: Http) -> None:
    answer = http.call("ListStreams")
    assert (answer.status, answer.headers["content-type"]) == (200, JSON)
    assert answer.json()["StreamNames"] == []
    # Parameters of the content type and an unknown member do not matter.
    answer = http.call("ListStreams", {"Unknown": {"a": [1]}, "Limit": None}, Content_Type=f" {JSON} ; charset=utf-8")
    assert answer.status == 200


def test_any_path_will_do(http: Http) -> None:
    answer = http.send(path="/some/path?x=y", headers={**TARGET, **authorization(), "Content-Type": JSON}, body=b"{}")
    assert answer.status == 200


def test_an_operation_without_output_has_an_empty_body(http: Http) -> None:
    answer = http.call("CreateStream", {"StreamName": "empty-body", "ShardCount": 1})
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods(http: Http, method: str) -> None:
    answer = http.send(method, headers={**TARGET, **authorization(), "Content-Type": JSON}, body=b"{}")
    assert (answer.status, answer.body) == (403, CANNOT_TELL)
    assert "content-type" not in answer.headers


def test_no_content_type(http: Http) -> None:
    answer = http.send(headers=authorization(), body=b"{}")
    assert (answer.status, answer.body) == (403, CANNOT_TELL)
    answer = http.send(headers={**TARGET, **authorization(), "Content-Type": "text/plain"}, body=b"{}")
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")


@pytest.mark.parametrize(
    "target", ["Kinesis_20131202.Nonsense", "Kinesis_20131202", "Kinesis_20131202.", "Kinesis_20000101.ListStreams", "x", ""]
)
def test_unknown_targets(http: Http, target: str) -> None:
    answer = http.send(headers={"X-Amz-Target": target, **authorization(), "Content-Type": JSON}, body=b"{}")
    assert (answer.status, answer.headers["content-type"], answer.json()) == (
        400, JSON, {"__type": "UnknownOperationException"},
    )


def test_no_target(http: Http) -> None:
    answer = http.send(headers={**authorization(), "Content-Type": JSON}, body=b"{}")
    assert (answer.status, answer.json()) == (400, {"__type": "UnknownOperationException"})


def test_no_body(http: Http) -> None:
    answer = http.send(headers={**TARGET, **authorization(), "Content-Type": JSON})
    assert (answer.status, answer.json()) == (400, {"__type": "SerializationException"})
    answer = http.send(headers={**authorization(), "Content-Type": JSON})
    assert (answer.status, answer.json()) == (400, {"__type": "UnknownOperationException"})


def test_no_body_and_no_usable_content_type_is_answered_in_cbor(http: Http) -> None:
    answer = http.send(headers={**TARGET, **authorization()})
    assert (answer.status, answer.headers["content-type"]) == (400, CBOR)
    assert answer.body == b"\xa1\x66__type\x76SerializationException"
    answer = http.send(headers=authorization())
    assert (answer.status, answer.headers["content-type"]) == (400, CBOR)
    assert answer.body == b"\xa1\x66__type\x78\x19UnknownOperationException"


@pytest.mark.parametrize("body", [b"hello", b"true", b"null", b"[]", b"1", b'{"a":', b"{} x", b"\xff\xfe", b'{"Limit":01}'])
def test_bodies_that_are_no_object(http: Http, body: bytes) -> None:
    answer = http.call("ListStreams", body)
    assert (answer.status, answer.json()) == (400, {"__type": "SerializationException"})


def test_depth_does_no_harm(http: Http) -> None:
    deep = b"[" * 500_000 + b"]" * 500_000
    # An unknown member is ignored, whatever it holds; a known one has the wrong type.
    assert http.call("ListStreams", b'{"x":' + deep + b"}").status in (200, 400)
    assert http.call("ListStreams", b'{"Limit":' + deep + b"}").json()["__type"] == "SerializationException"
    assert http.call("ListStreams", b'{"x":' * 200_000).status == 400
    assert http.call("ListStreams").status == 200


def test_application_json_never_works(http: Http) -> None:
    headers = {**TARGET, **authorization(), "Content-Type": "application/json"}
    answer = http.send(headers=headers, body=b"{}")
    assert (answer.status, answer.json()) == (
        404, {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"},
    )
    answer = http.send(headers=headers, body=b"hello")
    assert (answer.status, answer.json()) == (
        400, {"Output": {"__type": "com.amazon.coral.service#SerializationException"}, "Version": "1.0"},
    )


def test_a_body_that_is_too_large(http: Http) -> None:
    """It is refused by its announced length, before it is sent."""
    with http.connect() as raw:
        head = (
            "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: Kinesis_20131202.PutRecords\r\n"
            f"Content-Type: {JSON}\r\nContent-Length: 1000000000\r\n"
        )
        head += "".join(f"{name}: {value}\r\n" for name, value in authorization().items())
        raw.sendall(head.encode() + b"\r\n")
        answer = raw.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")


TYPE_ERRORS = [
    ("ListStreams", {"ExclusiveStartStreamName": True}, "class java.lang.Boolean can not be converted to an String"),
    (
        "ListStreams", {"ExclusiveStartStreamName": 5},
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String",
    ),
    ("ListStreams", {"ExclusiveStartStreamName": []}, "Start of list found where not expected"),
    ("ListStreams", {"ExclusiveStartStreamName": {}}, "Start of structure or map found where not expected."),
    ("ListStreams", {"Limit": "5"}, "class java.lang.String can not be converted to an Integer"),
    ("ListStreams", {"Limit": True}, "class java.lang.Boolean can not be converted to an Integer"),
    (
        "DeleteStream", {"EnforceConsumerDeletion": 1},
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an Boolean",
    ),
    ("DeleteStream", {"EnforceConsumerDeletion": "abc"}, "'ABC' can not be converted to an Boolean"),
    ("PutRecord", {"Data": True}, "class java.lang.Boolean can not be converted to a Blob"),
    (
        "PutRecord", {"Data": 5},
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to a Blob",
    ),
    (
        "PutRecord", {"Data": "abc"},
        "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 3",
    ),
    ("PutRecord", {"Data": "a=cd"}, "'a=cd' can not be converted to a Blob: Invalid Base64 character: '='"),
    ("PutRecord", {"Data": "ab$d"}, "'ab$d' can not be converted to a Blob: Invalid Base64 character: '$'"),
    ("PutRecord", {"Data": "YWJ="}, "'YWJ=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"),
    (
        "GetShardIterator", {"Timestamp": "2026-01-01"},
        "class java.lang.String can not be converted to milliseconds since epoch",
    ),
    ("GetShardIterator", {"Timestamp": True}, "class java.lang.Boolean can not be converted to milliseconds since epoch"),
    ("PutRecords", {"Records": "x"}, "Expected list or null"),
    ("PutRecords", {"Records": {}}, "Start of structure or map found where not expected."),
    ("AddTagsToStream", {"Tags": 5}, "Expected map or null"),
    ("AddTagsToStream", {"Tags": []}, "Start of list found where not expected"),
    ("CreateStream", {"StreamModeDetails": "x"}, "Expected null"),
    ("CreateStream", {"StreamModeDetails": []}, "Start of list found where not expected"),
]


@pytest.mark.parametrize(("operation", "body", "message"), TYPE_ERRORS, ids=[f"{o} {json.dumps(b)}" for o, b, _ in TYPE_ERRORS])
def test_wrong_types(http: Http, operation: str, body: object, message: str) -> None:
    answer = http.call(operation, body)
    assert (answer.status, answer.json()) == (400, {"__type": "SerializationException", "Message": message})


def test_numbers_are_cut_and_saturate(http: Http) -> None:
    error = http.error("CreateStream", {"StreamName": "a", "ShardCount": 10**20})
    assert error[1] in ("ValidationException", "LimitExceededException")
    if error[1] == "ValidationException":
        assert "'2147483647'" in error[2]
    assert "Value '0' at 'limit'" in http.error("ListStreams", {"Limit": 0.9})[2]
    assert http.call("ListStreams", b'{"Limit":1e1}').status == 200


def test_null_is_absent(http: Http) -> None:
    assert http.error("CreateStream", {"StreamName": None})[2].startswith("1 validation error detected: Value null at 'streamName'")


def test_timestamps_in_json_are_plain_seconds(server: Server) -> None:
    world = World(server)
    name = world.create()
    world.put(name)
    text = world.http.call("DescribeStreamSummary", {"StreamName": name}).body.decode()
    assert re.search(r'"StreamCreationTimestamp":\d{10}(\.\d{1,3})?[,}]', text), text
    iterator = world.iterator(name)
    text = world.http.call("GetRecords", {"ShardIterator": iterator}).body.decode()
    assert re.search(r'"ApproximateArrivalTimestamp":\d{10}(\.\d{1,3})?[,}]', text), text
    assert "null" not in text


def test_pipelined_requests_are_answered_in_order(http: Http) -> None:
    requests = b""
    for operation in ("ListStreams", "Nonsense", "ListStreams", "CreateStream"):
        head = "".join(f"{name}: {value}\r\n" for name, value in authorization(http.account).items())
        requests += (
            f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\n"
            f"Content-Type: {JSON}\r\n{head}Content-Length: 2\r\n\r\n{{}}"
        ).encode()
    with http.connect() as raw:
        raw.sendall(requests)
        received = b""
        while received.count(b"HTTP/1.1 ") < 4 or not received.endswith(b"}"):
            more = raw.recv(65536)
            assert more, f"the server closed the connection after {received!r}"
            received += more
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200", b"400", b"200", b"400"]
    assert received.index(b"UnknownOperationException") < received.index(b"ValidationException")


def test_chunked_bodies_and_expect_continue(http: Http) -> None:
    headers = "".join(f"{name}: {value}\r\n" for name, value in authorization(http.account).items())
    with http.connect() as raw:
        raw.sendall(
            f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\nContent-Type: {JSON}\r\n"
            f"{headers}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        interim = raw.recv(65536)
        assert interim.startswith(b"HTTP/1.1 100 "), interim
        raw.sendall(b'3\r\n{"L\r\n9\r\nimit": 3}\r\n0\r\n\r\n')
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_broken_http_is_answered_or_closed(http: Http) -> None:
    for nonsense in (b"\x16\x03\x01\x02\x00garbage", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
        with http.connect() as raw:
            raw.sendall(nonsense)
            answer = raw.recv(65536)
            assert answer == b"" or answer.startswith(b"HTTP/1."), answer
    assert http.call("ListStreams").status == 200
