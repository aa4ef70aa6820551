//! The results as tables and as JSON.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::endurance::Endurance;
use crate::error::BenchError;
use crate::throughput::{Sample, ScenarioResult};

const BEGIN: &str = "<!-- figures: begin (written by `make bench`) -->";
const END: &str = "<!-- figures: end -->";
const MIB: f64 = 1024.0 * 1024.0;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The machine, as it describes itself.
    pub machine: String,
    /// Seconds that each measurement lasted.
    pub seconds: u64,
    /// Puts per second.
    pub scenarios: Vec<ScenarioResult>,
    /// Memory and start-up time.
    pub endurance: Option<Endurance>,
}

impl Report {
    /// A report on this machine.
    #[must_use]
    pub fn new(seconds: u64, scenarios: Vec<ScenarioResult>, endurance: Option<Endurance>) -> Self {
        Self { machine: machine(), seconds, scenarios, endurance }
    }

    /// The report as JSON.
    ///
    /// # Errors
    /// None that is known.
    pub fn json(&self) -> Result<String, BenchError> {
        serde_json::to_string_pretty(self).map_err(|error| BenchError::Report(error.to_string()))
    }

    /// The report as tables.
    #[must_use]
    pub fn markdown(&self) -> String {
        let rounds = self.scenarios.first().map_or(0, |scenario| scenario.raw.len());
        let mut text = format!(
            "Machine: {}. Rounds: {rounds}, of {} seconds per measurement. Requests (of the raw loop: appends) per second, \
             median (least – most).\n\n",
            self.machine, self.seconds
        );
        text.push_str(
            "| scenario | Millstream | p50 / p99 ms | peak memory | raw loop | ratio | ferrokinesis | ratio |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        for scenario in &self.scenarios {
            text.push_str(&row(scenario));
        }
        if let Some(endurance) = &self.endurance {
            text.push_str(&endurance_table(endurance));
        }
        text
    }

    /// Puts the tables into a document between its marks.
    ///
    /// # Errors
    /// When the document cannot be read or written, or has no marks.
    pub fn write_into(&self, path: &Path) -> Result<(), BenchError> {
        let document = std::fs::read_to_string(path)?;
        let no_marks = || BenchError::Report(format!("{} has no marks for the figures", path.display()));
        let (before, rest) = document.split_once(BEGIN).ok_or_else(no_marks)?;
        let (_, after) = rest.split_once(END).ok_or_else(no_marks)?;
        std::fs::write(path, format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.markdown()))?;
        Ok(())
    }
}

fn row(scenario: &ScenarioResult) -> String {
    let rates = |samples: &[Sample]| samples.iter().map(|sample| sample.rate).collect::<Vec<f64>>();
    let mut row = format!("| {} ", scenario.name);
    let Some(ours) = scenario.servers.first() else { return String::new() };
    let our_rates = rates(&ours.samples);
    let of = |part: fn(&Sample) -> f64| median(&ours.samples.iter().map(part).collect::<Vec<f64>>());
    let memory: Vec<f64> =
        ours.samples.iter().filter_map(|sample| sample.peak_memory).map(|bytes| bytes as f64 / MIB).collect();
    // Writing into a `String` does not fail.
    let _ = write!(row, "| {} | {:.2} / {:.2} ", spread(&our_rates), of(|s| s.p50_ms), of(|s| s.p99_ms));
    let _ = write!(row, "| {:.0} MiB | {} ", median(&memory), spread(&scenario.raw));
    let _ = write!(row, "| {:.2} ", median(&our_rates) / median(&scenario.raw));
    match scenario.servers.get(1) {
        Some(peer) => {
            let peer = rates(&peer.samples);
            let _ = writeln!(row, "| {} | {:.2} |", spread(&peer), median(&our_rates) / median(&peer));
        }
        None => row.push_str("| – | – |\n"),
    }
    row
}

fn endurance_table(endurance: &Endurance) -> String {
    let memory = endurance.peak_memory.map_or(f64::NAN, |bytes| bytes as f64 / MIB);
    let stored = endurance.stored as f64 / MIB / 1024.0;
    format!(
        "\n| with {} records of 1 KB ({stored:.1} GiB on disk) | median (least – most) |\n|---|---|\n\
         | peak memory after the last put | {memory:.0} MiB |\n\
         | start to first answer, after a clean stop | {} ms |\n\
         | start to first answer, after SIGKILL under load | {} ms |\n\
         | start to first record read, after SIGKILL under load | {} ms |\n",
        endurance.records,
        spread(&endurance.after_stop_ms),
        spread(&endurance.after_kill_ms),
        spread(&endurance.first_record_ms),
    )
}

/// The middle value; of an even number, the mean of the two in the middle. NaN of none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

/// `median (least – most)`.
fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match values.len() {
        0 => "–".to_owned(),
        1 => number(least),
        _ => format!("{} ({} – {})", number(median(values)), number(least), number(most)),
    }
}

/// A figure with no more digits than it is worth.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).and_then(|line| line.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let kib = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|line| line.trim().strip_suffix("kB").and_then(|kib| kib.trim().parse::<f64>().ok()));
    let gib = kib.map_or(String::new(), |kib| format!(", {:.0} GiB of memory", kib / 1024.0 / 1024.0));
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores of {model}{gib}, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(spread(&[1234567.0, 999.0, 12.34]), "999 (12.3 – 1,234,567)");
        assert_eq!(spread(&[50_000.4]), "50,000");
    }
}
