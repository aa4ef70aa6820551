"""A stand-in for DynamoDB, where the KCL keeps its leases: moto's server on a free port."""

from __future__ import annotations

import re
import subprocess
import threading

import tools
from support import waiting

RUNNING = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")


class Dynamo:
    """The process. Everything is in its memory."""

    def __init__(self) -> None:
        self.output = ""
        self.process: subprocess.Popen[str] | None = None

    @property
    def endpoint(self) -> str:
        found = RUNNING.search(self.output)
        assert found, f"the stand-in is not ready:\n{self.output}"
        return found.group(1)

    def _collect(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            # Its log has a line for each request; only the beginning is of interest.
            if not RUNNING.search(self.output):
                self.output += line

    def __enter__(self) -> "Dynamo":
        self.process = process = subprocess.Popen(
            [str(tools.moto()), "--host", "127.0.0.1", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._collect, args=[process], daemon=True).start()
        waiting.until(lambda: RUNNING.search(self.output) or process.poll() is not None, "the stand-in is ready")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
