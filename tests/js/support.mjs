// What the tests share: clients over every transport, streams of one test each, waiting with a deadline.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import {
  CreateStreamCommand,
  DescribeStreamConsumerCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  PutRecordCommand,
  RegisterStreamConsumerCommand,
  SubscribeToShardCommand,
  waitUntilStreamExists,
} from "@aws-sdk/client-kinesis";
import { NodeHttp2Handler, NodeHttpHandler } from "@smithy/node-http-handler";

export const ACCOUNT = "444455556666";
export const FIRST = "shardId-000000000000";
export const DEADLINE = 30_000;
const POLL = 20;
const { MILLSTREAM_ENDPOINT: PLAIN, MILLSTREAM_TLS_ENDPOINT: TLS, MILLSTREAM_CA: CA } = process.env;

// NODE_EXTRA_CA_CERTS has the whole process trust the authority; the last one trusts it by the handler's own option.
export const transports = {
  "cleartext, its own choice (HTTP/2)": { endpoint: PLAIN },
  "cleartext, HTTP/1.1": { endpoint: PLAIN, requestHandler: () => new NodeHttpHandler() },
  "cleartext, HTTP/2 with many calls at once": { endpoint: PLAIN, requestHandler: () => new NodeHttp2Handler() },
  "TLS, its own choice (HTTP/2)": { endpoint: TLS },
  "TLS, HTTP/1.1": {
    endpoint: TLS,
    requestHandler: () => new NodeHttpHandler({ httpsAgent: new Agent({ ca: readFileSync(CA), keepAlive: true }) }),
  },
};

export function connect({ endpoint = PLAIN, requestHandler, ...options } = {}) {
  return new KinesisClient({
    endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: "secret" },
    requestHandler: requestHandler?.(),
    ...options,
  });
}

/** Runs a test with a client that is closed after it. */
export async function using(options, test) {
  const client = connect(options);
  try {
    return await test(client);
  } finally {
    client.destroy();
  }
}

let names = 0;

export function fresh(stem) {
  names += 1;
  return `${stem}-${process.pid}-${names}`;
}

export const arnOf = (StreamName) => `arn:aws:kinesis:us-east-1:${ACCOUNT}:stream/${StreamName}`;

/** The first true value of `look` before the deadline. */
export async function until(what, look) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const value = await look();
    if (value) return value;
    assert.ok(Date.now() < end, `not in time: ${what}`);
    await pause(POLL);
  }
}

export async function active(client, StreamName) {
  await waitUntilStreamExists({ client, minDelay: 0.1, maxDelay: 0.2, maxWaitTime: 60 }, { StreamName });
}

/** Creates a stream, waits until it is ACTIVE, and returns its name. */
export async function create(client, stem, members = { ShardCount: 1 }) {
  const StreamName = fresh(stem);
  await client.send(new CreateStreamCommand({ StreamName, ...members }));
  await active(client, StreamName);
  return StreamName;
}

export const bytes = (text) => new TextEncoder().encode(text);
export const text = (record) => new TextDecoder().decode(record.Data);

export async function put(client, StreamName, words, PartitionKey = "k") {
  return client.send(new PutRecordCommand({ StreamName, Data: bytes(words), PartitionKey }));
}

export async function iterator(client, StreamName, ShardId = FIRST, ShardIteratorType = "TRIM_HORIZON", more = {}) {
  const answer = await client.send(new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType, ...more }));
  return answer.ShardIterator;
}

/** All records of a shard up to its tip or end, and the last page. */
export async function drain(client, ShardIterator) {
  const records = [];
  for (;;) {
    const page = await client.send(new GetRecordsCommand({ ShardIterator }));
    records.push(...page.Records);
    ShardIterator = page.NextShardIterator;
    if (!ShardIterator || (!page.Records.length && page.MillisBehindLatest === 0)) return { records, page };
  }
}

/** Registers a consumer, waits until it is ACTIVE, and returns its ARN. */
export async function register(client, StreamName, members = {}) {
  const registered = await client.send(
    new RegisterStreamConsumerCommand({ StreamARN: arnOf(StreamName), ConsumerName: fresh("consumer"), ...members }),
  );
  const { ConsumerARN } = registered.Consumer;
  await until("the consumer is ACTIVE", async () => {
    const { ConsumerDescription } = await client.send(new DescribeStreamConsumerCommand({ ConsumerARN }));
    return ConsumerDescription.ConsumerStatus === "ACTIVE";
  });
  return ConsumerARN;
}

/** A subscription's iterator of events. While an older one counts (5 s), it tries again, as applications do. */
export async function subscribe(client, ConsumerARN, StartingPosition, ShardId = FIRST) {
  return until("the shard is free for a subscription", async () => {
    try {
      const answer = await client.send(new SubscribeToShardCommand({ ConsumerARN, ShardId, StartingPosition }));
      return answer.EventStream[Symbol.asyncIterator]();
    } catch (error) {
      if (error.name !== "ResourceInUseException") throw error;
      return null;
    }
  });
}

export const horizon = { Type: "TRIM_HORIZON" };

/** Reads events until `count` records came; returns them with the last event. */
export async function collect(events, count) {
  const records = [];
  let last;
  while (records.length < count) {
    const { value, done } = await events.next();
    assert.ok(!done, `the subscription ended after ${records.length} records of ${count}`);
    last = value.SubscribeToShardEvent;
    records.push(...last.Records);
  }
  return { records, last };
}

/** Reads events to the end of the subscription; returns all records and the last event. */
export async function toEnd(events) {
  const records = [];
  let last;
  for (;;) {
    const { value, done } = await events.next();
    if (done) return { records, last };
    last = value.SubscribeToShardEvent;
    records.push(...last.Records);
  }
}
