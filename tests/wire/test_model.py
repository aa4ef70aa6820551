"""Every operation with each of its members missing, null, of every wrong type, and at and beyond each of its bounds, in both
wire formats: the answer is always a good one or one of the service's errors, never a fault of the server's, and the
connection goes on."""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Iterator
from typing import Any

import botocore.session
import cbor2
import pytest

from support import cbor
from support.http import CBOR, JSON, authorization
from support.worlds import World

MODEL = botocore.session.Session().get_service_model("kinesis")
LONGEST = 20_000
# What any member may be given instead of its own type.
STRANGERS: list[Any] = [
    None, True, False, 0, -1, 1, 1.5, -0.5, 2**31, -(2**31) - 1, 2**63, 10**30, 1e300, "", "a", "true", "ü€🌊\u0000", "=",
    "x" * 2000, [], [None], [[]], [1, "a", {}], {}, {"": None}, {"a": {"b": []}},
]
CBOR_STRANGERS: list[Any] = [
    b"", b"\xff" * 20, cbor2.undefined, cbor2.CBORTag(1, 10**15), cbor2.CBORTag(1, 1.5), cbor2.CBORTag(2, b"\x01" * 40),
    cbor2.CBORTag(99, "tagged"), cbor2.CBORSimpleValue(200), math.nan, math.inf, {1: 2}, {None: b""},
]
# Beside those that the model names, what the framework in front of every service answers.
FRAMEWORK = {"ValidationException", "SerializationException", "UnsupportedOperationException", "InvalidArgumentException"}


class Caller:
    """One connection that is kept, as long as it is not needed for a stream of events."""

    def __init__(self, world: World, format_: str) -> None:
        self.world = world
        self.format = format_
        self.connection = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=30)

    def call(self, operation: str, members: Any) -> tuple[int, Any]:
        headers = {
            "X-Amz-Target": f"Kinesis_20131202.{operation}",
            "Content-Type": self.format,
            **authorization(self.world.account, self.world.region),
        }
        body = cbor2.dumps(members) if self.format == CBOR else json.dumps(members, allow_nan=False).encode()
        self.connection.request("POST", "/", body=body, headers=headers)
        answer = self.connection.getresponse()
        if answer.getheader("Content-Type") == "application/vnd.amazon.eventstream":
            # It goes on for minutes: that it began is enough, and the connection is given up.
            self.connection.close()
            return answer.status, None
        raw = answer.read()
        assert answer.getheader("Connection") != "close", (operation, members)
        assert answer.getheader("Content-Type") == self.format
        if not raw:
            return answer.status, None
        return answer.status, cbor.decode(raw) if self.format == CBOR else json.loads(raw)


def fitting(shape: Any, world: World, member: str = "") -> Any:
    """A value that the service takes, as far as a model can tell; names lead to what exists."""
    kind = shape.type_name
    if kind == "structure":
        return {name: fitting(shape.members[name], world, name) for name in shape.required_members}
    if kind == "list":
        return [fitting(shape.member, world, member)] * max(1, shape.metadata.get("min", 1))
    if kind == "map":
        return {"key": "value"}
    if kind == "string":
        arn = f"arn:aws:kinesis:us-east-1:{world.account}"
        names = {
            "StreamName": "model", "StreamARN": f"{arn}:stream/model", "ResourceARN": f"{arn}:stream/model",
            "ConsumerARN": f"{arn}:stream/model/consumer/reader:1", "ShardId": "shardId-000000000000",
            "ShardToSplit": "shardId-000000000000", "ShardToMerge": "shardId-000000000000",
            "AdjacentShardToMerge": "shardId-000000000001", "NewStartingHashKey": "1000",
            "QueueARN": f"{arn}:queue/q", "ChannelARN": f"{arn}:channel/c",
        }
        if member in names:
            return names[member]
        return shape.enum[0] if shape.enum else "a" * max(1, shape.metadata.get("min", 1))
    return {"integer": max(1, shape.metadata.get("min", 1)), "long": 1, "boolean": False, "timestamp": 1.0, "blob": ""}[kind]


def bounds(shape: Any, world: World, member: str) -> Iterator[Any]:
    """Values at and just beyond each of a shape's bounds."""
    kind, low, high = shape.type_name, shape.metadata.get("min"), shape.metadata.get("max")
    near = [n for bound in (low, high) if bound is not None for n in (bound - 1, bound, bound + 1) if n <= LONGEST]
    if kind in ("integer", "long"):
        yield from near
    elif kind == "string":
        yield from ("a" * n for n in near if n >= 0)
        yield from shape.enum
    elif kind == "list":
        element = fitting(shape.member, world, member)
        yield from ([element] * n for n in near if n >= 0)
    elif kind == "map":
        yield from ({f"k{number}": "v" for number in range(n)} for n in near if n >= 0)
        yield {"k" * 129: "v"}
        yield {"k": "v" * 257}


def variants(shape: Any, world: World, strangers: list[Any], member: str = "") -> Iterator[Any]:
    """The fitting value with one member at a time, at any depth, missing, null, strange, or at a bound."""
    base = fitting(shape, world, member)
    if shape.type_name == "structure":
        yield base
        for name, inner in shape.members.items():
            if name in base:
                yield {other: value for other, value in base.items() if other != name}
            for value in variants(inner, world, strangers, name):
                yield {**base, name: value}
        return
    yield from strangers
    yield from bounds(shape, world, member)
    if shape.type_name == "list":
        for value in variants(shape.member, world, strangers, member):
            yield [value]
    if shape.type_name == "map":
        for value in strangers:
            yield {"key": value}


@pytest.mark.parametrize("format_", [JSON, CBOR], ids=["json", "cbor"])
@pytest.mark.parametrize("operation", sorted(MODEL.operation_names))
def test_no_input_does_harm(free_world: World, operation: str, format_: str) -> None:
    world = free_world
    shape = MODEL.operation_model(operation)
    caller = Caller(world, format_)
    modelled = {error.name for error in shape.error_shapes} | FRAMEWORK
    strangers = STRANGERS + (CBOR_STRANGERS if format_ == CBOR else [])
    inputs = variants(shape.input_shape, world, strangers) if shape.input_shape else iter([{}, *strangers])
    seen: set[str] = set()
    has_stream = False
    for members in inputs:
        if not has_stream and "model" not in world.call("ListStreams")["StreamNames"]:
            world.call("CreateStream", StreamName="model", ShardCount=2)
        status, answer = caller.call(operation, members)
        # What succeeds may have deleted it.
        has_stream = status != 200
        if status == 200:
            seen.add("OK")
            continue
        code = answer["__type"]
        assert status == 400, (members, status, answer)
        assert code in modelled, (members, answer)
        seen.add(code)
    if shape.input_shape and shape.input_shape.members:
        assert seen & {"ValidationException", "SerializationException"}, seen


@pytest.mark.parametrize("format_", [JSON, CBOR], ids=["json", "cbor"])
def test_no_body_does_harm(free_world: World, format_: str) -> None:
    """Bodies that are no structure at all."""
    caller = Caller(free_world, format_)
    for members in STRANGERS + (CBOR_STRANGERS if format_ == CBOR else []):
        status, answer = caller.call("ListStreams", members)
        if isinstance(members, dict) and all(isinstance(key, str) for key in members):
            assert status == 200, members
        else:
            assert (status, answer) == (400, {"__type": "SerializationException"}), members
