"""The Kinesis Producer Library: its native daemon, which speaks TLS only, puts aggregated records; the KCL reads them."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import kcl
from support.jvm import Jvm
from support.server import Server, certificates
from support.worlds import World

RECORDS = 10_000
EXPECTED = {(f"key-{number % 97}", str(number)) for number in range(RECORDS)}


def test_aggregated_records_go_through(
    jvm: Jvm, tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates() / "ca.pem"))
    with Server(tmp_path / "data", "--transition-delay", "50ms", tls=True) as server:
        cleartext = f"http://127.0.0.1:{server.port}"
        world = World(server, account=kcl.ACCOUNT)
        stream = world.create(2, name="produced")
        said = jvm.run("millstream.kpl.Producer", stream, str(server.port), str(certificates() / "ca.pem"), str(tmp_path),
                       str(RECORDS), timeout=120)
        put = re.search(rf"^put {RECORDS} in (\d+) attempts (\d+)$", said, re.M)
        assert put, said
        # Many user records share a record; none was refused or went to a shard that the library did not expect.
        assert int(put[1]) < RECORDS / 50
        assert int(put[2]) == RECORDS

        stored = [record for shard in world.shards(stream) for record in world.read(stream, shard["ShardId"])]
        assert len(stored) == int(put[1])
        if program := os.environ.get("MILLSTREAM_DEAGGREGATE"):
            assert ours(program, stored) == sorted(EXPECTED)

        application = kcl.Application(jvm, stream, "polling", cleartext, tables, tmp_path)
        try:
            application.worker("only")
            application.until(lambda: application.arrived() >= EXPECTED, "every user record has arrived")
            assert application.arrived() == EXPECTED
            assert len([event for event in application.events if event.kind == "record"]) == RECORDS, "each came once"
            kcl.check_order_by_shard(list(application.events))
        finally:
            application.close()


def ours(program: str, records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What our own function makes of the records. A user record that was alone is put as it is."""
    lines = "".join(base64.b64encode(record["Data"]).decode() + "\n" for record in records)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    users = []
    for record, line in zip(records, done.stdout.splitlines(), strict=True):
        if (inside := json.loads(line)) is None:
            users.append((record["PartitionKey"], record["Data"].decode()))
        else:
            users += [(user["partition_key"], base64.b64decode(user["data"]).decode()) for user in inside]
    return sorted(users)
