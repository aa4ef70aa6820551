"""The servers that the tests of the SDKs in other languages run against, told to them in the environment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.door import Door
from support.remote import Remote
from support.server import Server

TRANSITIONS = ("--transition-delay", "50ms")


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """A server for everything and one to be restarted; yields the variables that the tests read.

    `MILLSTREAM_ENDPOINT` and `MILLSTREAM_TLS_ENDPOINT` are the same port in cleartext and TLS, `MILLSTREAM_CA` the file of
    the authority to trust. `MILLSTREAM_RESTART_ENDPOINT` is the other server, `MILLSTREAM_DOOR_ENDPOINT` the front door
    before it, and `MILLSTREAM_REMOTE` takes the orders to restart it.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millstream-suite-")))
        shared = stack.enter_context(Server(folder / "shared", *TRANSITIONS, tls=True))
        restarted = stack.enter_context(Server(folder / "restarted", *TRANSITIONS, tls=False))
        restarted.keep_port()
        door, remote = Door(restarted.port), Remote(restarted)
        stack.callback(door.close)
        stack.callback(remote.close)
        yield {
            "MILLSTREAM_ENDPOINT": f"http://127.0.0.1:{shared.port}",
            "MILLSTREAM_TLS_ENDPOINT": f"https://localhost:{shared.port}",
            "MILLSTREAM_CA": str(shared.ca),
            "MILLSTREAM_RESTART_ENDPOINT": restarted.endpoint,
            "MILLSTREAM_DOOR_ENDPOINT": door.endpoint,
            "MILLSTREAM_REMOTE": remote.url,
        }
