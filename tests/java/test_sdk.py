"""The AWS SDK for Java v2: JUnit tests over every HTTP client of it, once with CBOR, its default, and once with JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.jvm import Jvm, truststore
from support.server import Server, certificates


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server that speaks TLS as well, and a truststore with its authority."""
    folder = tmp_path_factory.mktemp("secured")
    with Server(folder / "data", "--transition-delay", "50ms", "--test-controls", tls=True) as running:
        yield running, truststore(certificates() / "ca.pem", folder)


@pytest.mark.parametrize("codec", ["cbor", "json"])
def test_every_client(codec: str, jvm: Jvm, secured: tuple[Server, Path]) -> None:
    running, store = secured
    output = jvm.run(
        "org.junit.platform.console.ConsoleLauncher",
        "execute", "--disable-banner", "--details=summary", "--fail-if-no-tests", "--select-package=millstream.sdk",
        "--config=junit.jupiter.execution.parallel.enabled=true",
        "--config=junit.jupiter.execution.parallel.mode.default=concurrent",
        "--config=junit.jupiter.execution.parallel.config.strategy=fixed",
        "--config=junit.jupiter.execution.parallel.config.fixed.parallelism=12",
        timeout=180,
        properties={
            "aws.cborEnabled": str(codec == "cbor").lower(),
            "javax.net.ssl.trustStore": str(store),
            "javax.net.ssl.trustStorePassword": "changeit",
            "millstream.http": f"http://127.0.0.1:{running.port}",
            "millstream.https": f"https://localhost:{running.port}",
            "millstream.accounts": "510000000000" if codec == "cbor" else "520000000000",
        },
    )
    assert re.search(r"\[\s+0 tests failed", output)
