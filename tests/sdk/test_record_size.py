"""UpdateMaxRecordSize, MaxRecordSizeInKiB, and what large records may do."""

from __future__ import annotations

import pytest

from support.server import Server
from support.worlds import World

KIB = 1024


def test_the_limit_of_a_stream(free_world: World) -> None:
    name = free_world.create()
    assert free_world.summary(name)["MaxRecordSizeInKiB"] == 1024
    refused = free_world.refused("PutRecord", StreamName=name, Data=bytes(1024 * KIB), PartitionKey="k")
    assert refused == (
        "ValidationException",
        "1 validation error detected: Value at 'data' failed to satisfy constraint: Member must have length less than or "
        "equal to 1048576",
    )
    assert free_world.call("UpdateMaxRecordSize", StreamARN=free_world.arn(name), MaxRecordSizeInKiB=5000) == {}
    assert free_world.active(name)["MaxRecordSizeInKiB"] == 5000
    free_world.put(name, bytes(5000 * KIB - 1), "k")
    refused = free_world.refused("PutRecord", StreamName=name, Data=bytes(5000 * KIB), PartitionKey="k")
    assert refused[1].endswith(f"less than or equal to {5000 * KIB}")
    entries = [{"Data": b"", "PartitionKey": "k"}, {"Data": bytes(5000 * KIB), "PartitionKey": "k"}]
    refused = free_world.refused("PutRecords", StreamName=name, Records=entries)
    assert refused[0] == "ValidationException"
    assert "'records.2.member.data'" in refused[1]
    # Less is for what comes; what is there is read.
    free_world.call("UpdateMaxRecordSize", StreamARN=free_world.arn(name), MaxRecordSizeInKiB=1024)
    free_world.active(name)
    assert free_world.refused("PutRecord", StreamName=name, Data=bytes(2000 * KIB), PartitionKey="k")[0] == "ValidationException"
    assert [len(record["Data"]) for record in free_world.read(name)] == [5000 * KIB - 1]


def test_a_stream_born_with_it(world: World) -> None:
    name = world.create(MaxRecordSizeInKiB=10240)
    assert world.summary(name)["MaxRecordSizeInKiB"] == 10240
    # A rested shard takes one such record; its average stays at 1 MiB/s.
    world.put(name, bytes(10240 * KIB - 1), "k")
    refused = world.refused("PutRecord", StreamName=name, Data=bytes(10240 * KIB - 1), PartitionKey="k")
    assert refused == (
        "ProvisionedThroughputExceededException",
        f"Rate exceeded for shard shardId-000000000000 in stream {name} under account {world.account}.",
    )


@pytest.mark.parametrize(("kib", "bound"), [(1023, "greater than or equal to 1024"), (10241, "less than or equal to 10240")])
def test_out_of_range(world: World, kib: int, bound: str) -> None:
    refused = world.patiently_refused("UpdateMaxRecordSize", StreamARN=world.arn("any"), MaxRecordSizeInKiB=kib)
    assert refused == (
        "ValidationException",
        f"1 validation error detected: Value '{kib}' at 'maxRecordSizeInKiB' failed to satisfy constraint: "
        f"Member must have value {bound}",
    )


def test_refusals(world: World) -> None:
    assert world.patiently_refused("UpdateMaxRecordSize", MaxRecordSizeInKiB=2048) == (
        "InvalidArgumentException", "StreamARN must be provided.",
    )
    assert world.patiently_refused("UpdateMaxRecordSize", StreamARN=world.arn("any"), MaxRecordSizeInKiB=2048) == (
        "ResourceNotFoundException", f"Stream any under account {world.account} not found.",
    )


def test_the_setting_outlives_a_kill(own_server: Server) -> None:
    world = World(own_server)
    name = world.create()
    world.call("UpdateMaxRecordSize", StreamARN=world.arn(name), MaxRecordSizeInKiB=2048)
    own_server.restart(kill=True)
    assert world.active(name)["MaxRecordSizeInKiB"] == 2048
