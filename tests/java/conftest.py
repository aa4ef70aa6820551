"""Fixtures of the JVM clients' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import dynamo
from support.dynamo import Dynamo
from support.jvm import Jvm


@pytest.fixture(scope="session")
def jvm(tmp_path_factory: pytest.TempPathFactory) -> Jvm:
    return Jvm(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="session")
def tables() -> Iterator[str]:
    """Where the KCL 3.x keeps its leases."""
    with Dynamo(dynamo.moto()) as running:
        yield running.endpoint


@pytest.fixture(scope="session")
def old_tables() -> Iterator[str]:
    """Where the KCL 1.x keeps its leases."""
    with Dynamo(dynamo.dynalite()) as running:
        yield running.endpoint
