//! A closed loop over some connections, with every answer checked.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millstream_harness::{Connection, Endpoint};
use tokio::task::LocalSet;

use crate::error::BenchError;
use crate::requests::{Kind, Request};

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After a warm-up that does not count, and this long.
    Time {
        /// Not counted.
        warm_up: Duration,
        /// Counted.
        time: Duration,
    },
    /// When at least this many records were put.
    Records(u64),
}

/// What a load gave.
#[derive(Debug)]
pub struct Outcome {
    /// Requests that were answered in the counted time.
    pub requests: u64,
    /// The counted time.
    pub time: Duration,
    /// How long the counted requests took, in microseconds.
    pub latency: Histogram<u64>,
    /// Records that were acknowledged, the warm-up's too. Their numbers are 0 to this, without gap.
    pub records: u64,
}

impl Outcome {
    /// Requests per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }
}

/// What the connections share.
struct Shared {
    kind: Kind,
    next_number: Cell<u64>,
    counted: Cell<u64>,
    latency: RefCell<Histogram<u64>>,
    started: Instant,
    until: Until,
}

impl Shared {
    fn over(&self) -> bool {
        match self.until {
            Until::Time { warm_up, time } => self.started.elapsed() >= warm_up + time,
            Until::Records(records) => self.next_number.get() >= records,
        }
    }

    /// Numbers for the records of the next request.
    fn take_numbers(&self) -> u64 {
        let first = self.next_number.get();
        self.next_number.set(first + self.kind.records() as u64);
        first
    }

    /// Notes a request that was sent at `sent` and is answered, if it lies in the counted time.
    fn note(&self, sent: Instant) {
        let counted = match self.until {
            Until::Time { warm_up, time } => {
                let at = self.started.elapsed();
                at >= warm_up && at < warm_up + time
            }
            Until::Records(_) => true,
        };
        if counted {
            self.counted.set(self.counted.get() + 1);
            let micros = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.latency.borrow_mut().saturating_record(micros);
        }
    }
}

/// Loads a server.
///
/// # Errors
/// The first connection that breaks or answer that is wrong.
pub async fn run(endpoint: &Endpoint, kind: Kind, connections: usize, until: Until) -> Result<Outcome, BenchError> {
    let latency = Histogram::new_with_max(60_000_000, 3).map_err(|error| BenchError::Report(error.to_string()))?;
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push((Connection::open(endpoint.address).await?, Request::new(endpoint, kind)));
    }
    let shared = Rc::new(Shared {
        kind,
        next_number: Cell::new(0),
        counted: Cell::new(0),
        latency: RefCell::new(latency),
        started: Instant::now(),
        until,
    });
    let local = LocalSet::new();
    let tasks: Vec<_> = opened
        .into_iter()
        .map(|(connection, request)| local.spawn_local(one_connection(Rc::clone(&shared), connection, request)))
        .collect();
    local
        .run_until(async {
            for task in tasks {
                task.await.map_err(std::io::Error::other)??;
            }
            Ok::<(), BenchError>(())
        })
        .await?;
    let time = match until {
        Until::Time { time, .. } => time,
        Until::Records(_) => shared.started.elapsed(),
    };
    let latency = shared.latency.borrow().clone();
    Ok(Outcome { requests: shared.counted.get(), time, latency, records: shared.next_number.get() })
}

async fn one_connection(
    shared: Rc<Shared>,
    mut connection: Connection,
    mut request: Request,
) -> Result<(), BenchError> {
    while !shared.over() {
        let sent = Instant::now();
        let response = connection.send(request.numbered(shared.take_numbers())).await?;
        if !right(shared.kind, response.status, response.body) {
            let body = String::from_utf8_lossy(&response.body[..response.body.len().min(500)]).into_owned();
            return Err(BenchError::Answer { status: response.status, body });
        }
        shared.note(sent);
    }
    Ok(())
}

/// Whether an answer says that every record was put: a number for each, and none failed.
fn right(kind: Kind, status: u16, body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let none_failed = match kind {
        Kind::PutRecord => true,
        Kind::PutRecords(_) => text.contains("\"FailedRecordCount\":0"),
    };
    status == 200 && none_failed && text.matches("\"SequenceNumber\":\"").count() == kind.records()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_success_is_right() {
        assert!(right(Kind::PutRecord, 200, br#"{"SequenceNumber":"1","ShardId":"s"}"#));
        assert!(!right(Kind::PutRecord, 500, br#"{"SequenceNumber":"1","ShardId":"s"}"#));
        assert!(!right(Kind::PutRecord, 200, b"{}"));
        let two = br#"{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1"},{"SequenceNumber":"2"}]}"#;
        assert!(right(Kind::PutRecords(2), 200, two));
        assert!(!right(Kind::PutRecords(3), 200, two));
        assert!(!right(Kind::PutRecords(1), 200, br#"{"FailedRecordCount":1,"Records":[{"ErrorCode":"x"}]}"#));
    }
}
