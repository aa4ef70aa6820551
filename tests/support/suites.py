"""The servers that the tests of the SDKs in other languages run against, told to them in the environment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support import server as servers
from support.door import Door
from support.remote import Remote
from support.server import Server

TRANSITIONS = ("--transition-delay", "50ms")


def certificates(folder: Path) -> dict[str, Path]:
    """A development authority and a server's certificate, made by the binary itself."""
    done = servers.run("certs", "--dir", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    files = {"ca": folder / "ca.pem", "cert": folder / "server.pem", "key": folder / "server.key"}
    assert all(file.is_file() for file in files.values()), sorted(folder.iterdir())
    return files


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """A server for everything and one to be restarted; yields the variables that the tests read.

    `MILLSTREAM_ENDPOINT` and `MILLSTREAM_TLS_ENDPOINT` are the same port in cleartext and TLS, `MILLSTREAM_CA` the file of
    the authority to trust. `MILLSTREAM_RESTART_ENDPOINT` is the other server, `MILLSTREAM_DOOR_ENDPOINT` the front door
    before it, and `MILLSTREAM_REMOTE` takes the orders to restart it.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millstream-suite-")))
        files = certificates(folder / "certs")
        tls = ("--tls-cert", str(files["cert"]), "--tls-key", str(files["key"]))
        shared = stack.enter_context(Server(folder / "shared", *TRANSITIONS, *tls))
        restarted = stack.enter_context(Server(folder / "restarted", *TRANSITIONS))
        restarted.keep_port()
        door, remote = Door(restarted.port), Remote(restarted)
        stack.callback(door.close)
        stack.callback(remote.close)
        yield {
            "MILLSTREAM_ENDPOINT": shared.endpoint,
            "MILLSTREAM_TLS_ENDPOINT": f"https://localhost:{shared.port}",
            "MILLSTREAM_CA": str(files["ca"]),
            "MILLSTREAM_RESTART_ENDPOINT": restarted.endpoint,
            "MILLSTREAM_DOOR_ENDPOINT": door.endpoint,
            "MILLSTREAM_REMOTE": remote.url,
        }
