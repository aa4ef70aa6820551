package millstream.sdk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.awssdk.services.kinesis.model.ConsumerStatus;
import software.amazon.awssdk.services.kinesis.model.KinesisException;
import software.amazon.awssdk.services.kinesis.model.LimitExceededException;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ResourceInUseException;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StartingPosition;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;

/** SubscribeToShard, over every asynchronous client. */
@ParameterizedClass
@EnumSource(value = Target.class, mode = EnumSource.Mode.MATCH_ANY, names = "NETTY.*")
class FanOutTest {
    private static final String SHARD = "shardId-000000000000";

    @Parameter
    Target target;

    private Session session;
    private KinesisClient kinesis;
    private KinesisAsyncClient client;
    private String stream;
    private String consumer;

    @BeforeEach
    void open() {
        session = new Session(target);
        kinesis = session.kinesis;
        client = target.asyncClient(session.account, session.wire, true);
    }

    @AfterEach
    void close() {
        client.close();
        session.close();
    }

    private void create(int shards) {
        stream = session.create(shards);
        consumer = kinesis.registerStreamConsumer(r -> r.streamARN(session.arn(stream)).consumerName("reader"))
                .consumer()
                .consumerARN();
        Session.until("the consumer is active", () -> {
            var status = kinesis.describeStreamConsumer(r -> r.consumerARN(consumer)).consumerDescription().consumerStatus();
            return status == ConsumerStatus.ACTIVE ? status : null;
        });
    }

    private Subscription subscribe(String shard, StartingPosition position) {
        return new Subscription(client, consumer, shard, position);
    }

    private static StartingPosition horizon() {
        return StartingPosition.builder().type(ShardIteratorType.TRIM_HORIZON).build();
    }

    private static StartingPosition after(String number) {
        return StartingPosition.builder().type(ShardIteratorType.AFTER_SEQUENCE_NUMBER).sequenceNumber(number).build();
    }

    /** Puts numbered records and returns their sequence numbers by shard, in the order in which they were put. */
    private Map<String, List<String>> put(int from, int count) {
        Map<String, List<String>> numbers = new LinkedHashMap<>();
        for (int start = from; start < from + count; start += 500) {
            var entries = IntStream.range(start, Math.min(start + 500, from + count))
                    .mapToObj(number -> Session.entry("key-" + number, Session.bytes(number)))
                    .toList();
            var answer = kinesis.putRecords(request -> request.streamName(stream).records(entries));
            assertEquals(0, answer.failedRecordCount());
            answer.records().forEach(result -> numbers
                    .computeIfAbsent(result.shardId(), shard -> new ArrayList<>())
                    .add(result.sequenceNumber()));
        }
        return numbers;
    }

    private static List<String> take(Subscription subscription, int count) {
        List<String> numbers = new ArrayList<>();
        while (numbers.size() < count) {
            subscription.next().records().stream().map(Record::sequenceNumber).forEach(numbers::add);
        }
        return numbers;
    }

    @Test
    void recordsArriveInOrderWhileTheyArePut() {
        create(4);
        Map<String, Subscription> subscriptions = session.shards(stream).stream()
                .collect(Collectors.toMap(Shard::shardId, shard -> subscribe(shard.shardId(), horizon())));
        Map<String, List<String>> numbers = put(0, 3000);
        numbers.forEach((shard, expected) -> assertEquals(expected, take(subscriptions.get(shard), expected.size())));
        subscriptions.values().forEach(Subscription::cancel);
    }

    @Test
    void aSubscriptionGoesOnWhereTheLastOneWas() {
        create(1);
        List<String> first = put(0, 100).get(SHARD);
        Subscription subscription = subscribe(SHARD, horizon());
        assertEquals(first, take(subscription, 100));
        String continuation = subscription.last().continuationSequenceNumber();

        KinesisException busy = Session.until("it was asked less than once a second", () -> {
            KinesisException refusal = subscribe(SHARD, after(continuation)).refusal().orElseThrow();
            return refusal instanceof LimitExceededException ? null : refusal;
        });
        assertInstanceOf(ResourceInUseException.class, busy);
        assertEquals(
                "Another active subscription exists for this consumer: %s:%s:%s:reader"
                        .formatted(session.account, stream, SHARD),
                busy.awsErrorDetails().errorMessage());
        assertFalse(subscription.ended().isDone(), "a refused call leaves the subscription that there is alone");

        List<String> second = put(100, 100).get(SHARD);
        // After five seconds a new call takes over.
        Subscription next = Session.until("another subscription is let in", () -> {
            Subscription attempt = subscribe(SHARD, after(continuation));
            return attempt.refusal().isEmpty() ? attempt : null;
        });
        assertEquals(second, take(next, 100));
        Session.until("the earlier subscription has ended", () -> subscription.ended().isDone() ? true : null);
        next.cancel();
    }

    @Test
    void aSplitEndsTheSubscriptionWithItsChildren() {
        create(1);
        List<String> numbers = put(0, 10).get(SHARD);
        Subscription subscription = subscribe(SHARD, horizon());
        assertEquals(numbers, take(subscription, 10));
        kinesis.splitShard(request -> request.streamName(stream)
                .shardToSplit(SHARD)
                .newStartingHashKey(BigInteger.TWO.pow(127).toString()));
        SubscribeToShardEvent last = subscription.next();
        while (last.childShards().isEmpty()) {
            assertTrue(last.records().isEmpty());
            last = subscription.next();
        }
        assertNull(last.continuationSequenceNumber());
        assertEquals(
                Set.of("shardId-000000000001", "shardId-000000000002"),
                last.childShards().stream().map(ChildShard::shardId).collect(Collectors.toSet()));
        for (ChildShard child : last.childShards()) {
            assertEquals(List.of(SHARD), child.parentShards());
            assertFalse(child.hashKeyRange().startingHashKey().isEmpty());
        }
        // A clean end.
        subscription.ended().join();
    }

    @Test
    void everyStartingPosition() {
        create(5);
        put(0, 100);
        // One shard for each type: a consumer may not subscribe to the same one again within five seconds.
        List<String> shards = session.shards(stream).stream().map(Shard::shardId).toList();
        ShardIteratorType[] types = {
            ShardIteratorType.TRIM_HORIZON,
            ShardIteratorType.LATEST,
            ShardIteratorType.AT_SEQUENCE_NUMBER,
            ShardIteratorType.AFTER_SEQUENCE_NUMBER,
            ShardIteratorType.AT_TIMESTAMP
        };
        for (int place = 0; place < types.length; place++) {
            String shard = shards.get(place);
            List<Record> records = session.read(session.iterator(stream, shard, ShardIteratorType.TRIM_HORIZON));
            assertTrue(records.size() > 4, "too few keys fall into " + shard);
            Record pivot = records.get(2);
            StartingPosition.Builder position = StartingPosition.builder().type(types[place]);
            int from = switch (types[place]) {
                case LATEST -> records.size();
                case AT_SEQUENCE_NUMBER -> {
                    position.sequenceNumber(pivot.sequenceNumber());
                    yield 2;
                }
                case AFTER_SEQUENCE_NUMBER -> {
                    position.sequenceNumber(pivot.sequenceNumber());
                    yield 3;
                }
                case AT_TIMESTAMP -> {
                    position.timestamp(records.get(0).approximateArrivalTimestamp().minusSeconds(60));
                    yield 0;
                }
                default -> 0;
            };
            Subscription subscription = subscribe(shard, position.build());
            // LATEST is where the subscription begins, so only what is put after its answer is certain to come.
            assertEquals(Optional.empty(), subscription.refusal());
            put(1000 * (place + 1), 50);
            List<Record> all = session.read(session.iterator(stream, shard, ShardIteratorType.TRIM_HORIZON));
            List<String> expected = all.subList(from, all.size()).stream().map(Record::sequenceNumber).toList();
            assertEquals(expected, take(subscription, expected.size()), types[place].toString());
            subscription.cancel();
        }
    }

    @Test
    void whatIsNotThere() {
        create(1);
        String unknown = session.arn(stream) + "/consumer/nobody:1700000000";
        Subscription nobody = new Subscription(client, unknown, SHARD, horizon());
        assertInstanceOf(ResourceNotFoundException.class, nobody.refusal().orElseThrow());
        Subscription nowhere = subscribe("shardId-000000000007", horizon());
        assertInstanceOf(ResourceNotFoundException.class, nowhere.refusal().orElseThrow());
    }
}
