"""npm's lifion-kinesis: polling and fan-out, its state in a stand-in for DynamoDB. It subscribes with an HTTP client and an
event-stream parser of its own, over HTTP/1.1."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import tools
from support import waiting
from support.dynamo import Dynamo
from support.server import Server
from support.worlds import World

SCRIPT = Path(__file__).parent / "lifion.cjs"
COUNT = 40


@pytest.fixture(scope="module")
def tables() -> Iterator[str]:
    with Dynamo() as dynamo:
        yield dynamo.endpoint


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """On a server that may be called by the name that the library calls it."""
    host = ("--allow-host", "kinesis.us-east-1.amazonaws.com")
    with Server(tmp_path / "data", "--transition-delay", "50ms", *host, tls=False) as server:
        yield World(server)


@pytest.mark.parametrize("mode", ["polling", "fan-out"])
def test_what_is_put_arrives(world: World, tables: str, mode: str) -> None:
    stream = world.create(shards=2)
    process = subprocess.Popen(
        ["node", str(SCRIPT), stream, mode, str(COUNT)],
        env={
            **os.environ,
            "NODE_PATH": str(tools.field_node() / "node_modules"),
            "AWS_ACCESS_KEY_ID": world.account,
            "MILLSTREAM_ENDPOINT": world.server.endpoint,
            "DYNAMO_ENDPOINT": tables,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    given: list[dict] = []
    said: list[str] = []
    assert process.stdout is not None and process.stderr is not None
    readers = [
        threading.Thread(target=lambda: given.extend(map(json.loads, process.stdout)), daemon=True),
        threading.Thread(target=lambda: said.extend(process.stderr), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        waiting.until(lambda: len(given) >= COUNT or process.poll() is not None, "everything has arrived")
    except AssertionError as late:
        raise AssertionError("".join(said)) from late
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join(5)
    assert sorted(record["data"]["n"] for record in given) == list(range(COUNT)), "".join(said)
    stored = {
        record["SequenceNumber"]: shard["ShardId"]
        for shard in world.shards(stream)
        for record in world.read(stream, shard["ShardId"])
    }
    assert {record["sequenceNumber"]: record["shardId"] for record in given} == stored
