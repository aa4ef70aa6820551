#!/usr/bin/env python3
"""Starts the servers and runs the Go tests against them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tools
from support import counts, suites

TIMEOUT = 300


def main() -> int:
    environment = tools.go_environment(tools.go())
    with suites.running() as servers:
        process = subprocess.Popen(
            ["go", "test", "-json", "-count=1", f"-timeout={TIMEOUT}s", *sys.argv[1:], "./..."],
            cwd=tools.ROOT / "tests" / "go",
            env={**os.environ, **environment, **servers},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        passed, failed, skipped = tally(process.stdout)
        status = process.wait()
    return counts.show(passed, failed or int(status != 0), skipped)


def tally(events: object) -> tuple[int, int, int]:
    """Shows what the tests print, and counts those that have no tests inside."""
    ends: dict[str, str] = {}
    for line in events:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            print(line, end="", flush=True)
            continue
        if event["Action"] in ("output", "build-output"):
            print(event["Output"], end="", flush=True)
        elif event["Action"] in ("pass", "fail", "skip") and "Test" in event:
            ends[event["Test"]] = event["Action"]
    inner = [end for test, end in ends.items() if not any(other.startswith(f"{test}/") for other in ends)]
    return inner.count("pass"), inner.count("fail"), inner.count("skip")


if __name__ == "__main__":
    sys.exit(main())
