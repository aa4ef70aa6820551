#!/usr/bin/env python3
"""Runs the test suites, times each against tests/budget.toml, and counts what passed.

    tests/run.py                      everything (`make test`)
    tests/run.py --suites fmt,rust    some of it (`make check`)

The last line of the output is always `N passed, N failed`. The exit status is 0 only if nothing failed and, when
everything was run, the whole stayed within its budget.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import tools

ROOT = tools.ROOT
REPORTS = ROOT / "target" / "test-reports"
SERVER = ROOT / "target" / "release" / "millstream"
DEAGGREGATE = ROOT / "target" / "release" / "examples" / "deaggregate"
CRASH_ROUNDS = 20
# What of the simulation is run every time: about a minute.
SIM_SHARES = (
    ("same", "--seeds", "20", "--points-every", "0"),
    ("plans", "--share", "50"),
    ("seeds", "--seeds", "100", "--points-every", "200"),
)
# A suite that is still running after this many times its budget hangs: it is ended and counted as failed.
HANG_FACTOR = 4


@dataclass
class Outcome:
    """What one suite counted."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    note: str = ""

    @staticmethod
    def of(ok: bool, note: str = "") -> "Outcome":
        return Outcome(passed=int(ok), failed=int(not ok), note=note)


@dataclass
class Finished:
    """How a command ended, and all it printed."""

    status: int
    text: str


class Runner:
    """Runs commands for one suite, under one deadline."""

    def __init__(self, limit: float) -> None:
        self.deadline = time.monotonic() + limit

    def command(self, *command: str | Path, env: dict[str, str] | None = None) -> Finished:
        """Runs a command, shows its output as it comes, and returns it."""
        print(f"$ {' '.join(map(str, command))}", flush=True)
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        watchdog = threading.Timer(max(1.0, self.deadline - time.monotonic()), end_group, [process.pid])
        watchdog.daemon = True
        watchdog.start()
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line)
        status = process.wait()
        watchdog.cancel()
        return Finished(status, "".join(lines))


def end_group(leader: int) -> None:
    """Ends a command that hangs, with everything it started."""
    print(f"the suite's time is over: ending process group {leader}", flush=True)
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def suite_tools(_: Runner) -> Outcome:
    for install in tools.NEEDED_BY_TESTS.values():
        install()
    return Outcome(note="installed")


def suite_fmt(runner: Runner) -> Outcome:
    return Outcome.of(runner.command("cargo", "fmt", "--all", "--check").status == 0)


def suite_clippy(runner: Runner) -> Outcome:
    done = runner.command("cargo", "clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings")
    return Outcome.of(done.status == 0)


def suite_deny(runner: Runner) -> Outcome:
    deny = tools.cargo_deny()
    outcome = Outcome.of(runner.command(deny, "--locked", "check", "licenses", "bans", "sources").status == 0)
    # Advisories need today's database. Where it cannot be fetched there is nothing to check against, and we say so.
    if runner.command(deny, "--locked", "fetch", "db").status != 0:
        print("advisories: SKIPPED, the advisory database is out of reach")
        outcome.skipped += 1
    elif runner.command(deny, "--locked", "check", "--disable-fetch", "advisories").status == 0:
        outcome.passed += 1
    else:
        outcome.failed += 1
    return outcome


def suite_rust(runner: Runner) -> Outcome:
    done = runner.command("cargo", "test", "--locked", "--workspace", "--no-fail-fast")
    outcome = Outcome()
    for passed, failed, ignored in re.findall(r"^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored", done.text, re.M):
        outcome.passed += int(passed)
        outcome.failed += int(failed)
        outcome.skipped += int(ignored)
    if done.status != 0 and outcome.failed == 0:
        outcome.failed = 1
        outcome.note = "did not build or was cut short"
    return outcome


def suite_build(runner: Runner) -> Outcome:
    build = ["cargo", "build", "--locked", "--release"]
    binaries = runner.command(*build, "-p", "millstream", "-p", "millstream-crash")
    example = runner.command(*build, "-p", "millstream-kpl", "--example", "deaggregate")
    return Outcome.of(binaries.status == 0 and example.status == 0)


def suite_codegen(runner: Runner) -> Outcome:
    """The committed code is what the generator makes of the pinned model, to the byte."""
    done = runner.command(tools.python(), "tests/codegen.py")
    return Outcome.of(done.status == 0)


def pytest_suite(
    folder: str, python: Callable[[], Path] = tools.python, tls: bool = False
) -> Callable[[Runner], Outcome]:
    """The tests of a folder; with `tls`, the clients come over TLS."""

    def suite(runner: Runner) -> Outcome:
        report = REPORTS / f"{folder}{'-tls' if tls else ''}.xml"
        report.unlink(missing_ok=True)
        env = {"MILLSTREAM_BIN": str(SERVER), "MILLSTREAM_DEAGGREGATE": str(DEAGGREGATE)}
        done = runner.command(
            python(), "-m", "pytest", "-c", "tests/pytest.ini", f"--junitxml={report}", f"tests/{folder}",
            env={**env, "MILLSTREAM_TEST_TLS": "1"} if tls else env,
        )
        return from_junit(report, done)

    return suite


def script_suite(folder: str) -> Callable[[Runner], Outcome]:
    """The tests of another language, with a script that runs and counts them."""

    def suite(runner: Runner) -> Outcome:
        done = runner.command(tools.python(), f"tests/{folder}/run.py", env={"MILLSTREAM_BIN": str(SERVER)})
        counted = re.findall(r"^counted: (\d+) passed, (\d+) failed, (\d+) skipped$", done.text, re.M)
        if not counted:
            return Outcome(failed=1, note="ended without a count")
        passed, failed, skipped = map(int, counted[-1])
        return Outcome(passed=passed, failed=failed or int(done.status != 0), skipped=skipped)

    return suite


def from_junit(report: Path, done: Finished) -> Outcome:
    """Counts from a JUnit report; a run that left none failed as a whole."""
    if not report.is_file():
        return Outcome(failed=1, note="ended without a report")
    outcome = Outcome()
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        outcome.passed += total - failed - skipped
        outcome.failed += failed
        outcome.skipped += skipped
    if done.status != 0 and outcome.failed == 0:
        outcome.failed = 1
    return outcome


def suite_js(runner: Runner) -> Outcome:
    modules = tools.node()
    done = runner.command(
        tools.python(), "tests/js/run.py", env={"MILLSTREAM_BIN": str(SERVER), "MILLSTREAM_NODE": str(modules)}
    )
    counts = {name: int(number) for name, number in re.findall(r"^# (pass|fail|skipped) (\d+)$", done.text, re.M)}
    if not counts:
        return Outcome(failed=1, note="ended without a summary")
    failed = counts.get("fail", 0) or int(done.status != 0)
    return Outcome(passed=counts.get("pass", 0), failed=failed, skipped=counts.get("skipped", 0))


def suite_sim(runner: Runner) -> Outcome:
    """That equal seeds give equal runs comes first: all else is of use only then."""
    done = runner.command("cargo", "build", "--locked", "--profile", "sim", "-p", "millstream-sim", "--features", "bugs")
    if done.status != 0:
        return Outcome(failed=1, note="did not build")
    sim = ROOT / "target" / "sim" / "millstream-sim"
    outcome = Outcome()
    for share in SIM_SHARES:
        ok = runner.command(sim, *share).status == 0
        outcome.passed += ok
        outcome.failed += not ok
    return outcome


def suite_crash(runner: Runner) -> Outcome:
    rounds = int(os.environ.get("ROUNDS", CRASH_ROUNDS))
    seed = ["--seed", os.environ["SEED"]] if os.environ.get("SEED") else []
    done = runner.command(
        ROOT / "target" / "release" / "millstream-crash", "--server", SERVER, "--rounds", str(rounds), *seed
    )
    verified = len(re.findall(r"^round \d+: ok", done.text, re.M))
    failed = int(done.status != 0 or verified != rounds)
    return Outcome(passed=verified, failed=failed, note=f"{rounds} rounds")


SUITES: dict[str, Callable[[Runner], Outcome]] = {
    "tools": suite_tools,
    "fmt": suite_fmt,
    "clippy": suite_clippy,
    "deny": suite_deny,
    "rust": suite_rust,
    "build": suite_build,
    "codegen": suite_codegen,
    "cli": pytest_suite("cli"),
    "sdk": pytest_suite("sdk"),
    "sdk-tls": pytest_suite("sdk", tls=True),
    "wire": pytest_suite("wire"),
    "ops": pytest_suite("ops"),
    "kpl": pytest_suite("kpl", tools.kpl),
    "js": suite_js,
    "go": script_suite("go"),
    "rust-sdk": script_suite("rust-sdk"),
    "java": pytest_suite("java"),
    "field": pytest_suite("field", tools.field),
    "sim": suite_sim,
    "resources": pytest_suite("resources"),
    "crash": suite_crash,
}


def read_budget() -> tuple[float, dict[str, float]]:
    """The whole's budget and each suite's, checked against the suites there are."""
    budget = tomllib.loads((ROOT / "tests" / "budget.toml").read_text())
    suites = {name: float(seconds) for name, seconds in budget["suites"].items()}
    if set(suites) != set(SUITES):
        raise SystemExit(f"tests/budget.toml and tests/run.py differ in {set(suites) ^ set(SUITES)}")
    if sum(suites.values()) > budget["total"]:
        raise SystemExit(f"tests/budget.toml: the suites add up to {sum(suites.values()):.0f} s, over {budget['total']} s")
    return float(budget["total"]), suites


def run_suite(name: str, limit: float) -> Outcome:
    try:
        return SUITES[name](Runner(limit))
    except (RuntimeError, OSError) as problem:
        print(problem, flush=True)
        return Outcome(failed=1, note=str(problem).splitlines()[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", help=f"some of: {','.join(SUITES)}")
    wanted = parser.parse_args().suites
    names = wanted.split(",") if wanted else list(SUITES)
    if unknown := [name for name in names if name not in SUITES]:
        parser.error(f"no suite named {', '.join(unknown)}; there are {', '.join(SUITES)}")
    total, budget = read_budget()
    REPORTS.mkdir(parents=True, exist_ok=True)

    results: list[tuple[str, Outcome, float]] = []
    for name in names:
        print(f"\n=== {name}", flush=True)
        start = time.monotonic()
        outcome = run_suite(name, budget[name] * HANG_FACTOR)
        results.append((name, outcome, time.monotonic() - start))

    print(f"\n{'suite':<10} {'seconds':>8} {'budget':>7} {'passed':>7} {'failed':>7} {'skipped':>8}")
    for name, outcome, seconds in results:
        over = "over its budget" if seconds > budget[name] else ""
        note = ", ".join(part for part in (over, outcome.note) if part)
        print(f"{name:<10} {seconds:>8.1f} {budget[name]:>7.0f} {outcome.passed:>7} {outcome.failed:>7} {outcome.skipped:>8}  {note}")
    used = sum(seconds for _, _, seconds in results)
    allowed = total if not wanted else sum(budget[name] for name in names)
    print(f"{'total':<10} {used:>8.1f} {allowed:>7.0f}")
    passed = sum(outcome.passed for _, outcome, _ in results)
    failed = sum(outcome.failed for _, outcome, _ in results)
    late = not wanted and used > total
    if late:
        print(f"over the budget of {total:.0f} seconds")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or late else 0


if __name__ == "__main__":
    sys.exit(main())
