"""How much memory the process takes at most, whatever clients do. Peaks (VmHWM), not moments; no times."""

from __future__ import annotations

import base64
import os
import resource
import socket
import struct
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.http import JSON, authorization
from support.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, Http2, frame
from support.server import Server
from support.worlds import World

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are read from /proc")

MIB = 1 << 20
BOUND = 300 * MIB


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A server of one test's own: a peak is never forgotten."""
    with Server(tmp_path / "data", "--transition-delay", "0ms", "--limits", "none", tls=False) as own:
        yield World(own)


def allow_files(wanted: int) -> None:
    """Lets this process have so many connections; the server takes what it may by itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted + 1500:
        pytest.skip(f"no more than {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 500), hard))


def peak(world: World) -> int:
    """The most that the server ever had resident, bytes."""
    process = world.server.process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def request(world: World, operation: str, length: int) -> bytes:
    """The head of a request with a body of so many bytes."""
    headers = {
        "Host": "localhost",
        "Content-Type": JSON,
        "Content-Length": str(length),
        "X-Amz-Target": f"Kinesis_20131202.{operation}",
        **authorization(world.account),
    }
    lines = ["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def status(connection: socket.socket) -> int:
    """The status of the next answer, which is read to its end."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65536)
        assert more, f"closed after {head!r}"
        head += more
    text, body = head.split(b"\r\n\r\n", 1)
    length = int(text.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return int(text[9:12])


def put(world: World, stream: str, size: int) -> bytes:
    """A PutRecord of `size` bytes."""
    data = base64.b64encode(os.urandom(size)).decode()
    body = f'{{"StreamName":"{stream}","PartitionKey":"k","Data":"{data}"}}'.encode()
    return request(world, "PutRecord", len(body)) + body


def test_connections_that_are_kept_for_later(world: World) -> None:
    wanted = 3000
    allow_files(wanted)
    stream = world.create()
    large, small = put(world, stream, 200_000), put(world, stream, 10)
    connections = []
    for _ in range(wanted):
        connection = world.http.connect()
        connection.sendall(large)
        assert status(connection) == 200
        connections.append(connection)
    # Each can be used on.
    for connection in connections[::50]:
        connection.sendall(small)
        assert status(connection) == 200
    assert peak(world) < BOUND
    for connection in connections:
        connection.close()


def test_connections_that_are_only_held(world: World) -> None:
    wanted = 10_000
    allow_files(wanted)
    held = []
    for at in range(wanted):
        connection = world.http.connect()
        # Some with half a head, which needs a buffer.
        if at % 10 == 0:
            connection.sendall(b"POST / HTTP/1.1\r\n")
        held.append(connection)
    stream = world.create()
    assert world.put(stream)["ShardId"]
    assert peak(world) < BOUND
    for connection in held:
        connection.close()


def test_large_puts_all_at_once(world: World) -> None:
    stream = world.create(shards=4)
    data = base64.b64encode(os.urandom(MIB - 1000)).decode()
    records = ",".join(f'{{"Data":"{data}","PartitionKey":"k{n}"}}' for n in range(10))
    body = f'{{"StreamName":"{stream}","Records":[{records}]}}'.encode()
    whole = request(world, "PutRecords", len(body)) + body

    def one(_: int) -> int:
        with world.http.connect() as connection:
            connection.sendall(whole)
            return status(connection)

    with ThreadPoolExecutor(64) as clients:
        answers = set(clients.map(one, range(64)))
    # A slow disk may make some wait for too long: they are to come again.
    assert 200 in answers and answers <= {200, 503}
    assert peak(world) < BOUND


def test_uploads_that_do_not_end(world: World) -> None:
    allow_files(1000)
    stream = world.create()
    begun = []
    for _ in range(1000):
        connection = world.http.connect()
        connection.sendall(request(world, "PutRecord", MIB) + b" " * 30_000)
        begun.append(connection)
    # Others are served meanwhile.
    assert world.put(stream)["ShardId"]
    assert peak(world) < BOUND
    for connection in begun:
        connection.close()


def test_uploads_that_do_not_end_after_large_ones(world: World) -> None:
    """A connection that has read much at once must not keep what it needed for that while it trickles."""
    allow_files(1000)
    stream = world.create()
    large = put(world, stream, 200_000)
    begun = []
    for _ in range(1000):
        connection = world.http.connect()
        connection.sendall(large)
        assert status(connection) == 200
        connection.sendall(request(world, "PutRecord", MIB) + b" ")
        begun.append(connection)
    assert world.put(stream)["ShardId"]
    assert peak(world) < BOUND
    for connection in begun:
        connection.close()


def test_uploads_by_http2_that_do_not_end(world: World) -> None:
    allow_files(600)
    stream = world.create()
    begun = []
    for _ in range(600):
        connection = Http2(world.server.port)
        upload = connection.call(world.account, "PutRecord", 8 * MIB)
        connection.socket.sendall(frame(HEADERS, END_HEADERS, 1, upload) + frame(HEADERS, END_HEADERS, 3, upload))
        connection.socket.setblocking(False)
        begun.append(connection)
    rest = {connection: (frame(DATA, 0, 1, b" " * 16_384) + frame(DATA, 0, 3, b" " * 16_384)) * 31 for connection in begun}
    # What the windows allow, and as long as the server takes any of it.
    quiet = 0
    while rest and quiet < 20:
        moved = False
        for connection in list(rest):
            try:
                rest[connection] = rest[connection][connection.socket.send(rest[connection]) :]
                moved = True
            except BlockingIOError:
                pass
            except OSError:
                rest[connection] = b""
            if not rest[connection]:
                del rest[connection]
        quiet = 0 if moved else quiet + 1
        time.sleep(0 if moved else 0.05)
    assert world.put(stream)["ShardId"]
    assert peak(world) < BOUND
    for connection in begun:
        connection.socket.close()


def test_answers_by_http2_that_nobody_takes(world: World) -> None:
    stream = world.create()
    world.put(stream, data=os.urandom(60_000))
    iterator = world.iterator(stream)
    body = f'{{"ShardIterator":"{iterator}"}}'.encode()
    shut = []
    for _ in range(4):
        connection = Http2(world.server.port, struct.pack(">HI", INITIAL_WINDOW_SIZE, 0))
        head = connection.call(world.account, "GetRecords", len(body))
        for at in range(250):
            number = 2 * at + 1
            connection.socket.sendall(frame(HEADERS, END_HEADERS, number, head) + frame(DATA, END_STREAM, number, body))
        shut.append(connection)
    # Others are served meanwhile.
    assert world.put(stream)["ShardId"]
    assert peak(world) < BOUND
    for connection in shut:
        connection.socket.close()
