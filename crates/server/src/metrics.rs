//! Names of the metrics this crate records, with what they mean.

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use millstream_api::kinesis::Operation;

use crate::connection::STALLED_SUBSCRIBER;

/// Requests answered, by operation and error code (`OK` if there was none).
pub const REQUESTS: &str = "millstream_requests_total";
/// Time from a request's head to its answer, by operation; to the beginning of the answer if that is a stream of events.
pub const REQUEST_SECONDS: &str = "millstream_request_seconds";
/// Bytes of bodies received and of answers made; of a stream of events, those of each event when it is made.
pub const BYTES: &str = "millstream_request_bytes_total";
/// Memory held by bodies and answers of requests in flight.
pub const IN_FLIGHT: &str = "millstream_requests_in_flight_bytes";
/// Memory held by events of subscriptions that have not left yet.
pub const EVENTS_IN_FLIGHT: &str = "millstream_events_in_flight_bytes";
/// Requests refused before any operation, by reason.
pub const REFUSALS: &str = "millstream_refusals_total";
/// Open connections.
pub const CONNECTIONS: &str = "millstream_connections";
/// Connections, or streams of HTTP/2, cut by the server, by reason: see docs/operations.md.
pub const CONNECTIONS_CUT: &str = "millstream_connections_cut_total";

/// Why requests are refused: every `reason` of [`REFUSALS`].
pub(crate) const REASONS: [&str; 10] = [
    "ambiguous_host",
    "authentication",
    "broken_off",
    "foreign_host",
    "foreign_origin",
    "malformed",
    "no_memory",
    "too_large",
    "too_slow",
    "unknown_operation",
];

/// Why connections are cut: every `reason` of [`CONNECTIONS_CUT`].
pub(crate) const CUTS: [&str; 11] = [
    "cleartext",
    "crowded",
    "flood",
    "hang_up",
    "held_memory",
    "protocol_error",
    "slow_handshake",
    "slow_head",
    "slow_reader",
    STALLED_SUBSCRIBER,
    "tls_handshake",
];

/// Registers descriptions and units.
pub fn describe() {
    describe_counter!(REQUESTS, "Requests answered, by operation and error code");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "Time from a request's head to its answer");
    describe_counter!(BYTES, Unit::Bytes, "Bytes of request bodies (in) and answers (out)");
    describe_gauge!(IN_FLIGHT, Unit::Bytes, "Memory held by bodies and answers of requests in flight");
    describe_gauge!(EVENTS_IN_FLIGHT, Unit::Bytes, "Memory held by events of subscriptions that have not left yet");
    describe_counter!(REFUSALS, "Requests refused before any operation, by reason");
    describe_gauge!(CONNECTIONS, "Open connections");
    describe_counter!(CONNECTIONS_CUT, "Connections cut by the server, by reason");
}

/// What is recorded for every request, looked up once. An operation's metrics appear with its first request.
pub(crate) struct Meters {
    operations: Vec<OnceLock<(Counter, Histogram)>>,
    bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    in_flight: Gauge,
    events_in_flight: Gauge,
    pub(crate) stalled: Counter,
    pub(crate) connections: Gauge,
    refusals: [Counter; REASONS.len()],
    cuts: [Counter; CUTS.len()],
}

impl Meters {
    /// Handles on the recorder installed at this time.
    pub(crate) fn new() -> Meters {
        Meters {
            operations: Operation::ALL.iter().map(|_| OnceLock::new()).collect(),
            bytes_in: counter!(BYTES, "direction" => "in"),
            bytes_out: counter!(BYTES, "direction" => "out"),
            in_flight: gauge!(IN_FLIGHT),
            events_in_flight: gauge!(EVENTS_IN_FLIGHT),
            stalled: counter!(CONNECTIONS_CUT, "reason" => STALLED_SUBSCRIBER),
            connections: gauge!(CONNECTIONS),
            // From the start, so that a first one is an increase that an alert can see.
            refusals: REASONS.map(|reason| counter!(REFUSALS, "reason" => reason)),
            cuts: CUTS.map(|reason| counter!(CONNECTIONS_CUT, "reason" => reason)),
        }
    }

    fn of(&self, operation: Operation) -> Option<&(Counter, Histogram)> {
        let name = operation.name();
        let register = || {
            (counter!(REQUESTS, "operation" => name, "code" => "OK"), histogram!(REQUEST_SECONDS, "operation" => name))
        };
        Some(self.operations.get(operation as usize)?.get_or_init(register))
    }

    /// A request for `operation` (`None` if it names none) has its answer; `code` is the error's.
    pub(crate) fn answered(&self, operation: Option<Operation>, code: Option<&'static str>, took: Duration) {
        let known = operation.and_then(|operation| self.of(operation));
        match code {
            None => {
                if let Some((requests, _)) = known {
                    requests.increment(1);
                }
            }
            Some(code) => {
                let operation = operation.map_or("none", Operation::name);
                counter!(REQUESTS, "operation" => operation, "code" => code).increment(1);
            }
        }
        if let Some((_, seconds)) = known {
            seconds.record(took);
        }
    }

    pub(crate) fn moved(&self, received: usize, sent: usize) {
        self.bytes_in.increment(received as u64);
        self.bytes_out.increment(sent as u64);
    }

    /// Memory that is held by requests and by events, told before it is asked for: it changes with every request.
    pub(crate) fn held(&self, requests: u64, events: u64) {
        self.in_flight.set(requests as f64);
        self.events_in_flight.set(events as f64);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        if let Some(at) = REASONS.iter().position(|known| *known == reason) {
            self.refusals[at].increment(1);
        }
    }

    pub(crate) fn cut(&self, reason: &'static str) {
        if let Some(at) = CUTS.iter().position(|known| *known == reason) {
            self.cuts[at].increment(1);
        }
    }
}
