//! What the Kinesis service tells of its work, as metrics. Totals only: a label per stream would have no bound.

use metrics::{Counter, counter};
use millstream_kinesis::state::ShardIndex;
use millstream_kinesis::{Meter, Refusal, Stream};

use crate::metrics::{BYTES_IN, BYTES_OUT, RECORDS_IN, RECORDS_OUT, THROTTLED};

/// Every `reason` of the counter of what was turned away.
pub const REASONS: [&str; 3] = ["write_throughput", "read_throughput", "call_rate"];

/// Counts on the process's recorder.
pub struct Metrics {
    records_in: Counter,
    bytes_in: Counter,
    records_out: Counter,
    bytes_out: Counter,
    throttled: [Counter; 3],
}

impl Metrics {
    /// Counters of the recorder installed at this time.
    pub fn new() -> Metrics {
        Metrics {
            records_in: counter!(RECORDS_IN),
            bytes_in: counter!(BYTES_IN),
            records_out: counter!(RECORDS_OUT),
            bytes_out: counter!(BYTES_OUT),
            throttled: REASONS.map(|reason| counter!(THROTTLED, "reason" => reason)),
        }
    }
}

impl Meter for Metrics {
    fn incoming(&self, _: &Stream, _: ShardIndex, records: u64, bytes: u64) {
        self.records_in.increment(records);
        self.bytes_in.increment(bytes);
    }

    fn outgoing(&self, _: &Stream, _: ShardIndex, records: u64, bytes: u64, _: u64) {
        self.records_out.increment(records);
        self.bytes_out.increment(bytes);
    }

    fn pushed(&self, _: &Stream, _: ShardIndex, _: &str, records: u64, bytes: u64, _: i64) {
        self.records_out.increment(records);
        self.bytes_out.increment(bytes);
    }

    fn refused(&self, why: Refusal, count: u64) {
        let reason = match why {
            Refusal::WriteThroughput => 0,
            Refusal::ReadThroughput => 1,
            Refusal::CallRate => 2,
        };
        self.throttled[reason].increment(count);
    }
}
