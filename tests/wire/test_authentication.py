"""Without authentication the signature is not checked, but its form is, with AWS's errors."""

from __future__ import annotations

import pytest

from support.http import JSON, Http, authorization
from support.server import Server
from support.worlds import World

TARGET = {"X-Amz-Target": "Kinesis_20131202.ListStreams", "Content-Type": JSON}
PARTS = {
    "Credential": "Authorization header requires 'Credential' parameter. ",
    "Signature": "Authorization header requires 'Signature' parameter. ",
    "SignedHeaders": "Authorization header requires 'SignedHeaders' parameter. ",
}
NO_DATE = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
QUERY = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"]


@pytest.fixture
def http(server: Server) -> Http:
    return World(server).http


def test_no_authentication(http: Http) -> None:
    answer = http.send(headers=TARGET, body=b"{}")
    assert (answer.status, answer.json()) == (
        400, {"__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"},
    )


@pytest.mark.parametrize("missing", [*PARTS, "date", "all"])
def test_incomplete_headers(http: Http, missing: str) -> None:
    parts = [f"{part}=x" for part in PARTS if missing not in (part, "all")]
    header = " ".join(["AWS4-HMAC-SHA256", ", ".join(parts)]).strip()
    date = {} if missing in ("date", "all") else {"X-Amz-Date": "20260101T000000Z"}
    answer = http.send(headers={**TARGET, **date, "Authorization": header}, body=b"{}")
    expected = "".join(text for part, text in PARTS.items() if missing in (part, "all"))
    expected += NO_DATE if not date else ""
    assert (answer.status, answer.json()) == (
        400, {"__type": "IncompleteSignatureException", "message": f"{expected}Authorization={header}"},
    )


def test_the_date_header_will_do(http: Http) -> None:
    headers = {**TARGET, **authorization(http.account), "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    del headers["X-Amz-Date"]
    assert http.send(headers=headers, body=b"{}").status == 200


def query(*names: str) -> str:
    return "/?" + "&".join(f"{name}=x" for name in names)


def test_query_authentication(http: Http) -> None:
    assert http.send(path=query(*QUERY), headers=TARGET, body=b"{}").status == 200
    answer = http.send(path=query(*QUERY), headers={**TARGET, **authorization()}, body=b"{}")
    assert (answer.status, answer.json()) == (
        400,
        {
            "__type": "InvalidSignatureException",
            "message": "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
        },
    )
    # Without the algorithm it is none.
    answer = http.send(path=query(*QUERY[1:]), headers=TARGET, body=b"{}")
    assert answer.json()["__type"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("missing", QUERY[1:])
def test_incomplete_queries(http: Http, missing: str) -> None:
    answer = http.send(path=query(*(name for name in QUERY if name != missing)), headers=TARGET, body=b"{}")
    assert (answer.status, answer.json()) == (
        400,
        {
            "__type": "IncompleteSignatureException",
            "message": f"AWS query-string parameters must include '{missing}'. Re-examine the query-string parameters.",
        },
    )


def test_a_query_that_lacks_nearly_all_of_it(http: Http) -> None:
    """All that is missing is told in one order. The algorithm alone makes it a query with authentication, even empty."""
    answer = http.send(path="/?X-Amz-Algorithm=", headers=TARGET, body=b"{}")
    missing = "".join(f"AWS query-string parameters must include '{name}'. " for name in QUERY)
    assert (answer.status, answer.json()) == (
        400,
        {"__type": "IncompleteSignatureException", "message": f"{missing}Re-examine the query-string parameters."},
    )


def test_the_parts_of_a_header_are_looked_for_after_its_first_word(http: Http) -> None:
    """Divided by commas or blanks, in any order, whatever the first word is."""
    date = {"X-Amz-Date": "20260101T000000Z"}
    for header, lacks in (
        ("AWS4- Signature=b Credential=a", ["SignedHeaders"]),
        ("AWS4-HMAC-SHA256 SignedHeaders=c,Signature=b,,Credential=a", []),
        ("Credential=a Signature=b SignedHeaders=c", ["Credential"]),
    ):
        answer = http.send(headers={**TARGET, **date, "Authorization": header}, body=b"{}")
        if not lacks:
            assert answer.status == 200, answer.body
            continue
        message = "".join(PARTS[part] for part in lacks) + f"Authorization={header}"
        assert (answer.status, answer.json()) == (400, {"__type": "IncompleteSignatureException", "message": message})


def test_the_operation_is_looked_at_before_the_authentication(http: Http) -> None:
    answer = http.send(headers={**TARGET, "X-Amz-Target": "Kinesis_20131202.Nonsense"}, body=b"{}")
    assert answer.json() == {"__type": "UnknownOperationException"}


def test_authentication_is_looked_at_before_the_members(http: Http) -> None:
    answer = http.send(headers=TARGET, body=b'{"Limit":"x"}')
    assert answer.json()["__type"] == "MissingAuthenticationTokenException"
