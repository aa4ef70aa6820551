"""Stand-ins for DynamoDB, where the KCL keeps its leases: processes on free ports, with everything in memory.

Neither serves both: the KCL 3.x needs secondary indexes on a table that is there already, which dynalite does not query, and
moto refuses the conditional updates with which the KCL 1.x writes its checkpoints.
"""

from __future__ import annotations

import re
import subprocess
import threading

import tools
from support import ports, waiting

READY = re.compile(r"(?:Running on|listening at:) http://(?:127\.0\.0\.1|localhost):(\d+)")


def moto() -> list[str]:
    """For the KCL 3.x."""
    return [str(tools.moto()), "--host", "127.0.0.1", "--port", "0"]


def dynalite() -> list[str]:
    """For the KCL 1.x."""
    # To it port 0 is its default port.
    port = str(ports.free())
    return ["node", str(tools.dynalite()), "--host", "127.0.0.1", "--port", port, "--createTableMs", "50"]


class Dynamo:
    """One of them, running."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.output = ""
        self.process: subprocess.Popen[str] | None = None

    @property
    def endpoint(self) -> str:
        found = READY.search(self.output)
        assert found, f"the stand-in is not ready:\n{self.output}"
        return f"http://127.0.0.1:{found.group(1)}"

    def _collect(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            # Its log may have a line for each request; only the beginning is of interest.
            if not READY.search(self.output):
                self.output += line

    def __enter__(self) -> "Dynamo":
        self.process = process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._collect, args=[process], daemon=True).start()
        waiting.until(lambda: READY.search(self.output) or process.poll() is not None, "the stand-in is ready")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
