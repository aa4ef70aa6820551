//! The machine's own clock, randomness, disk and threads: the one place where they are touched.
#![allow(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use rustix::fs::{Advice, FallocateFlags, FlockOperation};
use rustix::io::Errno;

use crate::{Clock, Disk, DiskEntry, DiskFile, Job, OpenMode, Pool, Random};

/// The machine's clocks. Monotonic time goes on while the machine is suspended.
#[derive(Debug)]
pub struct RealClock {
    start: Duration,
}

impl RealClock {
    /// A clock whose monotonic time starts at 0 now.
    pub fn new() -> RealClock {
        RealClock { start: boot_time() }
    }
}

impl Default for RealClock {
    fn default() -> RealClock {
        RealClock::new()
    }
}

fn boot_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Clock for RealClock {
    fn wall(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
    }

    fn monotonic(&self) -> Duration {
        boot_time().saturating_sub(self.start)
    }
}

/// The operating system's random source.
#[derive(Debug)]
pub struct RealRandom;

impl Random for RealRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness neither keys nor ids can be made: nothing sensible is left to do.
        #[allow(clippy::expect_used)]
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// The machine's file system.
#[derive(Debug)]
pub struct RealDisk;

struct RealFile(File);

/// Bytes to fetch ahead at a time.
const FETCH: u64 = 512 << 10;

/// As many parts as one system call takes.
const PARTS_MAX: usize = 1024;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match mode {
            OpenMode::Read => {}
            OpenMode::Write => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn links(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.nlink())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(DiskEntry { name, is_dir: entry.file_type()?.is_dir() });
        }
        entries.sort();
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(RealFile(file))),
            Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
            Err(e) => Err(e.into()),
        }
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        for parts in parts.chunks(PARTS_MAX) {
            let mut parts = parts.to_vec();
            let mut rest = parts.as_mut_slice();
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                match rustix::io::pwritev(&self.0, rest, offset) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => {
                        offset += n as u64;
                        IoSlice::advance_slices(&mut rest, n);
                    }
                    Err(Errno::INTR) => {}
                    Err(e) => return Err(e.into()),
                }
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let reserved = loop {
            match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        match reserved {
            Ok(()) => Ok(()),
            // A file system without reservation: the write itself will say if space is short.
            Err(Errno::OPNOTSUPP) => self.0.set_len(len.max(self.len()?)),
            Err(e) => Err(e.into()),
        }
    }

    fn will_need(&self, offset: u64, length: u64) {
        // Linux fetches no more at a time than the device's largest request, and forgets the rest.
        let mut at = offset;
        while at < offset + length {
            let piece = NonZeroU64::new(FETCH.min(offset + length - at));
            if rustix::fs::fadvise(&self.0, at, piece, Advice::WillNeed).is_err() {
                return;
            }
            at += FETCH;
        }
    }
}

/// Threads for upkeep. More would fight over the disk with the commits.
const BACKGROUND_THREADS: usize = 2;

/// A fixed number of threads that take jobs in order, and a few more for upkeep.
pub struct ThreadPool {
    jobs: Arc<Queue>,
    background: Arc<Queue>,
}

struct Queue {
    jobs: Mutex<Waiting>,
    /// How many there are, for those who only ask.
    waiting: AtomicUsize,
    wake: Condvar,
}

struct Waiting {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

impl ThreadPool {
    /// Starts `threads` threads, and those for upkeep.
    pub fn new(threads: usize) -> ThreadPool {
        ThreadPool { jobs: Queue::start("io", threads), background: Queue::start("upkeep", BACKGROUND_THREADS) }
    }
}

impl Queue {
    /// A queue with `threads` threads.
    fn start(name: &str, threads: usize) -> Arc<Queue> {
        let queue = Arc::new(Queue {
            jobs: Mutex::new(Waiting { jobs: VecDeque::new(), idle: 0, closed: false }),
            waiting: AtomicUsize::new(0),
            wake: Condvar::new(),
        });
        for number in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            let started = std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || queue.work());
            // A queue with fewer threads still makes progress; one with none cannot.
            #[allow(clippy::expect_used)]
            if number == 0 {
                started.expect("the operating system starts a thread");
            }
        }
        queue
    }

    fn push(&self, job: Job) {
        let mut waiting = self.jobs.lock();
        waiting.jobs.push_back(job);
        self.waiting.store(waiting.jobs.len(), Ordering::Relaxed);
        let wake = waiting.idle > 0;
        drop(waiting);
        if wake {
            self.wake.notify_one();
        }
    }

    fn close(&self) {
        self.jobs.lock().closed = true;
        self.wake.notify_all();
    }

    fn work(&self) {
        let mut waiting = self.jobs.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                self.waiting.store(waiting.jobs.len(), Ordering::Relaxed);
                drop(waiting);
                job();
                waiting = self.jobs.lock();
            } else if waiting.closed {
                return;
            } else {
                waiting.idle += 1;
                self.wake.wait(&mut waiting);
                waiting.idle -= 1;
            }
        }
    }
}

impl Pool for ThreadPool {
    fn spawn(&self, job: Job) {
        self.jobs.push(job);
    }

    fn spawn_background(&self, job: Job) {
        self.background.push(job);
    }

    fn has_waiting(&self) -> bool {
        self.jobs.waiting.load(Ordering::Relaxed) > 0
    }

    fn at_turn_end(&self, work: Job) {
        if let Some(work) = crate::runtime::leave_for_turn_end(work) {
            work();
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.jobs.close();
        self.background.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_wait_where_there_are_more_than_threads() {
        let pool = ThreadPool::new(1);
        assert!(!pool.has_waiting());
        let (begun, begin) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        pool.spawn(Box::new(move || {
            begun.send(()).unwrap();
            held.recv().unwrap_or_default();
        }));
        begin.recv().unwrap();
        assert!(!pool.has_waiting(), "the one job is at work");
        let (done, end) = mpsc::channel();
        pool.spawn(Box::new(move || done.send(()).unwrap()));
        assert!(pool.has_waiting());
        drop(release);
        end.recv().unwrap();
        assert!(!pool.has_waiting());
    }

    #[test]
    fn upkeep_that_takes_long_keeps_no_other_job_waiting() {
        let pool = ThreadPool::new(1);
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..BACKGROUND_THREADS + 1 {
            let held = Arc::clone(&held);
            pool.spawn_background(Box::new(move || held.lock().recv().unwrap_or_default()));
        }
        let (done, end) = mpsc::channel();
        pool.spawn(Box::new(move || done.send(()).unwrap()));
        end.recv().unwrap();
        assert!(!pool.has_waiting(), "upkeep that waits is nobody's concern");
        drop(release);
    }
}
