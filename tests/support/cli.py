"""The AWS CLI, behind a shim named `aws`, as a user's shell would find it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from support.server import Server


class Cli:
    """One AWS CLI, in an environment that has nothing of the user's."""

    def __init__(self, name: str, executable: Path, server: Server, home: Path) -> None:
        self.name = name
        self.server = server
        self.home = home
        shims = home / "bin"
        shims.mkdir()
        # The old Debian client knows no AWS_ENDPOINT_URL.
        flags = '--endpoint-url "$AWS_ENDPOINT_URL" ' if name == "debian" else ""
        shim = shims / "aws"
        shim.write_text(f'#!/bin/sh\nexec "{executable}" {flags}"$@"\n')
        shim.chmod(0o755)
        self.env = {
            "PATH": f"{shims}:{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
            **({"AWS_CA_BUNDLE": str(server.ca)} if server.ca else {}),
        }

    @property
    def takes_base64(self) -> bool:
        """Whether blobs on the command line are base64, as in v2, unless it is told otherwise. v1 takes them raw."""
        return self.name != "v1"

    @property
    def raw(self) -> str:
        """The option that makes v2 take blobs raw."""
        return "--cli-binary-format raw-in-base64-out" if self.takes_base64 else ""

    def bash(self, script: str, deadline: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs a script as a user would type it."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.home,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )

    def __call__(self, command: str) -> Any:
        """Runs `aws <command>`, which must succeed, and gives what it printed: JSON, text, or None."""
        done = self.bash(f"aws {command}")
        assert done.returncode == 0, f"aws {command}\n{done.stdout}{done.stderr}"
        try:
            return json.loads(done.stdout) if done.stdout.strip() else None
        except json.JSONDecodeError:
            return done.stdout.strip()

    def fails(self, command: str) -> str:
        """Runs `aws <command>`, which must fail, and gives what it said."""
        done = self.bash(f"aws {command}")
        assert done.returncode != 0, f"aws {command} succeeded\n{done.stdout}"
        return done.stderr
