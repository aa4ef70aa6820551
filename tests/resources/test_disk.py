"""A file system that is really full, and one that really turns read-only, under load."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import waiting
from support.filesystem import FileSystem, may_mount, mounted
from support.load import Load, health
from support.server import Server, run
from support.worlds import World

FLAGS = ("--transition-delay", "0ms", "--limits", "none", "--log-level", "error")
SIZE = "300M"


@contextmanager
def full_later(where: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Where the data go, and the flags with which some 240 MB of them fill the disk."""
    why = may_mount()
    if why is None:
        with mounted(where, SIZE) as disk:
            yield disk.folder / "data", FLAGS
        return
    warnings.warn(f"{why}: the disk is full by --min-free, not really", stacklevel=2)
    found = os.statvfs(where)
    yield where / "data", (*FLAGS, "--min-free", str(found.f_bavail * found.f_frsize - 240_000_000))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FileSystem]:
    if why := may_mount():
        pytest.skip(f"NOT TESTED: {why}, and without a mount no file system fails")
    with mounted(tmp_path, SIZE) as filesystem:
        yield filesystem


def test_puts_fill_the_disk_and_go_on_when_a_stream_is_deleted(tmp_path: Path) -> None:
    with full_later(tmp_path) as (data, flags), Server(data, *flags) as server:
        world = World(server)
        kept, doomed = world.create(2), world.create(2)
        with Load(world, [kept, doomed], size=20_000) as load:
            load.more(100)
            load.failing()
            waiting.until(lambda: health(world)["status"] == "degraded", "health says that the disk is full")
            assert any("space" in problem or "full" in problem for problem in health(world)["problems"]), health(world)
            assert all(code.startswith("Internal") for code in load.errors), load.errors
            # Reads go on, and so does the control plane.
            assert world.read(kept, world.shards(kept)[0]["ShardId"])
            world.call("AddTagsToStream", StreamName=kept, Tags={"still": "works"})
            load.forget(doomed)
            world.call("DeleteStream", StreamName=doomed)
            load.more(200)
            waiting.until(lambda: health(world)["status"] == "ok", "health says that all is well")
            load.forget(doomed)
        load.verify_now_and_after_restart(kill=True)


def test_another_program_takes_the_last_block(disk: FileSystem) -> None:
    """Without the margin of --min-free the server meets the end of the disk in the middle of whatever it does."""
    with Server(disk.folder / "data", *FLAGS, "--min-free", "0B") as server:
        world = World(server)
        streams = [world.create(2) for _ in range(3)]
        with Load(world, streams, size=20_000) as load:
            for _ in range(3):
                load.more(100)
                filler = disk.fill()
                # The server gives up its reserve, so that deletions work. That is taken too.
                waiting.until(lambda: disk.fill() and disk.free < 1 << 20, "nothing is left")
                load.failing()
                assert all(code.startswith("Internal") for code in load.errors), load.errors
                for stream in streams:
                    assert world.read(stream, world.shards(stream)[0]["ShardId"])
                filler.unlink()
                load.more(100)
            waiting.until(lambda: health(world)["status"] == "ok", "health says that all is well")
        load.verify_now_and_after_restart(kill=True)


def test_a_start_on_a_full_disk(disk: FileSystem) -> None:
    server = Server(disk.folder / "data", *FLAGS)
    with server:
        world = World(server)
        stream = world.create(2)
        with Load(world, [stream]) as load:
            load.more(200)
        server.kill()
        filler = disk.fill()
        server.start()
        load.verify()
        assert world.refused("PutRecord", StreamName=stream, Data=b"x", PartitionKey="k")[0].startswith("Internal")
        server.kill()
        server.start()
        load.verify()
        filler.unlink()
        waiting.until(lambda: health(world)["status"] == "ok", "health says that there is room")
        world.put(stream, load.data(1 << 40))


def test_a_file_system_turns_read_only(disk: FileSystem) -> None:
    with Server(disk.folder / "data", *FLAGS) as server:
        world = World(server)
        streams = [world.create(2), world.create(2)]
        with Load(world, streams) as load:
            load.more(400)
            disk.fail()
            load.failing()
            assert all(code.startswith("Internal") for code in load.errors), load.errors
            count = load.verify()
            assert health(world)["status"] == "degraded"
            code, _ = world.refused("CreateStream", StreamName="new", ShardCount=1)
            assert code.startswith("Internal")
        server.kill()
        done = run("serve", "--listen", "127.0.0.1:0", "--data-dir", server.data)
        assert done.returncode != 0
        assert len(done.stderr.strip().splitlines()) == 1 and "ead-only" in done.stderr, done.stderr
        disk.repair()
        server.start()
        assert load.verify() >= count
        world.put(streams[0], load.data(1 << 40))


def test_a_start_on_a_read_only_file_system(disk: FileSystem) -> None:
    for folder in (disk.folder / "new", disk.folder / "data"):
        with Server(disk.folder / "data", *FLAGS) as server:
            World(server).create()
        disk.remount("ro")
        done = run("serve", "--listen", "127.0.0.1:0", "--data-dir", folder)
        disk.remount("rw")
        assert done.returncode != 0
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "ead-only" in done.stderr and str(folder) in done.stderr, done.stderr
