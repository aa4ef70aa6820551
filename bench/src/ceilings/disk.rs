//! What the disk itself gives: appends into space that was written before, each followed by fdatasync; sequential reads.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millstream_harness::Random;
use rustix::fs::{Advice, fadvise};

use crate::engine::latency;
use crate::error::BenchError;
use crate::results::Sample;

/// The zero-filled space; appends begin anew when it is full.
const SPACE: usize = 256 << 20;
/// The pieces of which the best is "raw".
pub const PIECES: [usize; 3] = [512 << 10, 2 << 20, 4 << 20];
/// The piece whose sync is t.
pub const SMALL: usize = 16 << 10;
/// The piece that is appended to a new file.
const FRESH_PIECE: usize = 1 << 20;
/// The space of each of several files.
const PARALLEL_SPACE: usize = 16 << 20;
/// Bytes per read of a sequential reader.
const READ: usize = 1 << 20;

/// A file of written space on the disk that is measured.
#[derive(Debug)]
pub struct Disk {
    file: File,
    path: PathBuf,
    noise: Vec<u8>,
}

impl Disk {
    /// Fills the space under `dir`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(dir: &Path) -> Result<Self, BenchError> {
        let path = dir.join("raw");
        let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path)?;
        let zeros = vec![0; 4 << 20];
        for _ in 0..SPACE / zeros.len() {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        let mut noise = vec![0; 16 << 20];
        Random::new(1).fill(&mut noise);
        Ok(Self { file, path, noise })
    }

    /// Appends of `piece` bytes with fdatasync, again and again, on this thread.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn appends(&self, piece: usize, time: Duration, round: usize) -> Result<Sample, BenchError> {
        let piece_bytes =
            self.noise.get(..piece).ok_or_else(|| BenchError::Arguments("too large a piece".to_owned()))?;
        let mut taken =
            Histogram::<u64>::new_with_max(120_000_000, 3).map_err(|error| BenchError::Report(error.to_string()))?;
        let (mut done, mut at) = (0u64, 0);
        let started = Instant::now();
        while started.elapsed() < time {
            if at + piece > SPACE {
                at = 0;
            }
            let begun = Instant::now();
            self.file.write_all_at(piece_bytes, at as u64)?;
            self.file.sync_data()?;
            taken.saturating_record(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
            at += piece;
            done += 1;
        }
        let rate = done as f64 / started.elapsed().as_secs_f64();
        Ok(Sample { round, rate, bytes_per_second: rate * piece as f64, latency: latency(&taken), ..Sample::default() })
    }
}

/// Appends with fdatasync into space that is reserved and was never written, as that of a new file: bytes per second. A file
/// system has to note with each sync what has been written, and cannot be spared that but by writing everything twice.
///
/// # Errors
/// When the file cannot be written.
pub fn fresh(dir: &Path, time: Duration) -> Result<f64, BenchError> {
    let mut piece = vec![0; FRESH_PIECE];
    Random::new(3).fill(&mut piece);
    let path = dir.join("fresh");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, SPACE as u64)?;
    file.sync_all()?;
    let started = Instant::now();
    let mut at = 0;
    while started.elapsed() < time && at + FRESH_PIECE <= SPACE {
        file.write_all_at(&piece, at as u64)?;
        file.sync_data()?;
        at += FRESH_PIECE;
    }
    let rate = at as f64 / started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// Appends of `piece` bytes with fdatasync by as many threads as there are files, each to a file of its own of written space.
///
/// # Errors
/// When a file cannot be written.
pub fn parallel(dir: &Path, files: usize, piece: usize, time: Duration, round: usize) -> Result<Sample, BenchError> {
    let mut spaces = Vec::with_capacity(files);
    for index in 0..files {
        let file =
            OpenOptions::new().create(true).truncate(true).write(true).open(dir.join(format!("file-{index}")))?;
        file.write_all_at(&vec![0; PARALLEL_SPACE], 0)?;
        file.sync_all()?;
        spaces.push(file);
    }
    let noise = {
        let mut noise = vec![0; piece];
        Random::new(2).fill(&mut noise);
        noise
    };
    let started = Instant::now();
    let append = |file: &File| -> std::io::Result<u64> {
        let (mut done, mut at) = (0, 0);
        while started.elapsed() < time {
            if at + piece > PARALLEL_SPACE {
                at = 0;
            }
            file.write_all_at(&noise, at as u64)?;
            file.sync_data()?;
            at += piece;
            done += 1;
        }
        Ok(done)
    };
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = spaces.iter().map(|file| scope.spawn(|| append(file))).collect();
        threads.into_iter().try_fold(0, |all, thread| {
            let done = thread.join().map_err(|_| std::io::Error::other("a thread of the raw loop broke off"))?;
            done.map(|done| all + done)
        })
    })?;
    let rate = done as f64 / started.elapsed().as_secs_f64();
    std::fs::remove_dir_all(dir)?;
    Ok(Sample { round, rate, bytes_per_second: rate * piece as f64, ..Sample::default() })
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A file that stays behind is in the bench's own directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// All files under a directory.
///
/// # Errors
/// When it cannot be listed.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>, BenchError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(files(&entry.path())?),
            // What was deleted meanwhile takes no part.
            Err(_) => {}
            Ok(_) => found.push(entry.path()),
        }
    }
    Ok(found)
}

/// Bytes of all files under a directory.
///
/// # Errors
/// When it cannot be listed.
pub fn size(dir: &Path) -> Result<u64, BenchError> {
    Ok(files(dir)?.iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum())
}

/// How often what is still in the page cache is put out of it, and the pause between: a page that is in use stays.
const COOLINGS: usize = 10;
const BETWEEN_COOLINGS: Duration = Duration::from_millis(200);

/// Puts all files under a directory out of the page cache, and checks that they are.
///
/// # Errors
/// When more than a hundredth of them is still there.
pub fn cool(dir: &Path) -> Result<(), BenchError> {
    let files = files(dir)?;
    let (mut looked, mut there) = (0, 0);
    for attempt in 0..COOLINGS {
        if attempt > 0 {
            std::thread::sleep(BETWEEN_COOLINGS);
        }
        (looked, there) = (0, 0);
        for path in &files {
            let file = File::open(path)?;
            // Only what is on disk can be given up.
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
            let (pages, cached) = cached(&file)?;
            looked += pages;
            there += cached;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
        if there * 100 <= looked {
            return Ok(());
        }
    }
    Err(BenchError::Conditions(format!("{there} of {looked} pages looked at are still in the page cache")))
}

/// Looks at a page in every MiB of a file: (pages looked at, pages in the cache).
///
/// `mincore` would need a mapping, which is not to be had without unsafe code. A read that may not wait says the same: it
/// fails for what is not in the page cache. With the advice `Random` such a read fetches no neighbours.
fn cached(file: &File) -> Result<(u64, u64), BenchError> {
    fadvise(file, 0, None, Advice::Random)?;
    let length = file.metadata()?.len();
    let (mut looked, mut there) = (0, 0);
    let mut byte = [0];
    let mut at = 0;
    while at < length {
        // Space that is reserved and not written is read without the device, so it always looks cached.
        at = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        looked += 1;
        let mut into = [std::io::IoSliceMut::new(&mut byte)];
        match rustix::io::preadv2(file, &mut into, at, rustix::io::ReadWriteFlags::NOWAIT) {
            Ok(_) => there += 1,
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        at += 1 << 20;
    }
    Ok((looked, there))
}

/// Reads all files under a directory from end to end, on this thread, in bytes per second.
///
/// # Errors
/// When one cannot be read.
pub fn read_through(dir: &Path, round: usize) -> Result<Sample, BenchError> {
    let mut buffer = vec![0; READ];
    let (mut bytes, mut reads) = (0u64, 0u64);
    let started = Instant::now();
    for path in files(dir)? {
        let file = File::open(path)?;
        fadvise(&file, 0, None, Advice::Sequential)?;
        let mut at = 0;
        loop {
            let read = file.read_at(&mut buffer, at)?;
            if read == 0 {
                break;
            }
            at += read as u64;
            reads += 1;
        }
        bytes += at;
    }
    let seconds = started.elapsed().as_secs_f64().max(1e-9);
    Ok(Sample { round, rate: reads as f64 / seconds, bytes_per_second: bytes as f64 / seconds, ..Sample::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_appended_to_at_once() {
        let dir = std::env::temp_dir().join(format!("millstream-bench-parallel-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let sample = parallel(&dir, 2, 4096, Duration::from_millis(50), 3).unwrap();
        assert!(sample.round == 3 && sample.rate > 0.0 && !dir.exists());
    }

    #[test]
    fn what_was_read_is_seen_in_the_cache() {
        let dir = std::env::temp_dir().join(format!("millstream-bench-cache-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("a"), vec![1; 3 << 20]).unwrap();
        let file = File::open(dir.join("a")).unwrap();
        assert_eq!(cached(&file).unwrap(), (3, 3));
        OpenOptions::new().write(true).open(dir.join("a")).unwrap().set_len(5 << 20).unwrap();
        assert_eq!(cached(&file).unwrap(), (3, 3), "a hole is not looked at");
        assert_eq!(size(&dir).unwrap(), 5 << 20);
        assert_eq!(files(&dir).unwrap().len(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
