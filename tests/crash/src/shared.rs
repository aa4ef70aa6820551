//! What the parts of the load share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millstream_harness::{CallError, Endpoint, Kinesis};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use crate::stream::{Role, Stream};
use crate::time::Time;

/// Calls of an operation, or other deeds, by name.
pub type Tally = BTreeMap<String, u64>;

/// One round's load has one of these.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where the server is.
    pub endpoint: Endpoint,
    /// The streams.
    pub streams: Arc<Vec<Arc<Stream>>>,
    /// Domain time.
    pub time: Arc<Time>,
    /// When this program began.
    pub started: Instant,
    /// How long a writer rests after each put.
    pub pace: Duration,
    /// Set before the server is ended: from then on a broken connection is expected.
    pub ending: Arc<AtomicBool>,
    /// Told each time just before a control operation is sent.
    pub sent: Arc<Notify>,
    /// What was done.
    pub tally: Arc<Mutex<Tally>>,
}

impl Shared {
    /// Whether the load is to end.
    #[must_use]
    pub fn ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// A connection; `None` when the server is gone already.
    pub async fn open(&self, stream: &Stream) -> Option<Kinesis> {
        match Kinesis::open(&self.endpoint).await {
            Ok(kinesis) => Some(kinesis),
            Err(cause) => {
                self.failed(stream, &CallError::Connection { operation: "connect".to_owned(), cause }).await;
                None
            }
        }
    }

    /// Takes a failed call: what the end of the server causes is expected, and that a stream under deletion is not there;
    /// anything else is a problem. Whether the connection is of no more use.
    pub async fn failed(&self, stream: &Stream, error: &CallError) -> bool {
        let broken = matches!(error, CallError::Connection { .. });
        let is_away = match stream.role {
            Role::Steady => false,
            // A shard of which all records have expired is forgotten, also under a reader's hands.
            Role::Aging => error.code() == "ResourceNotFoundException" && is_reading(error),
            Role::Reborn => ["ResourceNotFoundException", "ResourceInUseException", "InternalFailureException"]
                .contains(&error.code()),
        };
        if !(is_away || broken && self.ending()) {
            stream.life.read().await.ledger.lock().problem(format!("under load: {}: {error}", stream.name));
        }
        broken
    }

    /// Calls a control operation, and lets those know who want to kill the server in the middle of one.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn control(&self, kinesis: &mut Kinesis, operation: &str, input: &Value) -> Result<Value, CallError> {
        self.sent.notify_waiters();
        let answer = kinesis.call(operation, input).await;
        if answer.is_ok() {
            self.count(operation);
        }
        answer
    }

    /// Counts something that was done.
    pub fn count(&self, what: &str) {
        *self.tally.lock().entry(what.to_owned()).or_default() += 1;
    }
}

fn is_reading(error: &CallError) -> bool {
    match error {
        CallError::Connection { .. } => false,
        CallError::Service { operation, .. } => {
            ["GetShardIterator", "GetRecords", "SubscribeToShard"].contains(&operation.as_str())
        }
    }
}
