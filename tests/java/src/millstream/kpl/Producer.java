package millstream.kpl;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Future;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/**
 * Puts numbered user records with the Kinesis Producer Library, whose native daemon it runs, and says
 * {@code put RECORDS in NUMBERS attempts ATTEMPTS}: how many were acknowledged, under how many sequence numbers, with how
 * many attempts.
 */
public final class Producer {
    private static final int KEYS = 97;

    private Producer() {}

    /** The arguments: stream, the server's port, the file with its authority, a folder for the daemon, how many. */
    public static void main(String[] arguments) throws Exception {
        String stream = arguments[0];
        KinesisProducer producer = new KinesisProducer(new KinesisProducerConfiguration()
                .setKinesisEndpoint("localhost")
                .setKinesisPort(Long.parseLong(arguments[1]))
                .setCaCertFile(arguments[2])
                .setTempDirectory(arguments[3])
                .setRegion("us-east-1")
                .setCredentialsProvider(
                        StaticCredentialsProvider.create(AwsBasicCredentials.create("444455556666", "secret")))
                // CloudWatch is not there.
                .setMetricsLevel("none"));
        List<Future<UserRecordResult>> results = new ArrayList<>();
        for (int number = 0; number < Integer.parseInt(arguments[4]); number++) {
            ByteBuffer data = ByteBuffer.wrap(Integer.toString(number).getBytes(StandardCharsets.UTF_8));
            results.add(producer.addUserRecord(stream, "key-" + number % KEYS, data));
        }
        producer.flushSync();
        Set<String> numbers = new HashSet<>();
        int attempts = 0;
        for (Future<UserRecordResult> result : results) {
            UserRecordResult acknowledged = result.get();
            numbers.add(acknowledged.getShardId() + " " + acknowledged.getSequenceNumber());
            attempts += acknowledged.getAttempts().size();
        }
        producer.destroy();
        System.out.printf("put %d in %d attempts %d%n", results.size(), numbers.size(), attempts);
    }
}
