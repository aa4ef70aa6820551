//! What the disk itself gives: one thread that appends and syncs, again and again.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use millstream_harness::Random;

use crate::error::BenchError;

/// Appends `bytes` bytes and calls fdatasync, over and over, and gives how often that was done in a second.
///
/// # Errors
/// When the file cannot be written.
pub fn appends_per_second(dir: &Path, bytes: usize, time: Duration) -> Result<f64, BenchError> {
    let path = dir.join("raw");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut buffer = vec![0; bytes];
    Random::new(1).fill(&mut buffer);
    let mut done = 0u64;
    let started = Instant::now();
    while started.elapsed() < time {
        file.write_all(&buffer)?;
        file.sync_data()?;
        done += 1;
    }
    let rate = done as f64 / started.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(rate)
}
