"""The wall clock steps, under a server that runs and across restarts: nothing is deleted that is not due by true time.

The server runs under libfaketime, which changes what the C library tells it of the wall clock and leaves the monotonic one
alone. Records are kept for the shortest retention there is, 24 hours.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import tools
from support import waiting
from support.load import Load, health
from support.server import Server
from support.worlds import World

FLAGS = ("--transition-delay", "0ms", "--limits", "none", "--log-level", "error")
DAY = 86_400
# Retention is enforced on the streams that are found at a start within 70 s of it. Reads go by the same rule at once; the
# files are waited for only where there is time: `LONG=1`.
ENFORCED = 75.0 if os.environ.get("LONG") else 0.0


class Clock:
    """The wall clock of a server, as an offset in seconds to the machine's."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "offset"
        self.step(0)

    def step(self, seconds: int) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        os.replace(new, self.file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(tools.faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def problems(world: World) -> list[str]:
    return health(world)["problems"]


def test_a_step_under_a_running_server(tmp_path: Path, clock: Clock) -> None:
    with Server(tmp_path / "data", *FLAGS, env=clock.environment) as server:
        world = World(server)
        stream = world.create(2)
        with Load(world, [stream], pause=0.01) as load:
            for step, what in ((400 * DAY, "forwards by 400 days"), (-3600, "back by 60 min")):
                load.more()
                clock.step(step)
                waiting.until(lambda: any(what in problem for problem in problems(world)), f"the step {what} is noticed")
                # Time goes on undisturbed: new records are readable, in order, and the old ones are too.
                load.more()
                load.verify()
            clock.step(0)
            load.more()
        load.verify_now_and_after_restart(kill=True)


def test_steps_across_restarts(tmp_path: Path, clock: Clock) -> None:
    """Ahead by 400 days, at a second start too; then an hour behind, then right."""
    with Server(tmp_path / "data", *FLAGS, env=clock.environment) as server:
        world = World(server)
        stream = world.create(2)
        with Load(world, [stream]) as load:
            load.more(200)
        for start, step in enumerate((400 * DAY, 400 * DAY, -3600, 0), 1):
            server.stop() if start % 2 else server.kill()
            clock.step(step)
            server.start()
            assert any("retention is paused" in problem for problem in problems(world)), problems(world)
            time.sleep(ENFORCED)
            load.verify()
            with Load(world, [stream], first=start << 32) as more:
                more.more()
            load.take(more)
            load.verify()
