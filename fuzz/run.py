#!/usr/bin/env python3
"""Fuzzes the parsers that meet bytes from outside, with libFuzzer.

    fuzz/run.py --minutes 20                 20 minutes of processor time for each family (`make fuzz MINUTES=20`)
    fuzz/run.py --minutes 5 --target json    one target
    fuzz/run.py --minimise                   fold what was found into the small corpora that are committed
    fuzz/run.py --list                       targets and their families

What an input finds is copied to fuzz/crashes/TARGET, the target's run ends, and so does the command, in the end, with
status 1. From then on the input is tried by `cargo test -p millstream-fuzz` as well.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import words

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# Found inputs of all runs; the committed corpora are the essence of them.
FOUND = ROOT / "target" / "fuzz-found"
# What the stable compiler needs to count edges and to show comparisons, for libFuzzer.
FLAGS = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg",
    "fuzzing",
]
# An input that takes longer, in seconds, or more memory, in MiB, counts as a crash.
SLOWEST = 10
LARGEST = 1024
# What is committed of a target's corpus at most.
FILES_KEPT = 100
BYTES_KEPT = 48 << 10


@dataclass
class Target:
    name: str
    family: str
    longest: int


@dataclass
class Run:
    """What one run of a target came to."""

    target: Target
    cpu: float
    executions: int = 0
    edges: int = 0
    features: int = 0
    found: Path | None = None
    text: str = ""


class Engine:
    """The binary that fuzzes."""

    def __init__(self) -> None:
        host = re.search(r"host: (\S+)", subprocess.check_output(["rustc", "-vV"], text=True)).group(1)
        # With a target the flags are not for build scripts and macros, which could not be linked.
        build = ["cargo", "build", "--locked", "--profile", "fuzz", "--target", host]
        build += ["-p", "millstream-fuzz", "--features", "engine"]
        environment = {**os.environ, "RUSTFLAGS": " ".join(FLAGS)}
        subprocess.run(build, cwd=ROOT, env=environment, check=True)
        self.path = ROOT / "target" / host / "fuzz" / "millstream-fuzz"

    def command(self, *arguments: str | Path) -> list[str]:
        return [str(self.path), *map(str, arguments)]

    def environment(self, target: str) -> dict[str, str]:
        return {**os.environ, "MILLSTREAM_FUZZ_TARGET": target, "RUST_BACKTRACE": "1"}

    def targets(self) -> list[Target]:
        listed = subprocess.check_output(self.command(), env=self.environment("list"), text=True)
        return [Target(name, family, int(longest)) for name, family, longest in map(str.split, listed.splitlines())]

    def fuzz(self, target: Target, seconds: float, log: Path | None = None) -> Run:
        found, new = FOUND / target.name, FOUND / "new" / target.name
        shutil.rmtree(new, ignore_errors=True)
        for directory in [found, new]:
            directory.mkdir(parents=True, exist_ok=True)
        arguments: list[str | Path] = [found]
        arguments += [directory for kind in ["corpus", "crashes"] if (directory := HERE / kind / target.name).is_dir()]
        arguments += [f"-max_total_time={max(1, round(seconds))}", f"-max_len={target.longest}"]
        arguments += [f"-timeout={SLOWEST}", f"-rss_limit_mb={LARGEST}", f"-artifact_prefix={new}/"]
        arguments += ["-print_final_stats=1", "-use_value_profile=1", "-reload=0"]
        if dictionary := words.write(target.name, FOUND / f"{target.name}.dict"):
            arguments += [f"-dict={dictionary}"]
        log = log or FOUND / f"{target.name}.log"
        with log.open("wb") as out:
            child = subprocess.Popen(
                self.command(*arguments), env=self.environment(target.name), stdout=out, stderr=subprocess.STDOUT
            )
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        text = log.read_text(errors="replace")
        run = Run(target, usage.ru_utime + usage.ru_stime, text=text)
        for line in re.finditer(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)", text):
            run.executions, run.edges, run.features = map(int, line.groups())
        if stat := re.search(r"stat::number_of_executed_units:\s+(\d+)", text):
            run.executions = int(stat.group(1))
        artifacts = [file for file in sorted(new.iterdir()) if not file.name.startswith("slow-unit")]
        if artifacts:
            kept = HERE / "crashes" / target.name
            kept.mkdir(parents=True, exist_ok=True)
            run.found = Path(shutil.copy(artifacts[0], kept))
        elif child.returncode != 0:
            sys.exit(f"{target.name}: the engine ended with status {child.returncode}; see {log}")
        return run

    def minimise(self, target: Target) -> None:
        """The smallest inputs that reach everything that all inputs reach, as many as are kept."""
        kept, merged = HERE / "corpus" / target.name, FOUND / "merged" / target.name
        shutil.rmtree(merged, ignore_errors=True)
        merged.mkdir(parents=True)
        sources = [directory for directory in [kept, FOUND / target.name] if directory.is_dir()]
        arguments = ["-merge=1", f"-max_len={target.longest}", f"-timeout={SLOWEST}", merged, *sources]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(self.command(*arguments), env=self.environment(target.name), check=True, **quiet)
        inputs = sorted(merged.iterdir(), key=lambda file: (file.stat().st_size, file.name))
        # Of too many, every so-and-so-many-th: small ones and large ones.
        chosen = inputs if len(inputs) <= FILES_KEPT else [inputs[at * len(inputs) // FILES_KEPT] for at in range(FILES_KEPT)]
        total, fits = 0, []
        for file in chosen:
            total += file.stat().st_size
            if total <= BYTES_KEPT:
                fits.append(file)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for file in fits:
            shutil.copy(file, kept)
        print(f"{target.name}: {len(fits)} of {len(inputs)} inputs, {sum(f.stat().st_size for f in fits)} bytes")


def report(run: Run) -> None:
    done = f"{run.cpu / 60:.1f} CPU-minutes, {run.executions} executions, {run.edges} edges"
    print(f"{run.target.family}/{run.target.name}: {done}", flush=True)
    if run.found:
        said = [line for line in run.text.splitlines() if "panicked at" in line or "ERROR: libFuzzer" in line]
        print(f"  found: {run.found.relative_to(ROOT)}: {said[0] if said else 'see the log'}")
        print(f"  again: fuzz/run.py --target {run.target.name} --try {run.found.relative_to(ROOT)}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1, help="for each family, shared by its targets [1]")
    parser.add_argument("--target", action="append", default=[], help="only this one")
    parser.add_argument("--family", action="append", default=[], help="only this one")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once [2]")
    parser.add_argument("--try", dest="input", type=Path, help="run the target on one file, and no other")
    parser.add_argument("--minimise", action="store_true", help="renew the committed corpora, without fuzzing")
    parser.add_argument("--list", action="store_true", help="print targets and families")
    options = parser.parse_args()
    engine = Engine()
    known = engine.targets()
    if unknown := (set(options.target) - {t.name for t in known}) | (set(options.family) - {t.family for t in known}):
        parser.error(f"there is no {', '.join(sorted(unknown))}; see --list")
    everything = not options.target and not options.family
    targets = [t for t in known if everything or t.name in options.target or t.family in options.family]
    if options.list:
        for target in known:
            print(f"{target.family:14} {target.name}")
        return 0
    if options.input:
        if len(options.target) != 1:
            parser.error("--try wants one --target")
        return subprocess.run(engine.command(options.input), env=engine.environment(options.target[0])).returncode
    if options.minimise:
        for target in targets:
            engine.minimise(target)
        return 0
    shares = {target.family: sum(t.family == target.family for t in targets) for target in targets}
    started = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        seconds = [options.minutes * 60 / shares[target.family] for target in targets]
        runs = []
        for run in pool.map(engine.fuzz, targets, seconds):
            report(run)
            runs.append(run)
    findings = sum(run.found is not None for run in runs)
    print(f"{findings} found in {(time.monotonic() - started) / 60:.0f} minutes")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
