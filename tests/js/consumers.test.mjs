// Consumers with enhanced fan-out, and what they are pushed, over every transport that the SDK has.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DeleteStreamCommand,
  DeregisterStreamConsumerCommand,
  DescribeStreamConsumerCommand,
  DescribeStreamSummaryCommand,
  DryRunOperationException,
  PutRecordCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  SplitShardCommand,
  SubscribeToShardCommand,
  paginateListStreamConsumers,
} from "@aws-sdk/client-kinesis";
import {
  ACCOUNT,
  FIRST,
  arnOf,
  bytes,
  collect,
  create,
  horizon,
  put,
  register,
  subscribe,
  text,
  toEnd,
  transports,
  until,
  using,
} from "./support.mjs";

const MIDDLE = (2n ** 127n).toString();

test("a consumer's life", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "consumers");
    const StreamARN = arnOf(StreamName);
    const ConsumerARN = await register(client, StreamName, { ConsumerName: "first" });
    assert.match(ConsumerARN, new RegExp(`^${StreamARN}/consumer/first:\\d+$`));
    await register(client, StreamName, { ConsumerName: "second" });
    await register(client, StreamName, { ConsumerName: "third" });

    const byName = await client.send(new DescribeStreamConsumerCommand({ StreamARN, ConsumerName: "first" }));
    assert.equal(byName.ConsumerDescription.ConsumerARN, ConsumerARN);
    assert.equal(byName.ConsumerDescription.StreamARN, StreamARN);
    assert.ok(byName.ConsumerDescription.ConsumerCreationTimestamp instanceof Date);

    const names = [];
    for await (const page of paginateListStreamConsumers({ client, pageSize: 2 }, { StreamARN })) {
      names.push(...page.Consumers.map(({ ConsumerName }) => ConsumerName));
    }
    assert.deepEqual(names.sort(), ["first", "second", "third"]);
    const summary = await client.send(new DescribeStreamSummaryCommand({ StreamName }));
    assert.equal(summary.StreamDescriptionSummary.ConsumerCount, 3);

    await assert.rejects(
      client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: "first" })),
      ResourceInUseException,
    );
    await assert.rejects(client.send(new DeleteStreamCommand({ StreamName })), ResourceInUseException);

    await client.send(new DeregisterStreamConsumerCommand({ ConsumerARN }));
    await until("the consumer is gone", () =>
      client.send(new DescribeStreamConsumerCommand({ ConsumerARN })).then(
        () => false,
        (error) => error instanceof ResourceNotFoundException,
      ),
    );
    await client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
  }));

for (const [name, transport] of Object.entries(transports)) {
  test(`a subscription from the horizon to the end of the shard: ${name}`, () =>
    using(transport, (client) =>
      // The calls beside the subscription have connections of their own.
      using({}, async (side) => {
        const StreamName = await create(side, "subscribe");
        const ConsumerARN = await register(side, StreamName);
        await put(side, StreamName, "there before");
        const events = await subscribe(client, ConsumerARN, horizon);
        const first = await collect(events, 1);
        assert.deepEqual(first.records.map(text), ["there before"]);
        assert.ok(first.records[0].ApproximateArrivalTimestamp instanceof Date);
        assert.equal(first.records[0].PartitionKey, "k");
        assert.match(first.last.ContinuationSequenceNumber, /^\d{56}$/);
        assert.equal(first.last.ChildShards, undefined);

        const Records = Array.from({ length: 50 }, (_, n) => ({ Data: bytes(`pushed ${n}`), PartitionKey: `k${n}` }));
        const answer = await side.send(new PutRecordsCommand({ StreamName, Records }));
        const pushed = await collect(events, 50);
        assert.deepEqual(pushed.records.map(text), Records.map(text));
        assert.deepEqual(
          pushed.records.map(({ SequenceNumber }) => SequenceNumber),
          answer.Records.map(({ SequenceNumber }) => SequenceNumber),
        );

        await put(side, StreamName, "last");
        await side.send(new SplitShardCommand({ StreamName, ShardToSplit: FIRST, NewStartingHashKey: MIDDLE }));
        const end = await toEnd(events);
        assert.deepEqual(end.records.map(text), ["last"]);
        assert.equal(end.last.ContinuationSequenceNumber, undefined);
        assert.deepEqual(
          end.last.ChildShards.map(({ ShardId, ParentShards }) => [ShardId, ParentShards]),
          [["shardId-000000000001", [FIRST]], ["shardId-000000000002", [FIRST]]],
        );
        const children = await subscribe(client, ConsumerARN, horizon, "shardId-000000000001");
        const Data = bytes("to a child");
        await side.send(new PutRecordCommand({ StreamName, Data, PartitionKey: "k", ExplicitHashKey: "0" }));
        assert.deepEqual((await collect(children, 1)).records.map(text), ["to a child"]);
        await children.return();
      }),
    ));
}

test("a closed subscription goes on where it was, with its continuation number", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "continue");
    const ConsumerARN = await register(client, StreamName);
    for (const words of ["one", "two"]) await put(client, StreamName, words);
    const events = await subscribe(client, ConsumerARN, horizon);
    const { last } = await collect(events, 2);
    await events.return();
    for (const words of ["three", "four"]) await put(client, StreamName, words);
    const position = { Type: "AFTER_SEQUENCE_NUMBER", SequenceNumber: last.ContinuationSequenceNumber };
    const again = await subscribe(client, ConsumerARN, position);
    assert.deepEqual((await collect(again, 2)).records.map(text), ["three", "four"]);
    await again.return();
  }));

test("a quiet subscription is told that it is up to date", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "quiet");
    const ConsumerARN = await register(client, StreamName);
    await put(client, StreamName, "not seen from the latest position");
    const events = await subscribe(client, ConsumerARN, { Type: "LATEST" });
    const { value } = await events.next();
    assert.deepEqual(value.SubscribeToShardEvent.Records, []);
    assert.equal(value.SubscribeToShardEvent.MillisBehindLatest, 0);
    assert.match(value.SubscribeToShardEvent.ContinuationSequenceNumber, /^\d{56}$/);
    await put(client, StreamName, "seen");
    assert.deepEqual((await collect(events, 1)).records.map(text), ["seen"]);
    await events.return();
  }));

test("two consumers are each given everything; a second subscription of one is refused, and then takes over", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "takeover");
    const [one, two] = [await register(client, StreamName), await register(client, StreamName)];
    const subscriptions = [await subscribe(client, one, horizon), await subscribe(client, two, horizon)];
    await put(client, StreamName, "for both");
    for (const events of subscriptions) {
      assert.deepEqual((await collect(events, 1)).records.map(text), ["for both"]);
    }
    const name = two.split("/consumer/")[1].split(":")[0];
    await assert.rejects(
      client.send(new SubscribeToShardCommand({ ConsumerARN: two, ShardId: FIRST, StartingPosition: horizon })),
      (error) =>
        error instanceof ResourceInUseException &&
        error.message ===
          `Another active subscription exists for this consumer: ${ACCOUNT}:${StreamName}:${FIRST}:${name}`,
    );
    const taken = await subscribe(client, two, horizon);
    // The older one ends: cleanly, or with the error that says why.
    await toEnd(subscriptions[1]).catch((error) => assert.equal(error.name, "ResourceInUseException"));
    await put(client, StreamName, "for the new one");
    assert.deepEqual((await collect(taken, 2)).records.map(text), ["for both", "for the new one"]);
    assert.deepEqual((await collect(subscriptions[0], 1)).records.map(text), ["for the new one"]);
    await Promise.all([taken.return(), subscriptions[0].return()]);
  }));

test("a subscription ends with its consumer", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "ends");
    const ConsumerARN = await register(client, StreamName);
    const events = await subscribe(client, ConsumerARN, horizon);
    await put(client, StreamName, "x");
    await collect(events, 1);
    await client.send(new DeregisterStreamConsumerCommand({ ConsumerARN }));
    await toEnd(events).catch((error) => assert.equal(error.name, "ResourceNotFoundException"));
  }));

test("what is wrong with a subscription is told before it begins", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "wrong");
    const ConsumerARN = await register(client, StreamName);
    const request = { ConsumerARN, ShardId: FIRST, StartingPosition: horizon };
    const unknown = `${arnOf(StreamName)}/consumer/nobody:1`;
    const cases = [
      [{ ...request, ShardId: "shardId-000000000009" }, ResourceNotFoundException],
      [{ ...request, ConsumerARN: unknown }, ResourceNotFoundException],
      [{ ...request, DryRun: true }, DryRunOperationException],
    ];
    for (const [members, type] of cases) {
      await assert.rejects(client.send(new SubscribeToShardCommand(members)), type);
    }
    const events = await subscribe(client, ConsumerARN, horizon);
    await events.return();
  }));
