//! Puts per second, in interleaved rounds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::contestant::Contestant;
use crate::error::BenchError;
use crate::load::{self, Until};
use crate::raw;
use crate::readback;
use crate::requests::Kind;

/// How the rounds are run.
#[derive(Debug)]
pub struct Settings {
    /// Where data is written.
    pub dir: PathBuf,
    /// How many.
    pub rounds: usize,
    /// Not counted, at the start of each measurement.
    pub warm_up: Duration,
    /// Counted.
    pub time: Duration,
}

/// One way to load a server.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    kind: Kind,
    connections: usize,
}

const SCENARIOS: [Scenario; 5] = [
    Scenario { kind: Kind::PutRecord, connections: 1 },
    Scenario { kind: Kind::PutRecord, connections: 16 },
    Scenario { kind: Kind::PutRecord, connections: 64 },
    Scenario { kind: Kind::PutRecord, connections: 256 },
    Scenario { kind: Kind::PutRecords(500), connections: 4 },
];

impl Scenario {
    fn name(self) -> String {
        match (self.kind, self.connections) {
            (Kind::PutRecord, 1) => "PutRecord 1 KB, 1 connection".to_owned(),
            (Kind::PutRecord, connections) => format!("PutRecord 1 KB, {connections} connections"),
            (Kind::PutRecords(records), connections) => {
                format!("PutRecords {records} × 1 KB, {connections} connections")
            }
        }
    }
}

/// One measurement of a server.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Requests per second.
    pub rate: f64,
    /// Latency that half of the requests stay below, in milliseconds.
    pub p50_ms: f64,
    /// Latency that 99 % of the requests stay below, in milliseconds.
    pub p99_ms: f64,
    /// The most memory that the process ever had resident, in bytes; before anything was read back.
    pub peak_memory: Option<u64>,
}

/// The measurements of one contestant in one scenario, a sample per round.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Who.
    pub name: &'static str,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// One scenario's measurements.
#[derive(Debug, Serialize)]
pub struct ScenarioResult {
    /// The scenario.
    pub name: String,
    /// Bytes of data and keys in one request, which is the size of the raw loop's writes.
    pub bytes: usize,
    /// Appends with fdatasync per second of the raw loop, a figure per round.
    pub raw: Vec<f64>,
    /// The servers, Millstream first.
    pub servers: Vec<Measured>,
}

/// Runs all rounds.
///
/// # Errors
/// The first measurement that fails.
pub async fn run(settings: &Settings, contestants: &[Contestant]) -> Result<Vec<ScenarioResult>, BenchError> {
    let mut results: Vec<ScenarioResult> = SCENARIOS
        .iter()
        .map(|scenario| ScenarioResult {
            name: scenario.name(),
            bytes: scenario.kind.bytes(),
            raw: Vec::new(),
            servers: contestants.iter().map(|who| Measured { name: who.name(), samples: Vec::new() }).collect(),
        })
        .collect();
    for round in 1..=settings.rounds {
        for (scenario, result) in SCENARIOS.iter().zip(&mut results) {
            let raw = raw::appends_per_second(&settings.dir, scenario.kind.bytes(), settings.time)?;
            println!("round {round}, {}: raw loop {raw:.0}/s", result.name);
            result.raw.push(raw);
            for (who, measured) in contestants.iter().zip(&mut result.servers) {
                let sample = measure(settings, who, *scenario).await?;
                println!(
                    "round {round}, {}: {} {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
                    result.name, measured.name, sample.rate, sample.p50_ms, sample.p99_ms
                );
                measured.samples.push(sample);
            }
        }
    }
    Ok(results)
}

async fn measure(settings: &Settings, who: &Contestant, scenario: Scenario) -> Result<Sample, BenchError> {
    let dir = fresh(&settings.dir)?;
    let (server, endpoint) = who.start(&dir).await?;
    let until = Until::Time { warm_up: settings.warm_up, time: settings.time };
    let outcome = load::run(&endpoint, scenario.kind, scenario.connections, until).await?;
    let peak_memory = server.peak_memory();
    readback::check(&endpoint, scenario.kind, outcome.records).await?;
    server.kill()?;
    std::fs::remove_dir_all(&dir)?;
    let milliseconds = |quantile: f64| outcome.latency.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Sample { rate: outcome.rate(), p50_ms: milliseconds(0.5), p99_ms: milliseconds(0.99), peak_memory })
}

/// An empty directory for one measurement.
///
/// # Errors
/// When it cannot be made.
pub fn fresh(dir: &Path) -> Result<PathBuf, BenchError> {
    let fresh = dir.join("run");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    std::fs::create_dir_all(&fresh)?;
    Ok(fresh)
}
