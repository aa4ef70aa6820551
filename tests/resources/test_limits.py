"""No more open files, little memory, and a process that stands still."""

from __future__ import annotations

import os
import resource
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from support import waiting
from support.load import Load, health
from support.server import Server
from support.worlds import World

FLAGS = ("--transition-delay", "0ms", "--limits", "none", "--log-level", "error")
FILES = 128
MEMORY = 400 << 20
# Longer where there is time: `LONG=1`.
STOP_SECONDS = 30 if os.environ.get("LONG") else 5


def test_no_more_open_files(tmp_path: Path) -> None:
    """More connections and streams than there are files to open for them: a quarter each."""
    with Server(tmp_path / "data", *FLAGS, limits={resource.RLIMIT_NOFILE: FILES}) as server:
        world = World(server)
        streams = [world.create(1) for _ in range(FILES // 2)]
        with Load(world, streams, threads=8, batch=5) as load:
            load.more(3 * FILES * 5)
            with ExitStack() as idle:
                for _ in range(100):
                    # A quarter of the files is for connections: most of these wait to be accepted.
                    idle.enter_context(closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)))
                # Who is in goes on.
                load.more(FILES * 5)
                assert server.files() <= FILES
            load.more(FILES * 5)
            assert not load.errors, load.errors
            assert health(world)["status"] == "ok", health(world)
        load.verify_now_and_after_restart(kill=True)


@contextmanager
def memory_limit(server: Server) -> Iterator[Callable[[], str]]:
    """Holds a server that runs to `MEMORY`: by a control group where we may make one, else by RLIMIT_DATA. Gives what says
    how it went."""
    assert server.process is not None
    pid = server.process.pid
    group = control_group()
    if group is None:
        warnings.warn("no control group can be made here: memory is limited by RLIMIT_DATA", stacklevel=2)
        resource.prlimit(pid, resource.RLIMIT_DATA, (MEMORY, MEMORY))
        yield lambda: "limited by RLIMIT_DATA"
        return
    folder, limit, peak = group
    try:
        (folder / limit).write_text(str(MEMORY))
        (folder / "cgroup.procs").write_text(str(pid))
        yield lambda: f"at most {int((folder / peak).read_text()) >> 20} MiB, page cache and all"
    finally:
        server.close()
        waiting.until(lambda: not (folder / "cgroup.procs").read_text(), "the group is empty")
        folder.rmdir()


def control_group() -> tuple[Path, str, str] | None:
    """A new control group and its files for the limit and the peak, of version 1 or 2."""
    for root, limit, peak in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
        ("/sys/fs/cgroup", "memory.max", "memory.peak"),
    ):
        folder = Path(root) / f"millstream-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / limit).exists():
            return folder, limit, peak
        folder.rmdir()
    return None


def test_little_memory(tmp_path: Path) -> None:
    """More clients with more in flight than fits: some may be told to come again, none is lost, the process lives."""
    with Server(tmp_path / "data", *FLAGS) as server:
        with memory_limit(server) as how:
            world = World(server)
            streams = [world.create(4) for _ in range(4)]
            over = threading.Event()
            # 24 clients with 5 MB each, encoded 7, and the batch beside them; 4 with pages of 10 MB, encoded 13.
            with Load(world, streams, threads=24, size=500_000, batch=10) as load:
                readers = [threading.Thread(target=read_pages, args=[world, streams, over], daemon=True) for _ in range(4)]
                for reader in readers:
                    reader.start()
                load.more(100, deadline=120)
                over.set()
                for reader in readers:
                    reader.join(60)
                    assert not reader.is_alive(), "a reader got no answer"
            assert set(load.errors) <= {"ServiceUnavailable", "ServiceUnavailableException"}, load.errors
            assert server.process is not None and server.process.poll() is None
            print(how(), dict(load.errors))
        server.start()
        load.verify()


def read_pages(world: World, streams: list[str], over: threading.Event) -> None:
    """Reads the first page of each shard, and throws it away."""
    while not over.is_set():
        for stream in streams:
            for number in range(4):
                seek = {"StreamName": stream, "ShardId": f"shardId-{number:012}", "ShardIteratorType": "TRIM_HORIZON"}
                answer = world.http.call("GetShardIterator", seek)
                if answer.status == 200 and not over.is_set():
                    world.http.call("GetRecords", {"ShardIterator": answer.json()["ShardIterator"]})


def test_a_process_that_stands_still(tmp_path: Path) -> None:
    """SIGSTOP and SIGCONT under load: what was under way goes on, and so do iterators and subscriptions."""
    with Server(tmp_path / "data", *FLAGS) as server:
        world = World(server)
        stream = world.create(1)
        consumer = world.register(stream)
        seen: list[str] = []
        problems: list[Exception] = []
        over = threading.Event()

        def follow() -> None:
            """Subscribes again after the last record whenever a subscription ends."""
            try:
                position = {"kind": "TRIM_HORIZON"}
                while not over.is_set():
                    with closing(world.subscribe(consumer, **position)) as events:
                        for event in events:
                            records = event["SubscribeToShardEvent"]["Records"]
                            seen.extend(record["SequenceNumber"] for record in records)
                            if over.is_set():
                                return
                    if seen:
                        position = {"kind": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": seen[-1]}
            except Exception as problem:  # noqa: BLE001 - told by the test
                problems.append(problem)

        world.kinesis  # made before the threads
        follower = threading.Thread(target=follow, daemon=True)
        with Load(world, [stream], pause=0.01) as load:
            load.more(100)
            follower.start()
            iterator = world.iterator(stream)
            page = world.page(iterator, Limit=10)
            server.signal(signal.SIGSTOP)
            # The stop itself; it waits for nothing.
            time.sleep(STOP_SECONDS)
            server.signal(signal.SIGCONT)
            load.more(200)
            assert not load.errors, f"calls that waited for {STOP_SECONDS} s are answered: {load.errors}"
        rest = world.drain(page["NextShardIterator"])
        assert len(page["Records"]) + len(rest) == len(load.acknowledged)
        waiting.until(lambda: problems or len(seen) >= len(load.acknowledged), "the subscription has caught up")
        over.set()
        assert not problems, problems
        assert seen == sorted(place[2] for place in load.acknowledged)
        assert health(world) == {"status": "ok", "problems": []}
        load.verify_now_and_after_restart()
        follower.join(30)
