"""PyPI's async-kinesis: its producer and consumer as an application uses them."""

from __future__ import annotations

import asyncio
from typing import Any

import kinesis
import pytest

from support.worlds import World

MIDDLE = str(2**127)
DEADLINE = 30


@pytest.fixture(autouse=True)
def credentials(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes them from the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", world.account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def address(world: World) -> dict[str, Any]:
    return {"endpoint_url": world.server.endpoint, "region_name": world.region}


async def produce(world: World, stream: str, items: range, **options: Any) -> None:
    async with kinesis.Producer(stream, buffer_time=0.05, **address(world), **options) as producer:
        for item in items:
            await producer.put({"item": item})
        await producer.flush()


async def take(consumer: kinesis.Consumer, count: int) -> list[int]:
    """The first `count` items that come; the iteration ends by itself when there is nothing for a while."""
    seen: list[int] = []

    async def follow() -> None:
        while len(seen) < count:
            async for item in consumer:
                seen.append(item["item"])

    await asyncio.wait_for(follow(), DEADLINE)
    return seen


def follower(world: World, stream: str, **options: Any) -> kinesis.Consumer:
    return kinesis.Consumer(stream, sleep_time_no_records=0.3, idle_timeout=0.5, **address(world), **options)


def test_a_stream_is_created_filled_and_read(world: World) -> None:
    stream = world.name("async")

    async def story() -> list[int]:
        await produce(world, stream, range(300), create_stream=True, create_stream_shards=3)
        async with follower(world, stream) as consumer:
            return await take(consumer, 300)

    assert sorted(asyncio.run(story())) == list(range(300))
    assert len(world.shards(stream)) == 3


def test_a_consumer_goes_on_from_its_checkpoint(world: World) -> None:
    stream = world.create()

    async def story() -> tuple[list[int], list[int]]:
        memory = kinesis.MemoryCheckPointer(name="app")
        await produce(world, stream, range(20))
        async with follower(world, stream, checkpointer=memory) as consumer:
            first = await take(consumer, 20)
        await produce(world, stream, range(20, 40))
        async with follower(world, stream, checkpointer=memory) as consumer:
            return first, await take(consumer, 20)

    first, second = asyncio.run(story())
    assert (first, second) == (list(range(20)), list(range(20, 40)))


@pytest.mark.parametrize("use_list_shards", [False, True])
def test_a_consumer_reads_parents_and_children(world: World, use_list_shards: bool) -> None:
    stream = world.create()

    async def story() -> list[int]:
        await produce(world, stream, range(10))
        world.call("SplitShard", StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=MIDDLE)
        world.active(stream)
        await produce(world, stream, range(10, 60))
        async with follower(world, stream, use_list_shards=use_list_shards) as consumer:
            return await take(consumer, 60)

    assert sorted(asyncio.run(story())) == list(range(60))
