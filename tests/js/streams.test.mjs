// Streams and records, over HTTP/1.1, over HTTP/2 with prior knowledge (what the SDK chooses for Kinesis), and over TLS.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  DescribeStreamCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  ListShardsCommand,
  MergeShardsCommand,
  PutRecordCommand,
  PutRecordsCommand,
  SplitShardCommand,
  UpdateShardCountCommand,
  paginateListStreams,
  waitUntilStreamNotExists,
} from "@aws-sdk/client-kinesis";
import { FIRST, active, arnOf, bytes, create, drain, fresh, iterator, put, text, transports, using } from "./support.mjs";

const MIDDLE = (2n ** 127n).toString();

for (const [name, transport] of Object.entries(transports)) {
  test(`a stream's life: ${name}`, () =>
    using(transport, async (client) => {
      const StreamName = await create(client, "life");
      const first = await client.send(new PutRecordCommand({ StreamName, Data: bytes("from node ü"), PartitionKey: "k" }));
      assert.equal(first.ShardId, FIRST);
      assert.match(first.SequenceNumber, /^\d{56}$/);
      const Records = [1, 2, 3].map((n) => ({ Data: Uint8Array.of(n, 0, 255), PartitionKey: `k${n}` }));
      const many = await client.send(new PutRecordsCommand({ StreamName, Records }));
      assert.equal(many.FailedRecordCount, 0);

      const { records } = await drain(client, await iterator(client, StreamName));
      assert.equal(text(records[0]), "from node ü");
      assert.deepEqual(records.slice(1).map((record) => [...record.Data]), [[1, 0, 255], [2, 0, 255], [3, 0, 255]]);
      assert.deepEqual(records.slice(1).map((record) => record.PartitionKey), ["k1", "k2", "k3"]);
      assert.deepEqual(
        records.map((record) => record.SequenceNumber),
        [first.SequenceNumber, ...many.Records.map((record) => record.SequenceNumber)],
      );
      const stamped = records[0].ApproximateArrivalTimestamp;
      assert.ok(stamped instanceof Date && Math.abs(Date.now() - stamped.getTime()) < 60_000);

      const at = (kind, more) => iterator(client, StreamName, FIRST, kind, more).then((token) => drain(client, token));
      const StartingSequenceNumber = many.Records[1].SequenceNumber;
      assert.equal((await at("AT_SEQUENCE_NUMBER", { StartingSequenceNumber })).records.length, 2);
      assert.equal((await at("AFTER_SEQUENCE_NUMBER", { StartingSequenceNumber })).records.length, 1);
      assert.equal((await at("AT_TIMESTAMP", { Timestamp: stamped })).records.length, 4);

      await client.send(new DeleteStreamCommand({ StreamName }));
      await waitUntilStreamNotExists({ client, minDelay: 0.1, maxDelay: 0.2, maxWaitTime: 60 }, { StreamName });
    }));
}

test("many requests share one HTTP/2 connection", () =>
  using(transports["cleartext, HTTP/2 with many calls at once"], async (client) => {
    const StreamName = await create(client, "many", { ShardCount: 2 });
    const puts = Array.from({ length: 200 }, (_, n) => put(client, StreamName, `${n}`, `k${n}`));
    const numbers = (await Promise.all(puts)).map((answer) => answer.SequenceNumber);
    assert.equal(new Set(numbers).size, 200);
  }));

test("the paginator of streams, and names as well as ARNs", () =>
  using({}, async (client) => {
    const made = [];
    for (let n = 0; n < 3; n += 1) made.push(await create(client, "page"));
    const seen = [];
    let pages = 0;
    for await (const page of paginateListStreams({ client, pageSize: 2 }, {})) {
      pages += 1;
      seen.push(...page.StreamSummaries.map((summary) => summary.StreamName));
    }
    assert.ok(pages > 1);
    assert.deepEqual(made.filter((name) => !seen.includes(name)), []);
    const StreamARN = arnOf(made[0]);
    const { StreamDescription } = await client.send(new DescribeStreamCommand({ StreamARN }));
    assert.equal(StreamDescription.StreamName, made[0]);
    assert.equal(StreamDescription.StreamARN, StreamARN);
    const answer = await client.send(new PutRecordCommand({ StreamARN, Data: bytes("x"), PartitionKey: "k" }));
    assert.equal(answer.ShardId, FIRST);
  }));

test("splits, merges and counts of shards, and children at the end of a shard", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "reshard");
    await put(client, StreamName, "before");
    await client.send(new SplitShardCommand({ StreamName, ShardToSplit: FIRST, NewStartingHashKey: MIDDLE }));
    await active(client, StreamName);

    const { records, page } = await drain(client, await iterator(client, StreamName));
    assert.deepEqual(records.map(text), ["before"]);
    assert.equal(page.NextShardIterator, undefined);
    assert.deepEqual(
      page.ChildShards.map(({ ShardId, ParentShards }) => [ShardId, ParentShards]),
      [["shardId-000000000001", [FIRST]], ["shardId-000000000002", [FIRST]]],
    );
    const ranges = page.ChildShards.map(({ HashKeyRange }) => [HashKeyRange.StartingHashKey, HashKeyRange.EndingHashKey]);
    assert.deepEqual(ranges, [
      ["0", (2n ** 127n - 1n).toString()],
      [MIDDLE, (2n ** 128n - 1n).toString()],
    ]);

    const [ShardToMerge, AdjacentShardToMerge] = page.ChildShards.map(({ ShardId }) => ShardId);
    await client.send(new MergeShardsCommand({ StreamName, ShardToMerge, AdjacentShardToMerge }));
    await active(client, StreamName);
    const merged = await drain(client, await iterator(client, StreamName, ShardToMerge));
    assert.deepEqual(
      merged.page.ChildShards.map(({ ShardId, ParentShards }) => [ShardId, ParentShards]),
      [["shardId-000000000003", [ShardToMerge, AdjacentShardToMerge]]],
    );

    const update = { StreamName, TargetShardCount: 2, ScalingType: "UNIFORM_SCALING" };
    const updated = await client.send(new UpdateShardCountCommand(update));
    assert.deepEqual([updated.CurrentShardCount, updated.TargetShardCount], [1, 2]);
    await active(client, StreamName);
    const { StreamDescriptionSummary } = await client.send(new DescribeStreamSummaryCommand({ StreamName }));
    assert.equal(StreamDescriptionSummary.OpenShardCount, 2);

    const latest = await client.send(new ListShardsCommand({ StreamName, ShardFilter: { Type: "AT_LATEST" } }));
    assert.deepEqual(latest.Shards.map(({ ShardId }) => ShardId), ["shardId-000000000004", "shardId-000000000005"]);
    const all = [];
    let request = { StreamName, MaxResults: 4 };
    while (request) {
      const answer = await client.send(new ListShardsCommand(request));
      all.push(...answer.Shards.map(({ ShardId }) => ShardId));
      request = answer.NextToken && { NextToken: answer.NextToken, MaxResults: 4 };
    }
    assert.deepEqual(all, [0, 1, 2, 3, 4, 5].map((n) => `shardId-00000000000${n}`));
  }));

test("a record larger than 1 MiB, on a stream that takes it", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "large", { ShardCount: 1, MaxRecordSizeInKiB: 3072 });
    const Data = new Uint8Array(1536 * 1024).map((_, n) => n % 251);
    await client.send(new PutRecordCommand({ StreamName, Data, PartitionKey: "k" }));
    const page = await client.send(new GetRecordsCommand({ ShardIterator: await iterator(client, StreamName) }));
    assert.deepEqual(Buffer.compare(page.Records[0].Data, Data), 0);
  }));

test("a stream that is created with tags and in on-demand mode", () =>
  using({}, async (client) => {
    const StreamName = fresh("on-demand");
    const mode = { StreamModeDetails: { StreamMode: "ON_DEMAND" }, Tags: { team: "a" } };
    await client.send(new CreateStreamCommand({ StreamName, ...mode }));
    await active(client, StreamName);
    const { StreamDescriptionSummary } = await client.send(new DescribeStreamSummaryCommand({ StreamName }));
    assert.deepEqual(StreamDescriptionSummary.StreamModeDetails, { StreamMode: "ON_DEMAND" });
    assert.equal(StreamDescriptionSummary.OpenShardCount, 4);
  }));
