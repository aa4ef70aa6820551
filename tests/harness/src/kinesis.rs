//! Kinesis calls as JSON, with deadlines: a server that does not answer is a failure, never a wait without end.

use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::timeout;

use crate::connection::{Connection, Endpoint};

/// The longest that any call may take.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at a state that is waited for.
const POLL: Duration = Duration::from_millis(5);

/// Why a call gave no result.
#[derive(Debug, Error)]
pub enum CallError {
    /// The connection broke, the answer was malformed or late: whether the call took effect is not known.
    #[error("{operation}: {cause}")]
    Connection {
        /// The operation.
        operation: String,
        /// What happened.
        cause: io::Error,
    },
    /// The service refused it.
    #[error("{operation}: HTTP {status} {code}: {message}")]
    Service {
        /// The operation.
        operation: String,
        /// The HTTP status: 4xx means that nothing was done, 5xx that the outcome is not known.
        status: u16,
        /// The error's name (`__type`).
        code: String,
        /// Its message, empty when there is none.
        message: String,
    },
}

impl CallError {
    /// The service error's name; empty when the connection broke.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Connection { .. } => "",
            Self::Service { code, .. } => code,
        }
    }

    /// Whether the call may have taken effect although it failed.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Connection { .. } => true,
            Self::Service { status, .. } => *status >= 500,
        }
    }
}

/// One shard as ListShards tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardDescription {
    /// The shard's id.
    pub id: String,
    /// The lowest hash key, inclusive.
    pub start: u128,
    /// The highest hash key, inclusive.
    pub end: u128,
    /// Whether it takes records.
    pub open: bool,
}

/// One connection that speaks Kinesis.
#[derive(Debug)]
pub struct Kinesis {
    endpoint: Endpoint,
    connection: Connection,
}

impl Kinesis {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(endpoint: &Endpoint) -> io::Result<Self> {
        Ok(Self { endpoint: endpoint.clone(), connection: Connection::open(endpoint.address).await? })
    }

    /// Calls an operation; one without output gives `Value::Null`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&mut self, operation: &str, input: &Value) -> Result<Value, CallError> {
        let body = input.to_string();
        self.call_raw(operation, body.as_bytes()).await
    }

    /// Calls an operation with a body that is JSON already.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_raw(&mut self, operation: &str, body: &[u8]) -> Result<Value, CallError> {
        let broken = |cause: io::Error| CallError::Connection { operation: operation.to_owned(), cause };
        let request = self.endpoint.request(operation, body);
        let response = match timeout(CALL_LIMIT, self.connection.send(&request)).await {
            Ok(sent) => sent.map_err(broken)?,
            Err(_) => return Err(broken(io::Error::new(io::ErrorKind::TimedOut, "no answer in a minute"))),
        };
        let status = response.status;
        let value = match response.body {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(|error| broken(io::Error::other(error)))?,
        };
        if status == 200 {
            return Ok(value);
        }
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Err(CallError::Service {
            operation: operation.to_owned(),
            status,
            code: text("__type"),
            message: [text("message"), text("Message")].concat(),
        })
    }

    /// Creates a provisioned stream and waits until it is ACTIVE.
    ///
    /// # Errors
    /// See [`CallError`]; a stream that is not ACTIVE in a minute counts as a call that timed out.
    pub async fn create_stream(&mut self, name: &str, shards: u32) -> Result<(), CallError> {
        self.call("CreateStream", &json!({ "StreamName": name, "ShardCount": shards })).await?;
        self.wait_active(name).await
    }

    /// Waits until a stream is ACTIVE.
    ///
    /// # Errors
    /// As [`Kinesis::create_stream`].
    pub async fn wait_active(&mut self, name: &str) -> Result<(), CallError> {
        let started = Instant::now();
        loop {
            let answer = self.call("DescribeStreamSummary", &json!({ "StreamName": name })).await?;
            if answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
                return Ok(());
            }
            if started.elapsed() > CALL_LIMIT {
                let cause = io::Error::new(io::ErrorKind::TimedOut, format!("{name} is not ACTIVE"));
                return Err(CallError::Connection { operation: "DescribeStreamSummary".to_owned(), cause });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// All shards of a stream, open and closed, in ascending order of their ids.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn list_shards(&mut self, name: &str) -> Result<Vec<ShardDescription>, CallError> {
        let mut shards = Vec::new();
        let mut input = json!({ "StreamName": name });
        loop {
            let answer = self.call("ListShards", &input).await?;
            shards.extend(answer["Shards"].as_array().into_iter().flatten().map(|shard| {
                let key = |name: &str| shard["HashKeyRange"][name].as_str().and_then(|key| key.parse().ok());
                ShardDescription {
                    id: shard["ShardId"].as_str().unwrap_or_default().to_owned(),
                    start: key("StartingHashKey").unwrap_or_default(),
                    end: key("EndingHashKey").unwrap_or_default(),
                    open: shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null(),
                }
            }));
            match answer["NextToken"].as_str() {
                Some(token) => input = json!({ "NextToken": token }),
                None => return Ok(shards),
            }
        }
    }

    /// An iterator on a shard: after the sequence number `after`, or at the oldest record.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn iterator(&mut self, name: &str, shard: &str, after: Option<&str>) -> Result<String, CallError> {
        let mut input = json!({ "StreamName": name, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
        if let Some(number) = after {
            input["ShardIteratorType"] = json!("AFTER_SEQUENCE_NUMBER");
            input["StartingSequenceNumber"] = json!(number);
        }
        let answer = self.call("GetShardIterator", &input).await?;
        Ok(answer["ShardIterator"].as_str().unwrap_or_default().to_owned())
    }
}
