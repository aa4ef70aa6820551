//! Names of the metrics this crate records, with what they mean.

use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Commits written.
pub const COMMITS: &str = "millstream_log_commits_total";
/// Bytes of commits written.
pub const COMMIT_BYTES: &str = "millstream_log_commit_bytes";
/// Time from taking a commit to its being durable.
pub const SYNC_SECONDS: &str = "millstream_log_sync_seconds";
/// Reads answered from the tail cache.
pub const CACHE_HITS: &str = "millstream_log_tail_cache_hits_total";
/// Reads that went to a file.
pub const CACHE_MISSES: &str = "millstream_log_tail_cache_misses_total";
/// Appends refused, by reason.
pub const REFUSED: &str = "millstream_log_refused_total";
/// Bytes that have joined a commit and are not durable yet.
pub const IN_FLIGHT: &str = "millstream_log_in_flight_bytes";
/// Free bytes on the log's disk.
pub const DISK_FREE: &str = "millstream_log_disk_free_bytes";
/// Logs by state: cold, open, poisoned, unavailable.
pub const LOGS: &str = "millstream_log_logs";
/// 1 for each log that is poisoned or unavailable, by log and state.
pub const LOG_STATE: &str = "millstream_log_state";
/// Recoveries, and what they found.
pub const RECOVERIES: &str = "millstream_log_recoveries_total";

/// Registers descriptions and units. Call once the recorder is installed.
pub fn describe() {
    describe_counter!(COMMITS, "Commits written");
    describe_histogram!(COMMIT_BYTES, Unit::Bytes, "Bytes of records per commit");
    describe_histogram!(SYNC_SECONDS, Unit::Seconds, "Time to write and sync a commit");
    describe_counter!(CACHE_HITS, "Reads answered from the tail cache");
    describe_counter!(CACHE_MISSES, "Reads that went to a file");
    describe_counter!(REFUSED, "Appends refused, by reason");
    describe_gauge!(IN_FLIGHT, Unit::Bytes, "Bytes that have joined a commit and are not durable yet");
    describe_gauge!(DISK_FREE, Unit::Bytes, "Free bytes on the log's disk");
    describe_gauge!(LOGS, "Logs by state");
    describe_gauge!(LOG_STATE, "1 for each log that is poisoned or unavailable");
    describe_counter!(RECOVERIES, "Logs recovered, by outcome");
    // Shown from the start: an alert on an increase must see the first one.
    for name in [COMMITS, CACHE_HITS, CACHE_MISSES] {
        counter!(name).increment(0);
    }
    for reason in ["closed", "deleted", "disk_full", "poisoned", "unavailable", "closing", "busy"] {
        counter!(REFUSED, "reason" => reason).increment(0);
    }
    for outcome in ["whole", "damaged", "unavailable"] {
        counter!(RECOVERIES, "outcome" => outcome).increment(0);
    }
    gauge!(IN_FLIGHT).set(0.0);
}

/// Handles of what is counted for every append and read, looked up once.
pub(crate) struct Meters {
    pub(crate) commits: Counter,
    pub(crate) commit_bytes: Histogram,
    pub(crate) sync_seconds: Histogram,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) in_flight: InFlight,
}

impl Meters {
    pub(crate) fn new() -> Meters {
        Meters {
            commits: counter!(COMMITS),
            commit_bytes: histogram!(COMMIT_BYTES),
            sync_seconds: histogram!(SYNC_SECONDS),
            cache_hits: counter!(CACHE_HITS),
            cache_misses: counter!(CACHE_MISSES),
            in_flight: InFlight { bytes: AtomicUsize::new(0), gauge: gauge!(IN_FLIGHT) },
        }
    }
}

/// Bytes that have joined commits of any log and are not written yet. Not only counted: appends heed it.
pub(crate) struct InFlight {
    bytes: AtomicUsize,
    gauge: Gauge,
}

impl InFlight {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        let rest = |before: usize| Some(before.saturating_sub(bytes));
        // Never fails: there is always a rest.
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
    }

    /// Shows them as a metric.
    pub(crate) fn show(&self) {
        self.gauge.set(self.bytes() as f64);
    }
}
