"""HTTP/2 with prior knowledge on the same port, spoken by hand: what one frame after the other must do."""

from __future__ import annotations

import struct

from support.http2 import ACK, DATA, END_STREAM, GOAWAY, HEADERS, PING, SETTINGS, Http2, frame
from support.server import Server
from support.worlds import World


def test_prior_knowledge(server: Server) -> None:
    world = World(server)
    http2 = Http2(server.port)
    http2.until(SETTINGS)
    http2.socket.sendall(http2.request(1, world.account, b"{}") + http2.request(3, world.account, b"{}"))
    bodies: dict[int, bytes] = {1: b"", 3: b""}
    ended: set[int] = set()
    while ended != {1, 3}:
        kind, flags, stream, payload = http2.receive()
        assert kind != GOAWAY, payload
        if kind == DATA:
            bodies[stream] += payload
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            ended.add(stream)
    for body in bodies.values():
        assert b'"StreamNames":[]' in body


def test_pings_are_answered(server: Server) -> None:
    http2 = Http2(server.port)
    http2.socket.sendall(frame(PING, 0, 0, b"12345678"))
    assert http2.until(PING, flags=ACK) == b"12345678"


def test_many_streams_are_allowed(server: Server) -> None:
    settings = Http2(server.port).until(SETTINGS)
    values = dict(struct.unpack(">HI", settings[at:at + 6]) for at in range(0, len(settings), 6))
    assert values.get(3, 2**32) >= 100, "MAX_CONCURRENT_STREAMS"
