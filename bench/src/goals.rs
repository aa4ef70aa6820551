//! How goals are worked out of what was measured: from medians over the rounds.

use crate::results::{Goal, Measured, Sample, Scenario, median, spread};

/// The ids of ceilings in results.
pub const CONSTANT: &str = "constant";
/// The raw append+fdatasync loop.
pub const RAW: &str = "raw";
/// The raw sequential reader.
pub const RAW_READ: &str = "raw-read";
/// The id of the subject.
pub const SUBJECT: &str = "millstream";
/// A raw device whose spread over the rounds is above this is unstable.
const UNSTABLE: f64 = 0.3;

/// Of a part of a scenario, a value per round.
#[must_use]
pub fn values(scenario: &Scenario, who: &str, part: &str, of: impl Fn(&Sample) -> Option<f64>) -> Vec<f64> {
    let found = scenario.measured.iter().find(|measured| measured.who == who && measured.part == part);
    found.map_or(Vec::new(), |measured| measured.samples.iter().filter_map(of).collect())
}

/// The median of the values, if there are any.
#[must_use]
pub fn middle(scenario: &Scenario, who: &str, part: &str, of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
    let values = values(scenario, who, part, of);
    (!values.is_empty()).then(|| median(&values))
}

/// Bytes per second.
#[must_use]
pub fn bytes(sample: &Sample) -> Option<f64> {
    Some(sample.bytes_per_second)
}

/// What the rate counts, per second.
#[must_use]
pub fn rate(sample: &Sample) -> Option<f64> {
    Some(sample.rate)
}

/// Half of the latencies stay below, in ms.
#[must_use]
pub fn p50(sample: &Sample) -> Option<f64> {
    sample.latency.as_ref().map(|latency| latency.p50)
}

/// 99 % of the latencies stay below, in ms.
#[must_use]
pub fn p99(sample: &Sample) -> Option<f64> {
    sample.latency.as_ref().map(|latency| latency.p99)
}

/// The best of the raw loop's pieces, as the median of its bytes per second; and whether that device was unstable.
#[must_use]
pub fn raw(scenario: &Scenario) -> Option<(f64, bool)> {
    let pieces = scenario.measured.iter().filter(|measured| measured.who == RAW && measured.part.ends_with("MiB"));
    let all = pieces.map(|piece| piece.samples.iter().filter_map(bytes).collect::<Vec<f64>>());
    let best = all.max_by(|a, b| median(a).total_cmp(&median(b)))?;
    Some((median(&best), spread(&best) > UNSTABLE))
}

/// A goal whose value is to be at least `wanted`.
#[must_use]
pub fn at_least(what: &str, value: f64, wanted: f64) -> Goal {
    goal(what, value, wanted, false)
}

/// A goal whose value is to be at most `wanted`.
#[must_use]
pub fn at_most(what: &str, value: f64, wanted: f64) -> Goal {
    goal(what, value, wanted, true)
}

fn goal(what: &str, value: f64, wanted: f64, at_most: bool) -> Goal {
    let met = if at_most { value <= wanted } else { value >= wanted };
    Goal { what: what.to_owned(), value, wanted, at_most, met: Some(met), note: String::new() }
}

/// The goal, not judged when `condition` does not hold, for the reason given.
#[must_use]
pub fn if_so(goal: Goal, condition: bool, otherwise: &str) -> Goal {
    match condition {
        true => goal,
        false => Goal { met: None, note: otherwise.to_owned(), ..goal },
    }
}

/// Whether a scenario's goals can be held against its raw device.
pub const UNSTABLE_NOTE: &str = "device unstable: judge by processor time per record";

/// A measured row that is filled round by round.
#[must_use]
pub fn row(who: &str, part: &str, unit: &str) -> Measured {
    Measured {
        who: who.to_owned(),
        part: part.to_owned(),
        unit: unit.to_owned(),
        samples: Vec::new(),
        failures: Vec::new(),
    }
}
