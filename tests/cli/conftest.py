"""The AWS CLIs there are, and a server for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tools
from support.cli import Cli
from support.server import Server


@pytest.fixture(scope="module")
def tutorial_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server exactly as `millstream serve` starts it, but for its port and directory."""
    with Server(tmp_path_factory.mktemp("tutorial") / "data") as running:
        yield running


@pytest.fixture(params=["v1", "v2", "debian"])
def aws(request: pytest.FixtureRequest, tutorial_server: Server, tmp_path: Path) -> Cli:
    executable = {"v1": tools.aws_v1, "v2": tools.aws_v2, "debian": tools.aws_debian}[request.param]()
    if executable is None:
        pytest.skip("Debian's awscli is not on this machine (it is not installed by the tests)")
    return Cli(request.param, executable, tutorial_server, tmp_path)


@pytest.fixture(params=["v1", "v2"])
def modern(request: pytest.FixtureRequest, tutorial_server: Server, tmp_path: Path) -> Cli:
    """A CLI that knows the newer operations."""
    executable = {"v1": tools.aws_v1, "v2": tools.aws_v2}[request.param]()
    return Cli(request.param, executable, tutorial_server, tmp_path)


@pytest.fixture(params=["v1", "v2"])
def encrypted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cli]:
    """A CLI whose server speaks TLS, without what would have it trust the certificate."""
    executable = {"v1": tools.aws_v1, "v2": tools.aws_v2}[request.param]()
    with Server(tmp_path / "data", tls=True) as server:
        cli = Cli(request.param, executable, server, tmp_path)
        cli.env.pop("AWS_CA_BUNDLE", None)
        yield cli
