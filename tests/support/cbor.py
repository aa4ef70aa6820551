"""CBOR as AWS's clients write it and read it: enough of RFC 8949 for requests and answers."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Instant:
    """A timestamp in milliseconds: tag 1 and an integer."""

    milliseconds: int


@dataclass(frozen=True)
class Raw:
    """An item that is encoded already."""

    item: bytes


def head(major: int, value: int) -> bytes:
    for size, info in ((1, 24), (2, 25), (4, 26), (8, 27)):
        if value < 24:
            return bytes([major << 5 | value])
        if value < 1 << 8 * size:
            return bytes([major << 5 | info]) + value.to_bytes(size, "big")
    raise ValueError(value)


def encode(value: Any, indefinite: bool = False) -> bytes:
    """An item; `indefinite` writes lists and maps without their lengths, as the Java SDK does."""
    match value:
        case Raw():
            return value.item
        case Instant():
            return head(6, 1) + encode(value.milliseconds)
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return head(0, value) if value >= 0 else head(1, -1 - value)
        case float():
            return b"\xfb" + struct.pack(">d", value)
        case str():
            return head(3, len(value.encode())) + value.encode()
        case bytes():
            return head(2, len(value)) + value
        case list():
            items = b"".join(encode(item, indefinite) for item in value)
            return b"\x9f" + items + b"\xff" if indefinite else head(4, len(value)) + items
        case dict():
            items = b"".join(encode(name, indefinite) + encode(item, indefinite) for name, item in value.items())
            return b"\xbf" + items + b"\xff" if indefinite else head(5, len(value)) + items
    raise TypeError(type(value))


def pieces(value: str | bytes, size: int = 3) -> Raw:
    """A text or a byte string in pieces. A text must be ASCII."""
    raw = value.encode() if isinstance(value, str) else value
    major = 3 if isinstance(value, str) else 2
    parts = [raw[at:at + size] for at in range(0, len(raw), size)]
    return Raw(bytes([major << 5 | 31]) + b"".join(head(major, len(part)) + part for part in parts) + b"\xff")


def decode(body: bytes) -> Any:
    """The one item that `body` is."""
    value, end = _item(body, 0)
    assert end == len(body), f"{len(body) - end} bytes follow"
    return value


def _item(body: bytes, at: int) -> tuple[Any, int]:
    major, info = body[at] >> 5, body[at] & 31
    at += 1
    value = info
    if 24 <= info < 28:
        size = 1 << info - 24
        value, at = int.from_bytes(body[at:at + size], "big"), at + size
    indefinite = info == 31
    if major == 0:
        return value, at
    if major == 1:
        return -1 - value, at
    if major in (2, 3):
        assert not indefinite, "the server writes texts and byte strings in one piece"
        raw = body[at:at + value]
        assert len(raw) == value
        return (raw.decode() if major == 3 else raw), at + value
    if major == 4:
        items = []
        while body[at] != 0xFF if indefinite else len(items) < value:
            item, at = _item(body, at)
            items.append(item)
        return items, at + indefinite
    if major == 5:
        entries: dict[str, Any] = {}
        while body[at] != 0xFF if indefinite else len(entries) < value:
            name, at = _item(body, at)
            assert isinstance(name, str) and name not in entries, name
            entries[name], at = _item(body, at)
        return entries, at + indefinite
    if major == 6:
        assert value == 1, f"tag {value}"
        item, at = _item(body, at)
        assert type(item) is int, f"a timestamp must be an integer, not {item!r}"
        return Instant(item), at
    return {20: False, 21: True, 22: None}[info], at
