"""Resource policies: kept as they were put, checked, and gone with their resource."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.server import Server
from support.worlds import World


def policy(world: World, name: str, **statement: Any) -> str:
    """What `aws_kinesis_resource_policy` of Terraform's own examples puts."""
    return json.dumps({
        "Version": "2012-10-17",
        "Id": "writePolicy",
        "Statement": [{
            "Sid": "writestatement",
            "Effect": "Allow",
            "Principal": {"AWS": "123456789456"},
            "Action": ["kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:PutRecord", "kinesis:PutRecords"],
            "Resource": world.arn(name),
            **statement,
        }],
    }, indent=2)


def test_put_get_replace_delete(world: World) -> None:
    name = world.create()
    arn = world.arn(name)
    assert world.call("GetResourcePolicy", ResourceARN=arn) == {"Policy": "{}"}
    first = policy(world, name)
    assert world.call("PutResourcePolicy", ResourceARN=arn, Policy=first) == {}
    # Byte for byte, whatever its blanks.
    assert world.call("GetResourcePolicy", ResourceARN=arn) == {"Policy": first}
    second = policy(world, name, Action="kinesis:GetRecords", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}})
    world.call("PutResourcePolicy", ResourceARN=arn, Policy=second)
    assert world.call("GetResourcePolicy", ResourceARN=arn) == {"Policy": second}
    assert world.call("DeleteResourcePolicy", ResourceARN=arn) == {}
    assert world.call("GetResourcePolicy", ResourceARN=arn) == {"Policy": "{}"}
    assert world.refused("DeleteResourcePolicy", ResourceARN=arn) == (
        "ResourceNotFoundException", f"No resource policy found for resource ARN {arn}.",
    )


def test_a_consumers_policy(free_world: World) -> None:
    name = free_world.create()
    arn = free_world.register(name, "c")
    assert free_world.call("GetResourcePolicy", ResourceARN=arn) == {"Policy": "{}"}
    subscribe = policy(free_world, name, Action=["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"], Resource=arn)
    free_world.call("PutResourcePolicy", ResourceARN=arn, Policy=subscribe)
    assert free_world.call("GetResourcePolicy", ResourceARN=arn) == {"Policy": subscribe}
    # It is not its stream's, and may not say what its stream's may.
    assert free_world.call("GetResourcePolicy", ResourceARN=free_world.arn(name)) == {"Policy": "{}"}
    refused = free_world.refused("PutResourcePolicy", ResourceARN=arn, Policy=policy(free_world, name))
    assert refused == (
        "InvalidArgumentException",
        "The resource policy is not valid: statement 1 names the action kinesis:DescribeStreamSummary, which a policy of "
        "this resource cannot.",
    )
    free_world.call("DeleteResourcePolicy", ResourceARN=arn)
    assert free_world.refused("DeleteResourcePolicy", ResourceARN=arn)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("operation", ["GetResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy"])
def test_policies_of_a_stream_that_is_not_there(free_world: World, operation: str) -> None:
    members = {"Policy": policy(free_world, "nowhere")} if operation == "PutResourcePolicy" else {}
    assert free_world.refused(operation, ResourceARN=free_world.arn("nowhere"), **members) == (
        "ResourceNotFoundException", f"Stream nowhere under account {free_world.account} not found.",
    )


def test_answers_without_members_have_no_body(world: World) -> None:
    name = world.create()
    arn = world.arn(name)
    for operation, members in (
        ("PutResourcePolicy", {"Policy": policy(world, name)}),
        ("DeleteResourcePolicy", {}),
        ("TagResource", {"Tags": {"a": "b"}}),
        ("UntagResource", {"TagKeys": ["a"]}),
    ):
        answer = world.http.call(operation, {"ResourceARN": arn, **members})
        assert (answer.status, answer.body) == (200, b""), operation


def test_a_policy_outlives_a_kill_and_not_its_stream(own_server: Server) -> None:
    world = World(own_server)
    name = world.create()
    put = policy(world, name)
    world.call("PutResourcePolicy", ResourceARN=world.arn(name), Policy=put)
    own_server.restart(kill=True)
    assert world.call("GetResourcePolicy", ResourceARN=world.arn(name)) == {"Policy": put}
    world.call("DeleteStream", StreamName=name)
    world.gone(name)
    world.create(name=name)
    assert world.call("GetResourcePolicy", ResourceARN=world.arn(name)) == {"Policy": "{}"}


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ({"Effect": "Maybe"}, "the Effect of statement 1 must be Allow or Deny"),
        ({"Principal": "everyone"}, "the principal of statement 1 must be * or a JSON object"),
        ({"Principal": {"AWS": "everyone"}}, "statement 1 names the principal everyone, which is none"),
        (
            {"Action": "kinesis:DeleteStream"},
            "statement 1 names the action kinesis:DeleteStream, which a policy of this resource cannot",
        ),
        (
            {"Action": ["kinesis:PutRecord", "kinesis:SubscribeToShard"]},
            "statement 1 names the action kinesis:SubscribeToShard, which a policy of this resource cannot",
        ),
        ({"Resource": 1}, "the Resource of statement 1 must be a string or a list of strings"),
        ({"Condition": {"Equals": {"a": "b"}}}, "statement 1 has the condition operator Equals, which is none"),
        ({"Effects": "Allow"}, "statement 1 has the element Effects, which is none"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_statements_that_are_none(free_world: World, statement: dict[str, Any], why: str) -> None:
    name = free_world.create()
    refused = free_world.refused(
        "PutResourcePolicy", ResourceARN=free_world.arn(name), Policy=policy(free_world, name, **statement)
    )
    assert refused == ("InvalidArgumentException", f"The resource policy is not valid: {why}.")


def test_policies_that_are_none(world: World) -> None:
    name = world.create()
    for text, start in (
        ("", "The resource policy is not valid: it is not JSON"),
        ("{", "The resource policy is not valid: it is not JSON"),
        ("{}", "The resource policy is not valid: it has no Statement."),
        ("[" * 1000, "The resource policy is not valid: it is not JSON"),
        (" " * 20481, "The resource policy is larger than 20480 bytes."),
    ):
        code, message = world.patiently_refused("PutResourcePolicy", ResourceARN=world.arn(name), Policy=text)
        assert code == "InvalidArgumentException"
        assert message.startswith(start), message


def test_resources_that_are_none(world: World) -> None:
    base = f"arn:aws:kinesis:{world.region}:{world.account}"
    name = world.create()
    assert world.patiently_refused("GetResourcePolicy", ResourceARN=f"{base}:stream/nowhere") == (
        "ResourceNotFoundException", f"Stream nowhere under account {world.account} not found.",
    )
    assert world.patiently_refused("GetResourcePolicy", ResourceARN=f"{base}:stream/{name}/consumer/c:1700000000") == (
        "ResourceNotFoundException",
        f"Consumer c with creation timestamp 1700000000 under stream: {name}, account {world.account} not found.",
    )
    for kind in ("queue", "channel"):
        assert world.patiently_refused("GetResourcePolicy", ResourceARN=f"{base}:{kind}/abc") == (
            "UnsupportedOperationException", f"Millstream does not support GetResourcePolicy on {kind}s yet.",
        )
    assert world.patiently_refused("GetResourcePolicy", ResourceARN=f"{base}:stream/a/b")[0] == "InvalidArgumentException"
    code, message = world.patiently_refused("GetResourcePolicy", ResourceARN="arn:aws:s3:::bucket")
    assert (code, message) == (
        "ValidationException",
        "1 validation error detected: Value 'arn:aws:s3:::bucket' at 'resourceARN' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+",
    )


@pytest.mark.parametrize("operation", ["GetResourcePolicy", "ListTagsForResource"])
def test_five_calls_a_second(world: World, operation: str) -> None:
    name = world.create()
    refusals = set()
    for _ in range(100):
        try:
            world.call(operation, ResourceARN=world.arn(name))
        except world.kinesis.exceptions.LimitExceededException as error:
            refusals.add(error.response["Error"]["Message"])
    assert refusals == {f"Rate exceeded for stream {name} under account {world.account}."}
