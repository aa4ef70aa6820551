"""What is beyond the tutorial: consumers, policies, tags, sizes and the account, as they are typed."""

from __future__ import annotations

import itertools
import json

import pytest

from support import waiting
from support.cli import Cli

_names = itertools.count(1)


@pytest.fixture
def stream(modern: Cli) -> str:
    """A stream that only this test uses."""
    name = f"Ops{next(_names)}-{modern.name}"
    modern(f"kinesis create-stream --stream-name {name} --shard-count 1")
    modern(f"kinesis wait stream-exists --stream-name {name}")
    return name


def arn(stream: str) -> str:
    return f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"


def register(aws: Cli, stream: str, name: str, more: str = "") -> str:
    """Registers a consumer, waits until it is ACTIVE, and gives its ARN."""
    command = f"kinesis register-stream-consumer --stream-arn {arn(stream)} --consumer-name {name} {more}"
    consumer = aws(command)["Consumer"]["ConsumerARN"]
    look = f"kinesis describe-stream-consumer --consumer-arn {consumer} --query ConsumerDescription.ConsumerStatus"
    waiting.until(lambda: aws(look) == "ACTIVE", "the consumer is ACTIVE")
    return consumer


def test_consumers(modern: Cli, stream: str) -> None:
    consumer = register(modern, stream, "reader", "--tags stage=test")
    assert consumer.startswith(f"{arn(stream)}/consumer/reader:")
    register(modern, stream, "second")
    listed = modern(f"kinesis list-stream-consumers --stream-arn {arn(stream)} --query 'Consumers[].ConsumerName'")
    assert sorted(listed) == ["reader", "second"]
    # The CLI pages by itself.
    paged = modern(f"kinesis list-stream-consumers --stream-arn {arn(stream)} --page-size 1 --query 'Consumers[].ConsumerName'")
    assert sorted(paged) == ["reader", "second"]
    refused = modern.fails(f"kinesis register-stream-consumer --stream-arn {arn(stream)} --consumer-name reader")
    assert "(ResourceInUseException) when calling the RegisterStreamConsumer operation" in refused
    assert "(ResourceInUseException)" in modern.fails(f"kinesis delete-stream --stream-name {stream}")

    tags = f"kinesis list-tags-for-resource --resource-arn {consumer} --query Tags"
    assert modern(tags) == [{"Key": "stage", "Value": "test"}]
    modern(f"kinesis deregister-stream-consumer --consumer-arn {consumer}")
    look = f"kinesis describe-stream-consumer --consumer-arn {consumer}"
    waiting.until(lambda: modern.bash(f"aws {look}").returncode != 0, "the consumer is gone")
    assert "(ResourceNotFoundException)" in modern.fails(look)
    modern(f"kinesis delete-stream --stream-name {stream} --enforce-consumer-deletion")


def test_neither_cli_has_subscribe_to_shard(modern: Cli) -> None:
    """Both leave it out, since it answers with a stream of events. A CLI that has it needs a test here."""
    said = modern.fails("kinesis subscribe-to-shard")
    assert "subscribe-to-shard" in said and ("Invalid choice" in said or "invalid choice" in said)


def test_policies(modern: Cli, stream: str) -> None:
    get = f"kinesis get-resource-policy --resource-arn {arn(stream)} --query Policy --output text"
    # The output is JSON in a text, and the helper parses it.
    assert modern(get) == {}
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "readers",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
                "Action": ["kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:GetRecords"],
                "Resource": arn(stream),
            }
        ],
    }
    (modern.home / "policy.json").write_text(json.dumps(policy, indent=2))
    assert modern(f"kinesis put-resource-policy --resource-arn {arn(stream)} --policy file://policy.json") is None
    assert modern(get) == policy
    modern(f"kinesis delete-resource-policy --resource-arn {arn(stream)}")
    assert modern(get) == {}


def test_tags_of_streams(modern: Cli, stream: str) -> None:
    modern(f"kinesis add-tags-to-stream --stream-name {stream} --tags Project=myProject,Environment=test")
    modern(f"kinesis tag-resource --resource-arn {arn(stream)} --tags team=a")
    listed = modern(f"kinesis list-tags-for-stream --stream-name {stream} --query Tags")
    everything = [("Environment", "test"), ("Project", "myProject"), ("team", "a")]
    assert [(tag["Key"], tag["Value"]) for tag in listed] == everything
    modern(f"kinesis untag-resource --resource-arn {arn(stream)} --tag-keys team Project")
    assert modern(f"kinesis list-tags-for-resource --resource-arn {arn(stream)} --query 'Tags[].Key'") == ["Environment"]


def test_record_sizes(modern: Cli, stream: str) -> None:
    # The spelling is the CLI's own.
    modern(f"kinesis update-max-record-size --stream-arn {arn(stream)} --max-record-size-in-ki-b 5000")
    modern(f"kinesis wait stream-exists --stream-name {stream}")
    size = f"kinesis describe-stream-summary --stream-name {stream} --query StreamDescriptionSummary.MaxRecordSizeInKiB"
    assert modern(size) == 5000
    refused = modern.fails(f"kinesis update-max-record-size --stream-arn {arn(stream)} --max-record-size-in-ki-b 512")
    assert "(ValidationException) when calling the UpdateMaxRecordSize operation" in refused

    (modern.home / "large").write_bytes(bytes(range(256)) * 8 * 1024)
    modern(f"kinesis put-record --stream-name {stream} --partition-key k --data fileb://large")
    iterator = modern(
        f"kinesis get-shard-iterator --stream-name {stream} --shard-id shardId-000000000000 "
        "--shard-iterator-type TRIM_HORIZON --query ShardIterator"
    )
    command = f"aws kinesis get-records --shard-iterator {iterator} --query 'Records[0].Data' --output text | base64 -d"
    assert modern.bash(f"{command} | cmp - large").returncode == 0


def test_what_an_account_has(modern: Cli) -> None:
    commitment = "MinimumThroughputBillingCommitment"
    assert modern("kinesis describe-account-settings")[commitment] == {"Status": "DISABLED"}
    limits = modern("kinesis describe-limits")
    assert limits["ShardLimit"] > 0 and limits["OnDemandStreamCountLimit"] > 0


def test_warm_throughput_needs_a_commitment(modern: Cli, stream: str) -> None:
    command = f"kinesis update-stream-warm-throughput --stream-name {stream} --warm-throughput-mi-bps 100"
    assert "when calling the UpdateStreamWarmThroughput operation" in modern.fails(command)


def test_dry_run(modern: Cli, stream: str) -> None:
    said = modern.fails(f"kinesis put-record --stream-name {stream} --partition-key k --data YQ== --dry-run")
    if "Unknown options: --dry-run" in said:
        pytest.skip(f"{modern.name} has no --dry-run yet")
    assert "Request would have succeeded, but DryRun flag is set." in said


def test_tls_by_option_and_by_environment(encrypted: Cli) -> None:
    assert encrypted.server.endpoint.startswith("https://")
    assert "SSL validation failed" in encrypted.fails("kinesis list-streams")
    bundle = encrypted.server.ca
    encrypted(f"kinesis create-stream --stream-name tls --shard-count 1 --ca-bundle {bundle}")
    encrypted.env["AWS_CA_BUNDLE"] = str(bundle)
    encrypted("kinesis wait stream-exists --stream-name tls")
    put = encrypted("kinesis put-record --stream-name tls --partition-key k --data dGxz")
    assert put["ShardId"] == "shardId-000000000000"
