"""The constraints on members, with the words of each, in both formats; and the order in which a request is checked."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from support.http import Http
from support.server import Server
from support.worlds import World

NULL = "Member must not be null"
NAME = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
HASH_KEY = r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})"
STREAM_ARN = r"Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:stream/\S+"
RESOURCE_ARN = r"Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+"
CONSUMER_ARN = (
    r"Member must satisfy regular expression pattern: "
    r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+"
)
STREAM_ID = "Member must satisfy regular expression pattern: [a-z0-9]{20}-[a-z0-9]{3}"
KEYS = (
    "Map keys must satisfy constraint: [Member must have length less than or equal to 128, "
    "Member must have length greater than or equal to 1]"
)
ELEMENTS = (
    "Member must satisfy constraint: [Member must have length less than or equal to 128, "
    "Member must have length greater than or equal to 1]"
)
VALUES = (
    "Map value must satisfy constraint: [Member must have length less than or equal to 256, "
    "Member must have length greater than or equal to 0]"
)


def longest(most: int) -> str:
    return f"Member must have length less than or equal to {most}"


def shortest(least: int) -> str:
    return f"Member must have length greater than or equal to {least}"


def at_most(most: int) -> str:
    return f"Member must have value less than or equal to {most}"


def at_least(least: int) -> str:
    return f"Member must have value greater than or equal to {least}"


ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/s"
CONSUMER = f"{ARN}/consumer/c:1"
# Per operation a request with everything that it requires.
GOOD: dict[str, dict[str, Any]] = {
    "AddTagsToStream": {"StreamName": "s", "Tags": {"a": "b"}},
    "CreateStream": {"StreamName": "s", "ShardCount": 1},
    "DecreaseStreamRetentionPeriod": {"StreamName": "s", "RetentionPeriodHours": 24},
    "DeleteResourcePolicy": {"ResourceARN": ARN},
    "DescribeStream": {"StreamName": "s"},
    "DescribeStreamConsumer": {"ConsumerARN": CONSUMER},
    "DisableEnhancedMonitoring": {"StreamName": "s", "ShardLevelMetrics": ["ALL"]},
    "EnableEnhancedMonitoring": {"StreamName": "s", "ShardLevelMetrics": ["ALL"]},
    "GetRecords": {"ShardIterator": "x"},
    "GetResourcePolicy": {"ResourceARN": ARN},
    "GetShardIterator": {"StreamName": "s", "ShardId": "0", "ShardIteratorType": "LATEST"},
    "IncreaseStreamRetentionPeriod": {"StreamName": "s", "RetentionPeriodHours": 24},
    "ListShards": {"StreamName": "s"},
    "ListStreamConsumers": {"StreamARN": ARN},
    "ListStreams": {},
    "ListTagsForResource": {"ResourceARN": ARN},
    "ListTagsForStream": {"StreamName": "s"},
    "MergeShards": {"StreamName": "s", "ShardToMerge": "0", "AdjacentShardToMerge": "1"},
    "PutRecord": {"StreamName": "s", "Data": b"x", "PartitionKey": "k"},
    "PutRecords": {"StreamName": "s", "Records": [{"Data": b"x", "PartitionKey": "k"}]},
    "PutResourcePolicy": {"ResourceARN": ARN, "Policy": "{}"},
    "RegisterStreamConsumer": {"StreamARN": ARN, "ConsumerName": "c"},
    "RemoveTagsFromStream": {"StreamName": "s", "TagKeys": ["a"]},
    "SplitShard": {"StreamName": "s", "ShardToSplit": "0", "NewStartingHashKey": "5"},
    "SubscribeToShard": {"ConsumerARN": CONSUMER, "ShardId": "0", "StartingPosition": {"Type": "LATEST"}},
    "TagResource": {"ResourceARN": ARN, "Tags": {"a": "b"}},
    "UntagResource": {"ResourceARN": ARN, "TagKeys": ["a"]},
    "UpdateAccountSettings": {"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}},
    "UpdateMaxRecordSize": {"StreamARN": ARN, "MaxRecordSizeInKiB": 1024},
    "UpdateShardCount": {"StreamName": "s", "TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"},
    "UpdateStreamMode": {"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}},
    "UpdateStreamRecordDistributionStrategy": {"StreamARN": ARN, "RecordDistributionStrategy": "AUTO"},
    "UpdateStreamWarmThroughput": {"StreamName": "s", "WarmThroughputMiBps": 1},
}
# Members with a constraint: operation, what is changed in its good request, and value, path and constraint of the one error.
# The value is None where AWS shows none.
WRONG: list[tuple[str, dict[str, Any], str | None, str, str]] = [
    # Names, ids and ARNs.
    *((operation, {"StreamName": "a b"}, "'a b'", "streamName", NAME)
      for operation, members in GOOD.items() if "StreamName" in members),
    *((operation, {"StreamName": "x" * 129}, f"'{'x' * 129}'", "streamName", longest(128))
      for operation in ("CreateStream", "PutRecords", "ListShards")),
    *((operation, {"StreamARN": "arn:x"}, "'arn:x'", "streamARN", STREAM_ARN)
      for operation in ("DescribeStream", "PutRecord", "GetRecords", "RegisterStreamConsumer", "UpdateStreamMode")),
    *((operation, {"ResourceARN": "arn:x"}, "'arn:x'", "resourceARN", RESOURCE_ARN)
      for operation, members in GOOD.items() if "ResourceARN" in members),
    *((operation, {"ConsumerARN": ARN}, f"'{ARN}'", "consumerARN", CONSUMER_ARN)
      for operation in ("DescribeStreamConsumer", "SubscribeToShard")),
    ("DescribeStream", {"StreamId": "x"}, "'x'", "streamId", STREAM_ID),
    ("RegisterStreamConsumer", {"ConsumerName": "c/d"}, "'c/d'", "consumerName", NAME),
    ("RegisterStreamConsumer", {"ConsumerName": "c" * 129}, f"'{'c' * 129}'", "consumerName", longest(128)),
    ("ListStreams", {"ExclusiveStartStreamName": "?"}, "'?'", "exclusiveStartStreamName", NAME),
    ("DescribeStream", {"ExclusiveStartShardId": "?"}, "'?'", "exclusiveStartShardId", NAME),
    ("ListShards", {"ExclusiveStartShardId": "?"}, "'?'", "exclusiveStartShardId", NAME),
    ("ListShards", {"ShardFilter": {"Type": "AFTER_SHARD_ID", "ShardId": "?"}}, "'?'", "shardFilter.shardId", NAME),
    ("GetShardIterator", {"ShardId": "?"}, "'?'", "shardId", NAME),
    ("SubscribeToShard", {"ShardId": "?"}, "'?'", "shardId", NAME),
    ("SplitShard", {"ShardToSplit": "?"}, "'?'", "shardToSplit", NAME),
    ("MergeShards", {"ShardToMerge": "?"}, "'?'", "shardToMerge", NAME),
    ("MergeShards", {"AdjacentShardToMerge": "?"}, "'?'", "adjacentShardToMerge", NAME),
    # Numbers.
    *((operation, {member: wrong}, f"'{wrong}'", member[0].lower() + member[1:], constraint)
      for operation, member, most in (
          ("DescribeStream", "Limit", 10_000), ("ListStreams", "Limit", 10_000), ("GetRecords", "Limit", 10_000),
          ("ListShards", "MaxResults", 10_000), ("ListStreamConsumers", "MaxResults", 10_000),
          ("ListTagsForStream", "Limit", 50), ("CreateStream", "ShardCount", 100_000),
          ("UpdateShardCount", "TargetShardCount", 100_000),
      )
      for wrong, constraint in ((0, at_least(1)), (-5, at_least(1)), (most + 1, at_most(most)))),
    *((operation, {"RetentionPeriodHours": wrong}, f"'{wrong}'", "retentionPeriodHours", at_least(1))
      for operation in ("IncreaseStreamRetentionPeriod", "DecreaseStreamRetentionPeriod") for wrong in (0, -1)),
    *((operation, {"MaxRecordSizeInKiB": wrong}, f"'{wrong}'", "maxRecordSizeInKiB", constraint)
      for operation in ("CreateStream", "UpdateMaxRecordSize")
      for wrong, constraint in ((1023, at_least(1024)), (10_241, at_most(10_240)))),
    *((operation, {"WarmThroughputMiBps": -1}, "'-1'", "warmThroughputMiBps", at_least(0))
      for operation in ("CreateStream", "UpdateStreamMode", "UpdateStreamWarmThroughput")),
    # Lengths.
    ("PutRecord", {"PartitionKey": ""}, "''", "partitionKey", shortest(1)),
    ("PutRecord", {"PartitionKey": "é" * 257}, f"'{'é' * 257}'", "partitionKey", longest(256)),
    ("PutRecords", {"Records": [{"Data": b"", "PartitionKey": ""}]}, "''", "records.1.member.partitionKey", shortest(1)),
    ("PutRecord", {"Data": bytes(10_485_761)}, None, "data", longest(10_485_760)),
    ("PutRecords", {"Records": []}, None, "records", shortest(1)),
    ("PutRecords", {"Records": [{"Data": b"", "PartitionKey": "k"}] * 501}, None, "records", longest(500)),
    ("GetRecords", {"ShardIterator": ""}, "''", "shardIterator", shortest(1)),
    ("GetRecords", {"ShardIterator": "A" * 513}, f"'{'A' * 513}'", "shardIterator", longest(512)),
    *((operation, {"NextToken": ""}, "''", "nextToken", shortest(1))
      for operation in ("ListShards", "ListStreams", "ListStreamConsumers")),
    # Hash keys.
    ("PutRecord", {"ExplicitHashKey": "007"}, "'007'", "explicitHashKey", HASH_KEY),
    ("PutRecord", {"ExplicitHashKey": "1" * 40}, f"'{'1' * 40}'", "explicitHashKey", HASH_KEY),
    ("SplitShard", {"NewStartingHashKey": "-1"}, "'-1'", "newStartingHashKey", HASH_KEY),
    # Lists and maps.
    *((operation, {"Tags": {"": "v"}}, "'{=v}'", "tags", KEYS)
      for operation in ("AddTagsToStream", "TagResource", "CreateStream", "RegisterStreamConsumer")),
    ("AddTagsToStream", {"Tags": {"k" * 129: "v"}}, f"'{{{'k' * 129}=v}}'", "tags", KEYS),
    ("AddTagsToStream", {"Tags": {"k": "v" * 257}}, f"'{{k={'v' * 257}}}'", "tags", VALUES),
    ("AddTagsToStream", {"Tags": {}}, "'{}'", "tags", shortest(1)),
    ("RemoveTagsFromStream", {"TagKeys": []}, "'[]'", "tagKeys", shortest(1)),
    ("RemoveTagsFromStream", {"TagKeys": ["a", ""]}, "'[a, ]'", "tagKeys", ELEMENTS),
    ("UntagResource", {"TagKeys": ["k" * 129]}, f"'[{'k' * 129}]'", "tagKeys", ELEMENTS),
    *((operation, {"ShardLevelMetrics": []}, "'[]'", "shardLevelMetrics", shortest(1))
      for operation in ("EnableEnhancedMonitoring", "DisableEnhancedMonitoring")),
    (
        "EnableEnhancedMonitoring", {"ShardLevelMetrics": ["ALL"] * 8},
        f"'[{', '.join(['ALL'] * 8)}]'", "shardLevelMetrics", longest(7),
    ),
    # What a structure must have.
    ("CreateStream", {"StreamModeDetails": {}}, "null", "streamModeDetails.streamMode", NULL),
    ("UpdateStreamMode", {"StreamModeDetails": {}}, "null", "streamModeDetails.streamMode", NULL),
    ("ListShards", {"ShardFilter": {}}, "null", "shardFilter.type", NULL),
    ("SubscribeToShard", {"StartingPosition": {}}, "null", "startingPosition.type", NULL),
    (
        "UpdateAccountSettings", {"MinimumThroughputBillingCommitment": {}},
        "null", "minimumThroughputBillingCommitment.status", NULL,
    ),
    ("PutRecords", {"Records": [{"PartitionKey": "k"}]}, "null", "records.1.member.data", NULL),
    # Every required member.
    *((operation, {member: None}, "null", member[0].lower() + member[1:], NULL)
      for operation, member in (
          ("AddTagsToStream", "Tags"), ("CreateStream", "StreamName"), ("DecreaseStreamRetentionPeriod", "RetentionPeriodHours"),
          ("DeleteResourcePolicy", "ResourceARN"), ("DisableEnhancedMonitoring", "ShardLevelMetrics"),
          ("EnableEnhancedMonitoring", "ShardLevelMetrics"), ("GetRecords", "ShardIterator"),
          ("GetResourcePolicy", "ResourceARN"), ("GetShardIterator", "ShardId"), ("GetShardIterator", "ShardIteratorType"),
          ("IncreaseStreamRetentionPeriod", "RetentionPeriodHours"), ("ListStreamConsumers", "StreamARN"),
          ("ListTagsForResource", "ResourceARN"), ("MergeShards", "ShardToMerge"), ("MergeShards", "AdjacentShardToMerge"),
          ("PutRecord", "Data"), ("PutRecords", "Records"), ("PutResourcePolicy", "ResourceARN"),
          ("PutResourcePolicy", "Policy"), ("RegisterStreamConsumer", "StreamARN"), ("RegisterStreamConsumer", "ConsumerName"),
          ("RemoveTagsFromStream", "TagKeys"), ("SplitShard", "ShardToSplit"), ("SplitShard", "NewStartingHashKey"),
          ("SubscribeToShard", "ConsumerARN"), ("SubscribeToShard", "ShardId"), ("SubscribeToShard", "StartingPosition"),
          ("TagResource", "ResourceARN"), ("TagResource", "Tags"), ("UntagResource", "ResourceARN"), ("UntagResource", "TagKeys"),
          ("UpdateAccountSettings", "MinimumThroughputBillingCommitment"), ("UpdateMaxRecordSize", "MaxRecordSizeInKiB"),
          ("UpdateShardCount", "TargetShardCount"), ("UpdateShardCount", "ScalingType"), ("UpdateStreamMode", "StreamARN"),
          ("UpdateStreamMode", "StreamModeDetails"), ("UpdateStreamRecordDistributionStrategy", "StreamARN"),
          ("UpdateStreamRecordDistributionStrategy", "RecordDistributionStrategy"),
          ("UpdateStreamWarmThroughput", "WarmThroughputMiBps"),
      )),
]
# Members with a list of values, in AWS's order where it is known, else in the model's.
ENUMERATED: list[tuple[str, dict[str, Any], str, set[str]]] = [
    ("CreateStream", {"StreamModeDetails": {"StreamMode": "X"}}, "streamModeDetails.streamMode", {"PROVISIONED", "ON_DEMAND"}),
    ("UpdateStreamMode", {"StreamModeDetails": {"StreamMode": "X"}}, "streamModeDetails.streamMode", {"PROVISIONED", "ON_DEMAND"}),
    ("ListShards", {"ShardFilter": {"Type": "X"}}, "shardFilter.type",
     {"AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"}),
    ("SubscribeToShard", {"StartingPosition": {"Type": "X"}}, "startingPosition.type",
     {"AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"}),
    ("UpdateAccountSettings", {"MinimumThroughputBillingCommitment": {"Status": "X"}},
     "minimumThroughputBillingCommitment.status", {"ENABLED", "DISABLED"}),
    ("CreateStream", {"RecordDistributionStrategy": "X"}, "recordDistributionStrategy", {"AUTO", "USER_PARTITION_KEY"}),
    ("UpdateStreamRecordDistributionStrategy", {"RecordDistributionStrategy": "X"}, "recordDistributionStrategy",
     {"AUTO", "USER_PARTITION_KEY"}),
]


@pytest.fixture(scope="module")
def http(unlimited: Server) -> Http:
    return World(unlimited).http


def both(http: Http, operation: str, members: dict[str, Any]) -> tuple[int, dict[str, str]]:
    """The refusal of a request, which is the same in both formats."""
    in_cbor = http.call_in_cbor(operation, members)
    answer = http.call(operation, jsonable(members))
    assert (in_cbor.status, in_cbor.cbor()) == (answer.status, answer.json())
    return answer.status, answer.json()


def jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: jsonable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [jsonable(item) for item in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def test_each_constraint(http: Http) -> None:
    wrong = []
    for operation, change, value, path, constraint in WRONG:
        shown = "Value" if value is None else f"Value {value}"
        message = f"1 validation error detected: {shown} at '{path}' failed to satisfy constraint: {constraint}"
        answer = both(http, operation, {**GOOD[operation], **change})
        if answer != (400, {"__type": "ValidationException", "message": message}):
            wrong.append((operation, str(change)[:100], str(answer)[:300], message[:200]))
    assert not wrong, "\n".join(map(str, wrong))


def test_a_value_of_any_length_keeps_its_constraint(http: Http) -> None:
    """A very long value is not repeated whole."""
    for operation, member, most in (("DescribeStream", "StreamARN", 2048), ("ListTagsForResource", "ResourceARN", 2048)):
        _, error = both(http, operation, {member: f"{ARN}{'x' * most}"})
        assert error["message"].startswith(f"1 validation error detected: Value '{ARN}xxx")
        path = member[0].lower() + member[1:]
        assert error["message"].endswith(f"' at '{path}' failed to satisfy constraint: {longest(most)}")


def test_each_list_of_values(http: Http) -> None:
    for operation, change, path, values in ENUMERATED:
        status, error = both(http, operation, {**GOOD[operation], **change})
        head, _, rest = error["message"].partition("Member must satisfy enum value set: [")
        assert (status, error["__type"]) == (400, "ValidationException")
        assert head == f"1 validation error detected: Value 'X' at '{path}' failed to satisfy constraint: ", operation
        assert set(rest.removesuffix("]").split(", ")) == values, operation


def test_an_empty_name_breaks_two_rules_the_pattern_first(http: Http) -> None:
    status, error = both(http, "DescribeStream", {"StreamName": ""})
    assert (status, error) == (400, {
        "__type": "ValidationException",
        "message": f"2 validation errors detected: Value '' at 'streamName' failed to satisfy constraint: {NAME}; "
        f"Value '' at 'streamName' failed to satisfy constraint: {shortest(1)}",
    })


def test_the_model_comes_before_members_that_do_not_fit_together(http: Http) -> None:
    """Then what is a shard id, then the stream."""
    wrong = {"StreamName": "nowhere", "ShardId": "x.y", "ShardIteratorType": "LATEST", "StartingSequenceNumber": "5"}
    for change, code, start in (
        ({"ShardIteratorType": "X"}, "ValidationException", "1 validation error detected"),
        ({}, "InvalidArgumentException", "Must either specify (1) AT_SEQUENCE_NUMBER"),
        ({"StartingSequenceNumber": None}, "ResourceNotFoundException", "Could not find shard x.y in stream nowhere"),
        ({"StartingSequenceNumber": None, "ShardId": "0"}, "ResourceNotFoundException", "Shard shardId-000000000000 in"),
    ):
        status, error = both(http, "GetShardIterator", {**wrong, **change})
        assert (status, error["__type"], error["message"][: len(start)]) == (400, code, start)


def test_types_come_before_constraints(http: Http) -> None:
    for operation, members, message in (
        ("CreateStream", {"StreamName": "?", "ShardCount": "1"}, "class java.lang.String can not be converted to an Integer"),
        ("PutRecords", {"StreamName": "?", "Records": [5]}, "Expected null"),
        ("PutRecords", {"StreamName": "?", "Records": [[]]}, "Start of list found where not expected"),
        ("PutRecords", {"StreamName": "?", "Records": True}, "Expected list or null"),
        ("AddTagsToStream", {"StreamName": "?", "Tags": {"a": True}}, "class java.lang.Boolean can not be converted to an String"),
        ("AddTagsToStream", {"StreamName": "?", "Tags": "x"}, "Expected map or null"),
        ("RemoveTagsFromStream", {"StreamName": "?", "TagKeys": [{}]}, "Start of structure or map found where not expected."),
        ("PutRecord", {"StreamName": "?", "Data": []}, "Start of list found where not expected"),
        ("PutRecord", {"StreamName": "?", "Data": {}}, "Start of structure or map found where not expected."),
        ("DescribeStream", {"StreamName": "?", "Limit": []}, "Start of list found where not expected"),
        ("DescribeStream", {"StreamName": "?", "Limit": {}}, "Start of structure or map found where not expected."),
        ("DeleteStream", {"StreamName": "?", "EnforceConsumerDeletion": []}, "Start of list found where not expected"),
        ("GetShardIterator", {"StreamName": "?", "Timestamp": {}}, "Start of structure or map found where not expected."),
        ("SubscribeToShard", {"StartingPosition": 5}, "Expected null"),
        ("SubscribeToShard", {"StartingPosition": {"Type": []}}, "Start of list found where not expected"),
    ):
        answer = both(http, operation, members)
        assert answer == (400, {"__type": "SerializationException", "Message": message}), (operation, members)


@pytest.mark.parametrize("flag", ["true", "false", "1", "0", "yes", "no"])
def test_words_that_are_booleans(http: Http, flag: str) -> None:
    error = http.error("DeleteStream", {"StreamName": "nowhere", "EnforceConsumerDeletion": flag})
    assert error[1] == "ResourceNotFoundException"


def test_numbers_are_no_booleans_unless_they_have_a_fraction(http: Http) -> None:
    assert http.error("DeleteStream", {"StreamName": "nowhere", "EnforceConsumerDeletion": 1})[1] == "SerializationException"
    assert http.error("DeleteStream", {"StreamName": "nowhere", "EnforceConsumerDeletion": 1.5})[1] == (
        "ResourceNotFoundException"
    )


def test_answers_of_operations_without_output(free_world: World) -> None:
    """No byte, in either format, and the request's content type."""
    world = free_world
    for call in (world.http.call, world.http.call_in_cbor):
        name = world.create(2)
        arn = world.arn(name)
        consumer = world.register(name)
        policy = (
            '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kinesis:PutRecord","Resource":"%s"}]}' % arn
        )
        for operation, members in (
            ("AddTagsToStream", {"StreamName": name, "Tags": {"a": "b"}}),
            ("RemoveTagsFromStream", {"StreamName": name, "TagKeys": ["a"]}),
            ("TagResource", {"ResourceARN": arn, "Tags": {"a": "b"}}),
            ("UntagResource", {"ResourceARN": arn, "TagKeys": ["a"]}),
            ("PutResourcePolicy", {"ResourceARN": arn, "Policy": policy}),
            ("DeleteResourcePolicy", {"ResourceARN": arn}),
            ("IncreaseStreamRetentionPeriod", {"StreamName": name, "RetentionPeriodHours": 48}),
            ("DecreaseStreamRetentionPeriod", {"StreamName": name, "RetentionPeriodHours": 24}),
            ("MergeShards", {"StreamName": name, "ShardToMerge": "0", "AdjacentShardToMerge": "1"}),
            ("SplitShard", {"StreamName": name, "ShardToSplit": "2", "NewStartingHashKey": "5"}),
            ("UpdateMaxRecordSize", {"StreamARN": arn, "MaxRecordSizeInKiB": 2048}),
            ("UpdateStreamMode", {"StreamARN": arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
            ("UpdateStreamRecordDistributionStrategy", {"StreamARN": arn, "RecordDistributionStrategy": "AUTO"}),
            ("DeregisterStreamConsumer", {"ConsumerARN": consumer}),
            ("DeleteStream", {"StreamName": name, "EnforceConsumerDeletion": True}),
            ("CreateStream", {"StreamName": world.name(), "ShardCount": 1}),
        ):
            answer = call(operation, members)
            assert (answer.status, answer.body) == (200, b""), (operation, answer.body)
            assert answer.headers["content-length"] == "0"
            assert answer.headers["content-type"].startswith("application/x-amz-")
            if operation not in ("DeleteStream", "CreateStream"):
                world.active(name)
