// What is set on streams, consumers and the account, and the errors as the SDK's own types.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AddTagsToStreamCommand,
  CreateStreamCommand,
  DecreaseStreamRetentionPeriodCommand,
  DeleteResourcePolicyCommand,
  DescribeAccountSettingsCommand,
  DescribeLimitsCommand,
  DescribeStreamSummaryCommand,
  DisableEnhancedMonitoringCommand,
  DryRunOperationException,
  EnableEnhancedMonitoringCommand,
  GetRecordsCommand,
  GetResourcePolicyCommand,
  GetShardIteratorCommand,
  IncreaseStreamRetentionPeriodCommand,
  InvalidArgumentException,
  KinesisServiceException,
  ListTagsForResourceCommand,
  ListTagsForStreamCommand,
  ProvisionedThroughputExceededException,
  PutRecordCommand,
  PutResourcePolicyCommand,
  RemoveTagsFromStreamCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateMaxRecordSizeCommand,
  UpdateStreamModeCommand,
  UpdateStreamRecordDistributionStrategyCommand,
  UpdateStreamWarmThroughputCommand,
  ValidationException,
} from "@aws-sdk/client-kinesis";
import { ACCOUNT, FIRST, active, arnOf, bytes, create, drain, iterator, put, register, using } from "./support.mjs";

const summary = async (client, StreamName) =>
  (await client.send(new DescribeStreamSummaryCommand({ StreamName }))).StreamDescriptionSummary;

test("retention, monitoring, mode and the largest record", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "settings");
    const StreamARN = arnOf(StreamName);
    const hours = (RetentionPeriodHours) => ({ StreamName, RetentionPeriodHours });
    await client.send(new IncreaseStreamRetentionPeriodCommand(hours(48)));
    await active(client, StreamName);
    assert.equal((await summary(client, StreamName)).RetentionPeriodHours, 48);
    await client.send(new DecreaseStreamRetentionPeriodCommand(hours(24)));
    await active(client, StreamName);
    assert.equal((await summary(client, StreamName)).RetentionPeriodHours, 24);

    const ShardLevelMetrics = ["IncomingBytes"];
    const on = await client.send(new EnableEnhancedMonitoringCommand({ StreamName, ShardLevelMetrics }));
    assert.deepEqual([on.CurrentShardLevelMetrics, on.DesiredShardLevelMetrics], [[], ShardLevelMetrics]);
    await active(client, StreamName);
    const off = await client.send(new DisableEnhancedMonitoringCommand({ StreamName, ShardLevelMetrics: ["ALL"] }));
    assert.deepEqual([off.CurrentShardLevelMetrics, off.DesiredShardLevelMetrics], [ShardLevelMetrics, []]);
    await active(client, StreamName);

    await client.send(new UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB: 2048 }));
    await active(client, StreamName);
    assert.equal((await summary(client, StreamName)).MaxRecordSizeInKiB, 2048);
    await assert.rejects(
      client.send(new UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB: 512 })),
      ValidationException,
    );

    await client.send(new UpdateStreamModeCommand({ StreamARN, StreamModeDetails: { StreamMode: "ON_DEMAND" } }));
    await active(client, StreamName);
    assert.deepEqual((await summary(client, StreamName)).StreamModeDetails, { StreamMode: "ON_DEMAND" });
  }));

test("records placed by the service on a stream with AUTO", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "auto", { StreamModeDetails: { StreamMode: "ON_DEMAND" } });
    const StreamARN = arnOf(StreamName);
    await client.send(
      new UpdateStreamRecordDistributionStrategyCommand({ StreamARN, RecordDistributionStrategy: "AUTO" }),
    );
    assert.equal((await summary(client, StreamName)).RecordDistributionStrategy, "AUTO");
    const { ShardId } = await client.send(new PutRecordCommand({ StreamName, Data: bytes("no key") }));
    const { records } = await drain(client, await iterator(client, StreamName, ShardId));
    assert.equal("PartitionKey" in records[0] && records[0].PartitionKey !== undefined, false);
  }));

test("tags of streams and consumers, through both families of calls", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "tags", { ShardCount: 1, Tags: { born: "with" } });
    const ResourceARN = arnOf(StreamName);
    await client.send(new AddTagsToStreamCommand({ StreamName, Tags: { old: "1", gone: "x" } }));
    await client.send(new TagResourceCommand({ ResourceARN, Tags: { new: "2", empty: "" } }));
    await client.send(new RemoveTagsFromStreamCommand({ StreamName, TagKeys: ["gone"] }));
    const byKey = (tags) => Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value ?? ""]));
    const all = { born: "with", empty: "", new: "2", old: "1" };
    assert.deepEqual(byKey((await client.send(new ListTagsForStreamCommand({ StreamName }))).Tags), all);
    assert.deepEqual(byKey((await client.send(new ListTagsForResourceCommand({ ResourceARN }))).Tags), all);
    const page = await client.send(new ListTagsForStreamCommand({ StreamName, Limit: 1 }));
    assert.deepEqual([page.Tags.length, page.HasMoreTags], [1, true]);
    await client.send(new UntagResourceCommand({ ResourceARN, TagKeys: ["born", "empty", "new"] }));
    assert.deepEqual(byKey((await client.send(new ListTagsForResourceCommand({ ResourceARN }))).Tags), { old: "1" });

    const consumer = await register(client, StreamName, { Tags: { stage: "test" } });
    await client.send(new TagResourceCommand({ ResourceARN: consumer, Tags: { more: "y" } }));
    const tags = await client.send(new ListTagsForResourceCommand({ ResourceARN: consumer }));
    assert.deepEqual(byKey(tags.Tags), { more: "y", stage: "test" });
  }));

test("a policy of a stream and of a consumer", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "policy");
    const statement = (Action, Resource) =>
      JSON.stringify({
        Version: "2012-10-17",
        Statement: [
          { Sid: "read", Effect: "Allow", Principal: { AWS: "arn:aws:iam::111122223333:root" }, Action, Resource },
        ],
      });
    const consumer = await register(client, StreamName);
    const cases = [
      [arnOf(StreamName), ["kinesis:DescribeStreamSummary", "kinesis:GetRecords"]],
      [consumer, ["kinesis:SubscribeToShard", "kinesis:DescribeStreamConsumer"]],
    ];
    for (const [ResourceARN, actions] of cases) {
      const Policy = statement(actions, ResourceARN);
      assert.equal((await client.send(new GetResourcePolicyCommand({ ResourceARN }))).Policy, "{}");
      await client.send(new PutResourcePolicyCommand({ ResourceARN, Policy }));
      const kept = await client.send(new GetResourcePolicyCommand({ ResourceARN }));
      assert.deepEqual(JSON.parse(kept.Policy), JSON.parse(Policy));
      await client.send(new DeleteResourcePolicyCommand({ ResourceARN }));
      await assert.rejects(
        client.send(new DeleteResourcePolicyCommand({ ResourceARN })),
        ResourceNotFoundException,
      );
    }
  }));

test("limits and settings of the account, and warm throughput without a commitment", () =>
  using({}, async (client) => {
    const limits = await client.send(new DescribeLimitsCommand({}));
    assert.ok(limits.ShardLimit > 0 && limits.OnDemandStreamCountLimit > 0);
    const settings = await client.send(new DescribeAccountSettingsCommand({}));
    assert.deepEqual(settings.MinimumThroughputBillingCommitment, { Status: "DISABLED" });
    const StreamName = await create(client, "warm", { StreamModeDetails: { StreamMode: "ON_DEMAND" } });
    await assert.rejects(
      client.send(new UpdateStreamWarmThroughputCommand({ StreamName, WarmThroughputMiBps: 100 })),
      ValidationException,
    );
  }));

test("errors are the SDK's own types, with AWS's words", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "errors");
    const Data = bytes("x");
    const cases = [
      [
        new PutRecordCommand({ StreamName: "nowhere", Data, PartitionKey: "k" }),
        ResourceNotFoundException,
        `Stream nowhere under account ${ACCOUNT} not found.`,
      ],
      [
        new CreateStreamCommand({ StreamName, ShardCount: 1 }),
        ResourceInUseException,
        `Stream ${StreamName} under account ${ACCOUNT} already exists.`,
      ],
      [
        new GetShardIteratorCommand({ StreamName, ShardId: FIRST, ShardIteratorType: "AFTER_SEQUENCE_NUMBER" }),
        InvalidArgumentException,
        null,
      ],
      [new GetRecordsCommand({ ShardIterator: "garbage" }), InvalidArgumentException, "Invalid ShardIterator."],
      [
        new PutRecordCommand({ StreamName, Data: new Uint8Array(1024 * 1024 + 1), PartitionKey: "k" }),
        ValidationException,
        "1 validation error detected: Value at 'data' failed to satisfy constraint: " +
          "Member must have length less than or equal to 1048576",
      ],
      [
        new PutRecordCommand({ StreamName, Data, PartitionKey: "k", DryRun: true }),
        DryRunOperationException,
        "Request would have succeeded, but DryRun flag is set.",
      ],
    ];
    for (const [command, type, message] of cases) {
      await assert.rejects(client.send(command), (error) => {
        assert.ok(error instanceof type, `${error}`);
        assert.ok(error instanceof KinesisServiceException);
        if (message) assert.equal(error.message, message);
        assert.equal(error.$fault, "client");
        assert.equal(error.$metadata.httpStatusCode, 400);
        assert.equal(error.$metadata.requestId.length, 36);
        return true;
      });
    }
    assert.equal((await drain(client, await iterator(client, StreamName))).records.length, 0);
  }));

test("a shard's rate shows as an error without retries, and not with them", () =>
  using({}, async (client) => {
    const StreamName = await create(client, "rate");
    const Data = new Uint8Array(700 * 1024);
    const send = (by) => by.send(new PutRecordCommand({ StreamName, Data, PartitionKey: "k" }));
    await using({ maxAttempts: 1 }, async (impatient) => {
      await assert.rejects(
        Promise.all([send(impatient), send(impatient), send(impatient)]),
        (error) =>
          error instanceof ProvisionedThroughputExceededException &&
          error.message === `Rate exceeded for shard ${FIRST} in stream ${StreamName} under account ${ACCOUNT}.`,
      );
    });
    await using({ maxAttempts: 8 }, async (patient) => {
      await send(patient);
      await put(patient, StreamName, "and a small one");
    });
  }));
