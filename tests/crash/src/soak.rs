//! The soak: long rounds of paced load with subscribers, ended by SIGTERM and SIGKILL in turn, while what the server holds
//! is measured.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_harness::{Random, Usage};
use parking_lot::Mutex;

use crate::plot;
use crate::report::{End, Report, size};
use crate::rounds::{Failure, Settings, broken, start, stopped, terminate};
use crate::world::World;

/// Servers, one after the other, that share the time.
const LIVES: u64 = 8;
/// Between two samples.
const SAMPLE: Duration = Duration::from_secs(1);
/// A writer's rest after each put.
const PACE: Duration = Duration::from_millis(10);

/// What the server held at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Since the soak began.
    pub seconds: f64,
    /// Which server it was, from 1.
    pub life: u64,
    /// Memory, threads and files.
    pub usage: Usage,
    /// Bytes of the data directory.
    pub disk: u64,
}

/// What is measured, and how much more of it the second half may hold than the first: a factor and an amount.
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// What a unit is in bytes, if it is not a number.
    pub unit: f64,
    /// It, of a sample.
    pub of: fn(&Sample) -> f64,
    factor: f64,
    slack: f64,
}

/// All that is measured.
pub const MEASURES: [Measure; 4] = [
    Measure {
        name: "memory, MiB",
        unit: MIB,
        of: |sample| sample.usage.resident as f64,
        factor: 1.15,
        slack: 24.0 * MIB,
    },
    Measure { name: "disk, MiB", unit: MIB, of: |sample| sample.disk as f64, factor: 1.25, slack: 64.0 * MIB },
    Measure { name: "open files", unit: 1.0, of: |sample| sample.usage.files as f64, factor: 1.2, slack: 24.0 },
    Measure { name: "threads", unit: 1.0, of: |sample| sample.usage.threads as f64, factor: 1.0, slack: 4.0 },
];
const MIB: f64 = 1_048_576.0;

/// Runs for some minutes and leaves samples, plot and table under `dir`.
///
/// # Errors
/// A broken promise, or growth beyond what is allowed.
pub async fn run(settings: &Settings, minutes: u64, dir: &Path) -> Result<(), Failure> {
    let (command, mut report) = (settings.command(), Report::default());
    let length = Duration::from_secs(minutes * 60) / u32::try_from(LIVES).unwrap_or(1);
    let (begun, samples) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let watched = Arc::new(Mutex::new(None));
    let sampler = tokio::spawn(sample(begun, settings.data(), Arc::clone(&watched), Arc::clone(&samples)));
    let mut server = start(&command, &mut report)?;
    let mut world = World::create(settings.seed, settings.writers, &server, PACE).await?;
    for life in 1..=LIVES {
        let mut random = Random::part(settings.seed, life);
        *watched.lock() = Some((life, server.id()));
        let mut load = world.load(&server, &mut random).await?;
        world.subscribe(&mut load).await?;
        tokio::time::sleep(length).await;
        *watched.lock() = None;
        load.expect_the_end();
        let end = if life % 2 == 0 { End::Killed } else { End::Stopped };
        match end {
            End::Stopped => terminate(server).await?,
            _ => server.kill()?,
        }
        load.finish().await?;
        server = start(&command, &mut report)?;
        let counts = world.verify(&server, life, &mut report).await?;
        println!("life {life}: ok, {end}, {counts}");
        report.round(end);
        println!("{}", world.renew(&server, life, &mut report).await?);
    }
    sampler.abort();
    stopped(server)?;
    print!("{}", report.summary(&world.tally.lock(), &settings.data()));
    let samples = samples.lock().clone();
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("samples.csv"), csv(&samples))?;
    std::fs::write(dir.join("growth.svg"), plot::growth(&samples))?;
    print!("{}", table(&samples));
    println!("samples and plot: {}", dir.display());
    broken(LIVES, judge(&samples))
}

/// Measures the server that is named with its number, every second, and the directory.
async fn sample(
    begun: Instant,
    data: PathBuf,
    watched: Arc<Mutex<Option<(u64, u32)>>>,
    samples: Arc<Mutex<Vec<Sample>>>,
) {
    loop {
        tokio::time::sleep(SAMPLE).await;
        let Some((life, process)) = *watched.lock() else { continue };
        let Some(usage) = Usage::of(process) else { continue };
        let (seconds, disk) = (begun.elapsed().as_secs_f64(), size(&data));
        samples.lock().push(Sample { seconds, life, usage, disk });
    }
}

/// The samples for other programs.
fn csv(samples: &[Sample]) -> String {
    let mut text = "seconds,life,resident_bytes,threads,files,disk_bytes\n".to_owned();
    for Sample { seconds, life, usage, disk } in samples {
        let Usage { resident, threads, files } = usage;
        let _ = writeln!(text, "{seconds:.1},{life},{resident},{threads},{files},{disk}");
    }
    text
}

/// The most of each measure in each life, in Markdown.
fn table(samples: &[Sample]) -> String {
    let mut text = format!("| server | {} |\n|---|", MEASURES.map(|measure| measure.name).join(" | "));
    text += &"---|".repeat(MEASURES.len());
    for life in 1..=samples.last().map_or(0, |sample| sample.life) {
        let _ = write!(text, "\n| {life} |");
        for measure in &MEASURES {
            let of_life = samples.iter().filter(|sample| sample.life == life);
            let _ = write!(text, " {:.0} |", of_life.map(measure.of).fold(0.0, f64::max) / measure.unit);
        }
    }
    text + "\n"
}

/// Compares the halves.
fn judge(samples: &[Sample]) -> Vec<String> {
    let (first, second) = samples.split_at(samples.len() / 2);
    let mut problems = Vec::new();
    for Measure { name, unit, of, factor, slack } in &MEASURES {
        let most = |samples: &[Sample]| samples.iter().map(of).fold(0.0, f64::max);
        let (before, after) = (most(first), most(second));
        if after > before * factor + slack {
            problems.push(format!("{name} grew from {:.0} to {:.0}", before / unit, after / unit));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |second: u64| Sample {
            seconds: second as f64,
            life: 1 + second / 50,
            usage: Usage { resident: resident(second), threads: 9, files: 40 },
            disk: 1 << 28,
        };
        (0..400).map(sample).collect()
    }

    #[test]
    fn growth_is_found_out_and_a_sawtooth_is_none() {
        let saw = samples(|second| (60 << 20) + ((second % 50) << 19));
        assert_eq!(judge(&saw), [""; 0]);
        let leak = samples(|second| (60 << 20) + (second << 19));
        assert_eq!(judge(&leak).len(), 1, "{:?}", judge(&leak));
        assert_eq!(table(&saw).lines().count(), 2 + 8);
        assert_eq!(csv(&saw).lines().count(), 401);
    }
}
