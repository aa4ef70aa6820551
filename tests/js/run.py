#!/usr/bin/env python3
"""Starts a server and runs the Node tests against it. `tests/run.py` says where the packages are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tools
from support.server import Server


def main() -> int:
    packages = Path(os.environ.get("MILLSTREAM_NODE") or tools.node())
    # Node looks for packages beside the importing file, so the test runs where they are.
    test = shutil.copy(tools.ROOT / "tests" / "js" / "smoke.test.mjs", packages)
    with tempfile.TemporaryDirectory(prefix="millstream-js-") as data, Server(Path(data) / "data") as server:
        done = subprocess.run(
            ["node", "--test", "--test-reporter=tap", test],
            env={**os.environ, "MILLSTREAM_ENDPOINT": server.endpoint},
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
