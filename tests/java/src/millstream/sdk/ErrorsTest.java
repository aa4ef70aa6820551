package millstream.sdk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.ExpiredIteratorException;
import software.amazon.awssdk.services.kinesis.model.InvalidArgumentException;
import software.amazon.awssdk.services.kinesis.model.KinesisException;
import software.amazon.awssdk.services.kinesis.model.LimitExceededException;
import software.amazon.awssdk.services.kinesis.model.ProvisionedThroughputExceededException;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.PutRecordsResultEntry;
import software.amazon.awssdk.services.kinesis.model.ResourceInUseException;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.ValidationException;

/** Errors come as the SDK's own types, with AWS's words. */
@ParameterizedClass
@EnumSource(Target.class)
class ErrorsTest {
    @Parameter
    Target target;

    private Session session;
    private KinesisClient once;

    @BeforeEach
    void open() {
        session = new Session(target);
        // Without retries: an error that the SDK would retry is seen at once.
        once = target.client(session.account, session.wire, false);
    }

    @AfterEach
    void close() {
        once.close();
        session.close();
    }

    private static <E extends KinesisException> String refused(Class<E> type, Executable call) {
        E error = assertThrows(type, call);
        assertEquals(400, error.statusCode());
        assertEquals(type.getSimpleName(), error.awsErrorDetails().errorCode());
        assertTrue(error.requestId().matches("[0-9a-f-]{36}"), error.requestId());
        return error.awsErrorDetails().errorMessage();
    }

    @Test
    void typesAndTexts() {
        String stream = session.create(1);
        String account = session.account;
        assertEquals(
                "Stream nowhere under account %s not found.".formatted(account),
                refused(ResourceNotFoundException.class, () -> once.describeStreamSummary(r -> r.streamName("nowhere"))));
        assertEquals(
                "Stream %s under account %s already exists.".formatted(stream, account),
                refused(ResourceInUseException.class, () -> once.createStream(r -> r.streamName(stream).shardCount(1))));
        assertEquals(
                "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
                refused(InvalidArgumentException.class, () -> once.decreaseStreamRetentionPeriod(
                        r -> r.streamName(stream).retentionPeriodHours(23))));
        assertEquals(
                "1 validation error detected: Value 'a name' at 'streamName' failed to satisfy constraint: "
                        + "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
                refused(ValidationException.class, () -> once.describeStreamSummary(r -> r.streamName("a name"))));
        String limit = refused(LimitExceededException.class, () -> once.createStream(
                r -> r.streamName("large").shardCount(100_000)));
        String beginning = "This request would exceed the shard limit for the account %s in us-east-1.".formatted(account);
        assertTrue(limit.startsWith(beginning), limit);
        assertEquals(
                "Shard shardId-000000000009 in stream %s under account %s does not exist".formatted(stream, account),
                refused(ResourceNotFoundException.class, () -> once.getShardIterator(r -> r.streamName(stream)
                        .shardId("shardId-000000000009")
                        .shardIteratorType(ShardIteratorType.LATEST))));
        assertEquals(
                "Invalid ShardIterator.",
                refused(InvalidArgumentException.class, () -> once.getRecords(r -> r.shardIterator("AAAA"))));
    }

    @Test
    void recordsOverTheThroughputFailOneByOne() {
        String stream = session.create(1);
        PutRecordsRequestEntry entry = Session.entry("k", new byte[900_000]);
        var answer = once.putRecords(request -> request.streamName(stream).records(Collections.nCopies(4, entry)));
        List<PutRecordsResultEntry> failed =
                answer.records().stream().filter(result -> result.errorCode() != null).toList();
        assertEquals(answer.failedRecordCount(), failed.size());
        assertFalse(failed.isEmpty());
        for (PutRecordsResultEntry result : failed) {
            assertEquals("ProvisionedThroughputExceededException", result.errorCode());
            assertEquals(
                    "Rate exceeded for shard shardId-000000000000 in stream %s under account %s."
                            .formatted(stream, session.account),
                    result.errorMessage());
        }
    }

    @Test
    void errorsThatTheServiceMakesOnDemand() {
        String stream = session.create(1);
        PutRecordsRequestEntry entry = Session.entry("k", new byte[10]);
        Executable put = () -> once.putRecord(r -> r.streamName(stream).partitionKey("k").data(entry.data()));
        session.fault("aws:kinesis:inject-api-provisioned-throughput-exception", 1);
        assertEquals(
                "Rate exceeded for shard shardId-000000000000 in stream %s under account %s."
                        .formatted(stream, session.account),
                refused(ProvisionedThroughputExceededException.class, put));

        String iterator = session.iterator(stream, "shardId-000000000000", ShardIteratorType.TRIM_HORIZON);
        session.fault("aws:kinesis:inject-api-expired-iterator-exception", 1);
        refused(ExpiredIteratorException.class, () -> once.getRecords(request -> request.shardIterator(iterator)));

        session.fault("aws:fis:inject-api-internal-error", 1);
        KinesisException broken = assertThrows(KinesisException.class, put);
        assertEquals(500, broken.statusCode());

        // The SDK's own retries overcome both kinds.
        session.fault("aws:fis:inject-api-internal-error", 1);
        session.fault("aws:kinesis:inject-api-provisioned-throughput-exception", 1);
        session.fault("aws:fis:inject-api-unavailable-error", 1);
        session.kinesis.putRecord(request -> request.streamName(stream).partitionKey("k").data(entry.data()));
    }
}
