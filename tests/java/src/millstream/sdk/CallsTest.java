package millstream.sdk;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.ChildShard;
import software.amazon.awssdk.services.kinesis.model.Consumer;
import software.amazon.awssdk.services.kinesis.model.ConsumerStatus;
import software.amazon.awssdk.services.kinesis.model.EncryptionType;
import software.amazon.awssdk.services.kinesis.model.GetRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.MetricsName;
import software.amazon.awssdk.services.kinesis.model.PutRecordResponse;
import software.amazon.awssdk.services.kinesis.model.PutRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.PutRecordsResultEntry;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StreamDescription;
import software.amazon.awssdk.services.kinesis.model.StreamMode;
import software.amazon.awssdk.services.kinesis.model.StreamStatus;
import software.amazon.awssdk.services.kinesis.model.Tag;

/** Every operation that succeeds, over every client. */
@ParameterizedClass
@EnumSource(Target.class)
class CallsTest {
    private static final String SHARD = "shardId-000000000000";

    @Parameter
    Target target;

    private Session session;
    private KinesisClient kinesis;

    @BeforeEach
    void open() {
        session = new Session(target);
        kinesis = session.kinesis;
    }

    @AfterEach
    void close() {
        session.close();
    }

    @Test
    void aStreamsLife() {
        Instant before = Instant.now().minusSeconds(1).truncatedTo(ChronoUnit.SECONDS);
        String stream = session.create(2);

        StreamDescription described =
                kinesis.describeStream(request -> request.streamName(stream)).streamDescription();
        assertEquals(session.arn(stream), described.streamARN());
        assertEquals(StreamStatus.ACTIVE, described.streamStatus());
        assertEquals(2, described.shards().size());
        assertEquals("0", described.shards().get(0).hashKeyRange().startingHashKey());
        assertEquals(EncryptionType.NONE, described.encryptionType());
        assertEquals(24, described.retentionPeriodHours());
        assertFalse(described.hasMoreShards());
        Instant created = described.streamCreationTimestamp();
        assertTrue(!created.isBefore(before) && !created.isAfter(Instant.now().plusSeconds(1)), created.toString());
        assertEquals(2, session.summary(stream).openShardCount());

        kinesis.createStream(request -> request.streamName("another").shardCount(1));
        List<String> names = kinesis.listStreamsPaginator(request -> request.limit(1)).streamNames().stream().toList();
        assertEquals(List.of("another", stream), names);

        kinesis.deleteStream(request -> request.streamARN(session.arn(stream)));
        kinesis.waiter().waitUntilStreamNotExists(request -> request.streamName(stream), Session::quick);
    }

    @Test
    void recordsAndIteratorsOfEveryType() {
        String stream = session.create(1);
        byte[] every = new byte[256];
        IntStream.range(0, 256).forEach(value -> every[value] = (byte) value);
        PutRecordResponse first = kinesis.putRecord(request ->
                request.streamName(stream).partitionKey("schlüssel").data(SdkBytes.fromByteArray(every)));
        assertEquals(SHARD, first.shardId());
        assertTrue(first.sequenceNumber().matches("\\d{56}"), first.sequenceNumber());
        assertNull(first.encryptionType(), "an unencrypted stream has none to tell");
        Record stored = session.read(session.iterator(stream, SHARD, ShardIteratorType.TRIM_HORIZON)).get(0);
        assertArrayEquals(every, stored.data().asByteArray());
        assertEquals("schlüssel", stored.partitionKey());
        assertEquals(first.sequenceNumber(), stored.sequenceNumber());
        Duration age = Duration.between(stored.approximateArrivalTimestamp(), Instant.now()).abs();
        assertTrue(age.compareTo(Duration.ofMinutes(1)) < 0, age.toString());

        String latest = session.iterator(stream, SHARD, ShardIteratorType.LATEST);
        PutRecordsResponse more = kinesis.putRecords(request -> request.streamName(stream)
                .records(IntStream.range(0, 20)
                        .mapToObj(number -> Session.entry("k" + number, Session.bytes(number)))
                        .toList()));
        assertEquals(0, more.failedRecordCount());
        List<String> numbers = more.records().stream().map(PutRecordsResultEntry::sequenceNumber).toList();

        assertEquals(numbers, sequence(session.read(latest)));
        assertEquals(21, session.read(session.iterator(stream, SHARD, ShardIteratorType.TRIM_HORIZON)).size());
        for (ShardIteratorType type :
                List.of(ShardIteratorType.AT_SEQUENCE_NUMBER, ShardIteratorType.AFTER_SEQUENCE_NUMBER)) {
            String iterator = kinesis.getShardIterator(request -> request.streamName(stream)
                            .shardId(SHARD)
                            .shardIteratorType(type)
                            .startingSequenceNumber(numbers.get(4)))
                    .shardIterator();
            int from = type == ShardIteratorType.AT_SEQUENCE_NUMBER ? 4 : 5;
            assertEquals(numbers.subList(from, 20), sequence(session.read(iterator)));
        }

        Record middle = session.read(session.iterator(stream, SHARD, ShardIteratorType.TRIM_HORIZON)).get(10);
        String at = kinesis.getShardIterator(request -> request.streamName(stream)
                        .shardId(SHARD)
                        .shardIteratorType(ShardIteratorType.AT_TIMESTAMP)
                        .timestamp(middle.approximateArrivalTimestamp()))
                .shardIterator();
        List<Record> since = session.read(at);
        assertTrue(since.stream().noneMatch(record ->
                record.approximateArrivalTimestamp().isBefore(middle.approximateArrivalTimestamp())));
        assertTrue(sequence(since).contains(middle.sequenceNumber()));

        GetRecordsResponse page = kinesis.getRecords(request -> request.streamARN(session.arn(stream))
                .shardIterator(session.iterator(stream, SHARD, ShardIteratorType.TRIM_HORIZON))
                .limit(3));
        assertEquals(3, page.records().size());
        assertNotNull(page.nextShardIterator());
        assertNotNull(page.millisBehindLatest());
    }

    private static List<String> sequence(List<Record> records) {
        return records.stream().map(Record::sequenceNumber).toList();
    }

    @Test
    void recordsOfAMebibyte() {
        String stream = session.create(1);
        byte[] large = new byte[(1 << 20) - 1];
        new Random(7).nextBytes(large);
        kinesis.putRecord(request ->
                request.streamName(stream).partitionKey("k").data(SdkBytes.fromByteArray(large)));
        List<Record> records = session.read(session.iterator(stream, SHARD, ShardIteratorType.TRIM_HORIZON));
        assertArrayEquals(large, records.get(0).data().asByteArray());
    }

    @Test
    void shardsSplitMergeAndScale() {
        String stream = session.create(2);
        kinesis.splitShard(request -> request.streamName(stream)
                .shardToSplit(SHARD)
                .newStartingHashKey(BigInteger.TWO.pow(126).toString()));
        session.active(stream);
        GetRecordsResponse end = kinesis.getRecords(
                request -> request.shardIterator(session.iterator(stream, SHARD, ShardIteratorType.LATEST)));
        assertNull(end.nextShardIterator());
        assertEquals(
                List.of("shardId-000000000002", "shardId-000000000003"),
                end.childShards().stream().map(ChildShard::shardId).toList());
        assertEquals(List.of(SHARD), end.childShards().get(0).parentShards());

        kinesis.mergeShards(request -> request.streamName(stream)
                .shardToMerge("shardId-000000000003")
                .adjacentShardToMerge("shardId-000000000001"));
        session.active(stream);
        Map<String, Shard> byId = session.shards(stream).stream().collect(Collectors.toMap(Shard::shardId, shard -> shard));
        Shard merged = byId.get("shardId-000000000004");
        assertEquals(
                Set.of("shardId-000000000001", "shardId-000000000003"),
                Set.of(merged.parentShardId(), merged.adjacentParentShardId()));
        assertNotNull(byId.get("shardId-000000000001").sequenceNumberRange().endingSequenceNumber());

        var scaled = kinesis.updateShardCount(
                request -> request.streamName(stream).targetShardCount(4).scalingType(ScalingType.UNIFORM_SCALING));
        assertEquals(2, scaled.currentShardCount());
        assertEquals(4, scaled.targetShardCount());
        assertEquals(4, session.active(stream).openShardCount());
        var open = kinesis.listShards(
                request -> request.streamName(stream).shardFilter(filter -> filter.type(ShardFilterType.AT_LATEST)));
        assertEquals(4, open.shards().size());
        var horizon = kinesis.listShards(request -> request.streamName(stream)
                .shardFilter(filter ->
                        filter.type(ShardFilterType.AT_TIMESTAMP).timestamp(Instant.now().minusSeconds(3600))));
        assertEquals(2, horizon.shards().size(), "those that the stream began with");

        int all = session.shards(stream).size();
        var pages = kinesis.listShards(request -> request.streamName(stream).maxResults(all - 1));
        assertEquals(all - 1, pages.shards().size());
        var rest = kinesis.listShards(request -> request.nextToken(pages.nextToken()));
        assertEquals(1, rest.shards().size());
        assertNull(rest.nextToken());
    }

    @Test
    void settings() {
        String stream = session.create(1);
        kinesis.increaseStreamRetentionPeriod(request -> request.streamName(stream).retentionPeriodHours(48));
        session.active(stream);
        kinesis.decreaseStreamRetentionPeriod(request -> request.streamName(stream).retentionPeriodHours(36));
        assertEquals(36, session.active(stream).retentionPeriodHours());

        var enabled = kinesis.enableEnhancedMonitoring(request -> request.streamName(stream)
                .shardLevelMetrics(MetricsName.INCOMING_BYTES, MetricsName.OUTGOING_BYTES));
        assertEquals(
                Set.of(MetricsName.INCOMING_BYTES, MetricsName.OUTGOING_BYTES),
                Set.copyOf(enabled.desiredShardLevelMetrics()));
        session.active(stream);
        var disabled = kinesis.disableEnhancedMonitoring(
                request -> request.streamName(stream).shardLevelMetrics(MetricsName.OUTGOING_BYTES));
        assertEquals(List.of(MetricsName.INCOMING_BYTES), disabled.desiredShardLevelMetrics());
        session.active(stream);

        kinesis.updateStreamMode(request -> request.streamARN(session.arn(stream))
                .streamModeDetails(details -> details.streamMode(StreamMode.ON_DEMAND)));
        assertEquals(StreamMode.ON_DEMAND, session.active(stream).streamModeDetails().streamMode());
        var limits = kinesis.describeLimits();
        assertTrue(limits.shardLimit() > 0);
        assertEquals(1, limits.onDemandStreamCount());
    }

    @Test
    void recordSizeAndAccountSettings() {
        String stream = session.create(1);
        kinesis.updateMaxRecordSize(request -> request.streamARN(session.arn(stream)).maxRecordSizeInKiB(2048));
        assertEquals(2048, session.active(stream).maxRecordSizeInKiB());
        assertNotNull(kinesis.describeAccountSettings(request -> {}));
    }

    @Test
    void tags() {
        String stream = session.create(1);
        kinesis.addTagsToStream(request -> request.streamName(stream).tags(Map.of("one", "1", "zwei", "grüße")));
        var listed = kinesis.listTagsForStream(request -> request.streamName(stream));
        assertEquals(Map.of("one", "1", "zwei", "grüße"), map(listed.tags()));
        kinesis.removeTagsFromStream(request -> request.streamName(stream).tagKeys("one"));

        kinesis.tagResource(request -> request.resourceARN(session.arn(stream)).tags(Map.of("three", "3")));
        var resource = kinesis.listTagsForResource(request -> request.resourceARN(session.arn(stream)));
        assertEquals(Map.of("zwei", "grüße", "three", "3"), map(resource.tags()));
        kinesis.untagResource(request -> request.resourceARN(session.arn(stream)).tagKeys("zwei", "three"));
        assertEquals(List.of(), kinesis.listTagsForStream(request -> request.streamName(stream)).tags());
    }

    private static Map<String, String> map(List<Tag> tags) {
        return tags.stream().collect(Collectors.toMap(Tag::key, Tag::value));
    }

    @Test
    void resourcePolicies() {
        String stream = session.create(1);
        String arn = session.arn(stream);
        assertEquals("{}", kinesis.getResourcePolicy(request -> request.resourceARN(arn)).policy());
        String policy = """
                {"Version":"2012-10-17","Statement":[{"Sid":"readers","Effect":"Allow","Principal":{"AWS":"123456789012"},\
                "Action":["kinesis:DescribeStreamSummary","kinesis:ListShards","kinesis:GetRecords"],\
                "Resource":"%s"}]}""".formatted(arn);
        kinesis.putResourcePolicy(request -> request.resourceARN(arn).policy(policy));
        assertEquals(policy, kinesis.getResourcePolicy(request -> request.resourceARN(arn)).policy());
        kinesis.deleteResourcePolicy(request -> request.resourceARN(arn));
        assertEquals("{}", kinesis.getResourcePolicy(request -> request.resourceARN(arn)).policy());
    }

    @Test
    void consumers() {
        String stream = session.create(1);
        String arn = session.arn(stream);
        for (String name : List.of("one", "two", "three")) {
            Consumer consumer = kinesis.registerStreamConsumer(
                            request -> request.streamARN(arn).consumerName(name))
                    .consumer();
            assertEquals(ConsumerStatus.CREATING, consumer.consumerStatus());
            assertEquals(
                    arn + "/consumer/" + name + ":" + consumer.consumerCreationTimestamp().getEpochSecond(),
                    consumer.consumerARN());
            var active = Session.until("the consumer is active", () -> {
                var described = kinesis.describeStreamConsumer(request -> request.consumerARN(consumer.consumerARN()))
                        .consumerDescription();
                return described.consumerStatus() == ConsumerStatus.ACTIVE ? described : null;
            });
            assertEquals(arn, active.streamARN());
        }
        var pages = kinesis.listStreamConsumersPaginator(request -> request.streamARN(arn).maxResults(2));
        assertEquals(
                Set.of("one", "two", "three"),
                pages.stream()
                        .flatMap(page -> page.consumers().stream())
                        .map(Consumer::consumerName)
                        .collect(Collectors.toSet()));
        assertEquals(3, session.summary(stream).consumerCount());

        kinesis.deregisterStreamConsumer(request -> request.streamARN(arn).consumerName("two"));
        Session.until("the consumer is gone", () -> {
            var left = kinesis.listStreamConsumers(request -> request.streamARN(arn)).consumers();
            return left.size() == 2 ? left : null;
        });
    }
}
