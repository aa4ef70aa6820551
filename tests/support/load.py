"""Clients that put and note what was acknowledged, whatever happens to the server meanwhile; and the reading back."""

from __future__ import annotations

import base64
import collections
import http.client
import itertools
import json
import threading
from typing import Any

from support import waiting
from support.http import JSON, authorization
from support.worlds import World

TIMEOUT = 90.0


class Load:
    """Threads that put records, numbered, to the streams of one world in turn until they are stopped.

    It is to be used in a `with`. A call that failed is counted by its error, and the next one is made; a connection that
    broke is opened anew.
    """

    def __init__(
        self, world: World, streams: list[str], threads: int = 4, size: int = 2000, batch: int = 20, pause: float = 0.0,
        first: int = 0,
    ) -> None:
        self.world, self.streams, self.size, self.batch, self.pause = world, streams, size, batch, pause
        # What was acknowledged: its place, and the number of the record.
        self.acknowledged: dict[tuple[str, str, str], int] = {}
        self.refused: set[int] = set()
        self.errors: collections.Counter[str] = collections.Counter()
        self.messages: set[str] = set()
        self._numbers = itertools.count(first)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[thread], daemon=True) for thread in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the load once the calls that are under way have ended."""
        self._over.set()
        for thread in self._threads:
            thread.join(TIMEOUT + 30)
            assert not thread.is_alive(), "a call neither finished nor failed"

    def more(self, count: int = 50, deadline: float = 60) -> None:
        """Waits until `count` more records are acknowledged."""
        goal = len(self.acknowledged) + count
        waiting.until(lambda: len(self.acknowledged) >= goal, f"{count} more records are acknowledged; {self.errors}", deadline)

    def failing(self, deadline: float = 120) -> None:
        """Waits until a put failed that began after this call."""
        before = sum(self.errors.values()) + len(self._threads)
        waiting.until(lambda: sum(self.errors.values()) > before, "puts fail", deadline)

    def data(self, number: int) -> bytes:
        """The bytes of a record."""
        label = number.to_bytes(8, "big")
        return (label * (self.size // 8 + 1))[: self.size]

    def _run(self, thread: int) -> None:
        connection: http.client.HTTPConnection | None = None
        turn = thread
        while not self._over.is_set():
            stream, turn = self.streams[turn % len(self.streams)], turn + 1
            with self._lock:
                numbers = [next(self._numbers) for _ in range(self.batch)]
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.world.server.port, timeout=TIMEOUT)
                self._put(connection, stream, numbers)
            except (OSError, http.client.HTTPException, AssertionError) as problem:
                # The outcome is unknown, unless nobody listened.
                with self._lock:
                    self.errors[type(problem).__name__] += 1
                if connection:
                    connection.close()
                connection = None
                self._over.wait(0.05)
            self._over.wait(self.pause)

    def _put(self, connection: http.client.HTTPConnection, stream: str, numbers: list[int]) -> None:
        records = [
            {"Data": base64.b64encode(self.data(number)).decode(), "PartitionKey": str(number % 64)} for number in numbers
        ]
        headers = {
            "Content-Type": JSON,
            "X-Amz-Target": "Kinesis_20131202.PutRecords",
            **authorization(self.world.account, self.world.region),
        }
        connection.request("POST", "/", json.dumps({"StreamName": stream, "Records": records}).encode(), headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        with self._lock:
            if answer.status != 200:
                self._failed(body["__type"], body.get("message", body.get("Message", "")))
                if answer.status < 500:
                    self.refused.update(numbers)
                return
            for number, result in zip(numbers, body["Records"], strict=True):
                if "SequenceNumber" in result:
                    self.acknowledged[stream, result["ShardId"], result["SequenceNumber"]] = number
                else:
                    self._failed(result["ErrorCode"], result["ErrorMessage"])

    def _failed(self, code: str, message: str) -> None:
        self.errors[code] += 1
        self.messages.add(message)

    def take(self, other: "Load") -> None:
        """What another load put to the same streams is expected as well. Their numbers must not meet."""
        assert not set(self.acknowledged) & set(other.acknowledged)
        self.acknowledged.update(other.acknowledged)
        self.refused |= other.refused

    def forget(self, stream: str) -> None:
        """The stream is deleted: nothing of it is expected any more."""
        self.streams = [name for name in self.streams if name != stream]
        with self._lock:
            self.acknowledged = {place: number for place, number in self.acknowledged.items() if place[0] != stream}

    def verify(self) -> int:
        """Reads everything back: what was acknowledged by now is there once, in its place and with its bytes, and nothing is
        there that was refused or twice. The number of records."""
        found: dict[int, tuple[str, str, str]] = {}
        with self._lock:
            left = dict(self.acknowledged)
        for stream in self.streams:
            for shard in self.world.shards(stream):
                last = ""
                for record in self.world.read(stream, shard["ShardId"]):
                    place = (stream, shard["ShardId"], record["SequenceNumber"])
                    number = int.from_bytes(record["Data"][:8], "big")
                    assert record["Data"] == self.data(number), f"{place} is not what was put"
                    assert number not in found, f"{number} is there twice: {found.get(number)} and {place}"
                    assert number not in self.refused, f"{number} was refused and is at {place}"
                    left.pop(place, None)
                    assert self.acknowledged.get(place, number) == number, f"another record was acknowledged at {place}"
                    assert last < record["SequenceNumber"], f"{place} is out of order"
                    found[number], last = place, record["SequenceNumber"]
        assert not left, f"{len(left)} acknowledged records are gone, e.g. {next(iter(left))}"
        return len(found)

    def verify_now_and_after_restart(self, kill: bool = False) -> int:
        """The same, twice."""
        count = self.verify()
        self.world.server.restart(kill)
        assert self.verify() == count
        return count


def health(world: World) -> Any:
    """The health page."""
    return world.http.send("GET", "/_millstream/health").json()
