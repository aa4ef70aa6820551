"""`[[streams]]`: streams, consumers and tags that are there when the server is ready."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.server import Server, binary, clean_environment, run
from support.worlds import World

ACCOUNT = "444455556666"


def starting(tmp_path: Path, streams: str, *flags: str) -> Server:
    """A server whose configuration has these streams. Limits are AWS's unless the flags say otherwise."""
    config = tmp_path / "millstream.toml"
    config.write_text(f'account = "{ACCOUNT}"\n{streams}')
    return Server(tmp_path / "data", "--config", str(config), *flags)


def world(server: Server, **members: Any) -> World:
    return World(server, account=members.pop("account", ACCOUNT), **members)


def tags(world: World, name: str) -> dict[str, str]:
    found = world.patiently("ListTagsForStream", StreamName=name)["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_they_are_active_when_the_server_is_ready(tmp_path: Path) -> None:
    streams = """
    [[streams]]
    name = "orders"
    shards = 3
    retention_hours = 48
    tags = { team = "shop", stage = "test" }

    [[streams]]
    name = "clicks"
    on_demand = true
    account = "123456789012"
    region = "eu-west-1"
    """
    with starting(tmp_path, streams, "--transition-delay", "300ms") as server:
        summary = world(server).call("DescribeStreamSummary", StreamName="orders")["StreamDescriptionSummary"]
        assert summary["StreamStatus"] == "ACTIVE"
        assert summary["StreamModeDetails"]["StreamMode"] == "PROVISIONED"
        assert (summary["OpenShardCount"], summary["RetentionPeriodHours"]) == (3, 48)
        assert tags(world(server), "orders") == {"team": "shop", "stage": "test"}
        elsewhere = world(server, account="123456789012", region="eu-west-1")
        summary = elsewhere.call("DescribeStreamSummary", StreamName="clicks")["StreamDescriptionSummary"]
        assert summary["StreamStatus"] == "ACTIVE"
        assert summary["StreamModeDetails"]["StreamMode"] == "ON_DEMAND"


def test_a_further_start_keeps_what_is_there(tmp_path: Path) -> None:
    server = starting(tmp_path, '[[streams]]\nname = "a"\nshards = 2\n', "--transition-delay", "20ms")
    with server:
        mine = world(server)
        created = mine.summary("a")["StreamCreationTimestamp"]
        mine.put("a", b"kept")
        mine.call("AddTagsToStream", StreamName="a", Tags={"own": "1"})
        server.stop()
        starting(
            tmp_path,
            '[[streams]]\nname = "a"\nshards = 5\nretention_hours = 72\ntags = { new = "2" }\n'
            '[[streams]]\nname = "b"\nshards = 1\n',
        )
        server.start()
        summary = mine.summary("a")
        assert (summary["StreamCreationTimestamp"], summary["StreamStatus"]) == (created, "ACTIVE")
        assert summary["RetentionPeriodHours"] == 72
        assert tags(mine, "a") == {"own": "1", "new": "2"}
        assert mine.summary("b")["StreamStatus"] == "ACTIVE"
        records = [record["Data"] for shard in mine.shards("a") for record in mine.read("a", shard["ShardId"])]
        assert records == [b"kept"]
        # Nothing is resharded at a start, but it is said.
        assert summary["OpenShardCount"] == 2
        warnings = [line for line in server.output.splitlines() if "left as it is" in line]
        assert len(warnings) == 1 and "stream/a" in warnings[0], server.output
        assert "5 shards" in warnings[0] and "2 shards" in warnings[0]
        # Shorter again, and once more without any change.
        starting(tmp_path, '[[streams]]\nname = "a"\nshards = 2\nretention_hours = 24\n')
        server.restart()
        assert mine.summary("a")["RetentionPeriodHours"] == 24
        server.restart()
        assert mine.summary("a")["RetentionPeriodHours"] == 24


def test_many_do_not_wait_for_what_paces_clients(tmp_path: Path) -> None:
    """A hundred streams take 20 s at AWS's rate of CreateStream, and no more than five may be CREATING. Later that counts."""
    streams = "".join(f'[[streams]]\nname = "s{number}"\nshards = 1\n' for number in range(100))
    with starting(tmp_path, streams, "--transition-delay", "100ms") as server:
        mine = world(server)
        names: list[str] = []
        while len(names) < 100:
            more = {"ExclusiveStartStreamName": names[-1]} if names else {}
            page = mine.patiently("ListStreams", **more)
            assert all(summary["StreamStatus"] == "ACTIVE" for summary in page["StreamSummaries"])
            names += page["StreamNames"]
        assert sorted(names) == sorted(f"s{number}" for number in range(100))

        def throttled() -> bool:
            return any(
                mine.http.call("CreateStream", {"StreamName": mine.name("more"), "ShardCount": 1}).status != 200
                for _ in range(10)
            )

        assert throttled()


@pytest.mark.parametrize(
    ("streams", "part"),
    [
        ('[[streams]]\nname = "a"\nshards = 1\nretention_hours = 5\n', 'streams: "a": InvalidArgumentException'),
        ('[[streams]]\nname = "a"\nshards = 1\nretention = 48\n', 'streams: "a": unknown field `retention`'),
        ('[[streams]]\nname = "a"\nshards = 0\n', 'streams: "a": 1 validation error detected'),
        ('[[streams]]\nname = "a"\n', 'streams: "a": has neither shards'),
        ('[[streams]]\nname = "a"\nshards = 9\n[limits]\nshards_in_large_region = 5\n', 'streams: "a": LimitExceededException'),
    ],
    ids=["refused", "unknown key", "no shards", "no capacity", "quota"],
)
def test_what_cannot_be(tmp_path: Path, streams: str, part: str) -> None:
    config = tmp_path / "millstream.toml"
    config.write_text(streams)
    done = run(
        "serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", "--config", config, "--log-level", "error",
        "--transition-delay", "0",
    )
    assert done.returncode != 0
    assert "listening" not in done.stdout
    assert len(done.stderr.splitlines()) == 1 and part in done.stderr, done.stderr


def test_a_signal_ends_the_wait_for_them(tmp_path: Path) -> None:
    config = tmp_path / "millstream.toml"
    config.write_text('[[streams]]\nname = "a"\nshards = 1\n')
    process = subprocess.Popen(
        [binary(), "serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", "--config", config,
         "--transition-delay", "1h"],
        env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while "stream created" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == 0, said + rest
        assert "listening" not in said + rest
    finally:
        process.kill()
        process.wait()
    assert run("check", tmp_path / "data").returncode == 0


def test_consumers_and_record_sizes(tmp_path: Path) -> None:
    streams = (
        '[[streams]]\nname = "a"\nshards = 1\nmax_record_size_kib = 2048\n'
        'consumers = ["one", "two", "three", "four", "five", "six", "seven"]\n'
    )
    server = starting(tmp_path, streams, "--transition-delay", "50ms")
    server.start()
    with contextlib.closing(server):
        for size in (2048, 4096):
            mine = world(server)
            assert mine.summary("a")["MaxRecordSizeInKiB"] == size
            consumers = mine.call("ListStreamConsumers", StreamARN=mine.arn("a"))["Consumers"]
            assert {consumer["ConsumerStatus"] for consumer in consumers} == {"ACTIVE"}
            assert len(consumers) == 7
            starting(tmp_path, streams.replace("2048", "4096"))
            server.restart()
