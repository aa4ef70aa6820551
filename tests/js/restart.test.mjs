// A server that restarts under its clients, cleanly and by SIGKILL: no error reaches the application.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DescribeStreamConsumerCommand, GetRecordsCommand } from "@aws-sdk/client-kinesis";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { create, horizon, iterator, put, register, subscribe, text, until, using } from "./support.mjs";

const { MILLSTREAM_RESTART_ENDPOINT: DIRECT, MILLSTREAM_DOOR_ENDPOINT: DOOR, MILLSTREAM_REMOTE: REMOTE } = process.env;

/** Has the server restarted; it listens again when this returns. */
async function restart(how) {
  const answer = await fetch(`${REMOTE}/${how}`, { method: "POST" });
  assert.equal(answer.status, 204);
}

/** Puts records one after the other until it is stopped; gives those that were acknowledged. */
function producer(client, StreamName) {
  const acknowledged = [];
  let stopped = false;
  const done = (async () => {
    for (let n = 0; !stopped; n += 1) {
      await put(client, StreamName, `${n}`);
      acknowledged.push(`${n}`);
    }
  })();
  const stop = async () => {
    stopped = true;
    await done;
  };
  return { acknowledged, stop, failed: done.then(() => null, (error) => error) };
}

/** Reads a shard page by page until it is stopped. An iterator outlives the server that gave it. */
function consumer(client, ShardIterator) {
  const records = [];
  let stopped = () => false;
  const done = (async () => {
    while (!stopped()) {
      const page = await client.send(new GetRecordsCommand({ ShardIterator }));
      records.push(...page.Records.map(text));
      ShardIterator = page.NextShardIterator;
      // A shard may be read five times a second.
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  const stop = async (condition) => {
    stopped = condition;
    await done;
  };
  return { records, stop, failed: done.then(() => null, (error) => error) };
}

// Between a process's end and the next one's first answer a connection to its port is refused, for longer than three
// attempts may take. A front door holds it, as a load balancer does; without one, the application allows more attempts.
const ways = {
  "the SDK's defaults, behind a front door": { endpoint: DOOR },
  "the SDK's defaults over HTTP/1.1, behind a front door": { endpoint: DOOR, requestHandler: () => new NodeHttpHandler() },
  "ten attempts, straight to the port": { endpoint: DIRECT, maxAttempts: 10 },
};

for (const [name, way] of Object.entries(ways)) {
  test(`puts and reads go on over restarts: ${name}`, () =>
    using(way, async (client) => {
      const StreamName = await create(client, "restart");
      const puts = producer(client, StreamName);
      const reads = consumer(client, await iterator(client, StreamName));
      for (const how of ["stop", "kill", "stop", "kill"]) {
        const before = puts.acknowledged.length;
        await restart(how);
        const more = () => puts.acknowledged.length > before + 10;
        const failed = await Promise.race([puts.failed, reads.failed, until("puts go on", more)]);
        assert.equal(failed, true, `${failed}`);
      }
      await puts.stop();
      const last = puts.acknowledged.at(-1);
      await reads.stop(() => reads.records.includes(last));
      // A put that is sent again may be there twice. None that was acknowledged is missing, and the order is kept.
      const once = reads.records.filter((word, at) => reads.records.indexOf(word) === at);
      assert.deepEqual(once, puts.acknowledged);
    }));
}

for (const how of ["stop", "kill"]) {
  test(`a subscription ends with the server (${how}), and is renewed where it was`, () =>
    using({ endpoint: DOOR }, async (client) => {
      const StreamName = await create(client, "renew");
      const ConsumerARN = await register(client, StreamName);
      const seen = [];
      let position = horizon;
      let ends = 0;
      const follow = (async () => {
        while (!seen.includes("the end")) {
          const events = await subscribe(client, ConsumerARN, position);
          try {
            for await (const { SubscribeToShardEvent: event } of { [Symbol.asyncIterator]: () => events }) {
              seen.push(...event.Records.map(text));
              position = { Type: "AFTER_SEQUENCE_NUMBER", SequenceNumber: event.ContinuationSequenceNumber };
              if (seen.includes("the end")) break;
            }
          } catch (error) {
            // A server that is killed cannot end its streams cleanly; one that is stopped does.
            assert.equal(how, "kill", `${error}`);
          }
          ends += 1;
        }
      })();
      // The runner ends what is left of the loop when a step below fails.
      const ended = follow.then(() => null, (error) => error);
      await put(client, StreamName, "before");
      await until("the subscription is live", () => seen.includes("before"));
      await restart(how);
      await until("the end of the subscription is seen", () => ends === 1);
      await put(client, StreamName, "between");
      await put(client, StreamName, "the end");
      assert.equal(await ended, null);
      assert.deepEqual(seen, ["before", "between", "the end"]);
      const { ConsumerDescription } = await client.send(new DescribeStreamConsumerCommand({ ConsumerARN }));
      assert.equal(ConsumerDescription.ConsumerStatus, "ACTIVE");
    }));
}
