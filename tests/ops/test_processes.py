"""Signals, the lock on a data directory, its permissions, and `check`."""

from __future__ import annotations

import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from support import waiting
from support.server import Server, run
from support.worlds import World


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_stops_it_cleanly(own_server: Server, number: int) -> None:
    world = World(own_server)
    name = world.create()
    world.put(name, b"kept")
    own_server.signal(number)
    assert own_server.wait() == 0
    own_server.start()
    assert [record["Data"] for record in world.read(name)] == [b"kept"]


def test_a_second_signal_does_not_wait(own_server: Server) -> None:
    """A request that never ends holds up the first one only."""
    with World(own_server).http.connect() as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1")
        own_server.signal(signal.SIGTERM)

        def ended() -> bool:
            if own_server.process.poll() is None:
                own_server.signal(signal.SIGTERM)
            return own_server.process.poll() is not None

        waiting.until(ended, "the server ends at the second signal", deadline=8)
    own_server.wait()


def test_requests_in_flight_are_answered(own_server: Server) -> None:
    """Puts that run into a stop are either answered or never were: none is answered and lost."""
    world = World(own_server)
    name = world.create()
    acknowledged: list[str] = []
    go = threading.Event()

    def put() -> None:
        try:
            while True:
                acknowledged.append(world.put(name)["SequenceNumber"])
                go.set()
        except Exception:  # noqa: BLE001 - whatever a stopped server means to the client
            go.set()

    world.kinesis  # made before the threads
    writers = [threading.Thread(target=put) for _ in range(4)]
    for writer in writers:
        writer.start()
    assert go.wait(30)
    assert own_server.stop() == 0
    for writer in writers:
        writer.join(30)
    own_server.start()
    kept = {record["SequenceNumber"] for record in world.read(name)}
    assert set(acknowledged) <= kept


def test_two_servers_on_one_directory(own_server: Server) -> None:
    done = run("serve", "--listen", "127.0.0.1:0", "--data-dir", own_server.data)
    assert done.returncode != 0
    assert str(own_server.process.pid) in done.stderr
    # After a kill the directory is free again.
    own_server.kill()
    own_server.start()


def test_permissions(own_server: Server) -> None:
    world = World(own_server)
    name = world.create()
    world.put(name)
    world.iterator(name)
    assert stat.S_IMODE(own_server.data.stat().st_mode) == 0o700
    for folder, folders, files in os.walk(own_server.data):
        for entry in folders:
            assert stat.S_IMODE((Path(folder) / entry).stat().st_mode) == 0o700, entry
        for entry in files:
            assert stat.S_IMODE((Path(folder) / entry).stat().st_mode) == 0o600, entry


def test_a_deleted_streams_files_are_gone(own_server: Server) -> None:
    world = World(own_server)
    marker = os.urandom(32)
    name = world.create()
    world.put(name, marker)

    def holding() -> list[Path]:
        return [path for path in own_server.data.rglob("*") if path.is_file() and marker in path.read_bytes()]

    assert holding()
    world.call("DeleteStream", StreamName=name)
    world.gone(name)
    waiting.until(lambda: not holding(), "no file holds a deleted stream's record")


def test_check(own_server: Server) -> None:
    world = World(own_server)
    name = world.create(2)
    for number in range(50):
        world.patiently("PutRecord", StreamName=name, Data=bytes(1000), PartitionKey=str(number))
    # Not while a server has it.
    done = run("check", own_server.data)
    assert done.returncode != 0
    assert str(own_server.process.pid) in done.stderr + done.stdout
    own_server.stop()
    done = run("check", own_server.data)
    assert done.returncode == 0, done.stdout + done.stderr
    own_server.start()
    own_server.kill()
    done = run("check", own_server.data)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run("check", own_server.data / "nowhere").returncode != 0


def largest(folder: Path, marker: bytes) -> Path:
    """The file that holds a record."""
    found = [path for path in folder.rglob("*") if path.is_file() and marker in path.read_bytes()]
    assert len(found) == 1, found
    return found[0]


def test_corruption_is_found_named_and_repaired(tmp_path: Path) -> None:
    """A bit that turned in the middle of what was acknowledged: reads of it fail, others go on, repair makes a hole."""
    server = Server(tmp_path / "data", "--transition-delay", "0ms", "--limits", "none")
    with server:
        world = World(server)
        name = world.create()
        marker = os.urandom(64)
        numbers = [world.put(name, data)["SequenceNumber"] for data in (b"first", marker, b"last")]
        server.stop()
        file = largest(server.data, marker)
        whole = file.read_bytes()
        at = whole.index(marker)
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])

        assert run("check", server.data).returncode != 0
        server.start()
        first = world.page(world.iterator(name), Limit=1)
        assert [record["Data"] for record in first["Records"]] == [b"first"]
        assert world.refused("GetRecords", ShardIterator=first["NextShardIterator"])[0].startswith("Internal")
        last = world.read(name, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2])
        assert [record["Data"] for record in last] == [b"last"]
        server.stop()

        done = run("check", server.data, "--repair")
        assert done.returncode == 0, done.stdout + done.stderr
        server.start()
        assert [record["Data"] for record in world.read(name)] == [b"first", b"last"]
        assert int(world.put(name, b"new")["SequenceNumber"]) > int(numbers[2])
        assert [record["Data"] for record in world.read(name)] == [b"first", b"last", b"new"]
