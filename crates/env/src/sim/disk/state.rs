//! What is on the simulated disk, seen and durable, and what a crash leaves of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Crash;
use super::pages::Pages;
use crate::RandomExt;
use crate::sim::SimRandom;

/// The unit that survives or is lost as a whole.
const SECTOR: usize = 512;

pub(super) type Names = BTreeMap<Arc<Path>, Node>;

/// The content of a disk. A clone shares all bytes.
#[derive(Clone, Default)]
pub(super) struct Content {
    /// What the running process sees.
    pub(super) names: Arc<Names>,
    /// What is on the platter.
    durable: Arc<Names>,
    /// Name changes not yet made durable, oldest first. Each is atomic.
    changes: Vec<Arc<Change>>,
    files: Vec<Arc<FileState>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Node {
    Dir,
    File(usize),
}

struct Change {
    /// Directories whose sync makes the change durable.
    dirs: Vec<PathBuf>,
    set: Vec<(Arc<Path>, Option<Node>)>,
}

#[derive(Default, Clone)]
pub(super) struct FileState {
    pub(super) seen: Pages,
    synced: Pages,
    /// Writes since the last sync, in order.
    pending: Vec<Pending>,
    /// Whether a sync has failed: what is seen is then more than what is synced and pending.
    apart: bool,
    /// Space reserved.
    pub(super) allocated: u64,
}

#[derive(Clone)]
pub(super) enum Pending {
    Write(u64, Arc<[u8]>),
    SetLen(u64),
}

impl Pending {
    fn bytes(&self) -> u64 {
        match self {
            Pending::Write(_, bytes) => bytes.len() as u64,
            Pending::SetLen(_) => 0,
        }
    }

    pub(super) fn end(&self) -> u64 {
        match self {
            Pending::Write(offset, bytes) => offset + bytes.len() as u64,
            Pending::SetLen(len) => *len,
        }
    }

    fn apply(&self, to: &mut Pages) {
        match self {
            Pending::Write(offset, bytes) => to.write(*offset as usize, bytes),
            Pending::SetLen(len) => to.resize(*len as usize),
        }
    }

    /// The parts of it that survive or are lost apart from each other, of which `keep` says which.
    fn part(self, keep: &mut dyn FnMut() -> bool) -> Vec<Pending> {
        let Pending::Write(offset, bytes) = self else { return if keep() { vec![self] } else { Vec::new() } };
        let mut parts = Vec::new();
        let (mut at, mut rest) = (offset as usize, &bytes[..]);
        while !rest.is_empty() {
            let n = (SECTOR - at % SECTOR).min(rest.len());
            if keep() {
                parts.push(Pending::Write(at as u64, Arc::from(&rest[..n])));
            }
            at += n;
            rest = &rest[n..];
        }
        parts
    }
}

impl FileState {
    /// Space that it takes.
    pub(super) fn size(&self) -> u64 {
        (self.seen.len() as u64).max(self.allocated)
    }

    pub(super) fn change(&mut self, pending: Pending) {
        pending.apply(&mut self.seen);
        self.pending.push(pending);
    }

    /// A change of which `keep` says what happens.
    pub(super) fn change_in_part(&mut self, pending: Pending, keep: &mut dyn FnMut() -> bool) {
        for part in pending.part(keep) {
            self.change(part);
        }
    }

    pub(super) fn unsynced(&self) -> u64 {
        self.pending.iter().map(Pending::bytes).sum()
    }

    pub(super) fn sync(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if self.apart {
            pending.iter().for_each(|p| p.apply(&mut self.synced));
        } else {
            self.synced = self.seen.clone();
        }
    }

    /// A sync that fails: the kernel marks the pages clean. They are seen until the power goes, and never written, but for
    /// what `keep` says.
    pub(super) fn fail_sync(&mut self, keep: &mut dyn FnMut() -> bool) {
        for pending in std::mem::take(&mut self.pending) {
            pending.part(keep).iter().for_each(|p| p.apply(&mut self.synced));
        }
        self.apart = true;
    }

    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        self.seen.flip(offset, mask);
        self.synced.flip(offset, mask);
    }

    fn lose_power(&mut self, keep: &mut dyn FnMut() -> bool) {
        for pending in std::mem::take(&mut self.pending) {
            pending.part(keep).iter().for_each(|p| p.apply(&mut self.synced));
        }
        self.seen = self.synced.clone();
        self.apart = false;
        self.allocated = 0;
    }

    fn is_settled(&self) -> bool {
        self.pending.is_empty() && !self.apart && self.allocated == 0
    }
}

fn set(names: &mut Names, change: &Change) {
    for (path, node) in &change.set {
        match node {
            Some(node) => names.insert(Arc::clone(path), *node),
            None => names.remove(path),
        };
    }
}

impl Content {
    pub(super) fn node(&self, path: &Path) -> Option<Node> {
        self.names.get(path).copied()
    }

    pub(super) fn file(&self, id: usize) -> &FileState {
        &self.files[id]
    }

    pub(super) fn file_mut(&mut self, id: usize) -> &mut FileState {
        Arc::make_mut(&mut self.files[id])
    }

    pub(super) fn new_file(&mut self) -> usize {
        self.files.push(Arc::default());
        self.files.len() - 1
    }

    /// Changes names at once; durably when one of `dirs` is synced.
    pub(super) fn rename(&mut self, dirs: Vec<PathBuf>, changes: Vec<(PathBuf, Option<Node>)>) {
        let changes = changes.into_iter().map(|(path, node)| (Arc::from(path), node)).collect();
        let change = Change { dirs, set: changes };
        set(Arc::make_mut(&mut self.names), &change);
        self.changes.push(Arc::new(change));
    }

    /// Makes names durable: those of a directory, of which `keep` says which.
    pub(super) fn sync_dir(&mut self, path: &Path, keep: &mut dyn FnMut() -> bool) {
        for change in std::mem::take(&mut self.changes) {
            if change.dirs.iter().any(|dir| dir == path) && keep() {
                set(Arc::make_mut(&mut self.durable), &change);
            } else {
                self.changes.push(change);
            }
        }
    }

    /// Space that files take.
    pub(super) fn used(&self) -> u64 {
        let node_files = self.names.values().filter_map(|n| if let Node::File(id) = n { Some(*id) } else { None });
        let files: BTreeSet<usize> = node_files.collect();
        files.iter().map(|id| self.files[*id].size()).sum()
    }

    /// All names below a directory.
    pub(super) fn below(&self, path: &Path) -> Vec<PathBuf> {
        self.names.keys().filter(|p| p.starts_with(path) && &***p != path).map(|p| p.to_path_buf()).collect()
    }

    /// What is left after a crash.
    pub(super) fn crash(&mut self, how: Crash, random: &SimRandom) {
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
        let durable = Arc::make_mut(&mut self.durable);
        for change in std::mem::take(&mut self.changes) {
            if keep() {
                set(durable, &change);
            }
        }
        // A name below a directory that did not survive is gone with it.
        let dirs: BTreeSet<Arc<Path>> =
            durable.iter().filter(|(_, n)| **n == Node::Dir).map(|(p, _)| Arc::clone(p)).collect();
        let reachable = |p: &Path| {
            p.ancestors().skip(1).all(|a| a.as_os_str().is_empty() || a == Path::new("/") || dirs.contains(a))
        };
        durable.retain(|path, _| reachable(path));
        self.names = Arc::clone(&self.durable);
        let kept: BTreeSet<usize> =
            self.names.values().filter_map(|n| if let Node::File(id) = n { Some(*id) } else { None }).collect();
        for (id, file) in self.files.iter_mut().enumerate() {
            if !kept.contains(&id) {
                // Nobody can reach it any more.
                *file = Arc::default();
            } else if !file.is_settled() {
                Arc::make_mut(file).lose_power(&mut keep);
            }
        }
    }
}

pub(super) fn parent(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

pub(super) fn not_found<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}
