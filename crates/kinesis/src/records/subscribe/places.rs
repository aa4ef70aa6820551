//! Who is subscribed to which shard: one live subscription for each consumer and shard.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::resolve::ConsumerAddress;
use crate::state::{ShardIndex, StreamRecord};
use crate::stream::Stream;
use crate::throttle::SubscriptionThrottle;

/// How long after a successful call the next one is refused, ms of domain time. Later ones take over.
const UNDISTURBED: u64 = 5_000;

/// The subscriptions to a stream's shards.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    seats: Mutex<HashMap<Key, Seat>>,
}

/// A consumer and a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    consumer: Arc<str>,
    created: u64,
    shard: ShardIndex,
}

impl Key {
    fn new(consumer: &ConsumerAddress, shard: ShardIndex) -> Key {
        Key { consumer: Arc::clone(&consumer.name), created: consumer.created, shard }
    }
}

/// What is known of a consumer's subscriptions to a shard. Kept as long as both exist: also the bytes that the last one
/// took, and when it began, hold for the next one.
#[derive(Debug, Default)]
struct Seat {
    throttle: Arc<SubscriptionThrottle>,
    /// When the last call succeeded, ms of domain time; nothing once the service has ended its subscription.
    since_ms: Option<u64>,
    /// Counts the subscriptions.
    number: u64,
    /// Dropped to end the one that is live.
    live: Option<watch::Sender<()>>,
}

impl Seat {
    fn is_recent(&self, now_ms: u64) -> bool {
        self.since_ms.is_some_and(|since| now_ms.saturating_sub(since) < UNDISTURBED)
    }
}

impl Subscriptions {
    /// Whether the consumer has subscribed to the shard so recently that another call is refused.
    pub(super) fn is_recent(&self, consumer: &ConsumerAddress, shard: ShardIndex, now_ms: u64) -> bool {
        self.seats.lock().get(&Key::new(consumer, shard)).is_some_and(|seat| seat.is_recent(now_ms))
    }

    /// The buckets of the consumer at the shard. Only for those that exist: they are kept until
    /// [`Subscriptions::retain`].
    pub(super) fn throttle(&self, consumer: &ConsumerAddress, shard: ShardIndex) -> Arc<SubscriptionThrottle> {
        Arc::clone(&self.seats.lock().entry(Key::new(consumer, shard)).or_default().throttle)
    }

    /// Takes the place of the consumer at the stream's shard from whoever has it; `None` if that one came too recently.
    pub(super) fn claim(
        stream: &Arc<Stream>,
        consumer: &ConsumerAddress,
        shard: ShardIndex,
        now_ms: u64,
    ) -> Option<Place> {
        let key = Key::new(consumer, shard);
        let mut seats = stream.subscriptions.seats.lock();
        let seat = seats.entry(key.clone()).or_default();
        if seat.is_recent(now_ms) {
            return None;
        }
        let live = watch::Sender::new(());
        let ousted = live.subscribe();
        seat.number += 1;
        seat.since_ms = Some(now_ms);
        seat.live = Some(live);
        let (throttle, number) = (Arc::clone(&seat.throttle), seat.number);
        Some(Place { stream: Arc::clone(stream), key, number, throttle, ousted })
    }

    /// Forgets consumers and shards that the record does not have.
    pub(crate) fn retain(&self, record: &StreamRecord) {
        self.seats.lock().retain(|key, _| {
            let consumer = record.consumer(&key.consumer);
            record.shard(key.shard).is_some() && consumer.is_some_and(|consumer| consumer.second() == key.created)
        });
    }
}

/// The place of a live subscription. Dropped when its client goes; the next call is then still refused for a while, as
/// AWS does, since it counts successful calls.
pub(super) struct Place {
    stream: Arc<Stream>,
    key: Key,
    number: u64,
    /// The bytes that it may take.
    pub(super) throttle: Arc<SubscriptionThrottle>,
    ousted: watch::Receiver<()>,
}

impl Place {
    /// Whether another subscription has taken the place.
    pub(super) fn is_taken(&self) -> bool {
        self.ousted.has_changed().is_err()
    }

    /// Waits until another subscription has taken the place.
    pub(super) async fn taken(&mut self) {
        // Nothing is ever sent: an error is the end.
        while self.ousted.changed().await.is_ok() {}
    }

    /// The service itself has ended the subscription: the next call need not wait.
    pub(super) fn free(&self) {
        self.mine(|seat| seat.since_ms = None);
    }

    /// Lets `work` at the seat if it is still this place's.
    fn mine(&self, work: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.stream.subscriptions.seats.lock().get_mut(&self.key)
            && seat.number == self.number
        {
            work(seat);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.mine(|seat| seat.live = None);
    }
}
