"""The tutorial that people learn Kinesis from, word for word, with both major versions of the AWS CLI."""

from __future__ import annotations

import base64
import itertools
import json
import re

import pytest

import tools
from support.cli import Cli

MIDDLE = "170141183460469231731687303715884105728"
_names = itertools.count(1)


@pytest.fixture
def stream(aws: Cli) -> str:
    """A name that only this test uses."""
    return f"Foo{next(_names)}-{aws.name}"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def active(aws: Cli, stream: str) -> None:
    """What the CLI offers for that: it looks every ten seconds, and at once for the first time."""
    aws(f"kinesis wait stream-exists --stream-name {stream}")


def open_shards(aws: Cli, stream: str) -> list[str]:
    query = "Shards[?!(SequenceNumberRange.EndingSequenceNumber)].ShardId"
    return aws(f"kinesis list-shards --stream-name {stream} --query '{query}'")


def test_create_look_and_delete(aws: Cli, stream: str) -> None:
    assert aws(f"kinesis create-stream --stream-name {stream} --shard-count 1") is None
    active(aws, stream)
    assert stream in aws("kinesis list-streams")["StreamNames"]

    description = aws(f"kinesis describe-stream --stream-name {stream}")["StreamDescription"]
    assert description["StreamStatus"] == "ACTIVE"
    assert description["StreamARN"] == f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
    assert [shard["ShardId"] for shard in description["Shards"]] == ["shardId-000000000000"]
    status = f'kinesis describe-stream --stream-name {stream} --query "StreamDescription.StreamStatus"'
    assert aws(status) == "ACTIVE"
    assert aws(f"{status} --output text") == "ACTIVE"

    summary = aws(f"kinesis describe-stream-summary --stream-name {stream}")["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 1
    assert summary["RetentionPeriodHours"] == 24
    assert summary["EncryptionType"] == "NONE"
    assert summary["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}

    assert aws(f"kinesis delete-stream --stream-name {stream} --enforce-consumer-deletion") is None
    aws(f"kinesis wait stream-not-exists --stream-name {stream}")
    assert "ResourceNotFoundException" in aws.fails(f"kinesis describe-stream-summary --stream-name {stream}")


def test_on_demand_stream(aws: Cli, stream: str) -> None:
    aws(f"kinesis create-stream --stream-name {stream} --stream-mode-details StreamMode=ON_DEMAND")
    active(aws, stream)
    summary = aws(f"kinesis describe-stream-summary --stream-name {stream}")["StreamDescriptionSummary"]
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert summary["OpenShardCount"] == 4


def test_put_and_get(aws: Cli, stream: str) -> None:
    aws(f"kinesis create-stream --stream-name {stream} --shard-count 1")
    active(aws, stream)

    # The tutorial's own word happens to be valid base64.
    put = aws(f"kinesis put-record --stream-name {stream} --partition-key 123 --data testdata")
    assert put["ShardId"] == "shardId-000000000000"
    assert re.fullmatch(r"\d{56}", put["SequenceNumber"])
    aws(f"kinesis put-record --stream-name {stream} --partition-key 123 --data 'plain text!' {aws.raw}")
    aws(f"kinesis put-record --stream-name {stream} --partition-key 123 --data {encoded('plain text!')}")

    records = [{"Data": f"record {number}", "PartitionKey": f"key-{number}"} for number in range(3)]
    (aws.home / "records.json").write_text(json.dumps(records))
    many = aws(f"kinesis put-records --stream-name {stream} --records file://records.json {aws.raw}")
    assert many["FailedRecordCount"] == 0
    assert len(many["Records"]) == 3

    iterator = aws(
        f"kinesis get-shard-iterator --shard-id shardId-000000000000 --shard-iterator-type TRIM_HORIZON "
        f"--stream-name {stream}"
    )["ShardIterator"]
    page = aws(f"kinesis get-records --limit 10 --shard-iterator {iterator}")
    as_typed = (lambda text: base64.b64decode(text)) if aws.takes_base64 else (lambda text: text.encode())
    assert [base64.b64decode(record["Data"]) for record in page["Records"]] == [
        as_typed("testdata"),
        b"plain text!",
        as_typed(encoded("plain text!")),
        b"record 0",
        b"record 1",
        b"record 2",
    ]
    assert page["Records"][0]["SequenceNumber"] == put["SequenceNumber"]
    assert page["NextShardIterator"] != iterator
    assert page["MillisBehindLatest"] == 0

    first = aws(f"kinesis get-records --limit 1 --shard-iterator {iterator} --query 'Records[].PartitionKey' --output text")
    assert str(first) == "123"


def test_reshard_and_monitor(aws: Cli, stream: str) -> None:
    aws(f"kinesis create-stream --stream-name {stream} --shard-count 1")
    active(aws, stream)

    aws(f"kinesis split-shard --stream-name {stream} --shard-to-split shardId-000000000000 --new-starting-hash-key {MIDDLE}")
    active(aws, stream)
    assert open_shards(aws, stream) == ["shardId-000000000001", "shardId-000000000002"]

    aws(
        f"kinesis merge-shards --stream-name {stream} --shard-to-merge shardId-000000000001 "
        "--adjacent-shard-to-merge shardId-000000000002"
    )
    active(aws, stream)
    assert open_shards(aws, stream) == ["shardId-000000000003"]

    update = aws(
        f"kinesis update-shard-count --stream-name {stream} --target-shard-count 2 --scaling-type UNIFORM_SCALING"
    )
    assert (update["CurrentShardCount"], update["TargetShardCount"]) == (1, 2)
    active(aws, stream)
    assert open_shards(aws, stream) == ["shardId-000000000004", "shardId-000000000005"]

    metrics = "IncomingBytes OutgoingBytes"
    monitored = aws(f"kinesis enable-enhanced-monitoring --stream-name {stream} --shard-level-metrics {metrics}")
    assert monitored["CurrentShardLevelMetrics"] == []
    assert sorted(monitored["DesiredShardLevelMetrics"]) == metrics.split()

    active(aws, stream)
    aws(f"kinesis delete-stream --stream-name {stream} --enforce-consumer-deletion")


def test_script(aws: Cli, stream: str) -> None:
    script = tools.ROOT / "tests" / "cli" / "script.sh"
    done = aws.bash(f"'{script}' {stream}")
    assert done.returncode == 0, done.stdout + done.stderr
    # v1 stored the base64 text itself.
    expected = "aGVsbG8=" if aws.takes_base64 else encoded("aGVsbG8=")
    assert done.stdout.strip().splitlines()[-1] == expected
    aws(f"kinesis wait stream-not-exists --stream-name {stream}")


def test_readme(aws: Cli) -> None:
    """The README's tutorial, as it is printed there."""
    readme = (tools.ROOT / "README.md").read_text()
    blocks = re.findall(r"<!-- tutorial -->\n```bash\n(.*?)```", readme, re.S)
    assert blocks, "the README marks no tutorial"
    script = "\n".join(blocks).replace("http://127.0.0.1:4567", aws.server.endpoint)
    if not aws.takes_base64:
        script = script.replace("--cli-binary-format raw-in-base64-out", "")
    done = aws.bash(script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert encoded("hello") in done.stdout


def test_errors_are_told_as_aws_tells_them(aws: Cli) -> None:
    assert (
        "An error occurred (ResourceNotFoundException) when calling the DescribeStream operation: "
        "Stream nowhere under account 000000000000 not found."
    ) in aws.fails("kinesis describe-stream --stream-name nowhere")
