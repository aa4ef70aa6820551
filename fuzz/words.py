"""The words of each target's language, for libFuzzer's dictionaries."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DECODER = ROOT / "crates" / "api" / "src" / "kinesis" / "decode.rs"
OPERATIONS = ROOT / "crates" / "api" / "src" / "kinesis" / "operations.rs"
ENUMERATIONS = ROOT / "crates" / "api" / "src" / "kinesis" / "enums.rs"
SETTINGS = ROOT / "crates" / "millstream" / "src" / "config" / "layers.rs"
LIMITS = ROOT / "crates" / "kinesis" / "src" / "limits.rs"
STATE = ROOT / "crates" / "kinesis" / "src" / "state.rs"
PLANS = ROOT / "crates" / "kinesis" / "src" / "plans" / "mod.rs"
GRAMMAR = ROOT / "crates" / "kinesis" / "src" / "policies" / "grammar.rs"
FAULTS = [ROOT / "crates" / "controls" / "src" / name for name in ["action.rs", "fault.rs", "routes.rs"]]

JSON = ["{}", "[]", "null", "true", "false", '":"', ",", '\\"', "\\u0000", "1e9", "-1", "0.5", "9223372036854775807"]
CBOR = ["\x60", "\x7f", "\x9f", "\xbf", "\xff", "\xf6", "\xf9\x7c\x00", "\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "\xc1"]
HEADS = [
    "POST /", "GET /_millstream/health", "OPTIONS /", "a:", "t:", "c:", "h:", "o:", "d:", "\n",
    "AWS4-HMAC-SHA256 Credential=", "SignedHeaders=", "Signature=", "/us-east-1/kinesis/aws4_request",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Credential=", "X-Amz-Signature=", "X-Amz-SignedHeaders=", "X-Amz-Date=",
    "Kinesis_20131202.", "PutRecord", "application/x-amz-json-1.1", "application/x-amz-cbor-1.1", "application/json",
    "localhost:4567", "[::1]:1", "127.0.0.1", "allowed.example", "http://localhost:4567", "%2F", "%", "&", "?",
]  # fmt: skip
NAMES = [
    "arn:aws:kinesis:us-east-1:000000000000:stream/", "/consumer/", "arn:aws-cn:kinesis:cn-north-1:", "shardId-",
    "000000000000", "-", "4962", "2147483647", "340282366920938463463374607431768211455", "x10", "x0.5", ".", ":",
    "http://", "https://", "us-east-1",
]  # fmt: skip
SEGMENTS = ["MILLSEG\x00", "CCOM", "MILLFOOT", "\x01\x00\x00\x00", "\xff\xff\xff\xff", "\xff" * 8]
FILES = ["millstream-data 1\n", "millstream token keys 1\n", "1 " + "0123456789abcdef" * 4 + "\n", "\xff" * 8]
DURATIONS = ["PT", "P", "D", "T", "H", "M", "S", "ms", "s", "m", "h", "d", "18446744073709551615", "3650d"]
REQUESTS = ["@i", "@t", "@n", "@a", "wait ", "\n", "GET /faults", "POST /faults ", "POST /clock ", "POST /reset {}"]
AGGREGATES = ["\x0a", "\x12", "\x1a", "\x08", "\x10", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]


def quoted(*paths: Path) -> list[str]:
    """Everything in double quotes that looks like a name."""
    texts = [text for path in paths for text in re.findall(r'"([A-Za-z0-9_:-]{2,64})"', path.read_text())]
    return sorted(set(texts))


def fields(path: Path) -> list[str]:
    """The members of public structures, and their variants' names."""
    return sorted(set(re.findall(r"(?:pub )?([a-z_]{3,40}): |rename = \"([A-Z_]+)\"", path.read_text())))


def members(*paths: Path) -> list[str]:
    return [name for path in paths for pair in fields(path) for name in pair if name]


def as_json(names: list[str]) -> list[str]:
    return [f'"{name}":' for name in names]


def as_cbor(names: list[str]) -> list[str]:
    return [(chr(0x60 | len(name)) if len(name) < 24 else "\x78" + chr(len(name))) + name for name in names]


def of(target: str) -> list[str]:
    """The words of a target; none for one that needs none."""
    match target:
        case "json":
            return JSON + as_json(quoted(DECODER)) + quoted(ENUMERATIONS)
        case "cbor":
            return CBOR + as_cbor(quoted(DECODER)) + as_cbor(quoted(ENUMERATIONS))
        case "service":
            return JSON + REQUESTS + as_json(quoted(DECODER)) + quoted(OPERATIONS, ENUMERATIONS, *FAULTS)
        case "kpl":
            return AGGREGATES
        case "heads":
            return HEADS
        case "names":
            return NAMES
        case "policies":
            return JSON + [f'"{name}"' for name in quoted(GRAMMAR)] + ["kinesis:*", "arn:aws:iam::000000000000:root"]
        case "config":
            return quoted(SETTINGS) + members(LIMITS) + ["[[streams]]", "[limits]", "[[limits.streams]]", "\x00", "--"]
        case "durations":
            return DURATIONS
        case "structures" | "segments":
            return SEGMENTS
        case "files":
            return FILES
        case "records" | "stream":
            return JSON + as_json(members(STATE, PLANS)) + ["\x01", "\x02"]
        case _:
            return []


def write(target: str, path: Path) -> Path | None:
    """Writes the target's dictionary, if it has one."""
    entries = of(target)
    if not entries:
        return None
    escaped = ["".join(c if c.isascii() and (c.isalnum() or c in " _-:./=") else f"\\x{ord(c):02x}" for c in word) for word in entries]
    path.write_text("".join(f'"{word}"\n' for word in escaped))
    return path
