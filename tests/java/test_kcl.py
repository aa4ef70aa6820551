"""The Kinesis Client Library for Java, 3.x and 1.x: over a split and a merge, over the death of a worker, over restarts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from support import kcl, ports, waiting
from support.jvm import Jvm
from support.server import Server
from support.worlds import World

KEYS = [f"key-{number}" for number in range(20)]
RETRIEVALS = ["polling", "fan-out"]


@pytest.fixture
def fixed_server(tmp_path: Path) -> Iterator[Server]:
    """A server that comes back on the same port after a restart, since its clients do not look for another."""
    listen = f"127.0.0.1:{ports.free()}"
    server = Server(tmp_path / "data", "--transition-delay", "50ms", "--listen", listen, tls=False)
    server.start()
    yield server
    server.close()


class Producer:
    """Puts numbered records, the same number for every key, until it is told to stop.

    A number is put again until it is acknowledged, so after a restart some are in the stream twice.
    """

    def __init__(self, world: World, stream: str) -> None:
        # The same client throughout: the server comes back where it was.
        self.kinesis = world.kinesis
        self.stream = stream
        self.acknowledged = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Producer":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join(60)
        assert not self.thread.is_alive(), "the producer is stuck"

    def _run(self) -> None:
        while not self.stopping.wait(0.05):
            number = self.acknowledged
            if self._put(number):
                self.acknowledged = number + 1

    def _put(self, number: int) -> bool:
        records = [{"Data": str(number).encode(), "PartitionKey": key} for key in KEYS]
        try:
            answer = self.kinesis.put_records(StreamName=self.stream, Records=records)
        except (ClientError, BotoCoreError):
            return False
        return answer["FailedRecordCount"] == 0

    def more(self, count: int = 20) -> None:
        """Waits until so many further numbers are acknowledged."""
        goal = self.acknowledged + count
        waiting.until(lambda: self.acknowledged >= goal, f"{count} more rounds are acknowledged")

    def expected(self) -> set[tuple[str, str]]:
        return {(key, str(number)) for key in KEYS for number in range(self.acknowledged)}


def lineage(world: World, stream: str) -> dict[str, list[str]]:
    return {
        shard["ShardId"]: [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard]
        for shard in world.shards(stream)
    }


def check_all(application: kcl.Application, world: World, producer: Producer) -> None:
    """Every record arrives; a key's in order, a shard's in order, a parent's before its children's."""
    application.until(lambda: application.arrived() >= producer.expected(), "every record has arrived")
    events = list(application.events)
    kcl.check_order_by_key(events)
    kcl.check_order_by_shard(events)
    kcl.check_parents_first(events, lineage(world, application.stream))


@pytest.mark.parametrize("retrieval", [*RETRIEVALS, "version-1"])
def test_a_split_a_merge_and_a_killed_worker(
    retrieval: str, jvm: Jvm, request: pytest.FixtureRequest, fixed_server: Server, tmp_path: Path
) -> None:
    tables = request.getfixturevalue("old_tables" if retrieval == "version-1" else "tables")
    world = World(fixed_server, account=kcl.ACCOUNT)
    stream = world.create(3, name=f"resharded-{retrieval}")
    application = kcl.Application(jvm, stream, retrieval, fixed_server.endpoint, tables, tmp_path)
    try:
        with Producer(world, stream) as producer:
            first = application.worker("first")
            application.until(lambda: len(application.seen("started", first)) == 3, "the first worker reads all shards")
            second = application.worker("second")
            application.until(lambda: application.held(second), "the workers share the shards")

            world.call("SplitShard", StreamName=stream, ShardToSplit="shardId-000000000000",
                       NewStartingHashKey=str(2**128 // 6))
            world.active(stream)
            children = {"shardId-000000000003", "shardId-000000000004"}
            application.until(lambda: application.seen("record") >= children, "the halves are read")
            producer.more()
            world.call("MergeShards", StreamName=stream, ShardToMerge="shardId-000000000004",
                       AdjacentShardToMerge="shardId-000000000001")
            world.active(stream)
            application.until(lambda: "shardId-000000000005" in application.seen("record"), "the merged shard is read")
            producer.more()

            victim, survivor = (first, second) if application.held(first) else (second, first)
            orphans = application.held(victim)
            assert orphans
            victim.kill()
            application.until(lambda: application.held(survivor) >= orphans, "the survivor takes over")
            producer.more()
        check_all(application, world, producer)
        assert survivor.stop() == 143
        assert application.seen("stopping", survivor) >= orphans
    finally:
        application.close()


@pytest.mark.parametrize("retrieval", RETRIEVALS)
def test_the_server_restarts(retrieval: str, jvm: Jvm, tables: str, fixed_server: Server, tmp_path: Path) -> None:
    world = World(fixed_server, account=kcl.ACCOUNT)
    stream = world.create(2, name=f"restarted-{retrieval}")
    application = kcl.Application(jvm, stream, retrieval, fixed_server.endpoint, tables, tmp_path)
    try:
        with Producer(world, stream) as producer:
            worker = application.worker("only")
            application.until(lambda: len(application.seen("record", worker)) == 2, "both shards are read")
            for kill in (False, True):
                producer.more()
                fixed_server.restart(kill=kill)
                producer.more()
                latest = {(key, str(producer.acknowledged - 1)) for key in KEYS}
                application.until(lambda: application.arrived() >= latest, "records arrive after the restart")
        check_all(application, world, producer)
        # The processors never noticed: none was ended, none was begun again.
        life = sorted((event.kind, event.shard) for event in application.events if event.kind != "record")
        assert life == [("started", "shardId-000000000000"), ("started", "shardId-000000000001")]
        assert worker.stop() == 143
    finally:
        application.close()
