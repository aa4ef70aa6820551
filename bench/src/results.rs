//! The results of a run as JSON: what measures writes it, what renders reads it, and neither knows more of the other.
//!
//! A [`Results`] holds scenarios. A scenario holds what its parts measured, each in the form that fits it:
//! [`Measured`] for loads (servers and ceilings alike, a [`Sample`] per round), [`Figure`] for single values such as a
//! start time or an idle process's memory, [`Curve`] for a cost over a size. [`Goal`] says how the scenario's goals came
//! out. Times are in milliseconds or seconds as the names say, sizes in bytes, rates per second.

use serde::{Deserialize, Serialize};

/// The version of this form; a reader refuses others.
pub const FORMAT: u32 = 2;

/// Everything that one run measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`FORMAT`] when it was written.
    pub format: u32,
    /// Where it was measured.
    pub machine: Machine,
    /// How it was measured.
    pub settings: Settings,
    /// Who took part, ceilings included, in the order in which tables should show them.
    pub contestants: Vec<Contestant>,
    /// Who was to take part and could not.
    pub absent: Vec<Absent>,
    /// What was measured, in the order of the run.
    pub scenarios: Vec<Scenario>,
    /// Whether the run came to its end: tables of a part would look like those of the whole.
    pub finished: bool,
}

/// The machine, as it describes itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: String,
    /// Bytes of memory.
    pub memory: u64,
    /// The operating system's name and release.
    pub system: String,
    /// The file system under the data, e.g. `ext4`.
    pub file_system: String,
}

/// How a run was done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `quick`, `default` or `full`.
    pub set: String,
    /// Interleaved rounds of the load scenarios.
    pub rounds: usize,
    /// Seconds that a load counts, after its warm-up.
    pub seconds: f64,
    /// Seconds of a load that do not count.
    pub warm_up_seconds: f64,
    /// When the run began, in seconds since 1970.
    pub began: u64,
    /// How long the whole run took, in seconds.
    pub took_seconds: f64,
    /// The commit that was measured, where it is known.
    pub commit: Option<String>,
}

/// Whether an entry of [`Results::contestants`] is measured or measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Millstream itself.
    Subject,
    /// Another server that speaks Kinesis.
    Peer,
    /// What the machine gives without Kinesis: the constant-answer server, the raw disk loops.
    Ceiling,
}

/// Someone who takes part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contestant {
    /// What samples refer to, e.g. `millstream`, `ferrokinesis`, `ferrokinesis-state-dir`, `constant`, `raw`.
    pub id: String,
    /// The name in tables.
    pub name: String,
    /// What it is here for.
    pub role: Role,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Where it keeps records and when they are on disk, in a few words: `fdatasync before the answer`, `memory only`.
    pub keeps: String,
}

/// A peer that was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Its [`Contestant::id`].
    pub id: String,
    /// Why, e.g. what its installation said.
    pub reason: String,
}

/// One way to load a server, or one property of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// What `--only` takes, e.g. `put-records-1k-4`.
    pub id: String,
    /// The part it belongs to, e.g. `put`, `catch-up`, `fan-out`, `memory`, `start`, `shards`, `streams`, `overload`.
    pub group: String,
    /// The name in tables, e.g. `PutRecords 500 × 1 KB, 4 connections`.
    pub name: String,
    /// What is worth knowing about how it was measured, a sentence or more; may be empty.
    pub notes: Vec<String>,
    /// Loads, of servers and ceilings.
    pub measured: Vec<Measured>,
    /// Single values.
    pub figures: Vec<Figure>,
    /// Costs over sizes.
    pub curves: Vec<Curve>,
    /// Its goals and how they came out.
    pub goals: Vec<Goal>,
    /// Set when the raw loop's spread, (most − least) / median over the rounds, exceeded 0.3: ratios to the device are
    /// worth nothing then, processor time per record is.
    pub device_unstable: bool,
    /// At which size or in how many rounds it was measured, where that is less than its goals speak of, e.g. `2 of 10 GB`.
    pub reduced: Option<String>,
    /// [`Contestant::id`] of who could take part and was not measured in this set.
    pub left_out: Vec<String>,
}

/// What one contestant or ceiling did in a load, a sample per round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// [`Contestant::id`].
    pub who: String,
    /// Which of several loads of one scenario this is, e.g. `puts` and `reads` of a mixed one; empty when it is the
    /// only one.
    pub part: String,
    /// What [`Sample::rate`] counts: `requests`, `records`, `events`, `appends`, `reads`.
    pub unit: String,
    /// The good rounds.
    pub samples: Vec<Sample>,
    /// Why rounds failed; a round that failed has no sample.
    pub failures: Vec<Failure>,
}

/// A round that gave no figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The round, from 1.
    pub round: usize,
    /// What went wrong.
    pub reason: String,
}

/// One round of a load. Only right answers count in its rates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The round, from 1.
    pub round: usize,
    /// What [`Measured::unit`] says, per second.
    pub rate: f64,
    /// Records per second; 0 where there are none (raw loops).
    pub records_per_second: f64,
    /// Bytes of data and keys per second, not of their encoding; of a raw loop, of what it moved.
    pub bytes_per_second: f64,
    /// How long it took, where it was measured.
    pub latency: Option<Latency>,
    /// The server's processor time within the counted time.
    pub cpu: Option<Cpu>,
    /// The generator's own processor seconds within the counted time.
    pub generator_cpu_seconds: f64,
    /// The same as a share of the one core that it can use.
    pub generator_share: f64,
    /// The server's memory.
    pub memory: Option<Memory>,
    /// Requests that the server refused with a throttling error: neither successes nor errors.
    pub refused: u64,
    /// Requests that an open loop could not send since all its connections were waiting.
    pub unsent: u64,
    /// Answers that were wrong, where the load goes on after one (overload); elsewhere one makes the round a failure.
    pub errors: u64,
    /// Records that were read back and compared afterwards, or within the measurement where reading is what is
    /// measured.
    pub records_verified: u64,
    /// Bytes that the server read from the device (`read_bytes` of /proc/PID/io), where it matters.
    pub device_read_bytes: Option<u64>,
    /// Bytes that the server wrote to the device (`write_bytes` of /proc/PID/io), where it matters.
    pub device_write_bytes: Option<u64>,
}

/// How long something took, in milliseconds: from the intended moment of sending in an open loop, from the sending in a
/// closed one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// The arithmetic mean.
    pub mean: f64,
    /// Half stayed below.
    pub p50: f64,
    /// 90 % stayed below.
    pub p90: f64,
    /// 99 % stayed below.
    pub p99: f64,
    /// 99.9 % stayed below.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// The distribution for plots: (quantile, milliseconds), ascending, quantiles in 0..=1.
    pub points: Vec<(f64, f64)>,
}

/// Processor time of a server process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Seconds in the process.
    pub user: f64,
    /// Seconds in the kernel for it.
    pub system: f64,
    /// Both, divided by the records of the same time, times a million; absent without records.
    pub per_million_records: Option<f64>,
}

/// Memory of a server process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The most that was ever resident (VmHWM), in bytes, before anything was read back.
    pub peak: u64,
    /// What was resident over time: (seconds since the load began, bytes).
    pub over_time: Vec<(f64, u64)>,
}

/// A single value, measured some times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// [`Contestant::id`].
    pub who: String,
    /// What it is, e.g. `first answer after SIGKILL`.
    pub name: String,
    /// Its unit: `ms`, `bytes`, `bytes/s`, `records/s`, `s`, or empty for a plain number or ratio.
    pub unit: String,
    /// The values.
    pub samples: Vec<f64>,
}

/// A cost over a size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// [`Contestant::id`].
    pub who: String,
    /// What it shows, e.g. `PutRecords over shards`.
    pub name: String,
    /// What grows, e.g. `shards`, `streams`, `bytes stored`.
    pub x: String,
    /// The cost and its unit, e.g. `records/s`, `ms`, `bytes read`.
    pub y: String,
    /// Whether x is best drawn on a logarithmic axis.
    pub logarithmic: bool,
    /// Its points, x ascending.
    pub points: Vec<Point>,
}

/// A point of a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The size.
    pub x: f64,
    /// The cost, a value per round.
    pub y: Vec<f64>,
}

/// A goal and how it came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// What was compared, e.g. `÷ min(raw, 0.6 × constant-answer server), bytes/s` or `p99 ms`.
    pub what: String,
    /// What came out; absent where nothing was measured.
    pub value: Option<f64>,
    /// What is wanted.
    pub wanted: f64,
    /// Whether the value is to be at most (`true`) or at least (`false`) what is wanted.
    pub at_most: bool,
    /// Whether it was met; absent when the device was unstable, or the goal's own condition does not hold here.
    pub met: Option<bool>,
    /// Why it was not judged, or what limits it; may be empty.
    pub note: String,
}

/// The middle value; of an even number, the mean of the two in the middle. NaN of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

/// (most − least) / median; 0 of fewer than two values.
#[must_use]
pub fn spread(values: &[f64]) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.len() < 2 { 0.0 } else { (most - least) / median(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(spread(&[2.0, 1.0, 4.0]), 1.5);
        assert_eq!(spread(&[2.0]), 0.0);
    }

    #[test]
    fn results_are_read_as_they_were_written() {
        let results = Results {
            format: FORMAT,
            machine: Machine::default(),
            settings: Settings::default(),
            contestants: vec![Contestant {
                id: "raw".to_owned(),
                name: "raw loop".to_owned(),
                role: Role::Ceiling,
                version: None,
                keeps: String::new(),
            }],
            absent: Vec::new(),
            scenarios: vec![Scenario {
                id: "x".to_owned(),
                group: "put".to_owned(),
                name: "X".to_owned(),
                notes: Vec::new(),
                measured: vec![Measured {
                    who: "raw".to_owned(),
                    part: String::new(),
                    unit: "appends".to_owned(),
                    samples: vec![Sample { latency: Some(Latency::default()), ..Sample::default() }],
                    failures: Vec::new(),
                }],
                figures: Vec::new(),
                curves: Vec::new(),
                goals: Vec::new(),
                device_unstable: false,
                reduced: None,
                left_out: Vec::new(),
            }],
            finished: true,
        };
        let text = serde_json::to_string(&results).unwrap();
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
    }
}
