"""The programs of tests/java: compiled once, run with the jars that tests/tools.py installs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import tools

SOURCES = tools.ROOT / "tests" / "java" / "src"
# Tests start many short virtual machines on few cores: the quick compiler and the simple collector suit them.
OPTIONS = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


class Jvm:
    """The compiled programs."""

    def __init__(self, classes: Path) -> None:
        jars = tools.java()
        self.classpath = f"{classes}:{jars}/*"
        sources = sorted(map(str, SOURCES.rglob("*.java")))
        tools.run("javac", "--release", "17", "-parameters", "-proc:none", "-Xlint:all,-path,-classfile,-try,-processing",
                  "-Werror", "-d", classes, "-cp", self.classpath, *sources)

    def command(self, program: str, *arguments: str, properties: dict[str, str] | None = None) -> list[str]:
        """The command line that runs a main class with these system properties."""
        defined = [f"-D{name}={value}" for name, value in (properties or {}).items()]
        return ["java", *OPTIONS, *defined, "-cp", self.classpath, program, *arguments]

    def start(
        self, program: str, *arguments: str, log: Path, properties: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Starts a main class. What it logs goes to a file, what it says on standard output can be read."""
        with log.open("ab") as errors:
            return subprocess.Popen(
                self.command(program, *arguments, properties=properties),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def run(self, program: str, *arguments: str, timeout: float, properties: dict[str, str] | None = None) -> str:
        """Runs a main class to its end, which must be a good one, and returns all it printed."""
        done = subprocess.run(
            self.command(program, *arguments, properties=properties),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        print(done.stdout)
        assert done.returncode == 0, f"{program} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout


def environment() -> dict[str, str]:
    """The environment without what would configure an AWS client."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def truststore(authority: Path, folder: Path) -> Path:
    """A Java truststore that holds one certificate authority. Its password is `changeit`."""
    store = folder / "trust.p12"
    tools.run("keytool", "-importcert", "-noprompt", "-alias", "millstream", "-file", authority, "-keystore", store,
              "-storetype", "PKCS12", "-storepass", "changeit")
    return store
