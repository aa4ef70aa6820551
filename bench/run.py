#!/usr/bin/env python3
"""`make bench` and `make bench-quick`: builds for release, installs the peer, and runs millstream-bench."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import tools


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, nothing written into docs")
    quick = parser.parse_args().quick
    build = ["cargo", "build", "--locked", "--release", "-p", "millstream", "-p", "millstream-bench"]
    subprocess.run(build, cwd=ROOT, check=True)
    command = [
        str(ROOT / "target" / "release" / "millstream-bench"),
        "--peer", str(tools.ferrokinesis()),
        "--json", str(ROOT / "target" / "bench.json"),
    ]
    command += ["--rounds", "1", "--seconds", "3", "--records", "500000"] if quick else ["--markdown", "docs/performance.md"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
