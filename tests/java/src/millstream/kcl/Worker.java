package millstream.kcl;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * One worker of a KCL application. Every event of its record processors is a line on standard output, in the order in
 * which they happen: {@code started SHARD}, {@code record SHARD SEQUENCE SUBSEQUENCE KEY DATA}, {@code ended SHARD},
 * {@code lost SHARD}, {@code stopping SHARD}.
 *
 * <p>Only intervals differ from the KCL's defaults: they are short, for the test's sake.
 */
public final class Worker {
    private Worker() {}

    /** The arguments: stream, application, worker, {@code polling} or {@code fan-out}, Kinesis' endpoint, the tables'. */
    public static void main(String[] arguments) {
        String stream = arguments[0];
        String application = arguments[1];
        String worker = arguments[2];
        String retrieval = arguments[3];
        URI endpoint = URI.create(arguments[4]);
        URI tables = URI.create(arguments[5]);

        KinesisAsyncClient kinesis =
                KinesisClientUtil.createKinesisAsyncClient(at(KinesisAsyncClient.builder(), endpoint));
        ConfigsBuilder configs = new ConfigsBuilder(
                new SingleStreamTracker(
                        stream, InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON)),
                application,
                kinesis,
                at(DynamoDbAsyncClient.builder(), tables).build(),
                at(CloudWatchAsyncClient.builder(), tables).build(),
                worker,
                Processor::new);

        var coordinator = configs.coordinatorConfig()
                .parentShardPollIntervalMillis(200)
                .shardConsumerDispatchPollIntervalMillis(50)
                .schedulerInitializationBackoffTimeMillis(200);
        var leases = configs.leaseManagementConfig()
                .failoverTimeMillis(3000)
                .leaseAssignmentIntervalMillis(1000L)
                .dynamoDbLockBasedLeaderLeaseDurationInMillis(4000)
                .dynamoDbLockBasedLeaderHeartbeatPeriodInMillis(1000)
                .shardSyncIntervalMillis(1000)
                .leasesRecoveryAuditorExecutionFrequencyMillis(2000)
                .listShardsCacheAllowedAgeInSeconds(1);
        leases.workerUtilizationAwareAssignmentConfig()
                .inMemoryWorkerMetricsCaptureFrequencyMillis(500)
                .workerMetricsReporterFreqInMillis(1000)
                .varianceBalancingFrequency(1);
        RetrievalSpecificConfig specific = switch (retrieval) {
            case "polling" -> new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(250);
            case "fan-out" -> new FanOutConfig(kinesis).streamName(stream).applicationName(application);
            default -> throw new IllegalArgumentException(retrieval);
        };
        Scheduler scheduler = new Scheduler(
                configs.checkpointConfig(),
                coordinator,
                leases,
                configs.lifecycleConfig().taskBackoffTimeMillis(200),
                // Its own figures go nowhere.
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(specific));

        Runtime.getRuntime().addShutdownHook(new Thread(() -> scheduler.startGracefulShutdown().join()));
        scheduler.run();
    }

    private static <B extends AwsClientBuilder<B, C>, C> B at(B builder, URI endpoint) {
        return builder.endpointOverride(endpoint)
                .region(Region.US_EAST_1)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("444455556666", "secret")));
    }

    private static void say(String line) {
        // One call, so that lines of several shards do not mix.
        System.out.print(line + "\n");
        System.out.flush();
    }

    private static final class Processor implements ShardRecordProcessor {
        private String shard;

        @Override
        public void initialize(InitializationInput input) {
            shard = input.shardId();
            say("started " + shard);
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            StringBuilder lines = new StringBuilder();
            for (KinesisClientRecord record : input.records()) {
                lines.append("record %s %s %d %s %s\n".formatted(
                        shard,
                        record.sequenceNumber(),
                        record.subSequenceNumber(),
                        record.partitionKey(),
                        StandardCharsets.UTF_8.decode(record.data())));
            }
            if (lines.length() > 0) {
                lines.setLength(lines.length() - 1);
                say(lines.toString());
                checkpoint(input.checkpointer());
            }
        }

        @Override
        public void leaseLost(LeaseLostInput input) {
            say("lost " + shard);
        }

        @Override
        public void shardEnded(ShardEndedInput input) {
            say("ended " + shard);
            checkpoint(input.checkpointer());
        }

        @Override
        public void shutdownRequested(ShutdownRequestedInput input) {
            say("stopping " + shard);
            checkpoint(input.checkpointer());
        }

        private static void checkpoint(RecordProcessorCheckpointer checkpointer) {
            try {
                checkpointer.checkpoint();
            } catch (ShutdownException lost) {
                // The lease has gone to the other worker, which reads these records again: at least once.
            } catch (InvalidStateException broken) {
                throw new IllegalStateException(broken);
            }
        }
    }
}
