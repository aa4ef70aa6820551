package millstream.kcl1;

import com.amazonaws.auth.AWSStaticCredentialsProvider;
import com.amazonaws.auth.BasicAWSCredentials;
import com.amazonaws.services.kinesis.clientlibrary.exceptions.InvalidStateException;
import com.amazonaws.services.kinesis.clientlibrary.exceptions.ShutdownException;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.IRecordProcessorCheckpointer;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.v2.IRecordProcessor;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.v2.IShutdownNotificationAware;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.InitialPositionInStream;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.KinesisClientLibConfiguration;
import com.amazonaws.services.kinesis.clientlibrary.types.InitializationInput;
import com.amazonaws.services.kinesis.clientlibrary.types.ProcessRecordsInput;
import com.amazonaws.services.kinesis.clientlibrary.types.ShutdownInput;
import com.amazonaws.services.kinesis.clientlibrary.types.UserRecord;
import com.amazonaws.services.kinesis.metrics.interfaces.MetricsLevel;
import com.amazonaws.services.kinesis.model.Record;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutionException;

/**
 * One worker of an application on the KCL 1.x and the SDK 1.x, as Spark and Logstash use them. It takes the same arguments
 * and says the same as the worker on the KCL 3.x.
 */
public final class Worker {
    private Worker() {}

    /** The arguments: stream, application, worker, {@code polling}, Kinesis' and the tables' endpoints. */
    @SuppressWarnings("deprecation") // All its constructors are, but for one with fifty arguments.
    public static void main(String[] arguments) {
        var credentials = new AWSStaticCredentialsProvider(new BasicAWSCredentials("444455556666", "secret"));
        var configuration = new KinesisClientLibConfiguration(arguments[1], arguments[0], credentials, arguments[2])
                .withKinesisEndpoint(arguments[4])
                .withDynamoDBEndpoint(arguments[5])
                .withRegionName("us-east-1")
                .withInitialPositionInStream(InitialPositionInStream.TRIM_HORIZON)
                .withMetricsLevel(MetricsLevel.NONE)
                .withFailoverTimeMillis(3000)
                .withShardSyncIntervalMillis(1000)
                .withParentShardPollIntervalMillis(200)
                .withIdleTimeBetweenReadsInMillis(250)
                .withTaskBackoffTimeMillis(200);
        var worker = new com.amazonaws.services.kinesis.clientlibrary.lib.worker.Worker.Builder()
                .recordProcessorFactory(Processor::new)
                .config(configuration)
                .build();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                worker.startGracefulShutdown().get();
            } catch (InterruptedException | ExecutionException failure) {
                throw new IllegalStateException(failure);
            }
        }));
        worker.run();
    }

    private static void say(String line) {
        // One call, so that lines of several shards do not mix.
        System.out.print(line + "\n");
        System.out.flush();
    }

    private static final class Processor implements IRecordProcessor, IShutdownNotificationAware {
        private String shard;

        @Override
        public void initialize(InitializationInput input) {
            shard = input.getShardId();
            say("started " + shard);
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            StringBuilder lines = new StringBuilder();
            for (Record record : input.getRecords()) {
                lines.append("record %s %s %d %s %s\n".formatted(
                        shard,
                        record.getSequenceNumber(),
                        record instanceof UserRecord user ? user.getSubSequenceNumber() : 0,
                        record.getPartitionKey(),
                        StandardCharsets.UTF_8.decode(record.getData())));
            }
            if (lines.length() > 0) {
                lines.setLength(lines.length() - 1);
                say(lines.toString());
                checkpoint(input.getCheckpointer());
            }
        }

        @Override
        public void shutdown(ShutdownInput input) {
            switch (input.getShutdownReason()) {
                case TERMINATE -> {
                    say("ended " + shard);
                    checkpoint(input.getCheckpointer());
                }
                case ZOMBIE -> say("lost " + shard);
                case REQUESTED -> {}
            }
        }

        @Override
        public void shutdownRequested(IRecordProcessorCheckpointer checkpointer) {
            say("stopping " + shard);
            checkpoint(checkpointer);
        }

        private static void checkpoint(IRecordProcessorCheckpointer checkpointer) {
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
