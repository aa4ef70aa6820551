"""Fixtures of the JVM clients' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.dynamo import Dynamo
from support.jvm import Jvm


@pytest.fixture(scope="session")
def jvm(tmp_path_factory: pytest.TempPathFactory) -> Jvm:
    return Jvm(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="session")
def tables() -> Iterator[str]:
    """Where the KCL keeps its leases."""
    with Dynamo() as dynamo:
        yield dynamo.endpoint
