"""Test controls: faults on demand, the clock that can be moved, and the reset, as the tests of an application use them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from support import waiting
from support.http import Answer
from support.server import Server, run
from support.worlds import World

FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"
LOW, HIGH = "0", str(2**128 - 1)


class Controls:
    """The server's test controls, for one account of its own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.world = World(server)

    def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Answer:
        payload = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return self.world.http.send(
            method,
            f"/_millstream/{path}",
            headers={"Content-Type": content_type} if method == "POST" else {},
            body=payload if method == "POST" else None,
        )

    def post(self, path: str, **members: Any) -> Any:
        answer = self.send("POST", path, members)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self.send("GET", path)
        assert answer.status == 200, answer.body
        return answer.json()

    def fault(self, action: str, **members: Any) -> str:
        """Sets a fault for this account's calls; its id."""
        return self.post("faults", actionId=action, account=self.world.account, **members)["id"]

    def shown(self, fault: str) -> Any:
        return next(one for one in self.get("faults")["faults"] if one["id"] == fault)

    def journal(self, fault: str) -> list[Any]:
        return [entry for entry in self.get("faults/journal")["entries"] if entry["faultId"] == fault]

    def advance(self, duration: str) -> Any:
        return self.post("clock", advance=duration)


@pytest.fixture(scope="module")
def under_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with test controls, for tests that do not disturb each other: each has an account of its own."""
    data = tmp_path_factory.mktemp("controls") / "data"
    with Server(data, "--test-controls", "--transition-delay", "50ms") as server:
        yield server


@pytest.fixture
def controls(under_test: Server) -> Controls:
    return Controls(under_test)


@pytest.fixture
def own_controls(tmp_path: Path) -> Iterator[Controls]:
    """A server of one test, which may reset it and stop it."""
    with Server(tmp_path / "data", "--test-controls", "--transition-delay", "10m") as server:
        yield Controls(server)


def put_hash(world: World, stream: str, hash_key: str, data: bytes = b"data") -> Any:
    return world.put(stream, data, ExplicitHashKey=hash_key)


def test_without_the_flag_they_are_refused_by_its_name(world: World) -> None:
    for path in ("faults", "faults/remove", "faults/journal", "clock", "reset"):
        for method in ("GET", "POST"):
            answer = world.http.send(
                method,
                f"/_millstream/{path}",
                headers={"Content-Type": "application/json"},
                body=b"{}" if method == "POST" else None,
            )
            assert answer.status == 403
            assert "--test-controls" in answer.json()["error"]


def test_the_banner_says_so_loudly(under_test: Server, server: Server) -> None:
    assert "test controls   ON:" in under_test.output
    assert "test controls" not in server.output


def test_other_machines_get_them_only_with_an_explicit_word(tmp_path: Path) -> None:
    refused = run("serve", "--data-dir", tmp_path, "--listen", "0.0.0.0:0", "--test-controls")
    assert refused.returncode == 2 and "--allow-anonymous" in refused.stderr


def test_changes_need_a_post_with_json_of_a_page_that_may(controls: Controls) -> None:
    answer = controls.send("POST", "clock", {"advance": "1s"}, content_type="text/plain")
    assert answer.status == 400 and "application/json" in answer.json()["error"]
    assert controls.send("DELETE", "faults").status == 405
    assert controls.send("GET", "reset").status == 405
    assert controls.send("POST", "clock", b"{").status == 400
    assert controls.send("POST", "clock", b" " * (64 * 1024 + 1)).status == 413
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        answer = controls.world.http.send(
            "POST", "/_millstream/reset", headers={"Content-Type": "application/json", **headers}, body=b"{}"
        )
        assert answer.status == 403 and b"AccessDeniedException" in answer.body
    for wrong in ({"actionId": "aws:ec2:stop-instances"}, {"percentage": 5}, {"actionId": 5}):
        answer = controls.send("POST", "faults", wrong)
        assert answer.status == 400 and answer.body.count(b"\n") == 1 and answer.json()["error"]


ERRORS = [
    ("aws:fis:inject-api-internal-error", 500, "InternalFailure", ""),
    ("aws:fis:inject-api-throttle-error", 400, "ThrottlingException", "Rate exceeded"),
    ("aws:fis:inject-api-unavailable-error", 503, "ServiceUnavailable", ""),
    (
        "millstream:inject-api-limit-exceeded-exception",
        400,
        "LimitExceededException",
        "Rate exceeded for stream {stream} under account {account}.",
    ),
]


@pytest.mark.parametrize(("action", "status", "code", "message"), ERRORS, ids=[error[0] for error in ERRORS])
def test_errors_of_every_operation(controls: Controls, action: str, status: int, code: str, message: str) -> None:
    world = controls.world
    name = world.create()
    fault = controls.fault(action, count=2, operations="DescribeStreamSummary,PutRecord")
    for operation, members in (
        ("DescribeStreamSummary", {"StreamName": name}),
        ("PutRecord", {"StreamName": name, "Data": b"d", "PartitionKey": "k"}),
    ):
        with pytest.raises(ClientError) as raised:
            world.call(operation, **members)
        response = raised.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert response["Error"]["Code"] == code
        if message:
            assert response["Error"]["Message"] == message.format(stream=name, account=world.account)
    world.put(name)
    assert controls.shown(fault)["state"] == "completed"
    assert [entry["operation"] for entry in controls.journal(fault)] == ["DescribeStreamSummary", "PutRecord"]


def test_throughput_of_one_shard(controls: Controls) -> None:
    world = controls.world
    name = world.create(2)
    other = world.create(2)
    action = "aws:kinesis:inject-api-provisioned-throughput-exception"
    fault = controls.fault(action, stream=world.arn(name), shard=SECOND)
    iterators = {shard: world.iterator(other, shard) for shard in (FIRST, SECOND)}
    text = f"Rate exceeded for shard {SECOND} in stream {name} under account {world.account}."
    expected = ("ProvisionedThroughputExceededException", text)
    refused = {"StreamName": name, "Data": b"d", "PartitionKey": "k", "ExplicitHashKey": HIGH}
    assert world.refused("PutRecord", **refused) == expected
    put_hash(world, name, LOW)
    put_hash(world, other, HIGH)
    records = [{"Data": b"d", "PartitionKey": "k", "ExplicitHashKey": key} for key in (LOW, HIGH)]
    assert world.refused("PutRecords", StreamName=name, Records=records) == expected
    assert world.call("PutRecords", StreamName=name, Records=records[:1])["FailedRecordCount"] == 0
    start = {"ShardIteratorType": "LATEST"}
    assert world.refused("GetShardIterator", StreamName=name, ShardId=SECOND, **start) == expected
    world.call("GetShardIterator", StreamName=name, ShardId=FIRST, **start)
    for iterator in iterators.values():
        world.call("GetRecords", ShardIterator=iterator)
    assert controls.shown(fault)["applied"] == 3


def test_an_iterator_expires_on_demand(controls: Controls) -> None:
    world = controls.world
    name = world.create()
    iterator = world.iterator(name)
    controls.fault("aws:kinesis:inject-api-expired-iterator-exception", count=1)
    code, message = world.refused("GetRecords", ShardIterator=iterator)
    assert code == "ExpiredIteratorException"
    assert message.startswith("Iterator expired. The iterator was created at time ")
    assert message.endswith("further in the future than the tolerated delay of 300000 milliseconds.")
    assert world.page(iterator)["Records"] == []


def test_single_records_fail_and_the_others_are_kept(controls: Controls) -> None:
    world = controls.world
    name = world.create(2)
    records = [
        {"Data": str(number).encode(), "PartitionKey": "k", "ExplicitHashKey": (LOW, HIGH)[number % 2]} for number in range(6)
    ]
    action = "millstream:inject-put-records-failure"
    controls.fault(action, shard=FIRST, count=2)
    answer = world.call("PutRecords", StreamName=name, Records=records)
    failed = [number for number, record in enumerate(answer["Records"]) if "ErrorCode" in record]
    assert answer["FailedRecordCount"] == 2 and failed == [0, 2]
    assert answer["Records"][0] == {"ErrorCode": "InternalFailure", "ErrorMessage": "Internal Service Failure."}
    assert [record["Data"] for record in world.read(name, FIRST)] == [b"4"]
    assert [record["Data"] for record in world.read(name, SECOND)] == [b"1", b"3", b"5"]
    # As applications should: what failed is put again.
    again = world.call("PutRecords", StreamName=name, Records=[records[number] for number in failed])
    assert again["FailedRecordCount"] == 0

    controls.fault(action, errorCode="ProvisionedThroughputExceededException")
    answer = world.call("PutRecords", StreamName=name, Records=records[:1])
    text = f"Rate exceeded for shard {FIRST} in stream {name} under account {world.account}."
    throttled = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": text}
    assert answer["FailedRecordCount"] == 1 and answer["Records"] == [throttled]
    assert len(world.read(name, FIRST)) == 3


def test_a_delay_holds_the_answer_back(controls: Controls) -> None:
    """No time is measured: the answer of a call that is delayed by minutes is not there when another one is."""
    world = controls.world
    name = world.create()
    fault = controls.fault("millstream:inject-api-delay", delay="1s", jitter="200ms", operations=["PutRecord"], count=1)
    done = threading.Event()

    def put() -> None:
        world.put(name)
        done.set()

    writer = threading.Thread(target=put)
    writer.start()
    waiting.until(lambda: controls.journal(fault), "the call is being delayed")
    world.summary(name)
    assert not done.is_set()
    writer.join(30)
    assert done.is_set()
    assert controls.journal(fault)[0]["done"].startswith("delayed by 1")


def test_a_connection_is_dropped_without_an_answer(controls: Controls) -> None:
    world = controls.world
    name = world.create()
    fault = controls.fault("millstream:drop-connection", operations="PutRecord", count=1)
    with pytest.raises(ConnectionClosedError):
        world.put(name)
    assert world.read(name) == []
    world.put(name)
    assert len(world.read(name)) == 1
    assert controls.shown(fault)["applied"] == 1


def test_a_seed_repeats_what_a_percentage_hits(controls: Controls) -> None:
    world = controls.world
    name = world.create()

    def hits() -> list[bool]:
        fault = controls.fault("aws:fis:inject-api-internal-error", percentage="40", seed=11, operations="PutRecord")
        pattern = []
        for _ in range(40):
            try:
                world.put(name)
                pattern.append(False)
            except ClientError:
                pattern.append(True)
        assert controls.shown(fault)["applied"] == sum(pattern)
        controls.post("faults/remove", id=fault)
        return pattern

    first = hits()
    assert first == hits()
    assert 0 < sum(first) < 40


def test_a_fault_ends_with_its_duration(controls: Controls) -> None:
    world = controls.world
    name = world.create()
    fault = controls.fault("aws:fis:inject-api-internal-error", duration="PT5M", operations="PutRecord")
    assert world.refused("PutRecord", StreamName=name, Data=b"d", PartitionKey="k")[0] == "InternalFailure"
    controls.advance("5m")
    world.put(name)
    assert controls.shown(fault)["state"] == "completed"


def test_the_journal_tells_what_was_done_to_which_request(controls: Controls) -> None:
    world = controls.world
    name = world.create()
    last = controls.get("faults/journal")["last"]
    fault = controls.fault("aws:fis:inject-api-internal-error", operations="PutRecord", count=1)
    with pytest.raises(ClientError) as raised:
        world.put(name)
    page = controls.get(f"faults/journal?after={last}")
    entry = next(entry for entry in page["entries"] if entry["faultId"] == fault)
    assert entry["requestId"] == raised.value.response["ResponseMetadata"]["RequestId"]
    assert entry["sequence"] > last and page["last"] >= entry["sequence"]
    assert (entry["operation"], entry["account"]) == ("PutRecord", world.account)
    assert (entry["stream"], entry["shards"]) == (world.arn(name), [FIRST])
    assert entry["done"] == "InternalFailure"


def test_records_expire_when_the_clock_steps(controls: Controls) -> None:
    world = controls.world
    name = world.create()
    world.put(name, b"old")
    before = controls.get("clock")
    after = controls.advance("25h")
    assert after["now"] - before["now"] >= 25 * 3_600_000
    assert after["ahead"] - before["ahead"] == 25 * 3_600_000
    world.put(name, b"new")
    records = world.read(name)
    assert [record["Data"] for record in records] == [b"new"]
    # Arrival stamps are of domain time, in which a day has passed for this client.
    assert records[0]["ApproximateArrivalTimestamp"].timestamp() > time.time() + 24 * 3600


def test_an_iterator_expires_when_the_clock_steps(controls: Controls) -> None:
    world = controls.world
    name = world.create()
    iterator = world.iterator(name)
    controls.advance("301s")
    assert world.refused("GetRecords", ShardIterator=iterator)[0] == "ExpiredIteratorException"


def test_a_subscription_meets_a_fault_before_its_first_event(controls: Controls) -> None:
    world = controls.world
    name = world.create(2)
    consumer = world.register(name)
    fault = controls.fault("aws:fis:inject-api-internal-error", stream=name, shard=SECOND, count=1)
    with closing(world.subscribe(consumer, FIRST)) as stream:
        assert next(iter(stream))["SubscribeToShardEvent"]["Records"] == []
    with pytest.raises(ClientError) as raised:
        world.subscribe(consumer, SECOND)
    assert raised.value.response["Error"]["Code"] == "InternalFailure"
    assert controls.journal(fault)[0]["operation"] == "SubscribeToShard"
    with closing(world.subscribe(consumer, SECOND)) as stream:
        assert next(iter(stream))["SubscribeToShardEvent"]["Records"] == []


def test_a_subscription_ends_cleanly_when_the_clock_steps(controls: Controls) -> None:
    world = controls.world
    name = world.create()
    with closing(world.subscribe(world.register(name))) as stream:
        incoming = iter(stream)
        next(incoming)
        controls.advance("5m")
        assert all(event["SubscribeToShardEvent"]["Records"] == [] for event in incoming)


def test_a_quota_per_day_is_new_after_a_day(controls: Controls) -> None:
    world = controls.world
    name = world.create()
    modes = ["ON_DEMAND", "PROVISIONED"]
    arn = world.arn(name)
    for mode in modes:
        world.patiently("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": mode})
        world.active(name)
    again = {"StreamARN": arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    assert world.refused("UpdateStreamMode", **again)[0] == "LimitExceededException"
    controls.advance("24h")
    world.patiently("UpdateStreamMode", **again)


def test_a_transition_has_ended_when_a_step_is_answered(own_controls: Controls) -> None:
    """The transitions of this server take ten minutes."""
    world = own_controls.world
    name = world.name()
    world.call("CreateStream", StreamName=name, ShardCount=1)
    assert world.summary(name)["StreamStatus"] == "CREATING"
    own_controls.advance("10m")
    assert world.summary(name)["StreamStatus"] == "ACTIVE"


def test_time_goes_faster_and_never_back(own_controls: Controls) -> None:
    world = own_controls.world
    name = world.name()
    world.call("CreateStream", StreamName=name, ShardCount=1)
    own_controls.post("clock", rate=3600)
    world.active(name)
    slower = own_controls.post("clock", rate=1)
    assert slower["rate"] == 1 and slower["ahead"] > 0
    sequence = world.put(name)["SequenceNumber"]
    own_controls.server.restart(kill=True)
    after = own_controls.get("clock")
    assert after["now"] >= slower["now"] and after["ahead"] >= slower["ahead"]
    assert int(world.put(name)["SequenceNumber"]) > int(sequence)
    health = world.http.send("GET", "/_millstream/health").json()
    assert health == {"status": "ok", "problems": []}


def test_a_clock_that_was_moved_is_for_tests_only(own_controls: Controls) -> None:
    own_controls.advance("25h")
    own_controls.server.stop()
    refused = run("serve", "--data-dir", own_controls.server.data, "--listen", "127.0.0.1:0")
    assert refused.returncode == 1
    assert "90000 s ahead" in refused.stderr and "--test-controls" in refused.stderr
    own_controls.server.start()


def test_a_reset_removes_streams_in_every_state(own_controls: Controls) -> None:
    world = own_controls.world
    names = [world.name() for _ in range(4)]
    for name in names[:3]:
        world.call("CreateStream", StreamName=name, ShardCount=2)
    own_controls.advance("10m")
    world.put(names[0])
    world.call("RegisterStreamConsumer", StreamARN=world.arn(names[0]), ConsumerName="consumer")
    commitment = {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}}
    world.call("UpdateAccountSettings", **commitment)
    world.call("SplitShard", StreamName=names[1], ShardToSplit=FIRST, NewStartingHashKey="5")
    world.call("DeleteStream", StreamName=names[2])
    world.call("CreateStream", StreamName=names[3], ShardCount=1)
    own_controls.fault("aws:fis:inject-api-internal-error", operations="ListStreams")
    own_controls.post("clock", rate=60)
    elsewhere = World(own_controls.server)
    elsewhere.call("CreateStream", StreamName="other", ShardCount=1)

    assert own_controls.post("reset", account=elsewhere.account) == {"streams": 1}
    assert elsewhere.call("ListStreams")["StreamNames"] == []
    assert own_controls.get("clock")["rate"] == 60

    ahead = own_controls.get("clock")["ahead"]
    assert own_controls.post("reset") == {"streams": 4}
    assert world.call("ListStreams")["StreamNames"] == []
    assert own_controls.get("faults") == {"faults": []}
    assert own_controls.get("faults/journal")["entries"] == []
    clock = own_controls.get("clock")
    assert clock["rate"] == 1 and clock["ahead"] >= ahead
    settings = world.call("DescribeAccountSettings")["MinimumThroughputBillingCommitment"]
    assert settings == {"Status": "DISABLED"}
    # Names are free at once, and nothing comes back.
    world.call("CreateStream", StreamName=names[0], ShardCount=1)
    own_controls.server.restart(kill=True)
    own_controls.advance("10m")
    assert world.call("ListStreams")["StreamNames"] == [names[0]]
    assert world.read(names[0]) == []
    assert world.call("ListStreamConsumers", StreamARN=world.arn(names[0]))["Consumers"] == []


def test_a_reset_forgets_what_was_counted(own_controls: Controls) -> None:
    world = own_controls.world

    def throttled() -> bool:
        try:
            world.call("DescribeLimits")
            return False
        except ClientError as error:
            return error.response["Error"]["Message"].startswith("Rate exceeded")

    waiting.until(throttled, "the account's rate is used up")
    own_controls.post("reset")
    assert not throttled()
