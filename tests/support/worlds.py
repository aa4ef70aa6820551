"""Worlds: an account and a region of their own for each test, so that tests share a server and nothing else."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any, Callable

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from support import waiting
from support.http import Http
from support.server import Server

MAX_HASH = 2**128 - 1
_accounts = itertools.count(random.randrange(100_000_000_000, 900_000_000_000))


class World:
    """One account in one region, seen through boto3 without retries and without the SDK's own checks."""

    def __init__(self, server: Server, account: str | None = None, region: str = "us-east-1") -> None:
        self.server = server
        self.account = account or str(next(_accounts))
        self.region = region
        self._names = itertools.count(1)

    @property
    def kinesis(self) -> Any:
        """A client. It is made anew after a restart, since the port differs then."""
        if getattr(self, "_client_endpoint", None) != self.server.endpoint:
            self._client_endpoint = self.server.endpoint
            self._client = boto3.session.Session().client(
                "kinesis",
                endpoint_url=self.server.endpoint,
                region_name=self.region,
                aws_access_key_id=self.account,
                aws_secret_access_key="secret",
                config=Config(
                    retries={"total_max_attempts": 1},
                    parameter_validation=False,
                    connect_timeout=10,
                    read_timeout=60,
                    max_pool_connections=50,
                ),
            )
        return self._client

    @property
    def http(self) -> Http:
        return Http(self.server.port, self.account, self.region)

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        """Calls an operation by its wire name; the answer comes without the SDK's metadata."""
        answer = getattr(self.kinesis, snake(operation))(**members)
        answer.pop("ResponseMetadata")
        return answer

    def refused(self, operation: str, **members: Any) -> tuple[str, str]:
        """The error's name and message of a call that must be refused, with HTTP 400 (500 for InternalFailure)."""
        try:
            answer = self.call(operation, **members)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            assert status == (500 if code.startswith("Internal") else 400), (status, code, message)
            return code, message
        raise AssertionError(f"{operation} succeeded: {answer}")

    def arn(self, name: str) -> str:
        return f"arn:aws:kinesis:{self.region}:{self.account}:stream/{name}"

    def name(self, stem: str = "stream") -> str:
        """A stream name that nothing has used yet."""
        return f"{stem}-{next(self._names)}"

    def create(self, shards: int = 1, name: str | None = None, **members: Any) -> str:
        """Creates a provisioned stream, waits until it is ACTIVE, and returns its name."""
        name = name or self.name()
        self.patiently("CreateStream", StreamName=name, ShardCount=shards, **members)
        self.active(name)
        return name

    def create_on_demand(self, **members: Any) -> str:
        name = self.name("on-demand")
        self.patiently("CreateStream", StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"}, **members)
        self.active(name)
        return name

    def summary(self, name: str) -> dict[str, Any]:
        """DescribeStreamSummary; it waits out the account's rate for that call."""
        return self.patiently("DescribeStreamSummary", StreamName=name)["StreamDescriptionSummary"]

    def active(self, name: str) -> dict[str, Any]:
        """Waits until a stream is ACTIVE and returns its summary."""

        def look() -> dict[str, Any] | None:
            summary = self.summary(name)
            return summary if summary["StreamStatus"] == "ACTIVE" else None

        return waiting.until(look, f"{name} is ACTIVE")

    def gone(self, name: str) -> None:
        """Waits until a stream no longer exists."""

        def look() -> bool:
            try:
                self.summary(name)
            except ClientError as error:
                return error.response["Error"]["Code"] == "ResourceNotFoundException"
            return False

        waiting.until(look, f"{name} is gone")

    def patiently(self, operation: str, **members: Any) -> dict[str, Any]:
        """Calls an operation, and again while the service says that it is called too often."""

        def attempt() -> dict[str, Any] | None:
            try:
                return {"answer": self.call(operation, **members)}
            except ClientError as error:
                code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
                throttled = code in ("LimitExceededException", "ProvisionedThroughputExceededException")
                if throttled and message.startswith("Rate exceeded"):
                    return None
                raise

        return waiting.until(attempt, f"{operation} is not throttled")["answer"]

    def patiently_refused(self, operation: str, **members: Any) -> tuple[str, str]:
        """What `refused` gives, once the refusal is not about the rate of calls."""

        def attempt() -> tuple[str, str] | None:
            code, message = self.refused(operation, **members)
            return None if code == "LimitExceededException" and message.startswith("Rate exceeded") else (code, message)

        return waiting.until(attempt, f"{operation} is not throttled")

    def shards(self, name: str, **members: Any) -> list[dict[str, Any]]:
        return self.call("ListShards", StreamName=name, **members)["Shards"]

    def open_shards(self, name: str) -> list[dict[str, Any]]:
        return [shard for shard in self.shards(name) if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]

    def iterator(self, name: str, shard: str = "shardId-000000000000", kind: str = "TRIM_HORIZON", **members: Any) -> str:
        """An iterator; it waits out the shard's rate for that call."""
        return self.patiently(
            "GetShardIterator", StreamName=name, ShardId=shard, ShardIteratorType=kind, **members
        )["ShardIterator"]

    def page(self, iterator: str, **members: Any) -> dict[str, Any]:
        """One GetRecords; it waits out the shard's rate for that call."""
        return self.patiently("GetRecords", ShardIterator=iterator, **members)

    def read(self, name: str, shard: str = "shardId-000000000000", kind: str = "TRIM_HORIZON", **members: Any) -> list[Any]:
        """The records of a shard from a position up to its tip, or its end."""
        return self.drain(self.iterator(name, shard, kind, **members))

    def drain(self, iterator: str | None) -> list[Any]:
        records: list[Any] = []
        while iterator:
            page = self.page(iterator)
            records += page["Records"]
            iterator = page.get("NextShardIterator")
            if not page["Records"] and page["MillisBehindLatest"] == 0:
                break
        return records

    def register(self, name: str, consumer: str = "consumer", **members: Any) -> str:
        """Registers a consumer of a stream, waits until it is ACTIVE, and returns its ARN."""
        answer = self.patiently("RegisterStreamConsumer", StreamARN=self.arn(name), ConsumerName=consumer, **members)
        arn = answer["Consumer"]["ConsumerARN"]
        waiting.until(
            lambda: self.patiently("DescribeStreamConsumer", ConsumerARN=arn)["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE",
            f"{consumer} is ACTIVE",
        )
        return arn

    def subscribe(self, consumer: str, shard: str = "shardId-000000000000", kind: str = "LATEST", **position: Any) -> Any:
        """The events of a subscription. The server has accepted it; closing it is the caller's."""
        answer = self.call(
            "SubscribeToShard", ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": kind, **position}
        )
        return answer["EventStream"]

    def put(self, name: str, data: bytes = b"data", key: str = "key", **members: Any) -> dict[str, Any]:
        return self.call("PutRecord", StreamName=name, Data=data, PartitionKey=key, **members)


def snake(operation: str) -> str:
    """boto3's method name of an operation."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")


def eventually(attempt: Callable[[], Any], what: str) -> Any:
    """The result of `attempt` once it no longer raises an assertion."""
    end = time.monotonic() + waiting.DEADLINE
    while True:
        try:
            return attempt()
        except AssertionError as failure:
            if time.monotonic() > end:
                raise AssertionError(f"not in time: {what}") from failure
            time.sleep(waiting.POLL)
