//! A simulated machine whose every disk call is counted, so that work without an end is found.

use std::future::Future;
use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use millstream_env::sim::{SimDisk, SimEnv};
use millstream_env::{Disk, DiskEntry, DiskFile, Env, OpenMode};

/// Disk calls and jobs that one examination may take. One of a whole directory takes some thousands.
const BUDGET: u64 = 500_000;

/// A machine with a disk.
pub struct Machine {
    sim: SimEnv,
    env: Env,
    calls: Arc<AtomicU64>,
}

impl Machine {
    /// A machine whose draws follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Machine {
        let sim = SimEnv::new(seed);
        let calls = Arc::new(AtomicU64::new(0));
        let disk = Counted { disk: Arc::clone(&sim.disk), calls: Arc::clone(&calls) };
        let env = Env { disk: Arc::new(disk), ..sim.env() };
        Machine { sim, env, calls }
    }

    /// What components are given.
    #[must_use]
    pub fn env(&self) -> Env {
        self.env.clone()
    }

    /// Its disk.
    #[must_use]
    pub fn disk(&self) -> &dyn Disk {
        &*self.sim.disk
    }

    /// Lets `ms` pass.
    pub fn pass(&self, ms: u64) {
        self.sim.clock.advance(ms);
    }

    /// Runs jobs until none waits.
    pub fn settle(&self) {
        while self.sim.step() {
            count(&self.calls);
        }
    }

    /// Runs a future, and the jobs that it waits for, to its end.
    ///
    /// # Panics
    /// If it waits for nothing, or takes more than the budget.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
            assert!(self.sim.step(), "it hangs: nothing is left to wait for");
            count(&self.calls);
        }
    }
}

fn count(calls: &AtomicU64) {
    let calls = calls.fetch_add(1, Ordering::Relaxed);
    assert!(calls < BUDGET, "it hangs: {BUDGET} disk calls and jobs, and no end");
}

struct Counted {
    disk: Arc<SimDisk>,
    calls: Arc<AtomicU64>,
}

impl Counted {
    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(CountedFile { file, calls: Arc::clone(&self.calls) })
    }
}

impl Disk for Counted {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        count(&self.calls);
        Ok(self.file(self.disk.open(path, mode)?))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        count(&self.calls);
        self.disk.create_dir_all(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        count(&self.calls);
        self.disk.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        count(&self.calls);
        self.disk.hard_link(from, to)
    }
    fn links(&self, path: &Path) -> io::Result<u64> {
        count(&self.calls);
        self.disk.links(path)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        count(&self.calls);
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        count(&self.calls);
        self.disk.remove_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        count(&self.calls);
        self.disk.list(path)
    }
    fn exists(&self, path: &Path) -> bool {
        count(&self.calls);
        self.disk.exists(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        count(&self.calls);
        self.disk.sync_dir(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        count(&self.calls);
        self.disk.free_bytes(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        count(&self.calls);
        Ok(self.file(self.disk.lock(path)?))
    }
}

struct CountedFile {
    file: Box<dyn DiskFile>,
    calls: Arc<AtomicU64>,
}

impl DiskFile for CountedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        count(&self.calls);
        self.file.read_at(buffer, offset)
    }
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        count(&self.calls);
        self.file.write_all_at(parts, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        count(&self.calls);
        self.file.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        count(&self.calls);
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        count(&self.calls);
        self.file.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        count(&self.calls);
        self.file.allocate(len)
    }
}
