//! Answers that go on: a stream of events, each of which is asked for when the one before has left.
//!
//! A reader that is slow, or has stopped, is held back by the connection's flow control and costs one event and what is
//! in the socket's buffers. Events are held against a memory budget of their own, so that subscribers can't take the
//! memory of other requests, and the other way round. A subscription that finds no room waits; one whose event has not
//! left for long while others wait is broken off, and its client subscribes again.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::metrics::Counter;
use bytes::Bytes;
use millstream_api::kinesis::{SubscribeToShardEventStream, SubscribeToShardOutput};
use millstream_api::{BoxFuture, EventStream};
use millstream_env::runtime;
use tokio::sync::oneshot;

use crate::answer::held;
use crate::budget::{Budget, NoRoom, Permit};
use crate::codec::Format;
use crate::config::ServerConfig;
use crate::connection::{Activity, OpenRequest};
use crate::metrics::Meters;

/// The budget of events, as a part of that of all requests, and beside it.
const SHARE: usize = 4;

/// Memory claimed for an event before it is asked for: reading may take it at once.
const CLAIM: u64 = 512 << 10;

/// An event that takes longer is not being read but waited for: that needs no memory.
const SOON: Duration = Duration::from_millis(10);

/// How long an event may be on its way in any case: as long as a subscription lasts.
const LONGEST: Duration = Duration::from_secs(300);

/// What all subscriptions keep to.
pub(crate) struct Terms {
    budget: Arc<Budget>,
    claim: u64,
    /// How long an event may be on its way while others wait for memory.
    window: Duration,
    bytes: Counter,
    stalled: Counter,
}

impl Terms {
    pub(crate) fn new(config: &ServerConfig, meters: &Meters) -> Arc<Terms> {
        let memory = (config.memory / SHARE) as u64;
        Arc::new(Terms {
            budget: Budget::new(memory, Duration::MAX, meters.events_in_flight.clone()),
            claim: CLAIM.min(memory / 4),
            window: config.pace.window,
            bytes: meters.bytes_out.clone(),
            stalled: meters.stalled.clone(),
        })
    }
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
        Subscription { format, initial, events: output.event_stream, account, terms, connection }
    }
}

/// The messages of a subscription, as the body of its answer.
pub(crate) struct Pieces {
    next: Option<BoxFuture<'static, Turn>>,
}

/// What a turn of a subscription gives.
type Turn = Option<(Result<Bytes, Broken>, Option<Box<Sender>>)>;

impl Pieces {
    /// The messages of `subscription`. `open` ends when the last byte of the last one was handed to the socket.
    pub(crate) fn new(subscription: Box<Subscription>, open: OpenRequest) -> Pieces {
        let sender = Box::new(Sender { subscription, open: Arc::new(open), last: None });
        Pieces { next: Some(Box::pin(sender.begin())) }
    }

    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let turn = ready!(next.as_mut().poll(context));
        self.next = None;
        Poll::Ready(turn.map(|(piece, sender)| {
            self.next = sender.map(|sender| Box::pin(sender.turn()) as _);
            piece
        }))
    }
}

/// A subscription at work.
struct Sender {
    subscription: Box<Subscription>,
    open: Arc<OpenRequest>,
    /// Ends when the last message has left.
    last: Option<oneshot::Receiver<()>>,
}

impl Sender {
    /// The first message goes out at once: clients wait for it.
    async fn begin(mut self: Box<Self>) -> Turn {
        let initial = std::mem::take(&mut self.subscription.initial);
        let piece = self.piece(initial, None);
        Some((Ok(piece), Some(self)))
    }

    /// The next message, if there is one. None follows once the server stops.
    async fn turn(mut self: Box<Self>) -> Turn {
        let connection = Arc::clone(&self.subscription.connection);
        let next = tokio::select! {
            biased;
            () = connection.stopping() => return None,
            next = self.next() => next,
        };
        match next {
            Ok(None) => None,
            Ok(Some((piece, goes_on))) => Some((Ok(piece), goes_on.then_some(self))),
            Err(broken) => {
                self.subscription.terms.stalled.increment(1);
                Some((Err(broken), None))
            }
        }
    }

    /// The next message, and whether others may follow.
    async fn next(&mut self) -> Result<Option<(Bytes, bool)>, Broken> {
        self.last_has_left().await?;
        let Subscription { format, account, terms, connection, .. } = &*self.subscription;
        let (format, connection) = (*format, Arc::clone(connection));
        let mut permit = terms.budget.permit(Arc::clone(account));
        // Refused only if thousands wait: the client is to come back.
        let Ok(event) = self.event(&mut permit).await else { return Ok(None) };
        connection.heed_hang_up().await;
        let (bytes, goes_on) = match event {
            None => return Ok(None),
            Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => (format.encode_event(&event), true),
            Some(SubscribeToShardEventStream::Exception(error)) => (format.encode_exception(&error), false),
        };
        permit.hold(bytes.len() as u64);
        Ok(Some((self.piece(bytes, Some(permit)), goes_on)))
    }

    /// The next event, with room for its message.
    async fn event(&mut self, permit: &mut Permit) -> Result<Option<SubscribeToShardEventStream>, NoRoom> {
        let Subscription { format, events, terms, .. } = &mut *self.subscription;
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
        let Some(mut last) = self.last.take() else { return Ok(()) };
        let terms = &self.subscription.terms;
        let mut waited = Duration::ZERO;
        while runtime::timeout(terms.window, &mut last).await.is_none() {
            waited += terms.window;
            if waited >= LONGEST || terms.budget.is_wanted() {
                return Err(Broken);
            }
        }
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
