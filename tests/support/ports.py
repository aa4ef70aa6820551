"""Ports for programs that must be told one."""

from __future__ import annotations

import socket


def free() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
