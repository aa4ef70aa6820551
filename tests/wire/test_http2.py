"""HTTP/2 with prior knowledge on the same port, spoken by hand: what one frame after the other must do."""

from __future__ import annotations

import socket
import struct

from support.http import JSON, authorization
from support.server import Server
from support.worlds import World

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7
ACK, END_STREAM, END_HEADERS = 1, 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header field that uses no table and no Huffman code."""

    def text(raw: bytes) -> bytes:
        if len(raw) < 127:
            return bytes([len(raw)]) + raw
        rest, more = len(raw) - 127, b""
        while rest >= 128:
            more, rest = more + bytes([rest % 128 + 128]), rest // 128
        return b"\x7f" + more + bytes([rest]) + raw

    return b"\x00" + text(name.encode()) + text(value.encode())


class Http2:
    """A connection that has said its preface."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.port = port
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))

    def receive(self) -> tuple[int, int, int, bytes]:
        head = self._exactly(9)
        length = int.from_bytes(head[:3], "big")
        return head[3], head[4], int.from_bytes(head[5:], "big") & 2**31 - 1, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            more = self.socket.recv(count - len(received))
            assert more, "the server closed the connection"
            received += more
        return received

    def until(self, kind: int, stream: int = 0, flags: int = 0) -> bytes:
        """Reads on to a frame of this kind and stream with these flags."""
        while True:
            got, got_flags, got_stream, payload = self.receive()
            assert got != GOAWAY, payload
            if (got, got_stream) == (kind, stream) and got_flags & flags == flags:
                return payload

    def request(self, stream: int, account: str, body: bytes) -> bytes:
        """The frames of a ListStreams."""
        fields = {
            ":method": "POST", ":scheme": "http", ":path": "/", ":authority": f"127.0.0.1:{self.port}",
            "content-type": JSON, "x-amz-target": "Kinesis_20131202.ListStreams",
            **{name.lower(): value for name, value in authorization(account).items()},
        }
        headers = b"".join(literal(name, value) for name, value in fields.items())
        return frame(HEADERS, END_HEADERS, stream, headers) + frame(DATA, END_STREAM, stream, body)


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
