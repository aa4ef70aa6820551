"""What is beyond the tutorial: consumers, policies, tags, sizes and the account, as they are typed."""

from __future__ import annotations

import itertools
import json

import pytest

from support import waiting
from support.cli import Cli
from support.http import ACCOUNT
from support.worlds import World

_names = itertools.count(1)


@pytest.fixture
def world(modern: Cli) -> World:
    """The CLI's own account through boto3, for what is not under test: a CLI takes a second for a call."""
    return World(modern.server, ACCOUNT)


@pytest.fixture
def stream(modern: Cli, world: World) -> str:
    """A stream that only this test uses."""
    return world.create(name=f"Ops{next(_names)}-{modern.name}")


def arn(stream: str) -> str:
    return f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"


def test_consumers(modern: Cli, world: World, stream: str) -> None:
    register = f"kinesis register-stream-consumer --stream-arn {arn(stream)} --consumer-name reader"
    consumer = modern(f"{register} --tags stage=test")["Consumer"]
    assert consumer["ConsumerStatus"] == "CREATING"
    named = consumer["ConsumerARN"]
    assert named.startswith(f"{arn(stream)}/consumer/reader:")

    def status() -> str:
        return world.call("DescribeStreamConsumer", ConsumerARN=named)["ConsumerDescription"]["ConsumerStatus"]

    waiting.until(lambda: status() == "ACTIVE", "the consumer is ACTIVE")
    world.call("RegisterStreamConsumer", StreamARN=arn(stream), ConsumerName="second")
    # The CLI pages by itself.
    listing = f"kinesis list-stream-consumers --stream-arn {arn(stream)} --page-size 1"
    assert sorted(modern(f"{listing} --query 'Consumers[].ConsumerName'")) == ["reader", "second"]
    refused = modern.fails(register)
    assert "(ResourceInUseException) when calling the RegisterStreamConsumer operation" in refused
    assert "(ResourceInUseException)" in modern.fails(f"kinesis delete-stream --stream-name {stream}")
    tags = f"kinesis list-tags-for-resource --resource-arn {named} --query Tags"
    assert modern(tags) == [{"Key": "stage", "Value": "test"}]

    modern(f"kinesis deregister-stream-consumer --consumer-arn {named}")
    waiting.until(lambda: world.summary(stream)["ConsumerCount"] == 1, "the consumer is gone")
    assert "(ResourceNotFoundException)" in modern.fails(f"kinesis describe-stream-consumer --consumer-arn {named}")
    modern(f"kinesis delete-stream --stream-name {stream} --enforce-consumer-deletion")


def test_neither_cli_has_subscribe_to_shard(modern: Cli) -> None:
    """Both leave it out, since it answers with a stream of events. A CLI that has it needs a test here."""
    said = modern.fails("kinesis subscribe-to-shard --consumer-arn x")
    assert "nvalid choice" in said


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


def test_record_sizes(modern: Cli, world: World, stream: str) -> None:
    # The spelling is the CLI's own.
    modern(f"kinesis update-max-record-size --stream-arn {arn(stream)} --max-record-size-in-ki-b 5000")
    world.active(stream)
    size = f"kinesis describe-stream-summary --stream-name {stream} --query StreamDescriptionSummary.MaxRecordSizeInKiB"
    assert modern(size) == 5000

    (modern.home / "large").write_bytes(bytes(range(256)) * 8 * 1024)
    modern(f"kinesis put-record --stream-name {stream} --partition-key k --data fileb://large")
    iterator = world.iterator(stream)
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
    assert encrypted("kinesis list-streams --query StreamNames") == ["tls"]
