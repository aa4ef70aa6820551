//! A disk in memory with the durability of POSIX and no more, and with every fault that a disk can have.

mod fault;
mod file;
mod pages;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use fault::{Fault, ReadFault};

use super::trace::Trace;
use super::{SimClock, SimRandom};
use crate::{Disk, DiskEntry, DiskFile, OpenMode, RandomExt};
use fault::{crashed, failed};
use file::SimFile;
use state::{Content, Node, not_found, parent};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: the kernel keeps all that was written and renamed.
    Kill,
    /// The machine loses power: of what was not synced, any subset of sectors and names survives.
    PowerLoss,
}

/// A disk in memory. Clones are the same disk.
///
/// Faults are injected by the number of the I/O operation. Every call that writes, syncs or changes a name counts as an
/// operation; calls that read bytes have numbers of their own. [`SimDisk::crash_at`] ends the world at an operation,
/// [`SimDisk::inject`] and [`SimDisk::inject_read`] let one fail, [`SimDisk::keep_images`] keeps what the disk held before
/// each of them, to crash there without having to run everything again.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    content: Content,
    locks: BTreeSet<PathBuf>,
    operations: u64,
    reads: u64,
    /// Bytes read so far.
    read: u64,
    /// The most bytes that a file had which were written since its last sync.
    unsynced_most: u64,
    crash_at: Option<u64>,
    faults: BTreeMap<u64, Fault>,
    read_faults: BTreeMap<u64, ReadFault>,
    crashed: bool,
    capacity: u64,
    /// Draws what faults do.
    chance: Arc<SimRandom>,
    /// Moved by operations that are slow.
    clock: Option<Arc<SimClock>>,
    trace: Trace,
    /// One of so many operations has its image kept.
    keep_every: Option<u64>,
    images: Vec<DiskImage>,
}

/// What a disk held before one of its operations.
#[derive(Clone)]
pub struct DiskImage {
    /// The operation.
    pub operation: u64,
    content: Content,
}

/// How an operation goes on.
struct Fate {
    fault: Option<Fault>,
    /// The world ends with it: it happens, perhaps in part, and nobody is told.
    last: bool,
}

impl Default for SimDisk {
    fn default() -> SimDisk {
        SimDisk::new()
    }
}

impl SimDisk {
    /// An empty disk without a limit.
    pub fn new() -> SimDisk {
        SimDisk::with(Content::default(), Arc::new(SimRandom::new(0)), None, Trace::default())
    }

    pub(super) fn with_parts(chance: Arc<SimRandom>, clock: Arc<SimClock>, trace: Trace) -> SimDisk {
        SimDisk::with(Content::default(), chance, Some(clock), trace)
    }

    fn with(content: Content, chance: Arc<SimRandom>, clock: Option<Arc<SimClock>>, trace: Trace) -> SimDisk {
        let state = State {
            content,
            locks: BTreeSet::new(),
            operations: 0,
            reads: 0,
            read: 0,
            unsynced_most: 0,
            crash_at: None,
            faults: BTreeMap::new(),
            read_faults: BTreeMap::new(),
            crashed: false,
            capacity: u64::MAX,
            chance,
            clock,
            trace,
            keep_every: None,
            images: Vec::new(),
        };
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// A disk that holds what an image shows.
    pub(super) fn of_image(image: &DiskImage, chance: Arc<SimRandom>, clock: Arc<SimClock>, trace: Trace) -> SimDisk {
        SimDisk::with(image.content.clone(), chance, Some(clock), trace)
    }

    /// How many operations were done.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// How many reads were done.
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// How many bytes were read.
    pub fn bytes_read(&self) -> u64 {
        self.state.lock().read
    }

    /// The most bytes that any one file has had since the last call that were written and not synced.
    pub fn take_unsynced_most(&self) -> u64 {
        std::mem::take(&mut self.state.lock().unsynced_most)
    }

    /// Ends the world at operation number `at`, counted over the disk's life: it may happen in part, later ones fail.
    pub fn crash_at(&self, at: Option<u64>) {
        self.state.lock().crash_at = at;
    }

    /// Whether the world has ended.
    pub fn has_crashed(&self) -> bool {
        self.state.lock().crashed
    }

    /// Ends the world now.
    pub fn crash_now(&self) {
        self.state.lock().crashed = true;
    }

    /// Lets operation number `at` meet a fault, once.
    pub fn inject(&self, at: u64, fault: Fault) {
        self.state.lock().faults.insert(at, fault);
    }

    /// Lets read number `at` meet a fault, once.
    pub fn inject_read(&self, at: u64, fault: ReadFault) {
        self.state.lock().read_faults.insert(at, fault);
    }

    /// Takes back the faults that were not met yet. Gives how many there were.
    pub fn clear_faults(&self) -> usize {
        let mut state = self.state.lock();
        let left = state.faults.len() + state.read_faults.len();
        state.faults.clear();
        state.read_faults.clear();
        left
    }

    /// Keeps an image before one of every `every` operations, drawn at random; `None` ends it.
    pub fn keep_images(&self, every: Option<u64>) {
        self.state.lock().keep_every = every;
    }

    /// Gives the images kept since the last call.
    pub fn take_images(&self) -> Vec<DiskImage> {
        std::mem::take(&mut self.state.lock().images)
    }

    /// What the disk holds now.
    pub fn image(&self) -> DiskImage {
        let state = self.state.lock();
        DiskImage { operation: state.operations, content: state.content.clone() }
    }

    /// Bytes that files take.
    pub fn used(&self) -> u64 {
        self.state.lock().content.used()
    }

    /// Limits the space for files.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = bytes;
    }

    /// Changes one bit of a file at rest.
    pub fn flip(&self, path: &Path, offset: usize) {
        let mut state = self.state.lock();
        if let Some(Node::File(id)) = state.content.node(path) {
            state.content.file_mut(id).flip(offset, 0x40);
        }
    }

    /// Every file, with its length.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state.lock();
        let files = state.content.names.iter().filter_map(|(path, node)| match node {
            Node::File(id) => Some((path.to_path_buf(), state.content.file(*id).seen.len() as u64)),
            Node::Dir => None,
        });
        files.collect()
    }

    pub(super) fn crash(&self, how: Crash, random: &SimRandom) {
        let mut state = self.state.lock();
        state.crashed = false;
        state.crash_at = None;
        state.faults.clear();
        state.read_faults.clear();
        state.locks.clear();
        state.images.clear();
        state.content.crash(how, random);
    }

    /// Counts an operation and draws its fate. `what` says what it does, and what it writes.
    fn operation<'a>(&self, what: impl FnOnce() -> (String, Option<&'a Arc<[u8]>>)) -> io::Result<Fate> {
        let (fate, slow) = {
            let mut state = self.state.lock();
            if state.crashed {
                return Err(crashed());
            }
            let number = state.operations;
            if let Some(every) = state.keep_every
                && state.chance.u64().is_multiple_of(every)
            {
                let content = state.content.clone();
                state.images.push(DiskImage { operation: number, content });
            }
            state.operations += 1;
            let last = state.crash_at == Some(number);
            state.crashed |= last;
            let fault = state.faults.remove(&number).filter(|_| !last);
            if state.trace.is_on() {
                let (line, bytes) = what();
                state.trace.digest(line.as_bytes());
                state.trace.digest(bytes.map_or(&[], |bytes| bytes));
                let fate =
                    if last { " and crash".to_owned() } else { fault.map_or(String::new(), |f| format!(" {f:?}")) };
                state.trace.note(|| format!("operation {number}: {line}{fate}"));
            }
            let slow = match (fault, &state.clock) {
                (Some(Fault::Slow(ms)), Some(clock)) => Some((Arc::clone(clock), ms)),
                _ => None,
            };
            (Fate { fault, last }, slow)
        };
        if let Some((clock, ms)) = slow {
            clock.advance(ms);
        }
        Ok(fate)
    }

    fn rename_like(&self, what: &str, dirs: Vec<PathBuf>, set: Vec<(PathBuf, Option<Node>)>) -> io::Result<()> {
        let fate = self.operation(|| (format!("{what} {}", set[0].0.display()), None))?;
        let mut state = self.state.lock();
        match fate.fault {
            Some(Fault::Fail) => return Err(failed()),
            Some(Fault::Full) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Torn) => {
                state.content.rename(dirs, set);
                return Err(failed());
            }
            Some(Fault::Slow(_)) | None => {}
        }
        state.content.rename(dirs, set);
        if fate.last { Err(crashed()) } else { Ok(()) }
    }

    fn node(&self, path: &Path) -> Option<Node> {
        self.state.lock().content.node(path)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        if self.has_crashed() {
            return Err(crashed());
        }
        let id = match (mode, self.node(path)) {
            (OpenMode::CreateNew, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::CreateNew, None) => {
                if self.node(&parent(path)) != Some(Node::Dir) {
                    return not_found();
                }
                let id = self.state.lock().content.new_file();
                self.rename_like("create", vec![parent(path)], vec![(path.to_path_buf(), Some(Node::File(id)))])?;
                id
            }
            (_, Some(Node::File(id))) => id,
            (_, Some(Node::Dir)) => return Err(io::ErrorKind::IsADirectory.into()),
            (_, None) => return not_found(),
        };
        self.state.lock().trace.note(|| format!("open {} as file {id}", path.display()));
        Ok(Box::new(SimFile { disk: self.clone(), id, lock: None }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<PathBuf> = path
            .ancestors()
            .filter(|a| !a.as_os_str().is_empty() && *a != Path::new("/") && self.node(a).is_none())
            .map(Path::to_path_buf)
            .collect();
        for dir in missing.into_iter().rev() {
            self.rename_like("make directory", vec![parent(&dir)], vec![(dir, Some(Node::Dir))])?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let Some(node) = self.node(from) else { return not_found() };
        let mut set = vec![(from.to_path_buf(), None)];
        if node == Node::Dir {
            let state = self.state.lock();
            for path in state.content.below(from) {
                let node = state.content.node(&path);
                let moved = to.join(path.strip_prefix(from).map_err(io::Error::other)?);
                set.push((path, None));
                set.push((moved, node));
            }
        }
        set.push((to.to_path_buf(), Some(node)));
        self.rename_like("rename", vec![parent(from), parent(to)], set)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.node(from) {
            Some(node @ Node::File(_)) => {
                self.rename_like("link", vec![parent(to)], vec![(to.to_path_buf(), Some(node))])
            }
            _ => not_found(),
        }
    }

    fn links(&self, path: &Path) -> io::Result<u64> {
        match self.node(path) {
            Some(node @ Node::File(_)) => {
                let names = Arc::clone(&self.state.lock().content.names);
                Ok(names.values().filter(|other| **other == node).count() as u64)
            }
            _ => not_found(),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        match self.node(path) {
            Some(Node::File(_)) => self.rename_like("remove", vec![parent(path)], vec![(path.to_path_buf(), None)]),
            _ => not_found(),
        }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        if self.node(path) != Some(Node::Dir) {
            return not_found();
        }
        let below = self.state.lock().content.below(path);
        for below in below.into_iter().rev() {
            self.rename_like("remove", vec![parent(&below)], vec![(below, None)])?;
        }
        self.rename_like("remove", vec![parent(path)], vec![(path.to_path_buf(), None)])
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        let state = self.state.lock();
        if state.crashed {
            return Err(crashed());
        }
        if state.content.node(path) != Some(Node::Dir) {
            return not_found();
        }
        Ok(state
            .content
            .names
            .iter()
            .filter(|(p, _)| p.parent() == Some(path))
            .filter_map(|(p, node)| {
                let name = p.file_name()?.to_string_lossy().into_owned();
                Some(DiskEntry { name, is_dir: *node == Node::Dir })
            })
            .collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.node(path).is_some()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let fate = self.operation(|| (format!("sync directory {}", path.display()), None))?;
        let mut state = self.state.lock();
        if fate.last {
            return Err(crashed());
        }
        match fate.fault {
            None | Some(Fault::Slow(_)) => {
                state.content.sync_dir(path, &mut || true);
                return Ok(());
            }
            Some(Fault::Torn) => {
                let random = Arc::clone(&state.chance);
                state.content.sync_dir(path, &mut || random.u64().is_multiple_of(2));
            }
            Some(Fault::Fail | Fault::Full) => {}
        }
        Err(failed())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        Ok(state.capacity.saturating_sub(state.content.used()))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        if self.state.lock().locks.contains(path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if !self.exists(path) {
            drop(self.open(path, OpenMode::CreateNew)?);
        }
        let Some(Node::File(id)) = self.node(path) else { return not_found() };
        self.state.lock().locks.insert(path.to_path_buf());
        Ok(Box::new(SimFile { disk: self.clone(), id, lock: Some(path.to_path_buf()) }))
    }
}
