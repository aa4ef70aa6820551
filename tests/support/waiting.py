"""Waiting for a condition, with a deadline. No test sleeps for a guess."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

Value = TypeVar("Value")

DEADLINE = 30.0
POLL = 0.01


def until(condition: Callable[[], Value], what: str, deadline: float = DEADLINE) -> Value:
    """Calls `condition` until it gives something true, and returns that."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what}; last was {value!r}")
        time.sleep(POLL)
