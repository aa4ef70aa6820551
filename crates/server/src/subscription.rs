//! Answers that go on: a stream of events, each of which is asked for when the one before has left.
//!
//! A reader that is slow, or has stopped, is held back by the connection's flow control and costs one event and what is
//! in the socket's buffers. Events are held against a memory budget of their own, so that subscribers can't take the
//! memory of other requests, and the other way round. A subscription that finds no room waits; one whose event has not
//! left for long while others wait is broken off, and its client subscribes again.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ::metrics::Counter;
use bytes::Bytes;
use millstream_api::EventStream;
use millstream_api::kinesis::{SubscribeToShardEventStream, SubscribeToShardOutput};
use millstream_env::{ServerClock, runtime};
use tokio::sync::{mpsc, oneshot};

use crate::answer::held;
use crate::budget::{Budget, Flow, NoRoom, Permit};
use crate::codec::Format;
use crate::config::ServerConfig;
use crate::connection::{Activity, OpenRequest, STALLED_SUBSCRIBER};
use crate::metrics::Meters;

/// What events may take beside the memory of all requests: one part in so many of as much.
const SHARE: usize = 4;

/// Memory claimed for an event before it is asked for: its records as they are read, and the message made of them.
const CLAIM: u64 = 5 << 19;

/// An event that takes longer is not being read but waited for: that needs no memory.
const SOON: Duration = Duration::from_millis(100);

/// How long an event may be on its way in any case: as long as a subscription lasts.
const LONGEST: Duration = Duration::from_secs(300);

/// What an event costs the thread that serves its connection, about. Subscriptions together make no more events than
/// leave it time for others: the more there are, the longer each gathers records between two events.
const EVENT_COST: Duration = Duration::from_micros(30);

/// The longest that one gathers, and what is too short to be worth a timer.
const GATHERED_MOST: Duration = Duration::from_millis(4);
const GATHERED_LEAST: Duration = Duration::from_millis(1);

/// What all subscriptions keep to.
pub(crate) struct Terms {
    /// How many there are.
    live: AtomicU32,
    budget: Arc<Budget>,
    claim: u64,
    /// How long an event may be on its way while others wait for memory.
    window: Duration,
    bytes: Counter,
    stalled: Counter,
}

impl Terms {
    pub(crate) fn new(config: &ServerConfig, clock: &Arc<ServerClock>, meters: &Meters) -> Arc<Terms> {
        let memory = (config.memory / SHARE) as u64;
        Arc::new(Terms {
            live: AtomicU32::new(0),
            budget: Budget::new(memory, Duration::MAX, Arc::clone(clock)),
            claim: CLAIM.min(memory / 4),
            window: config.pace.window,
            bytes: meters.bytes_out.clone(),
            stalled: meters.stalled.clone(),
        })
    }

    /// Bytes of events on their way.
    pub(crate) fn used(&self) -> u64 {
        self.budget.used()
    }

    /// Lets pass what is to lie between two events of one subscription.
    async fn gather(&self) {
        let gap = gap(self.live.load(Ordering::Relaxed));
        if !gap.is_zero() {
            runtime::sleep(gap).await;
        }
    }
}

/// The time between two events of one of `live` subscriptions.
fn gap(live: u32) -> Duration {
    let gap = EVENT_COST.saturating_mul(live).min(GATHERED_MOST);
    if gap < GATHERED_LEAST { Duration::ZERO } else { gap }
}

/// The answer was broken off: its reader has stalled.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the subscriber has stalled")
    }
}

impl std::error::Error for Broken {}

/// A subscription that has been accepted.
pub(crate) struct Subscription {
    format: Format,
    initial: Vec<u8>,
    events: EventStream<SubscribeToShardEventStream>,
    account: Arc<str>,
    terms: Arc<Terms>,
    connection: Arc<Activity>,
}

impl Subscription {
    pub(crate) fn new(
        format: Format,
        output: SubscribeToShardOutput,
        account: Arc<str>,
        terms: Arc<Terms>,
        connection: Arc<Activity>,
    ) -> Subscription {
        let initial = format.encode_initial(&output);
        terms.live.fetch_add(1, Ordering::Relaxed);
        Subscription { format, initial, events: output.event_stream, account, terms, connection }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.terms.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The messages of a subscription, as the body of its answer.
pub(crate) struct Pieces(mpsc::Receiver<Result<Bytes, Broken>>);

impl Pieces {
    /// The messages of `subscription`. `open` ends when the last byte of the last one was handed to the socket.
    pub(crate) fn new(subscription: Box<Subscription>, open: OpenRequest) -> Pieces {
        let (pieces, body) = mpsc::channel(1);
        let sender = Sender { subscription, open: Arc::new(open), pieces, last: None };
        // Not a part of the body: a connection that is held up by its peer does not poll that.
        runtime::spawn(sender.run());
        Pieces(body)
    }

    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        self.0.poll_recv(context)
    }
}

/// A subscription at work.
struct Sender {
    subscription: Box<Subscription>,
    open: Arc<OpenRequest>,
    pieces: mpsc::Sender<Result<Bytes, Broken>>,
    /// Ends when the last message has left.
    last: Option<oneshot::Receiver<()>>,
}

impl Sender {
    /// Sends messages until there are no more, the server stops, or the client has gone.
    async fn run(mut self) {
        // The first message goes out at once: clients wait for it.
        let initial = std::mem::take(&mut self.subscription.initial);
        let initial = self.piece(initial, None);
        let body = self.pieces.clone();
        if body.send(Ok(initial)).await.is_err() {
            return;
        }
        let connection = Arc::clone(&self.subscription.connection);
        tokio::select! {
            biased;
            () = connection.stopping() => self.open.stopped(),
            () = body.closed() => {}
            () = self.send() => {}
        }
    }

    async fn send(&mut self) {
        loop {
            let terms = Arc::clone(&self.subscription.terms);
            let (left, ()) = tokio::join!(self.last_has_left(), terms.gather());
            if left.is_err() {
                return self.break_off().await;
            }
            let Some((piece, goes_on)) = self.next().await else { return };
            if self.pieces.send(Ok(piece)).await.is_err() || !goes_on {
                return;
            }
        }
    }

    /// Frees what is held for a reader that has stalled: by the answer's end, or, where that takes nothing back of what
    /// is on its way, by that of the connection.
    async fn break_off(&mut self) {
        let Subscription { terms, connection, .. } = &*self.subscription;
        let Some(last) = &mut self.last else { return };
        // There is room: the body has taken the last message, or it will not take this one either.
        let _ = self.pieces.try_send(Err(Broken));
        match runtime::timeout(terms.window, last).await {
            Some(_) => terms.stalled.increment(1),
            None => connection.end(STALLED_SUBSCRIBER),
        }
    }

    /// The next message, and whether others may follow.
    async fn next(&mut self) -> Option<(Bytes, bool)> {
        let Subscription { format, account, terms, connection, .. } = &*self.subscription;
        let (format, connection) = (*format, Arc::clone(connection));
        let mut permit = terms.budget.permit(Arc::clone(account), Flow::Out);
        // Refused only if thousands wait: the client is to come back.
        let Ok(event) = self.event(&mut permit).await else { return None };
        connection.heed_hang_up().await;
        let (bytes, goes_on) = match event {
            None => return None,
            Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => (format.encode_event(&event), true),
            Some(SubscribeToShardEventStream::Exception(error)) => (format.encode_exception(&error), false),
        };
        permit.hold(bytes.len() as u64);
        Some((self.piece(bytes, Some(permit)), goes_on))
    }

    /// The next event, with room for its message.
    async fn event(&mut self, permit: &mut Permit) -> Result<Option<SubscribeToShardEventStream>, NoRoom> {
        let Subscription { format, events, terms, .. } = &mut *self.subscription;
        // Without memory: of thousands that wait, few read at a time.
        events.ready().await;
        permit.grow(terms.claim).await?;
        let mut asked = pin!(events.next_event());
        if let Some(event) = runtime::timeout(SOON, asked.as_mut()).await {
            return Ok(event);
        }
        permit.shrink_to(0);
        let event = asked.await;
        if let Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) = &event {
            permit.grow(format.measure_event(event) as u64).await?;
        }
        Ok(event)
    }

    /// Waits until the last message was handed to the socket.
    async fn last_has_left(&mut self) -> Result<(), Broken> {
        let Some(last) = &mut self.last else { return Ok(()) };
        let terms = &self.subscription.terms;
        let mut waited = Duration::ZERO;
        while runtime::timeout(terms.window, &mut *last).await.is_none() {
            waited += terms.window;
            if waited >= LONGEST || terms.budget.is_wanted() {
                return Err(Broken);
            }
        }
        self.last = None;
        Ok(())
    }

    /// A message on its way.
    fn piece(&mut self, bytes: Vec<u8>, permit: Option<Permit>) -> Bytes {
        self.subscription.terms.bytes.increment(bytes.len() as u64);
        let (left, last) = oneshot::channel::<()>();
        self.last = Some(last);
        held(bytes, (permit, Arc::clone(&self.open), left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_subscriptions_there_are_the_longer_each_gathers() {
        for (live, micros) in [(0, 0), (1, 0), (20, 0), (40, 1200), (80, 2400), (1000, 4000), (u32::MAX, 4000)] {
            assert_eq!(gap(live), Duration::from_micros(micros), "{live}");
        }
    }
}
