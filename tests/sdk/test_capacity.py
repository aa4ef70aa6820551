"""Limits that are lifted, scaled, or a stream's own, as a user configures them; and on-demand streams' rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from support import waiting
from support.server import Server, run
from support.worlds import MAX_HASH, World

CONFIG = """
[limits]
tags = 3

[[limits.streams]]
name = "free-*"
scale = "none"

[[limits.streams]]
name = "wide-*"
scale = "x5"
tags = 5

[[limits.streams]]
name = "narrow-*"
region = "us-east-1"
scale = "x0.1"
"""


@pytest.fixture(scope="module")
def by_stream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("capacity")
    config = directory / "millstream.toml"
    config.write_text(CONFIG)
    with Server(directory / "data", "--transition-delay", "0ms", "--config", str(config)) as own:
        yield own


def taken(world: World, name: str) -> int:
    """How many of 80 records of 100,000 bytes, all for one shard, a rested stream takes in one call."""
    entries = [{"Data": bytes(100_000), "PartitionKey": "k"}] * 80
    answer = world.call("PutRecords", StreamName=name, Records=entries)
    for entry in answer["Records"]:
        if "ErrorCode" in entry:
            assert entry == {
                "ErrorCode": "ProvisionedThroughputExceededException",
                "ErrorMessage": f"Rate exceeded for shard shardId-000000000000 in stream {name} under account {world.account}.",
            }
    return 80 - answer["FailedRecordCount"]


def test_streams_have_limits_of_their_own(by_stream: Server) -> None:
    world = World(by_stream)
    streams = {stem: world.create(name=f"{stem}-1") for stem in ("plain", "free", "wide", "narrow")}
    counts = {stem: taken(world, name) for stem, name in streams.items()}
    assert counts["free"] == 80
    # What refills during the call may let one more in.
    assert counts["plain"] in (10, 11, 12)
    assert 52 <= counts["wide"] <= 60
    assert counts["narrow"] == 1


def test_an_entry_can_be_for_one_region(by_stream: Server) -> None:
    elsewhere = World(by_stream, region="eu-central-1")
    assert taken(elsewhere, elsewhere.create(name="narrow-1")) >= 10


def test_quotas_of_a_stream_are_its_own_or_the_tables(by_stream: Server) -> None:
    world = World(by_stream)
    tags = {str(number): "v" for number in range(4)}
    wide, free = world.create(name="wide-2"), world.create(name="free-2")
    world.call("AddTagsToStream", StreamName=wide, Tags=tags)
    code, _ = world.refused("AddTagsToStream", StreamName=free, Tags=tags)
    assert code == "InvalidArgumentException"


def test_rates_counted_by_stream_follow_the_stream(by_stream: Server) -> None:
    world = World(by_stream)
    name = world.create(name="free-3")
    for _ in range(1100):
        world.call("ListShards", StreamName=name)
    iterator = world.iterator(name)
    for _ in range(50):
        world.call("GetRecords", ShardIterator=iterator)


def test_limits_are_scaled_for_all(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--transition-delay", "0ms", "--limits", "x100") as server:
        world = World(server)
        name = world.create()
        assert taken(world, name) == 80
        iterator = world.iterator(name)
        for _ in range(100):
            world.call("GetRecords", ShardIterator=iterator, Limit=1)
            world.call("DescribeStream", StreamName=name)
        # Quotas stay.
        assert world.call("DescribeLimits")["OnDemandStreamCountLimit"] == 50


def test_a_small_factor_makes_throttling_easy_to_meet(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--transition-delay", "0ms", "--limits", "x0.01") as server:
        world = World(server)
        name = world.create()
        world.put(name, bytes(10_000))
        with pytest.raises(ClientError) as refusal:
            for _ in range(100):
                world.put(name, bytes(10_000))
        assert refusal.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"


def test_what_is_in_force_is_printed(tmp_path: Path) -> None:
    config = tmp_path / "millstream.toml"
    config.write_text(CONFIG)
    printed = run("serve", "--config", config, "--print-config").stdout
    assert "[[limits.streams]]" in printed and 'name = "wide-*"' in printed
    assert "shard_write_bytes_per_second = 5242880" in printed
    again = tmp_path / "again.toml"
    again.write_text(printed)
    assert run("serve", "--config", again, "--print-config").stdout == printed
    scaled = run("serve", "--limits", "x2.5", "--print-config").stdout
    assert 'limits = "x2.5"' in scaled


@pytest.mark.parametrize(("text", "what"), [
    ('[limits]\nscale = "10"', 'limits: scale: "10" is neither none nor a factor'),
    ("[[limits.streams]]\ntags = 5", "limits: streams, entry 1: name: say which streams"),
    ('[[limits.streams]]\nname = "a"\nshards_in_region = 5', "shards_in_region counts for the account"),
])
def test_a_wrong_table_is_one_clear_line(tmp_path: Path, text: str, what: str) -> None:
    config = tmp_path / "millstream.toml"
    config.write_text(text)
    ended = run("serve", "--config", config)
    assert ended.returncode != 0
    assert what in ended.stderr and len(ended.stderr.strip().splitlines()) == 1


def test_a_switch_of_mode_keeps_the_shards_and_has_its_rules(own_server: Server) -> None:
    world = World(own_server)
    name = world.create(shards=3)
    arn = world.arn(name)
    world.call("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert world.active(name)["OpenShardCount"] == 3
    limits = world.patiently("DescribeLimits")
    assert (limits["OpenShardCount"], limits["OnDemandStreamCount"]) == (0, 1)
    for operation, members in (
        ("UpdateShardCount", {"TargetShardCount": 6, "ScalingType": "UNIFORM_SCALING"}),
        ("SplitShard", {"ShardToSplit": "0", "NewStartingHashKey": "5"}),
        ("MergeShards", {"ShardToMerge": "0", "AdjacentShardToMerge": "1"}),
    ):
        assert world.refused(operation, StreamName=name, **members) == (
            "ValidationException", f"Request is invalid. Stream {name} under account {world.account} is in On-Demand mode.",
        )
    world.call("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "PROVISIONED"})
    assert world.active(name)["OpenShardCount"] == 3
    assert world.refused("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"}) == (
        "LimitExceededException", f"Rate exceeded for stream {name} under account {world.account}.",
    )


# A shard takes 1,000 bytes a second here, so that a few records load it for a minute.
ON_DEMAND = """
[limits]
scale = "none"

[[limits.streams]]
name = "*"
shard_write_bytes_per_second = 1000
on_demand_write_bytes_per_second_in_large_region = 20000
"""


def test_on_demand_streams_grow_with_their_load_and_shrink_a_month_later(tmp_path: Path) -> None:
    config = tmp_path / "millstream.toml"
    config.write_text(ON_DEMAND)
    flags = ["--transition-delay", "0ms", "--config", str(config), "--test-controls"]
    with Server(tmp_path / "data", *flags) as server:
        world = World(server)
        name = world.create_on_demand()

        def advance(by: str) -> None:
            body = json.dumps({"advance": by}).encode()
            answer = world.http.send(
                path="/_millstream/clock", headers={"Content-Type": "application/json"}, body=body
            )
            assert answer.status == 200, answer.body

        def open_count() -> int:
            """How many shards are open. They tile the hash keys, and children know their parents."""
            shards = {shard["ShardId"]: shard for shard in world.shards(name)}
            for filter_type in ("AT_LATEST", "AT_TRIM_HORIZON"):
                listed = [shard["HashKeyRange"] for shard in world.shards(name, ShardFilter={"Type": filter_type})]
                ranges = sorted((int(keys["StartingHashKey"]), int(keys["EndingHashKey"])) for keys in listed)
                assert (ranges[0][0], ranges[-1][1]) == (0, MAX_HASH)
                assert all(lower[1] + 1 == upper[0] for lower, upper in zip(ranges, ranges[1:]))
            for shard in shards.values():
                parent = shards.get(shard.get("ParentShardId", ""))
                assert parent is None or "EndingSequenceNumber" in parent["SequenceNumberRange"]
            return len(world.open_shards(name))

        # 55,000 bytes for each shard: 8 shards have room for twice that in a minute.
        records = [
            {"Data": bytes(54_999), "PartitionKey": "k", "ExplicitHashKey": str(quarter << 126)} for quarter in range(4)
        ]
        advance("1m")
        assert world.call("PutRecords", StreamName=name, Records=records)["FailedRecordCount"] == 0
        assert open_count() == 4
        # The clock goes on by itself, so the put may have come to lie in the minute before.
        advance("1m")
        waiting.until(lambda: open_count() == 8, "the stream has grown")
        assert world.active(name)["OpenShardCount"] == 8
        # What was written is read, through the parents and on.
        for quarter in range(4):
            assert len(world.read(name, f"shardId-{quarter:012}")) == 1
        world.call("PutRecords", StreamName=name, Records=records)

        server.restart()
        advance("29d")
        assert open_count() == 8
        advance("2d")
        waiting.until(lambda: open_count() < 8, "the stream has begun to shrink")
        for _ in range(3):
            advance("25h")
        waiting.until(lambda: open_count() == 4, "the stream is as small as a new one")
