#!/usr/bin/env python3
"""`make bench`, `make bench-quick` and `make bench-full`: builds for release, installs the peers, measures and renders.

    bench/run.py              at most half an hour, beside the peers that come nearest; writes tables and plots into docs
    bench/run.py --set quick  about two minutes; prints tables, writes nothing into docs
    bench/run.py --set full   every scenario beside every peer; writes into docs

What follows `--` goes to `millstream-bench run`, e.g. `bench/run.py -- --only put-record --rounds 3`; docs are left alone
then.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import tools

BENCH = ROOT / "target" / "release" / "millstream-bench"
# Who is measured in which set. The others of tools.BENCH_PEERS are slower by so much that they would only cost time.
PEERS = {
    "quick": ["ferrokinesis"],
    "default": ["ferrokinesis", "ferrokinesis-state-dir"],
    "full": list(tools.BENCH_PEERS),
}


def peers(names: list[str]) -> list[str]:
    """The arguments that name the peers. One that cannot be installed is skipped, and the results say so."""
    arguments = []
    for name in names:
        version, install = tools.BENCH_PEERS[name]
        try:
            arguments += ["--peer", f"{name}@{version()}={install()}"]
        except (RuntimeError, OSError) as problem:
            reason = str(problem).strip().splitlines()[0]
            print(f"peer {name} is skipped, it cannot be installed: {problem}", file=sys.stderr, flush=True)
            arguments += ["--absent", f"{name}={reason}"]
    return arguments


def commit() -> list[str]:
    """The argument that names the commit, where git knows it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, check=False,
    )
    return ["--commit", done.stdout.strip()] if done.returncode == 0 else []


def wait_for(command: list[str]) -> int:
    """Runs the bench, also to its end when a signal stops it: it ends the servers that it has started."""
    process = subprocess.Popen(command, cwd=ROOT)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.terminate())
    return process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=PEERS, default="default", help="how much is measured")
    parser.add_argument("more", nargs="*", help="arguments for millstream-bench")
    options = parser.parse_args()
    build = ["cargo", "build", "--locked", "--release", "-p", "millstream", "-p", "millstream-bench"]
    subprocess.run(build, cwd=ROOT, check=True)

    results = ROOT / "target" / f"bench-{options.set}.json"
    # What an earlier run left must not be taken for what this one measured.
    results.unlink(missing_ok=True)
    run = [BENCH, "run", "--set", options.set, "--json", results, *commit(), *peers(PEERS[options.set]), *options.more]
    measured = wait_for(list(map(str, run)))
    if not results.is_file():
        return measured or 1
    render = [BENCH, "render", "--json", results]
    # A part of the scenarios, or a quick look at them, is not what docs are to show.
    finished = json.loads(results.read_text())["finished"]
    if not finished:
        print("the run did not come to its end: docs stay as they are", file=sys.stderr, flush=True)
    if finished and options.set != "quick" and not options.more:
        render += ["--docs", ROOT / "docs"]
    rendered = subprocess.run(list(map(str, render)), cwd=ROOT, check=False).returncode
    return measured or rendered


if __name__ == "__main__":
    sys.exit(main())
