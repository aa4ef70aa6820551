package millstream.sdk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.waiters.WaiterOverrideConfiguration;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.GetRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StreamDescriptionSummary;
import software.amazon.awssdk.services.kinesis.model.StreamStatus;

/** What one test works with: a client of its own, for an account that no other test uses. */
final class Session implements AutoCloseable {
    private static final AtomicLong ACCOUNTS = new AtomicLong(Long.getLong("millstream.accounts"));
    private static final Duration DEADLINE = Duration.ofSeconds(30);
    private static final Duration POLL = Duration.ofMillis(100);

    final String account = Long.toString(ACCOUNTS.incrementAndGet());
    final Target target;
    final Target.Wire wire = new Target.Wire();
    final KinesisClient kinesis;

    Session(Target target) {
        this.target = target;
        this.kinesis = target.client(account, wire, true);
    }

    /** Ends the client. Everything it sent and got was in the codec of this run. */
    @Override
    public void close() {
        kinesis.close();
        boolean cbor = !"false".equals(System.getProperty("aws.cborEnabled"));
        String expected = cbor ? "application/x-amz-cbor-1.1" : "application/x-amz-json-1.1";
        assertEquals(Set.of(expected), wire.sent);
        assertTrue(Set.of(expected).containsAll(wire.received), () -> "answers were of type " + wire.received);
    }

    String arn(String stream) {
        return "arn:aws:kinesis:%s:%s:stream/%s".formatted(Target.REGION, account, stream);
    }

    /** Has the next calls of this account meet a fault, as docs/testing.md has it. */
    void fault(String action, int count) {
        String body = "{\"actionId\": \"%s\", \"account\": \"%s\", \"count\": %d}".formatted(action, account, count);
        URI faults = URI.create(System.getProperty("millstream.http") + "/_millstream/faults");
        HttpRequest request = HttpRequest.newBuilder(faults)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        try {
            var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
            assertEquals(200, answer.statusCode(), answer.body());
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            fail("interrupted");
        }
    }

    /** Creates a stream, waits with the SDK's waiter, and returns its name. */
    String create(int shards) {
        String stream = "stream";
        kinesis.createStream(request -> request.streamName(stream).shardCount(shards));
        kinesis.waiter().waitUntilStreamExists(request -> request.streamName(stream), Session::quick);
        return stream;
    }

    static void quick(WaiterOverrideConfiguration.Builder configuration) {
        configuration
                .backoffStrategyV2(BackoffStrategy.fixedDelay(POLL))
                .maxAttempts((int) DEADLINE.dividedBy(POLL));
    }

    StreamDescriptionSummary summary(String stream) {
        return kinesis.describeStreamSummary(request -> request.streamName(stream)).streamDescriptionSummary();
    }

    StreamDescriptionSummary active(String stream) {
        return until("the stream is active", () -> {
            StreamDescriptionSummary summary = summary(stream);
            return summary.streamStatus() == StreamStatus.ACTIVE ? summary : null;
        });
    }

    /** Calls until there is an answer that is not null, with a deadline. */
    static <T> T until(String what, Supplier<T> attempt) {
        long end = System.nanoTime() + DEADLINE.toNanos();
        while (true) {
            T answer = attempt.get();
            if (answer != null) {
                return answer;
            }
            if (System.nanoTime() > end) {
                return fail("not in time: " + what);
            }
            try {
                Thread.sleep(POLL.toMillis());
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
                return fail("interrupted while waiting: " + what);
            }
        }
    }

    List<Shard> shards(String stream) {
        return kinesis.listShards(request -> request.streamName(stream)).shards();
    }

    String iterator(String stream, String shard, ShardIteratorType type) {
        return kinesis.getShardIterator(
                        request -> request.streamName(stream).shardId(shard).shardIteratorType(type))
                .shardIterator();
    }

    /** The records from an iterator to the shard's tip, or to its end. */
    List<Record> read(String iterator) {
        List<Record> records = new ArrayList<>();
        String next = iterator;
        while (next != null) {
            String from = next;
            GetRecordsResponse page = kinesis.getRecords(request -> request.shardIterator(from));
            records.addAll(page.records());
            if (page.records().isEmpty() && page.millisBehindLatest() == 0) {
                break;
            }
            next = page.nextShardIterator();
        }
        return records;
    }

    /** A number as data. */
    static byte[] bytes(int number) {
        return Integer.toString(number).getBytes(StandardCharsets.UTF_8);
    }

    static PutRecordsRequestEntry entry(String key, byte[] data) {
        return PutRecordsRequestEntry.builder().partitionKey(key).data(SdkBytes.fromByteArray(data)).build();
    }
}
