#!/usr/bin/env python3
"""Starts the servers and runs the Node tests against them. `tests/run.py` says where the packages are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tools
from support import suites

SOURCE = tools.ROOT / "tests" / "js"
TIMEOUT = 300
# Milliseconds for one test.
TEST_TIMEOUT = 60_000


def main() -> int:
    packages = Path(os.environ.get("MILLSTREAM_NODE") or tools.node())
    with tempfile.TemporaryDirectory(prefix="millstream-js-") as name, suites.running() as servers:
        # Node looks for packages beside the importing file.
        folder = Path(name)
        (folder / "node_modules").symlink_to(packages / "node_modules")
        for module in SOURCE.glob("*.mjs"):
            shutil.copy(module, folder)
        done = subprocess.run(
            ["node", "--test", "--test-reporter=tap", f"--test-timeout={TEST_TIMEOUT}", "--test-force-exit", *sys.argv[1:], *map(str, sorted(folder.glob("*.test.mjs")))],
            env={**os.environ, **servers, "NODE_EXTRA_CA_CERTS": servers["MILLSTREAM_CA"]},
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
