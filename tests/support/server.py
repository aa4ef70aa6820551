"""The real binary as a process on a free port."""

from __future__ import annotations

import atexit
import functools
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import tools
from support import waiting

# The first of these lines; with TLS it is the one with https.
READY = re.compile(r"^listening on (https?://(\S+?):(\d+))\s*$", re.M)
# Whether servers speak TLS, and SDKs reach them by it, where a test does not say.
TLS = os.environ.get("MILLSTREAM_TEST_TLS") == "1"


def binary() -> Path:
    """The server under test: MILLSTREAM_BIN, else the release build."""
    return Path(os.environ.get("MILLSTREAM_BIN", tools.ROOT / "target" / "release" / "millstream"))


def run(*arguments: str | Path, env: dict[str, str] | None = None, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    """Runs the binary to its end. A run that does not end is a failure."""
    return subprocess.run(
        [str(binary()), *map(str, arguments)],
        env={**clean_environment(), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """The environment without what would configure the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")}


@functools.cache
def certificates() -> Path:
    """A directory with what `millstream certs` makes, the same for all tests of this run."""
    made = Path(tempfile.mkdtemp(prefix="millstream-test-certs-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    done = run("certs", "--dir", made)
    assert done.returncode == 0, done.stderr
    return made


class Server:
    """A server that can be started, stopped, killed, and started again on the same data.

    Each start takes a free port; `endpoint` is that of the running process, by https if it speaks TLS: whoever calls it
    then has to trust `ca`, the SDKs by AWS_CA_BUNDLE.
    """

    def __init__(
        self,
        data: Path | None,
        *flags: str,
        env: dict[str, str] | None = None,
        tls: bool | None = None,
        limits: dict[int, int] | None = None,
    ) -> None:
        self.tls = TLS if tls is None else tls
        self.data = data
        self.flags = flags
        self.env = env or {}
        # Of the `resource` module: by RLIMIT_ number.
        self.limits = limits or {}
        self.output = ""
        self.process: subprocess.Popen[str] | None = None
        self.reader: threading.Thread | None = None

    def start(self) -> "Server":
        """Starts the process and waits for the line that says it listens."""
        assert self.process is None, "the server runs already"
        self.output = ""
        data = ["--data-dir", str(self.data)] if self.data else []
        if self.tls:
            data += ["--tls-cert", str(certificates() / "server.pem"), "--tls-key", str(certificates() / "server.key")]
        listen = [] if "--listen" in self.flags else ["--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [str(binary()), "serve", *listen, *data, *self.flags],
            env={**clean_environment(), **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=self._limit if self.limits else None,
        )
        self.reader = threading.Thread(target=self._collect, args=[self.process], daemon=True)
        self.reader.start()
        waiting.until(lambda: READY.search(self.output) or self.process.poll() is not None, "the server is ready")
        if not READY.search(self.output):
            self.reader.join(5)
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output}")
        return self

    def _limit(self) -> None:
        for number, limit in self.limits.items():
            resource.setrlimit(number, (limit, limit))

    def files(self) -> int:
        """How many files the process has open."""
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def _collect(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output += line

    @property
    def endpoint(self) -> str:
        """The first URL it printed, e.g. `http://127.0.0.1:40123`."""
        return self._ready().group(1)

    @property
    def ca(self) -> Path | None:
        """The authority that its certificate is from."""
        return certificates() / "ca.pem" if self.tls else None

    @property
    def port(self) -> int:
        return int(self._ready().group(3))

    def _ready(self) -> re.Match[str]:
        found = READY.search(self.output)
        assert found, "the server is not ready"
        return found

    def keep_port(self) -> None:
        """Has every later start take the port of this one."""
        assert "--listen" not in self.flags
        self.flags = (*self.flags, "--listen", f"127.0.0.1:{self.port}")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        """Waits for the end of the process and returns its exit status."""
        assert self.process is not None and self.reader is not None
        status = self.process.wait(timeout)
        self.reader.join(5)
        self.process = None
        return status

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)
        self.wait()

    def restart(self, kill: bool = False) -> "Server":
        """Ends it, cleanly or not, and starts it on the same data."""
        if kill:
            self.kill()
        else:
            status = self.stop()
            assert status == 0, f"a clean stop ended with {status}:\n{self.output}"
        return self.start()

    def close(self) -> None:
        """Ends whatever still runs."""
        if self.process is not None:
            self.process.kill()
            self.wait()

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()
