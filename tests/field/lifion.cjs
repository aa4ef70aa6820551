// A consumer and a producer with npm's lifion-kinesis: puts what it is told to, and prints what it is given.
"use strict";

const dns = require("node:dns");
const Kinesis = require("lifion-kinesis");

// To subscribe, the library takes scheme and port from the endpoint, but AWS's own host name: what a developer puts into
// the hosts file.
const { lookup } = dns;
dns.lookup = (name, ...more) => lookup(name === "kinesis.us-east-1.amazonaws.com" ? "127.0.0.1" : name, ...more);

const [, , streamName, mode, count] = process.argv;
const connection = (endpoint) => ({
  accessKeyId: process.env.AWS_ACCESS_KEY_ID,
  endpoint,
  region: "us-east-1",
  secretAccessKey: "secret",
});
const say = (...words) => console.error(...words.map((word) => (word instanceof Error ? word.stack : word)));

const kinesis = new Kinesis({
  ...connection(process.env.MILLSTREAM_ENDPOINT),
  consumerGroup: "tests",
  dynamoDb: { ...connection(process.env.DYNAMO_ENDPOINT), tableName: `state-${streamName}` },
  initialPositionInStream: "TRIM_HORIZON",
  leaseAcquisitionInterval: 500,
  logger: { debug: say, error: say, warn: say },
  maxEnhancedConsumers: 2,
  noRecordsPollDelay: 300,
  streamName,
  useEnhancedFanOut: mode === "fan-out",
});

kinesis.on("data", ({ records, shardId }) => {
  for (const { data, sequenceNumber } of records) console.log(JSON.stringify({ data, sequenceNumber, shardId }));
});

(async () => {
  await kinesis.startConsumer();
  const numbers = Array.from({ length: Number(count) }, (_, n) => n);
  for (const n of numbers.slice(0, 5)) await kinesis.putRecord({ data: { n }, partitionKey: `k${n}` });
  await kinesis.putRecords({ records: numbers.slice(5).map((n) => ({ data: { n }, partitionKey: `k${n}` })) });
})().catch((error) => {
  say(error);
  process.exit(1);
});
