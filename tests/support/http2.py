"""HTTP/2 by hand, frame by frame: for what no library's client does."""

from __future__ import annotations

import socket
import struct

from support.http import JSON, authorization

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7
ACK, END_STREAM, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4


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

    def __init__(self, port: int, settings: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.port = port
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))

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

    def call(self, account: str, operation: str, length: int | None = None) -> bytes:
        """The head of a call, for a body of so many bytes."""
        fields = {
            ":method": "POST", ":scheme": "http", ":path": "/", ":authority": f"127.0.0.1:{self.port}",
            "content-type": JSON, "x-amz-target": f"Kinesis_20131202.{operation}",
            **{name.lower(): value for name, value in authorization(account).items()},
        }
        if length is not None:
            fields["content-length"] = str(length)
        return b"".join(literal(name, value) for name, value in fields.items())

    def request(self, stream: int, account: str, body: bytes) -> bytes:
        """The frames of a ListStreams."""
        head = frame(HEADERS, END_HEADERS, stream, self.call(account, "ListStreams"))
        return head + frame(DATA, END_STREAM, stream, body)
