//! A live subscription: what comes next, and when.

use std::sync::Arc;
use std::time::Duration;

use millstream_api::kinesis::{SubscribeToShardEvent, SubscribeToShardEventStream};
use millstream_api::{BoxFuture, Error, Events};
use millstream_env::Env;
use millstream_log::{Offset, ReadResult, Watch};
use tokio::sync::watch;

use super::places::Place;
use crate::driver::horizon;
use crate::hooks::Meter;
use crate::limits::{Limit, MIB};
use crate::records::page::{PageSize, behind, children_at_end, encode, read_page};
use crate::records::{log_of, shard_gone};
use crate::resolve::ConsumerAddress;
use crate::sequence::{Position, SequenceNumber};
use crate::service::Kinesis;
use crate::state::{ConsumerRecord, ConsumerStatus, ShardRecord, Status};
use crate::stream::{News, Stream};
use crate::texts;

/// How long a subscription lives, ms of domain time.
const LIFETIME: u64 = 300_000;

/// How long after an event the next one comes even if it is empty. Clients count on one every 5 seconds.
const HEARTBEAT: Duration = Duration::from_millis(4_500);

/// What an event holds at most. An event is in memory once for each subscriber whose connection takes it: small records
/// weigh several times their bytes there.
const EVENT: PageSize = PageSize { bytes: MIB as usize, records: 1_000 };

/// A look at the next record, to see where the subscription stands.
const GLANCE: PageSize = PageSize { bytes: 1, records: 1 };

/// A subscription of a consumer to a shard. It holds a position, not records: an event is made when it is asked for.
pub(super) struct Subscription {
    env: Env,
    meter: Arc<dyn Meter>,
    stream: Arc<Stream>,
    consumer: ConsumerAddress,
    /// The shard as it was when the subscription began.
    shard: ShardRecord,
    position: Position,
    place: Place,
    /// Bytes per second.
    rate: Limit,
    /// The shard's durable end has moved.
    durable: Watch,
    /// The stream has another view.
    news: watch::Receiver<News>,
    /// Nothing was left to read when last looked.
    is_caught_up: bool,
    /// Until when there is nothing to say unless something happens, in monotonic time.
    quiet_until: Option<Duration>,
    /// When an event is due even if it is empty, in monotonic time.
    heartbeat: Duration,
    /// When it ends, ms of domain time.
    ends_ms: u64,
    is_over: bool,
}

/// What a look at the shard led to.
enum Step {
    Event(SubscribeToShardEvent),
    /// The last event: the shard's end.
    End(SubscribeToShardEvent),
    /// Nothing to say for that long, unless something happens.
    Wait(Duration),
}

impl Subscription {
    pub(super) fn new(
        kinesis: &Kinesis,
        stream: Arc<Stream>,
        consumer: ConsumerAddress,
        shard: ShardRecord,
        position: Position,
        place: Place,
    ) -> Result<Subscription, Error> {
        let log = log_of(&stream, || shard_gone(&stream, shard.index))?;
        let (durable, news) = (log.durable_watch(shard.index), stream.news());
        Ok(Subscription {
            env: kinesis.env.clone(),
            meter: Arc::clone(&kinesis.hooks.meter),
            consumer,
            shard,
            position,
            place,
            rate: stream.limits.subscription_bytes_per_second,
            durable,
            news,
            is_caught_up: false,
            quiet_until: None,
            // The first event comes at once, empty or not: from then on the client has a number to go on from.
            heartbeat: kinesis.env.clock.monotonic(),
            ends_ms: kinesis.now().saturating_add(LIFETIME),
            is_over: false,
            stream,
        })
    }

    /// The next event. May be dropped at any time and called again: nothing is lost.
    async fn next(&mut self) -> Option<SubscribeToShardEventStream> {
        while !self.is_over {
            self.wait().await;
            // What comes after this wakes; what came before is seen below.
            self.durable.mark_unchanged();
            self.news.mark_unchanged();
            let step = match self.why_to_end() {
                Some(error) => Err(error),
                None if self.env.clock.now() >= self.ends_ms => {
                    self.end();
                    return None;
                }
                None => self.look().await,
            };
            match step {
                Ok(Step::Event(event)) => return Some(self.event(event)),
                Ok(Step::End(event)) => {
                    self.end();
                    return Some(self.event(event));
                }
                Ok(Step::Wait(pause)) => self.quiet_until = Some(self.env.clock.monotonic() + pause),
                Err(error) => {
                    self.end();
                    return Some(SubscribeToShardEventStream::Exception(error));
                }
            }
        }
        None
    }

    fn event(&mut self, event: SubscribeToShardEvent) -> SubscribeToShardEventStream {
        self.heartbeat = self.env.clock.monotonic() + HEARTBEAT;
        SubscribeToShardEventStream::SubscribeToShardEvent(event)
    }

    fn end(&mut self) {
        self.is_over = true;
        self.place.free();
    }

    /// The error that ends the subscription, if its consumer, its shard or its place is gone.
    fn why_to_end(&self) -> Option<Error> {
        let view = self.stream.view();
        let consumer = view.record.consumer(&self.consumer.name);
        let is_there = |c: &ConsumerRecord| c.second() == self.consumer.created && c.status != ConsumerStatus::Deleting;
        if view.status() == Status::Deleting {
            Some(texts::stream_not_found(&self.stream.address.name, &self.stream.address.account))
        } else if !consumer.is_some_and(is_there) {
            Some(texts::consumer_not_found(&self.consumer))
        } else if view.shard(self.shard.index).is_none() {
            Some(shard_gone(&self.stream, self.shard.index))
        } else if self.place.is_taken() {
            Some(texts::subscription_exists(&self.consumer, self.shard.index))
        } else {
            None
        }
    }

    async fn look(&mut self) -> Result<Step, Error> {
        let now = self.env.clock.monotonic();
        let tokens = self.place.throttle.wait(self.rate, now);
        let until_heartbeat = self.heartbeat.saturating_sub(now);
        if !tokens.is_zero() && !until_heartbeat.is_zero() && !self.is_caught_up {
            return Ok(Step::Wait(tokens.min(until_heartbeat)));
        }
        let size = if tokens.is_zero() { EVENT } else { GLANCE };
        let horizon = horizon(&self.env.clock, &self.stream.view().record);
        let mut page = read_page(&self.stream, &self.shard, horizon, self.position, size).await?;
        self.is_caught_up = page.records.is_empty();
        if self.is_caught_up {
            // What has expired, or lies before the position, is not looked at again.
            if page.next > self.position.first_offset() {
                self.position = Position::of_offset(self.shard.create_second, self.shard.index, page.next);
            }
            return Ok(match children_at_end(&self.stream, &self.shard, &page) {
                Some(children) => {
                    Step::End(SubscribeToShardEvent { child_shards: Some(children), ..Default::default() })
                }
                None if until_heartbeat.is_zero() => Step::Event(self.heartbeat(&page, page.next)),
                None => Step::Wait(until_heartbeat),
            });
        }
        if !tokens.is_zero() {
            return Ok(match page.records.first() {
                Some(next) if until_heartbeat.is_zero() => Step::Event(self.heartbeat(&page, next.offset)),
                _ => Step::Wait(tokens.min(until_heartbeat)),
            });
        }
        let behind = behind(&page);
        let (records, bytes) = encode(std::mem::take(&mut page.records), &self.shard);
        self.place.throttle.charge(self.rate, bytes, self.env.clock.monotonic());
        self.meter.pushed(&self.stream, self.shard.index, &self.consumer.name, records.len() as u64, bytes, behind);
        self.position = Position::of_offset(self.shard.create_second, self.shard.index, page.next);
        self.is_caught_up = page.next >= page.position.end;
        if self.is_caught_up && page.position.closed.is_none() {
            // There is nothing to look for until something happens: what came since the look wakes it.
            self.quiet_until = Some(now + HEARTBEAT);
        }
        Ok(Step::Event(SubscribeToShardEvent {
            records,
            continuation_sequence_number: Some(self.continuation(&page, page.next)),
            millis_behind_latest: behind,
            child_shards: None,
        }))
    }

    /// An event without records that says where the subscription stands: before the record at `next`.
    fn heartbeat(&self, page: &ReadResult, next: Offset) -> SubscribeToShardEvent {
        let behind =
            page.records.first().map_or(0, |record| page.position.last_time.saturating_sub(record.time).max(1));
        let behind = i64::try_from(behind).unwrap_or(i64::MAX);
        self.meter.pushed(&self.stream, self.shard.index, &self.consumer.name, 0, 0, behind);
        SubscribeToShardEvent {
            records: Vec::new(),
            continuation_sequence_number: Some(self.continuation(page, next)),
            millis_behind_latest: behind,
            child_shards: None,
        }
    }

    /// The number to go on from before the record at `next`. Later than that of the record before, and than those given
    /// earlier.
    fn continuation(&self, page: &ReadResult, next: Offset) -> String {
        let latest = self.env.clock.now().max(page.position.last_time) / 1000;
        SequenceNumber::before(self.shard.create_second, self.shard.index, next, latest).to_text()
    }

    /// Waits for news, or for the time at which there is something to say without any.
    async fn wait(&mut self) {
        let Some(until) = self.quiet_until else { return };
        let pause = until.saturating_sub(self.env.clock.monotonic());
        let left = self.env.clock.until(self.ends_ms);
        let sleep = self.env.timer.sleep(pause.min(left));
        tokio::select! {
            // In order, so that a simulation replays.
            biased;
            () = self.place.taken() => {}
            () = notified(&mut self.news) => {}
            () = self.durable.changed() => {}
            () = sleep => {}
        }
        self.quiet_until = None;
    }
}

/// Waits for the watch's next value; for ever if there is to be none.
async fn notified<T>(watch: &mut watch::Receiver<T>) {
    if watch.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Events<SubscribeToShardEventStream> for Subscription {
    fn ready(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.wait())
    }

    fn next_event(&mut self) -> BoxFuture<'_, Option<SubscribeToShardEventStream>> {
        Box::pin(self.next())
    }
}
