"""A web page in a visitor's browser must not reach an anonymous server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.http import JSON, Answer, Http, authorization
from support.server import Server
from support.worlds import World

ALLOWED_ORIGIN = "https://console.example"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ["--allow-host", "kinesis.internal", "--cors-origin", ALLOWED_ORIGIN]
    with Server(tmp_path_factory.mktemp("guarded") / "data", *flags) as running:
        yield running


@pytest.fixture
def http(guarded: Server) -> Http:
    return World(guarded).http


def listing(http: Http, method: str = "POST", **headers: str) -> Answer:
    common = {"X-Amz-Target": "Kinesis_20131202.ListStreams", "Content-Type": JSON, **authorization(http.account)}
    return http.send(method, headers={**common, **headers}, body=b"{}" if method == "POST" else None)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "localhost", "[::1]:{port}", "kinesis.internal", "kinesis.internal:{port}"]
)
def test_hosts_that_are_ours(http: Http, host: str) -> None:
    assert listing(http, Host=host.format(port=http.port)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "10.1.2.3"])
def test_foreign_hosts(http: Http, host: str) -> None:
    """A page whose name was made to point at the loopback address carries its own name in Host."""
    answer = listing(http, Host=host.format(port=http.port))
    assert answer.status == 403
    assert b"StreamNames" not in answer.body


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "https://console.example.evil"])
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_foreign_origins(http: Http, origin: str, method: str) -> None:
    answer = listing(http, method, Origin=origin)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


def test_an_allowed_origin(http: Http) -> None:
    answer = listing(http, Origin=ALLOWED_ORIGIN)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert answer.headers["access-control-expose-headers"] == (
        "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date"
    )


def test_an_allowed_origins_preflight(http: Http) -> None:
    answer = http.send("OPTIONS", headers={
        "Origin": ALLOWED_ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-amz-target",
    })
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert answer.headers["access-control-allow-origin"] == ALLOWED_ORIGIN
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "authorization,x-amz-target"
    assert answer.headers["access-control-max-age"] == "172800"


def test_nothing_is_allowed_unless_it_is_configured(server: Server) -> None:
    answer = listing(World(server).http, Origin=ALLOWED_ORIGIN)
    assert answer.status == 403


def test_the_operators_pages_are_guarded_too(http: Http) -> None:
    assert http.send("GET", "/_millstream/metrics", headers={"Host": "evil.example"}).status == 403
    assert http.send("GET", "/_millstream/metrics", headers={"Origin": "https://evil.example"}).status == 403
