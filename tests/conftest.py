"""Fixtures of all black-box tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import TLS, Server, certificates
from support.worlds import World


@pytest.fixture(scope="session", autouse=True)
def trust() -> Iterator[None]:
    """With MILLSTREAM_TEST_TLS=1 servers speak TLS: the SDKs are told to trust them, as a user tells them."""
    with pytest.MonkeyPatch.context() as patch:
        if TLS:
            patch.setenv("AWS_CA_BUNDLE", str(certificates() / "ca.pem"))
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not need one of their own. Its limits are the default, AWS's."""
    with Server(tmp_path_factory.mktemp("shared") / "data", "--transition-delay", "50ms") as shared:
        yield shared


@pytest.fixture(scope="session")
def unlimited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server without limits, for tests that put or call much."""
    with Server(tmp_path_factory.mktemp("unlimited") / "data", "--transition-delay", "0ms", "--limits", "none") as shared:
        yield shared


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for one test, which may stop and kill it. It runs already."""
    own = Server(tmp_path / "data", "--transition-delay", "20ms")
    own.start()
    yield own
    own.close()


@pytest.fixture
def world(server: Server) -> World:
    """An account that no other test uses, on the shared server."""
    return World(server)


@pytest.fixture
def free_world(unlimited: Server) -> World:
    """The same on the server without limits."""
    return World(unlimited)
