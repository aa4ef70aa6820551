"""A KCL application: its workers are processes, and what their record processors see is one list of events."""

from __future__ import annotations

import subprocess
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from support import waiting
from support.jvm import Jvm

ACCOUNT = "444455556666"
# A worker looks for leases every few seconds, also with the short intervals that the tests set.
DEADLINE = 90.0


@dataclass(frozen=True)
class Event:
    """One line of a worker: `started`, `record`, `ended`, `lost` or `stopping`, for one shard."""

    worker: str
    kind: str
    shard: str
    sequence: str = ""
    subsequence: str = ""
    key: str = ""
    data: str = ""


class Worker:
    """One process of the application."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL: no lease is handed over."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, on which it stops gracefully, and the exit status."""
        self.process.terminate()
        return self.process.wait(60)


class Application:
    """The workers of one application on one stream. `retrieval` is the KCL 3.x's `polling` or `fan-out`, or `version-1` for
    the KCL 1.x, which only polls.
    """

    def __init__(self, jvm: Jvm, stream: str, retrieval: str, endpoint: str, tables: str, logs: Path,
                 properties: dict[str, str] | None = None) -> None:
        self.jvm = jvm
        self.program = "millstream.kcl1.Worker" if retrieval == "version-1" else "millstream.kcl.Worker"
        self.arguments = (retrieval, endpoint, tables)
        self.stream = stream
        self.logs = logs
        self.properties = properties or {}
        self.events: list[Event] = []
        self.workers: list[Worker] = []

    def worker(self, name: str) -> Worker:
        """Starts a worker."""
        log = self.logs / f"{name}.log"
        process = self.jvm.start(self.program, self.stream, self.stream, name, *self.arguments, log=log,
                                 properties=self.properties)
        worker = Worker(name, process, log)
        self.workers.append(worker)
        threading.Thread(target=self._collect, args=[worker], daemon=True).start()
        return worker

    def _collect(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            # A worker that is killed may leave half a line.
            if line.endswith("\n"):
                self.events.append(Event(worker.name, *line.split()))

    def seen(self, kind: str, worker: Worker | None = None) -> set[str]:
        """The shards for which there was such an event, of one worker or of any."""
        return {event.shard for event in list(self.events)
                if event.kind == kind and (worker is None or event.worker == worker.name)}

    def held(self, worker: Worker) -> set[str]:
        """The shards that a worker has a processor for at this time."""
        shards: set[str] = set()
        for event in list(self.events):
            if event.worker == worker.name and event.kind == "started":
                shards.add(event.shard)
            elif event.worker == worker.name and event.kind in ("ended", "lost"):
                shards.discard(event.shard)
        return shards

    def until(self, condition, what: str) -> None:
        """Waits for a condition; none of the workers may end by itself meanwhile."""

        def look() -> bool:
            for worker in self.workers:
                status = worker.process.poll()
                # Killed ones and stopped ones are no longer in the list of those that run.
                assert status in (None, -9, 143), f"{worker.name} ended with {status}:\n{tail(worker.log)}"
            return bool(condition())

        try:
            waiting.until(look, what, DEADLINE)
        except AssertionError as failure:
            logs = "\n".join(f"--- {worker.name}\n{tail(worker.log)}" for worker in self.workers)
            seen = [event for event in self.events if event.kind != "record"]
            raise AssertionError(f"{failure}\nevents but records: {seen}\n{logs}") from failure

    def arrived(self) -> set[tuple[str, str]]:
        """Key and data of every record so far."""
        return {(event.key, event.data) for event in list(self.events) if event.kind == "record"}

    def close(self) -> None:
        """Ends whatever still runs."""
        for worker in self.workers:
            worker.kill()


def tail(log: Path, lines: int = 40) -> str:
    return "\n".join(line[:300] for line in log.read_text().splitlines()[-lines:])


def check_order_by_key(events: list[Event]) -> None:
    """A record may come again, but none comes for the first time after a later one of its key. Data are numbers."""
    newest: dict[str, int] = defaultdict(lambda: -1)
    known: set[tuple[str, str]] = set()
    for event in events:
        if event.kind == "record" and (event.key, event.data) not in known:
            known.add((event.key, event.data))
            assert int(event.data) > newest[event.key], f"{event} came first after number {newest[event.key]}"
            newest[event.key] = int(event.data)


def check_order_by_shard(events: list[Event]) -> None:
    """Within the life of one record processor sequence numbers grow."""
    last: dict[tuple[str, str], tuple[int, int]] = {}
    for event in events:
        place = (event.worker, event.shard)
        if event.kind == "started":
            last[place] = (-1, -1)
        elif event.kind == "record":
            position = (int(event.sequence), int(event.subsequence))
            assert position > last[place], f"{event} is not after {last[place]}"
            last[place] = position


def check_parents_first(events: list[Event], parents: dict[str, list[str]]) -> None:
    """A shard's first record comes after all its parents, those that were read, have ended."""
    first: dict[str, int] = {}
    ended: dict[str, int] = {}
    for position, event in enumerate(events):
        if event.kind == "record":
            first.setdefault(event.shard, position)
        elif event.kind == "ended":
            ended.setdefault(event.shard, position)
    for shard, position in first.items():
        for parent in parents[shard]:
            assert parent in ended, f"{shard} was read, its parent {parent} never ended"
            assert ended[parent] < position, f"{shard} was read before its parent {parent} had ended"
