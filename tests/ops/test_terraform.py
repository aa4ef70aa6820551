"""The call sequences of Terraform's AWS provider (and of Pulumi's, which is the same code), call by call."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from support import waiting
from support.worlds import World


def code_of(world: World, operation: str, **members: Any) -> str | None:
    """The error's name of a call; None if it succeeds."""
    try:
        world.patiently(operation, **members)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def refresh(world: World, name: str) -> dict[str, Any]:
    """What the provider reads after each step: the summary, and the tags page by page."""
    summary = world.active(name)
    for member in (
        "StreamARN", "StreamName", "StreamStatus", "OpenShardCount", "RetentionPeriodHours", "EncryptionType",
        "EnhancedMonitoring", "StreamModeDetails", "MaxRecordSizeInKiB", "StreamCreationTimestamp", "ConsumerCount",
    ):
        assert member in summary, member
    # An empty key id would be drift: the configuration has none.
    assert summary["EncryptionType"] == "NONE" and "KeyId" not in summary
    tags: dict[str, str] = {}
    start: dict[str, str] = {}
    while True:
        page = world.patiently("ListTagsForStream", StreamName=name, Limit=10, **start)
        tags |= {tag["Key"]: tag["Value"] for tag in page["Tags"]}
        if not page["HasMoreTags"]:
            return {**summary, "Tags": tags}
        start = {"ExclusiveStartTagKey": page["Tags"][-1]["Key"]}


def test_a_provisioned_stream_from_plan_to_destroy(world: World) -> None:
    limits = world.patiently("DescribeLimits")
    assert limits["OpenShardCount"] + 2 <= limits["ShardLimit"], "the plan compares these"

    tags = {f"key{number:02}": f"value {number}" for number in range(25)}
    name = "terraform-provisioned"
    world.patiently(
        "CreateStream", StreamName=name, ShardCount=2, StreamModeDetails={"StreamMode": "PROVISIONED"}, Tags=tags,
        MaxRecordSizeInKiB=1024,
    )
    world.active(name)
    # Always, with the value that it has.
    world.patiently("IncreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=24)
    world.active(name)
    world.patiently("EnableEnhancedMonitoring", StreamName=name, ShardLevelMetrics=["IncomingBytes", "OutgoingBytes"])
    state = refresh(world, name)
    assert state["Tags"] == tags
    assert state["OpenShardCount"] == 2
    assert state["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert sorted(state["EnhancedMonitoring"][0]["ShardLevelMetrics"]) == ["IncomingBytes", "OutgoingBytes"]
    assert len(world.shards(name)) == 2, "the data source lists open and closed shards"

    # The update: each change, in the provider's order, and a refresh that shows no drift.
    removed = sorted(tags)[:15]
    for chunk in (removed[:10], removed[10:]):
        world.patiently("RemoveTagsFromStream", StreamName=name, TagKeys=chunk)
    world.patiently("AddTagsToStream", StreamName=name, Tags={"new": "tag"})
    world.patiently("UpdateShardCount", StreamName=name, TargetShardCount=3, ScalingType="UNIFORM_SCALING")
    world.active(name)
    world.patiently("IncreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=48)
    world.active(name)
    world.patiently("DecreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=24)
    world.active(name)
    world.patiently("DisableEnhancedMonitoring", StreamName=name, ShardLevelMetrics=["IncomingBytes"])
    world.active(name)
    world.patiently("EnableEnhancedMonitoring", StreamName=name, ShardLevelMetrics=["IteratorAgeMilliseconds"])
    world.active(name)
    world.patiently("UpdateMaxRecordSize", StreamARN=world.arn(name), MaxRecordSizeInKiB=2048)
    state = refresh(world, name)
    assert state["Tags"] == {key: tags[key] for key in sorted(tags)[15:]} | {"new": "tag"}
    assert (state["OpenShardCount"], state["RetentionPeriodHours"], state["MaxRecordSizeInKiB"]) == (3, 24, 2048)
    assert sorted(state["EnhancedMonitoring"][0]["ShardLevelMetrics"]) == ["IteratorAgeMilliseconds", "OutgoingBytes"]

    world.patiently("DeleteStream", StreamName=name, EnforceConsumerDeletion=False)
    world.gone(name)


def test_a_change_of_mode(world: World) -> None:
    limits = world.patiently("DescribeLimits")
    assert limits["OnDemandStreamCount"] + 1 <= limits["OnDemandStreamCountLimit"]
    name = "terraform-mode"
    world.patiently("CreateStream", StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    world.active(name)
    world.patiently("IncreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=24)
    assert refresh(world, name)["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    world.patiently("UpdateStreamMode", StreamARN=world.arn(name), StreamModeDetails={"StreamMode": "PROVISIONED"})
    world.active(name)
    world.patiently("UpdateShardCount", StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    state = refresh(world, name)
    assert (state["StreamModeDetails"], state["OpenShardCount"]) == ({"StreamMode": "PROVISIONED"}, 2)
    world.patiently("DeleteStream", StreamName=name, EnforceConsumerDeletion=True)
    world.gone(name)


def test_a_consumer(world: World) -> None:
    stream = world.create()
    registered = world.patiently(
        "RegisterStreamConsumer", StreamARN=world.arn(stream), ConsumerName="reader", Tags={"team": "a"}
    )["Consumer"]
    arn = registered["ConsumerARN"]

    def described() -> dict[str, Any]:
        return world.patiently("DescribeStreamConsumer", ConsumerARN=arn)["ConsumerDescription"]

    waiting.until(lambda: described()["ConsumerStatus"] == "ACTIVE", "the consumer is ACTIVE")
    state = described()
    assert (state["ConsumerName"], state["StreamARN"]) == ("reader", world.arn(stream))
    assert world.patiently("ListTagsForResource", ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    world.patiently("UntagResource", ResourceARN=arn, TagKeys=["team"])
    world.patiently("TagResource", ResourceARN=arn, Tags={"team": "b", "stage": "test"})
    listed = world.patiently("ListTagsForResource", ResourceARN=arn)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in listed} == {"team": "b", "stage": "test"}
    assert world.summary(stream)["ConsumerCount"] == 1

    world.patiently("DeregisterStreamConsumer", ConsumerARN=arn)
    waiting.until(
        lambda: code_of(world, "DescribeStreamConsumer", ConsumerARN=arn) == "ResourceNotFoundException",
        "the consumer is gone",
    )
    world.patiently("DeleteStream", StreamName=stream, EnforceConsumerDeletion=False)


def test_a_resource_policy(world: World) -> None:
    stream = world.create()
    arn = world.arn(stream)
    policy = {
        "Version": "2012-10-17",
        "Id": "writePolicy",
        "Statement": [{
            "Sid": "writestatement",
            "Effect": "Allow",
            "Principal": {"AWS": "123456789012"},
            "Action": ["kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:PutRecord", "kinesis:PutRecords"],
            "Resource": arn,
        }],
    }
    world.patiently("PutResourcePolicy", ResourceARN=arn, Policy=json.dumps(policy))
    # Compared as JSON, not as text.
    assert json.loads(world.patiently("GetResourcePolicy", ResourceARN=arn)["Policy"]) == policy
    policy["Statement"][0]["Action"] = ["kinesis:GetRecords", "kinesis:GetShardIterator"]
    world.patiently("PutResourcePolicy", ResourceARN=arn, Policy=json.dumps(policy))
    assert json.loads(world.patiently("GetResourcePolicy", ResourceARN=arn)["Policy"]) == policy
    world.patiently("DeleteResourcePolicy", ResourceARN=arn)
    assert json.loads(world.patiently("GetResourcePolicy", ResourceARN=arn)["Policy"]) == {}


def test_account_settings(world: World) -> None:
    settings = world.patiently("DescribeAccountSettings")["MinimumThroughputBillingCommitment"]
    assert settings == {"Status": "DISABLED"}
    enabled = world.patiently(
        "UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "ENABLED"}
    )["MinimumThroughputBillingCommitment"]
    assert enabled["Status"] == "ENABLED" and enabled["EarliestAllowedEndAt"] > enabled["StartedAt"]
    assert world.patiently("DescribeAccountSettings")["MinimumThroughputBillingCommitment"] == enabled
    ending = world.patiently(
        "UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "DISABLED"}
    )["MinimumThroughputBillingCommitment"]
    assert ending["Status"] == "ENABLED_UNTIL_EARLIEST_ALLOWED_END"


def test_a_stream_that_someone_else_deleted_is_planned_anew(world: World) -> None:
    stream = world.create()
    world.patiently("DeleteStream", StreamName=stream, EnforceConsumerDeletion=True)
    world.gone(stream)
    assert code_of(world, "DescribeStreamSummary", StreamName=stream) == "ResourceNotFoundException"
