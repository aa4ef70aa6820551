"""Waiting for a condition, with a deadline. No test sleeps for a guess."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

Value = TypeVar("Value")

DEADLINE = 30.0
# Seconds between two looks: short at first, then so long that the call rates of AWS allow it for as long as it takes.
POLL = 0.01
LAST_POLL = 0.15


def until(condition: Callable[[], Value], what: str, deadline: float = DEADLINE) -> Value:
    """Calls `condition` until it gives something true, and returns that."""
    end = time.monotonic() + deadline
    poll = POLL
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what}; last was {value!r}")
        time.sleep(poll)
        poll = min(poll * 1.5, LAST_POLL)
