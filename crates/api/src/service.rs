//! What a service and its callers share, whatever the service is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A future on the heap, as a trait object needs it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who asks, and from which of the separate worlds of accounts and regions.
///
/// An ARN in the request may name another account or region than the caller's.
#[derive(Clone, Debug)]
pub struct Context {
    /// The caller's account, 12 digits.
    pub account: Arc<str>,
    /// The region of the credential scope, or the server's own.
    pub region: Arc<str>,
    /// The access key id that the request was signed with.
    pub access_key: Arc<str>,
    /// The id that the answer and the log line of this request carry.
    pub request_id: RequestId,
    /// A way to end the request's connection without an answer.
    pub hang_up: HangUp,
}

/// The id of a request, a UUID: made for every one, and written out where somebody reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestId(pub u64, pub u64);

impl RequestId {
    /// Lower-case hexadecimal digits in groups of 8, 4, 4, 4 and 12.
    pub fn text(self) -> [u8; 36] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = (u128::from(self.0) << 64) | u128::from(self.1);
        let mut text = [b'-'; 36];
        let mut shift = 128;
        for (place, byte) in text.iter_mut().enumerate() {
            if !matches!(place, 8 | 13 | 18 | 23) {
                shift -= 4;
                *byte = DIGITS[(digits >> shift) as usize & 15];
            }
        }
        text
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It is ASCII.
        f.write_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// How an operation has the connection of its request closed without an answer, as a network that fails would.
///
/// Clones are one flag, and all requests of a connection share it. It is looked at when a call has returned, and after
/// each event of a streaming answer: if it is set, nothing more is sent, and the connection ends with all its requests.
/// The flag of `HangUp::default()` is nobody's, so setting it does nothing.
#[derive(Clone, Debug, Default)]
pub struct HangUp(Arc<AtomicBool>);

impl HangUp {
    /// Asks for the end of the connection.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the end of the connection was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A source of the events of one streaming answer.
pub trait Events<E>: Send {
    /// Waits until there may be an event, and takes no memory for that. May be dropped at any time and called again.
    fn ready(&mut self) -> BoxFuture<'_, ()>;

    /// The next event; `None` when the answer ends. May be dropped at any time and called again.
    ///
    /// It is asked for when the event before has been handed to the client's connection, [`Events::ready`] has ended, and
    /// memory is set aside for what can be read at once. So an event is to be read then, not ahead.
    fn next_event(&mut self) -> BoxFuture<'_, Option<E>>;
}

/// The events of a streaming answer, in order. Dropping it ends the answer.
pub struct EventStream<E>(Box<dyn Events<E>>);

impl<E> EventStream<E> {
    /// A stream of what `events` gives.
    pub fn new(events: impl Events<E> + 'static) -> EventStream<E> {
        EventStream(Box::new(events))
    }

    /// Waits until there may be an event.
    pub fn ready(&mut self) -> BoxFuture<'_, ()> {
        self.0.ready()
    }

    /// The next event, waited for if need be; `None` when the answer ends.
    pub fn next_event(&mut self) -> BoxFuture<'_, Option<E>> {
        self.0.next_event()
    }
}

impl<E> fmt::Debug for EventStream<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStream")
    }
}
