// The AWS SDK for JavaScript v3: over HTTP/1.1, and over HTTP/2 with prior knowledge, which is what it chooses for Kinesis.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  PutRecordCommand,
  PutRecordsCommand,
  ResourceNotFoundException,
  waitUntilStreamExists,
} from "@aws-sdk/client-kinesis";
import { NodeHttp2Handler, NodeHttpHandler } from "@smithy/node-http-handler";

const handlers = {
  "its own choice": () => undefined,
  "HTTP/1.1": () => new NodeHttpHandler(),
  "HTTP/2": () => new NodeHttp2Handler(),
};

for (const [name, handler] of Object.entries(handlers)) {
  test(`a stream's life over ${name}`, async () => {
    const client = new KinesisClient({
      endpoint: process.env.MILLSTREAM_ENDPOINT,
      region: "us-east-1",
      credentials: { accessKeyId: "444455556666", secretAccessKey: "secret" },
      requestHandler: handler(),
    });
    const StreamName = `js-${Object.keys(handlers).indexOf(name)}`;
    try {
      await client.send(new CreateStreamCommand({ StreamName, ShardCount: 1 }));
      await waitUntilStreamExists({ client, minDelay: 1, maxDelay: 1, maxWaitTime: 60 }, { StreamName });

      const Data = new TextEncoder().encode("from node ü");
      const put = await client.send(new PutRecordCommand({ StreamName, Data, PartitionKey: "k" }));
      assert.equal(put.ShardId, "shardId-000000000000");
      assert.match(put.SequenceNumber, /^\d{56}$/);
      const Records = [1, 2, 3].map((n) => ({ Data: Uint8Array.of(n), PartitionKey: `k${n}` }));
      const many = await client.send(new PutRecordsCommand({ StreamName, Records }));
      assert.equal(many.FailedRecordCount, 0);

      const { ShardIterator } = await client.send(
        new GetShardIteratorCommand({ StreamName, ShardId: put.ShardId, ShardIteratorType: "TRIM_HORIZON" }),
      );
      const page = await client.send(new GetRecordsCommand({ ShardIterator }));
      assert.deepEqual(page.Records.map((record) => [...record.Data]), [[...Data], [1], [2], [3]]);
      assert.equal(page.Records[0].SequenceNumber, put.SequenceNumber);
      assert.ok(page.Records[0].ApproximateArrivalTimestamp instanceof Date);

      await assert.rejects(
        client.send(new PutRecordCommand({ StreamName: "nowhere", Data, PartitionKey: "k" })),
        (error) =>
          error instanceof ResourceNotFoundException &&
          error.message === "Stream nowhere under account 444455556666 not found." &&
          error.$metadata.requestId.length === 36,
      );
      await client.send(new DeleteStreamCommand({ StreamName }));
    } finally {
      client.destroy();
    }
  });
}

test("many requests share one HTTP/2 connection", async () => {
  const client = new KinesisClient({
    endpoint: process.env.MILLSTREAM_ENDPOINT,
    region: "us-east-1",
    credentials: { accessKeyId: "444455556666", secretAccessKey: "secret" },
    requestHandler: new NodeHttp2Handler(),
  });
  const StreamName = "js-many";
  try {
    await client.send(new CreateStreamCommand({ StreamName, ShardCount: 2 }));
    await waitUntilStreamExists({ client, minDelay: 1, maxDelay: 1, maxWaitTime: 60 }, { StreamName });
    const puts = Array.from({ length: 200 }, (_, n) =>
      client.send(new PutRecordCommand({ StreamName, Data: Uint8Array.of(n), PartitionKey: `k${n}` })),
    );
    const numbers = (await Promise.all(puts)).map((put) => put.SequenceNumber);
    assert.equal(new Set(numbers).size, 200);
    await client.send(new DeleteStreamCommand({ StreamName }));
  } finally {
    client.destroy();
  }
});
