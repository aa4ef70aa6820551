package millstream.sdk;

import static org.junit.jupiter.api.Assertions.fail;

import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.reactivestreams.Subscriber;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.KinesisException;
import software.amazon.awssdk.services.kinesis.model.StartingPosition;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEventStream;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/** One SubscribeToShard: its events as they come, and its end. As in the KCL each event is asked for by itself. */
final class Subscription {
    private static final long DEADLINE_SECONDS = 30;

    private final BlockingQueue<SubscribeToShardEvent> events = new LinkedBlockingQueue<>();
    private final CompletableFuture<Void> accepted = new CompletableFuture<>();
    private final CompletableFuture<Void> ended;
    private volatile org.reactivestreams.Subscription flow;
    private SubscribeToShardEvent last;

    Subscription(KinesisAsyncClient client, String consumer, String shard, StartingPosition position) {
        SubscribeToShardResponseHandler handler = SubscribeToShardResponseHandler.builder()
                .onResponse(response -> accepted.complete(null))
                .onEventStream(publisher -> publisher.subscribe(new Events()))
                .build();
        ended = client.subscribeToShard(
                request -> request.consumerARN(consumer).shardId(shard).startingPosition(position), handler);
        ended.whenComplete((nothing, failure) -> {
            if (failure != null) {
                accepted.completeExceptionally(failure);
            }
        });
    }

    /** Nothing if the service let it in, else why it did not. */
    Optional<KinesisException> refusal() {
        try {
            accepted.join();
            return Optional.empty();
        } catch (CompletionException refused) {
            if (refused.getCause() instanceof KinesisException failure) {
                return Optional.of(failure);
            }
            throw refused;
        }
    }

    /** The next event. There is one at least every five seconds. */
    SubscribeToShardEvent next() {
        try {
            last = events.poll(DEADLINE_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            return fail("interrupted");
        }
        return last != null ? last : fail("no event came; the subscription: " + ended);
    }

    /** The event that was taken last. */
    SubscribeToShardEvent last() {
        return last;
    }

    /** Done when the subscription has ended, with its failure if it did not end cleanly. */
    CompletableFuture<Void> ended() {
        return ended;
    }

    void cancel() {
        if (flow != null) {
            flow.cancel();
        }
    }

    private final class Events implements Subscriber<SubscribeToShardEventStream> {
        @Override
        public void onSubscribe(org.reactivestreams.Subscription subscription) {
            flow = subscription;
            subscription.request(1);
        }

        @Override
        public void onNext(SubscribeToShardEventStream event) {
            if (event instanceof SubscribeToShardEvent data) {
                events.add(data);
            }
            flow.request(1);
        }

        @Override
        public void onError(Throwable failure) {
            // It is the end's failure too.
        }

        @Override
        public void onComplete() {
            // The end tells.
        }
    }
}
