"""Requests written by hand: what an SDK would never send, and answers as they are on the wire."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any

from support import cbor

ACCOUNT = "000000000000"
JSON = "application/x-amz-json-1.1"
CBOR = "application/x-amz-cbor-1.1"


def authorization(account: str = ACCOUNT, region: str = "us-east-1") -> dict[str, str]:
    """Headers with the form of a signature. Without authentication only the form counts."""
    credential = f"{account}/20260101/{region}/kinesis/aws4_request"
    return {
        "X-Amz-Date": "20260101T000000Z",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, "
        f"SignedHeaders=host;x-amz-date;x-amz-target, Signature={'0' * 64}",
    }


@dataclass
class Answer:
    """An HTTP answer. Header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def cbor(self) -> Any:
        return cbor.decode(self.body)


class Http:
    """Plain requests to one server."""

    def __init__(self, port: int, account: str = ACCOUNT, region: str = "us-east-1") -> None:
        self.port = port
        self.account = account
        self.region = region

    def send(
        self, method: str = "POST", path: str = "/", headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One request with exactly these headers (and Host and Content-Length)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def call(self, operation: str, body: Any = None, **headers: str) -> Answer:
        """A well-formed call. `body` is an object, or bytes to be sent as they are."""
        payload = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return self.send(
            headers={
                "Content-Type": JSON,
                "X-Amz-Target": f"Kinesis_20131202.{operation}",
                **authorization(self.account, self.region),
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
            body=payload,
        )

    def call_in_cbor(self, operation: str, body: Any = None, indefinite: bool = True, **headers: str) -> Answer:
        """A well-formed call in CBOR. `body` is a value, or bytes to be sent as they are."""
        payload = body if isinstance(body, bytes) else cbor.encode({} if body is None else body, indefinite)
        return self.call(operation, payload, Content_Type=CBOR, **headers)

    def error(self, operation: str, body: Any = None) -> tuple[int, str, str | None]:
        """Status, `__type` and message of a call that must fail."""
        answer = self.call(operation, body)
        assert answer.status != 200, f"{operation} succeeded: {answer.body!r}"
        shown = answer.json()
        return answer.status, shown["__type"], shown.get("message", shown.get("Message"))

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)
