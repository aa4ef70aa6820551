"""Fixtures of the JVM clients' tests."""

from __future__ import annotations

import pytest

from support.jvm import Jvm


@pytest.fixture(scope="session")
def jvm(tmp_path_factory: pytest.TempPathFactory) -> Jvm:
    return Jvm(tmp_path_factory.mktemp("classes"))
