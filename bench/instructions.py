#!/usr/bin/env python3
"""`make bench-instructions`: counts the instructions of the hot pieces and compares them with bench/instructions.toml.

A piece is a test in a module `instructions` of a crate: it prepares, does the work once to check it and to warm up, and
once more within `millstream_env::counted`. Each is run by itself under callgrind, which counts only inside that function,
so the figures hardly differ from run to run, however busy the machine is. They do differ with the compiler, its settings
and the processor's features; what was counted with is in the file beside the figures.

    bench/instructions.py             compare; the exit status is 1 if a piece has grown by more than the tolerance
    bench/instructions.py --accept    write what was counted as the new figures
    bench/instructions.py put_record  only the pieces with this in their names
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "bench" / "instructions.toml"
CRATES = ("server", "kinesis", "log")
# The one function inside which callgrind counts, and whose argument is the piece.
COUNTED = "millstream_env::counted::counted*"
# What the simulated disk does is left out: it stands for a system call.
SIMULATED = re.compile(r"<?millstream_env::sim::disk::")
# Growth that is no regression: allocations and hash seeds differ a little between builds.
TOLERANCE = 0.03
HEAD = """\
# Instructions of the hot pieces, written by `make bench-instructions ACCEPT=1`; see bench/instructions.py.
"""


@dataclass(frozen=True)
class Piece:
    """A test that is counted."""

    crate: str
    binary: Path
    test: str

    @property
    def name(self) -> str:
        """Its crate and its own name: that of the test without the way to it."""
        return f"{self.crate}.{self.test.rsplit('::', 1)[-1]}"


def fail(why: str) -> "None":
    raise SystemExit(f"bench-instructions: {why}")


def text_of(*command: str | Path) -> str:
    """What a command prints; its errors go to the terminal."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command))} exited with {done.returncode}")
    return done.stdout


def build() -> list[tuple[str, Path]]:
    """The crates' test programs, built for release."""
    command = ["cargo", "test", "--locked", "--release", "--lib", "--no-run", "--message-format=json-render-diagnostics"]
    for crate in CRATES:
        command += ["-p", f"millstream-{crate}"]
    programs = {}
    for line in text_of(*command).splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
            programs[message["target"]["name"].removeprefix("millstream_")] = Path(message["executable"])
    return [(crate, programs[crate]) for crate in CRATES]


def pieces(programs: list[tuple[str, Path]]) -> list[Piece]:
    """Every test in a module `instructions`."""
    found = []
    for crate, binary in programs:
        tests = re.findall(r"^(\S*\binstructions::\w+): test$", text_of(binary, "--list"), re.M)
        found += [Piece(crate, binary, test) for test in sorted(tests)]
    return found


def count(piece: Piece) -> int:
    """The instructions of a piece."""
    out = ROOT / "target" / "instructions" / f"{piece.name}.out"
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--toggle-collect={COUNTED}",
         str(piece.binary), "--exact", piece.test, "--test-threads=1"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    if done.returncode != 0:
        fail(f"{piece.name} failed under valgrind:\n{done.stdout}")
    counted = instructions_in(out.read_text())
    if counted == 0:
        fail(f"{piece.name}: nothing was counted; does it call millstream_env::counted?")
    return counted


def instructions_in(profile: str) -> int:
    """The instructions of a callgrind profile, less those of calls into the simulated disk."""
    names: dict[str, str] = {}
    total = caller_is_simulated = callee_is_simulated = after_calls = 0
    for line in profile.splitlines():
        if function := re.match(r"(c?fn)=(\(\d+\))(?: (.*))?", line):
            # A name is written out once, and stands for its number from then on.
            kind, number, name = function.groups()
            simulated = SIMULATED.match(names.setdefault(number, name or "")) is not None
            if kind == "fn":
                caller_is_simulated = simulated
            else:
                callee_is_simulated = simulated
        elif line.startswith("calls="):
            after_calls = True
        elif cost := re.match(r"[+*-]?\d* (\d+)$", line):
            # The line after `calls` has the whole cost of the calls; every other one its own.
            if not after_calls:
                total += int(cost[1])
            elif callee_is_simulated and not caller_is_simulated:
                total -= int(cost[1])
            after_calls = False
    return total


def counted_with() -> dict[str, str]:
    """What the figures depend on, beside the code."""
    return {
        "compiler": text_of("rustc", "--version").strip(),
        "valgrind": text_of("valgrind", "--version").strip(),
        "processor": next(
            (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")), "unknown"),
    }


def render(figures: dict[str, int]) -> str:
    """The file of figures."""
    lines = [HEAD, "[counted_with]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in counted_with().items()]
    for crate in CRATES:
        lines += ["", f"[pieces.{crate}]"]
        lines += [f"{name.split('.')[1]} = {figure}" for name, figure in figures.items() if name.startswith(f"{crate}.")]
    return "\n".join(lines) + "\n"


def compare(found: dict[str, int], known: dict[str, int]) -> list[str]:
    """Prints each piece beside its figure, and returns what is wrong."""
    wrong = []
    print(f"{'piece':<42} {'figure':>12} {'counted':>12} {'change':>8}")
    for name, counted in found.items():
        figure = known.get(name)
        if figure is None:
            print(f"{name:<42} {'–':>12} {counted:>12,}")
            wrong.append(f"{name} has no figure yet")
            continue
        change = counted / figure - 1
        print(f"{name:<42} {figure:>12,} {counted:>12,} {change:>+8.1%}")
        if change > TOLERANCE:
            wrong.append(f"{name} has grown by {change:.1%}, from {figure:,} to {counted:,} instructions")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="write what was counted as the new figures")
    parser.add_argument("only", nargs="?", default="", help="count only the pieces with this in their names")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        fail("valgrind is not installed; on Debian and Ubuntu: apt-get install valgrind")

    (ROOT / "target" / "instructions").mkdir(parents=True, exist_ok=True)
    wanted = [piece for piece in pieces(build()) if options.only in piece.name]
    if not wanted:
        fail(f"no piece has {options.only!r} in its name")
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = dict(zip((piece.name for piece in wanted), pool.map(count, wanted)))

    known: dict[str, int] = {}
    if FIGURES.is_file():
        committed = tomllib.loads(FIGURES.read_text())
        known = {f"{crate}.{name}": n for crate, names in committed["pieces"].items() for name, n in names.items()}
        for key, value in counted_with().items():
            if (then := committed["counted_with"].get(key)) != value:
                print(f"note: the figures were counted with {key} {then}, this is {value}")
    wrong = compare(found, known)
    if not options.only:
        wrong += [f"{name} has a figure and is no piece any more" for name in known if name not in found]
    if options.accept:
        kept = known if options.only else {}
        FIGURES.write_text(render(dict(sorted({**kept, **found}.items()))))
        print(f"written to {FIGURES.relative_to(ROOT)}")
        return 0
    for line in wrong:
        print(f"bench-instructions: {line}", file=sys.stderr)
    if wrong:
        print("bench-instructions: if this is meant, accept it with 'make bench-instructions ACCEPT=1'", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
