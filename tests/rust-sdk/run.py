#!/usr/bin/env python3
"""Starts the servers and runs the tests of the Rust SDK against them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tools
from support import counts, suites

MANIFEST = tools.ROOT / "tests" / "rust-sdk" / "Cargo.toml"
# Beside what the server is built from, and apart from it.
TARGET = tools.ROOT / "target" / "rust-sdk"
RESULT = re.compile(r"^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored", re.M)
# More at once would meet the account's rates, as they would on AWS.
THREADS = 3


def main() -> int:
    cargo = ["cargo", "test", "--quiet", "--locked", f"--manifest-path={MANIFEST}"]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET)}
    # Built before a server waits for it.
    built = subprocess.run([*cargo, "--no-run"], env=environment, stdin=subprocess.DEVNULL, check=False)
    if built.returncode != 0:
        return counts.show(0, 1)
    with suites.running() as servers:
        done = subprocess.run(
            [*cargo, "--", f"--test-threads={THREADS}", *sys.argv[1:]],
            env={**environment, **servers},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    print(done.stdout, flush=True)
    passed, failed, ignored = (sum(map(int, column)) for column in zip(*RESULT.findall(done.stdout) or [(0, 0, 0)]))
    return counts.show(passed, failed or int(done.returncode != 0), ignored)


if __name__ == "__main__":
    sys.exit(main())
