use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::SimRandom;
use crate::{Disk, DiskEntry, DiskFile, OpenMode, RandomExt};

/// The unit that survives or is lost as a whole.
const SECTOR: usize = 512;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: the kernel keeps all that was written and renamed.
    Kill,
    /// The machine loses power: of what was not synced, any subset of sectors and names survives.
    PowerLoss,
}

/// A disk in memory with the durability of POSIX and no more.
///
/// Faults are injected by the number of the I/O operation (every call that writes, syncs or changes a name counts):
/// [`SimDisk::crash_at`] ends the world there, [`SimDisk::fail_at`] lets one operation fail.
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What the running process sees.
    names: BTreeMap<PathBuf, Node>,
    /// What is on the platter.
    durable: BTreeMap<PathBuf, Node>,
    /// Name changes not yet made durable, oldest first. Each is atomic.
    changes: Vec<Change>,
    files: Vec<FileState>,
    locks: BTreeSet<PathBuf>,
    operations: u64,
    /// Bytes read so far.
    read: u64,
    /// The most bytes that a file had which were written since its last sync.
    unsynced_most: u64,
    crash_at: Option<u64>,
    fail_at: Option<u64>,
    crashed: bool,
    capacity: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    Dir,
    File(usize),
}

struct Change {
    /// Directories whose sync makes the change durable.
    dirs: Vec<PathBuf>,
    set: Vec<(PathBuf, Option<Node>)>,
}

#[derive(Default, Clone)]
struct FileState {
    content: Vec<u8>,
    synced: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<Pending>,
    /// Space reserved.
    allocated: u64,
}

#[derive(Clone)]
enum Pending {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Pending {
    fn bytes(&self) -> u64 {
        match self {
            Pending::Write(_, bytes) => bytes.len() as u64,
            Pending::SetLen(_) => 0,
        }
    }

    fn apply(&self, to: &mut Vec<u8>, keep: &mut dyn FnMut() -> bool) {
        match self {
            Pending::Write(offset, bytes) => {
                let mut at = *offset as usize;
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let n = (SECTOR - at % SECTOR).min(rest.len());
                    if keep() {
                        if to.len() < at + n {
                            to.resize(at + n, 0);
                        }
                        to[at..at + n].copy_from_slice(&rest[..n]);
                    }
                    at += n;
                    rest = &rest[n..];
                }
            }
            Pending::SetLen(len) => {
                if keep() {
                    to.resize(*len as usize, 0);
                }
            }
        }
    }
}

/// Whether an operation goes on, fails, or is the last one of this world.
enum Fate {
    Succeed,
    Fail,
    Crash,
}

fn crashed() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}

impl State {
    fn operation(&mut self) -> io::Result<Fate> {
        if self.crashed {
            return Err(crashed());
        }
        let number = self.operations;
        self.operations += 1;
        if self.crash_at == Some(number) {
            self.crashed = true;
            return Ok(Fate::Crash);
        }
        if self.fail_at == Some(number) {
            self.fail_at = None;
            return Ok(Fate::Fail);
        }
        Ok(Fate::Succeed)
    }

    fn rename_like(&mut self, dirs: Vec<PathBuf>, set: Vec<(PathBuf, Option<Node>)>) -> io::Result<()> {
        let fate = self.operation()?;
        if matches!(fate, Fate::Fail) {
            return Err(io::Error::other("injected failure"));
        }
        for (path, node) in &set {
            match node {
                Some(node) => self.names.insert(path.clone(), *node),
                None => self.names.remove(path),
            };
        }
        self.changes.push(Change { dirs, set });
        if matches!(fate, Fate::Crash) { Err(crashed()) } else { Ok(()) }
    }

    fn used(&self) -> u64 {
        let files: BTreeSet<usize> =
            self.names.values().filter_map(|n| if let Node::File(id) = n { Some(*id) } else { None }).collect();
        files.iter().map(|id| (self.files[*id].content.len() as u64).max(self.files[*id].allocated)).sum()
    }

    fn below(&self, path: &Path) -> Vec<PathBuf> {
        self.names.keys().filter(|p| p.starts_with(path) && *p != path).cloned().collect()
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

impl Default for SimDisk {
    fn default() -> SimDisk {
        SimDisk::new()
    }
}

impl SimDisk {
    /// An empty disk without a limit.
    pub fn new() -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(State { capacity: u64::MAX, ..State::default() })) }
    }

    /// How many operations were done.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
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

    /// Lets operation number `at` fail; what it wrote may be seen but is lost when the power goes.
    pub fn fail_at(&self, at: Option<u64>) {
        self.state.lock().fail_at = at;
    }

    /// Bytes that files take.
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// Limits the space for files.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = bytes;
    }

    /// Changes one byte of a file at rest.
    pub fn flip(&self, path: &Path, offset: usize) {
        let mut state = self.state.lock();
        if let Some(Node::File(id)) = state.names.get(path).copied() {
            let file = &mut state.files[id];
            if let Some(byte) = file.content.get_mut(offset) {
                *byte ^= 0x40;
            }
            if let Some(byte) = file.synced.get_mut(offset) {
                *byte ^= 0x40;
            }
        }
    }

    pub(super) fn crash(&self, how: Crash, random: &SimRandom) {
        let mut state = self.state.lock();
        state.crashed = false;
        state.crash_at = None;
        state.fail_at = None;
        state.locks.clear();
        if how == Crash::Kill {
            return;
        }
        // Sometimes nothing survives, sometimes everything, mostly any subset.
        let mode = random.u64() % 4;
        let mut keep = || match mode {
            0 => false,
            1 => true,
            _ => random.u64().is_multiple_of(2),
        };
        let changes = std::mem::take(&mut state.changes);
        for change in changes {
            if keep() {
                for (path, node) in change.set {
                    match node {
                        Some(node) => state.durable.insert(path, node),
                        None => state.durable.remove(&path),
                    };
                }
            }
        }
        // A name below a directory that did not survive is gone with it.
        let dirs: BTreeSet<PathBuf> =
            state.durable.iter().filter(|(_, n)| **n == Node::Dir).map(|(p, _)| p.clone()).collect();
        let reachable = |p: &Path| {
            p.ancestors().skip(1).all(|a| a.as_os_str().is_empty() || a == Path::new("/") || dirs.contains(a))
        };
        state.durable.retain(|path, _| reachable(path));
        state.names = state.durable.clone();
        for file in &mut state.files {
            let mut survived = std::mem::take(&mut file.synced);
            for pending in std::mem::take(&mut file.pending) {
                pending.apply(&mut survived, &mut keep);
            }
            file.content = survived.clone();
            file.synced = survived;
            file.allocated = 0;
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        if state.crashed {
            return Err(crashed());
        }
        let id = match (mode, state.names.get(path).copied()) {
            (OpenMode::CreateNew, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::CreateNew, None) => {
                if state.names.get(&parent(path)) != Some(&Node::Dir) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let id = state.files.len();
                state.files.push(FileState::default());
                state.rename_like(vec![parent(path)], vec![(path.to_path_buf(), Some(Node::File(id)))])?;
                id
            }
            (_, Some(Node::File(id))) => id,
            (_, Some(Node::Dir)) => return Err(io::ErrorKind::IsADirectory.into()),
            (_, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(SimFile { state: Arc::clone(&self.state), id, lock: None }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let missing: Vec<PathBuf> = path
            .ancestors()
            .filter(|a| !a.as_os_str().is_empty() && *a != Path::new("/") && !state.names.contains_key(*a))
            .map(Path::to_path_buf)
            .collect();
        for dir in missing.into_iter().rev() {
            state.rename_like(vec![parent(&dir)], vec![(dir, Some(Node::Dir))])?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let Some(node) = state.names.get(from).copied() else { return Err(io::ErrorKind::NotFound.into()) };
        let mut set = Vec::new();
        if node == Node::Dir {
            for path in state.below(from) {
                let node = state.names.get(&path).copied();
                let moved = to.join(path.strip_prefix(from).map_err(io::Error::other)?);
                set.push((path, None));
                set.push((moved, node));
            }
        }
        set.push((from.to_path_buf(), None));
        set.push((to.to_path_buf(), Some(node)));
        state.rename_like(vec![parent(from), parent(to)], set)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.names.get(from).copied() {
            Some(node @ Node::File(_)) => state.rename_like(vec![parent(to)], vec![(to.to_path_buf(), Some(node))]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.names.get(path) {
            Some(Node::File(_)) => state.rename_like(vec![parent(path)], vec![(path.to_path_buf(), None)]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.names.get(path) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        for below in state.below(path).into_iter().rev() {
            state.rename_like(vec![parent(&below)], vec![(below, None)])?;
        }
        state.rename_like(vec![parent(path)], vec![(path.to_path_buf(), None)])
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        let state = self.state.lock();
        if state.crashed {
            return Err(crashed());
        }
        if state.names.get(path) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(state
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
        self.state.lock().names.contains_key(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.operation()? {
            Fate::Succeed => {}
            Fate::Fail => return Err(io::Error::other("injected failure")),
            Fate::Crash => return Err(crashed()),
        }
        let changes = std::mem::take(&mut state.changes);
        for change in changes {
            if change.dirs.iter().any(|d| d == path) {
                for (path, node) in change.set {
                    match node {
                        Some(node) => state.durable.insert(path, node),
                        None => state.durable.remove(&path),
                    };
                }
            } else {
                state.changes.push(change);
            }
        }
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        Ok(state.capacity.saturating_sub(state.used()))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        if self.state.lock().locks.contains(path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if !self.exists(path) {
            drop(self.open(path, OpenMode::CreateNew)?);
        }
        let mut state = self.state.lock();
        state.locks.insert(path.to_path_buf());
        match state.names.get(path).copied() {
            Some(Node::File(id)) => {
                Ok(Box::new(SimFile { state: Arc::clone(&self.state), id, lock: Some(path.to_path_buf()) }))
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    id: usize,
    lock: Option<PathBuf>,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if let Some(path) = &self.lock {
            self.state.lock().locks.remove(path);
        }
    }
}

impl SimFile {
    fn change(&self, grow_to: u64, pending: Pending) -> io::Result<()> {
        let mut state = self.state.lock();
        let file = &state.files[self.id];
        let have = (file.content.len() as u64).max(file.allocated);
        if grow_to > have && state.used() + (grow_to - have) > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let fate = state.operation()?;
        if matches!(fate, Fate::Fail) {
            return Err(io::Error::other("injected failure"));
        }
        let file = &mut state.files[self.id];
        pending.apply(&mut file.content, &mut || true);
        file.pending.push(pending);
        let unsynced = file.pending.iter().map(Pending::bytes).sum();
        state.unsynced_most = state.unsynced_most.max(unsynced);
        if matches!(fate, Fate::Crash) { Err(crashed()) } else { Ok(()) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.crashed {
            return Err(crashed());
        }
        let content = &state.files[self.id].content;
        let start = (offset as usize).min(content.len());
        let n = buffer.len().min(content.len() - start);
        buffer[..n].copy_from_slice(&content[start..start + n]);
        state.read += n as u64;
        Ok(n)
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let bytes: Vec<u8> = parts.iter().flat_map(|p| p.iter().copied()).collect();
        self.change(offset + bytes.len() as u64, Pending::Write(offset, bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let fate = state.operation()?;
        let file = &mut state.files[self.id];
        match fate {
            Fate::Succeed => {
                for pending in std::mem::take(&mut file.pending) {
                    pending.apply(&mut file.synced, &mut || true);
                }
                Ok(())
            }
            Fate::Fail => {
                // The kernel marks the pages clean: they are seen until the power goes, and never written.
                file.pending.clear();
                Err(io::Error::other("injected failure"))
            }
            Fate::Crash => Err(crashed()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().files[self.id].content.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(len, Pending::SetLen(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let file = &state.files[self.id];
        let have = (file.content.len() as u64).max(file.allocated);
        if len > have && state.used() + (len - have) > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = &mut state.files[self.id];
        file.allocated = file.allocated.max(len);
        if (file.content.len() as u64) < len {
            drop(state);
            return self.set_len(len);
        }
        Ok(())
    }
}
