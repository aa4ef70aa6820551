//! Room on the disk: segment files made ready ahead of need, the reserve for a full disk, and the trash.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use metrics::gauge;
use millstream_env::{Disk, DiskFile, Env, OpenMode};
use parking_lot::Mutex;

use super::recovery::segments_in;
use super::state::{Active, Content};
use super::stream::{OpenLog, Stream};
use super::{Durability, SegmentConfig, Shared, segment_name};
use crate::metrics::DISK_FREE;

/// Zeros are written in pieces of this size, each synced, so that commits get their turn at the disk.
const ZERO_PIECE: u64 = 256 << 10;

/// The next segment is made ready while the present one fills from the first part to the second: a little at a time, since
/// all at once would keep the disk from the commits for as long as it takes.
const PREPARE: (f64, f64) = (0.25, 0.85);

/// Filling with zeros makes small commits' syncs cheaper and doubles the bytes written: large commits do better without.
const ZERO_FILL_BELOW: u64 = 128 << 10;

/// The file for the next segment.
pub(crate) enum Spare {
    None,
    /// A job is at it.
    Preparing,
    /// Filled as far as the present segment is: the rest has time.
    Partly(Filling),
    /// Written space of this size, under the name `spare`.
    Ready(u64),
}

/// A file that is being filled with zeros, under the name `spare.tmp`. All of its space is reserved.
#[derive(Clone, Copy)]
pub(crate) struct Filling {
    size: u64,
    filled: u64,
}

impl Spare {
    /// Takes what can be used as a segment's file, filled or not. One that a job is at stays: two jobs must never fill one
    /// name.
    pub(crate) fn take(&mut self) -> Spare {
        match self {
            Spare::Ready(_) | Spare::Partly(_) => std::mem::replace(self, Spare::None),
            Spare::None | Spare::Preparing => Spare::None,
        }
    }

    /// The file's name and size.
    fn file(&self) -> Option<(&'static str, u64)> {
        match self {
            Spare::Ready(size) => Some((SPARE, *size)),
            Spare::Partly(filling) => Some((MAKING, filling.size)),
            Spare::None | Spare::Preparing => None,
        }
    }
}

/// What is to be done about a full disk.
const FREE: &str = "delete streams, shorten their retention, or give the disk more room";

/// The engine's view of the disk.
pub(crate) struct Space {
    full: AtomicBool,
    reserve: PathBuf,
    has_reserve: Mutex<bool>,
    free: AtomicU64,
    /// What may be used of [`SegmentConfig::max_bytes`].
    left: AtomicU64,
    /// The directories of regions whose own names are durable.
    rooted: Mutex<BTreeSet<PathBuf>>,
    trash: Mutex<Trash>,
}

/// Whether the trash is being emptied.
#[derive(Clone, Copy, Default)]
enum Trash {
    #[default]
    Resting,
    Emptying,
    /// And something was added since this was begun.
    Growing,
}

/// Whether an error says that there is no room.
pub(crate) fn is_full_error(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

impl Space {
    pub(crate) fn open(env: &Env, config: &SegmentConfig) -> Space {
        let reserve = config.dir.join("reserve");
        let space = Space {
            full: AtomicBool::new(false),
            has_reserve: Mutex::new(
                env.disk.open(&reserve, OpenMode::Read).and_then(|f| f.len()).is_ok_and(|len| len >= config.reserve),
            ),
            reserve,
            free: AtomicU64::new(u64::MAX),
            left: AtomicU64::new(u64::MAX),
            rooted: Mutex::default(),
            trash: Mutex::default(),
        };
        space.look(env, config);
        space
    }

    /// Whether puts are refused for want of room.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// A write met a full disk: puts stop, and the reserve is given up so that what frees space can go on.
    pub(crate) fn meet_full_disk(&self, shared: &Shared) {
        if !self.full.swap(true, Ordering::AcqRel) {
            tracing::error!("the disk is full: puts are refused until there is space again");
        }
        self.release(&shared.env);
    }

    fn release(&self, env: &Env) {
        let mut has = self.has_reserve.lock();
        if *has && env.disk.remove_file(&self.reserve).is_ok() {
            *has = false;
        }
    }

    /// Free space as puts may use it.
    fn look(&self, env: &Env, config: &SegmentConfig) {
        let Ok(free) = env.disk.free_bytes(&config.dir) else { return };
        let used = if config.max_bytes == u64::MAX { 0 } else { used_bytes(env, &config.dir) };
        let left = config.max_bytes.saturating_sub(used);
        let capped = left == 0;
        self.left.store(left, Ordering::Relaxed);
        self.free.store(free, Ordering::Relaxed);
        gauge!(DISK_FREE).set(free as f64);
        let full = self.full.load(Ordering::Acquire);
        let mut has = self.has_reserve.lock();
        if capped || (!full && free < config.min_free) {
            if !full {
                let max = config.max_bytes;
                tracing::error!(free, min_free = config.min_free, max, "too little space: puts are refused");
                self.full.store(true, Ordering::Release);
            }
        } else if full && free >= config.min_free.saturating_add(if *has { 0 } else { config.reserve }) {
            if !*has && config.reserve > 0 {
                *has = make_reserve(env, &self.reserve, config.reserve).is_ok();
            }
            if *has || config.reserve == 0 {
                tracing::info!(free, "there is space again: puts go on");
                self.full.store(false, Ordering::Release);
            }
        } else if !full && !*has && config.reserve > 0 && free >= config.min_free.saturating_add(config.reserve) {
            *has = make_reserve(env, &self.reserve, config.reserve).is_ok();
        }
    }

    pub(crate) fn tick(&self, shared: &Arc<Shared>) {
        self.look(&shared.env, &shared.config);
    }

    /// Whether so many bytes may be used for what can be done without: puts would not be refused because of them.
    pub(crate) fn has_room(&self, shared: &Shared, bytes: u64) -> bool {
        let free = shared.env.disk.free_bytes(&shared.config.dir).unwrap_or(0);
        let least = shared.config.min_free.saturating_add(bytes);
        !self.is_full() && free >= least && self.left.load(Ordering::Relaxed) >= bytes
    }

    pub(crate) fn problem(&self) -> Option<String> {
        let free = self.free.load(Ordering::Relaxed);
        self.is_full().then(|| format!("the disk is full ({free} bytes free): puts are refused, and go on by themselves when there is space; {FREE}"))
    }
}

/// What the files below a directory take.
fn used_bytes(env: &Env, dir: &Path) -> u64 {
    let entries = env.disk.list(dir).unwrap_or_default().into_iter().map(|entry| {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            used_bytes(env, &path)
        } else {
            env.disk.open(&path, OpenMode::Read).and_then(|f| f.len()).unwrap_or(0)
        }
    });
    entries.sum()
}

fn make_reserve(env: &Env, path: &Path, size: u64) -> io::Result<()> {
    let file = match env.disk.open(path, OpenMode::CreateNew) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => env.disk.open(path, OpenMode::Write)?,
        other => other?,
    };
    let made = file.allocate(size);
    if made.is_err() {
        drop(env.disk.remove_file(path));
    }
    made
}

/// How large the next segment should be: four times the last one while it fills up, never beyond the limits. One that
/// was sealed by age, hardly used, is followed by a small one.
pub(crate) fn next_size(config: &SegmentConfig, last: u64, used: u64) -> u64 {
    let wanted = if used * 2 >= last { last.saturating_mul(4) } else { used.saturating_mul(2) };
    wanted.clamp(config.segment_min, config.segment_max)
}

/// How far a spare of that size should be filled by now, in bytes.
fn wanted(active: &Active, size: u64) -> u64 {
    let (from, to) = PREPARE;
    let used = active.position as f64 / active.capacity.max(1) as f64;
    ((used - from) / (to - from) * size as f64) as u64
}

/// Makes the next segment's file ready in the background while the present one fills. On a full disk it is given up: what
/// frees space needs it more.
pub(crate) fn prepare_spare(stream: &Arc<Stream>, log: &mut OpenLog) {
    if stream.shared.space.is_full() {
        if let Some((name, _)) = log.spare.file() {
            log.spare = Spare::Preparing;
            give_up_later(stream, name);
        }
        return;
    }
    let config = &stream.shared.config;
    let size = next_size(config, log.active.capacity, log.active.capacity);
    if wanted(&log.active, size) == 0 {
        return;
    }
    match std::mem::replace(&mut log.spare, Spare::Preparing) {
        Spare::None => {
            let commits = log.next_commit.saturating_sub(log.active.header.first_commit).max(1);
            if config.durability == Durability::None || log.active.position / commits >= ZERO_FILL_BELOW {
                log.spare = Spare::None;
                return;
            }
            fill_later(stream, None, size);
        }
        Spare::Partly(filling) if filling.filled < wanted(&log.active, filling.size) => {
            let size = filling.size;
            fill_later(stream, Some(filling), size);
        }
        other => log.spare = other,
    }
}

fn give_up_later(stream: &Arc<Stream>, name: &'static str) {
    let stream = Arc::clone(stream);
    let pool = Arc::clone(&stream.shared.env.pool);
    pool.spawn_background(Box::new(move || {
        if let Err(e) = stream.shared.env.disk.remove_file(&stream.dir.join(name)) {
            tracing::debug!(log = %stream.id, name, "cannot remove a prepared segment: {e}");
        }
        stream.if_open(|log| log.spare = Spare::None);
    }));
}

/// Fills a piece of the next segment's file in the background, and more as long as the writer comes closer: of the file
/// that is `begun`, or else of a new one.
fn fill_later(stream: &Arc<Stream>, begun: Option<Filling>, size: u64) {
    let stream = Arc::clone(stream);
    let pool = Arc::clone(&stream.shared.env.pool);
    pool.spawn_background(Box::new(move || {
        let filling = begun.map_or_else(|| begin_filling(&stream, size), Ok);
        let spare = filling.and_then(|filling| fill_piece(&stream, filling)).unwrap_or_else(|e| {
            tracing::debug!(log = %stream.id, "cannot prepare a segment: {e}");
            drop(stream.shared.env.disk.remove_file(&stream.dir.join(MAKING)));
            Spare::None
        });
        let more = stream.if_open(|log| match spare {
            Spare::Partly(filling) if filling.filled < wanted(&log.active, size) => Some(filling),
            spare => {
                log.spare = spare;
                None
            }
        });
        if let Some(more @ Some(_)) = more {
            // Anew each time: other logs' turns come between.
            fill_later(&stream, more, size);
        }
    }));
}

/// The names of a spare that is ready, and of one that is not.
const SPARE: &str = "spare";
const MAKING: &str = "spare.tmp";

fn begin_filling(stream: &Stream, size: u64) -> io::Result<Filling> {
    if !stream.shared.space.has_room(&stream.shared, size) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let file = create_anew(&*stream.shared.env.disk, &stream.dir.join(MAKING))?;
    file.allocate(size)?;
    Ok(Filling { size, filled: 0 })
}

/// A new file under that name, whatever a work that was broken off has left there.
pub(crate) fn create_anew(disk: &dyn Disk, path: &Path) -> io::Result<Box<dyn DiskFile>> {
    if disk.exists(path) {
        disk.remove_file(path)?;
    }
    disk.open(path, OpenMode::CreateNew)
}

fn fill_piece(stream: &Stream, mut filling: Filling) -> io::Result<Spare> {
    let disk = &stream.shared.env.disk;
    let making = stream.dir.join(MAKING);
    let piece = ZERO_PIECE.min(filling.size - filling.filled);
    // Opened each time: a log that rests for long in the middle of it keeps no file open.
    let file = disk.open(&making, OpenMode::Write)?;
    file.write_all_at(&[IoSlice::new(&vec![0; piece as usize])], filling.filled)?;
    file.sync_data()?;
    filling.filled += piece;
    if filling.filled < filling.size {
        return Ok(Spare::Partly(filling));
    }
    disk.rename(&making, &stream.dir.join(SPARE))?;
    Ok(Spare::Ready(filling.size))
}

/// The file for a new segment under the name `temporary`, and how much it holds: the spare if it is large enough for the
/// first commit, else a fresh one.
pub(crate) fn take_file(
    stream: &Stream,
    spare: Spare,
    temporary: &Path,
    size: u64,
    needed: u64,
) -> io::Result<(Arc<dyn DiskFile>, u64)> {
    let disk = &stream.shared.env.disk;
    if let Some((name, capacity)) = spare.file() {
        let path = stream.dir.join(name);
        if capacity >= needed && disk.exists(&path) {
            disk.rename(&path, temporary)?;
            return Ok((disk.open(temporary, OpenMode::Write)?.into(), capacity));
        }
        // Of no use, it would only take room.
        drop(disk.remove_file(&path));
    }
    let file = create_anew(&**disk, temporary)?;
    file.allocate(size)?;
    Ok((file.into(), size))
}

/// Makes a dropped segment's file the spare, or removes it.
pub(crate) fn recycle(stream: &Stream, number: u64) -> io::Result<()> {
    let disk = &stream.shared.env.disk;
    let path = stream.dir.join(segment_name(number));
    let forget = || {
        stream.shared.files.forget((stream.key, number));
        stream.shared.metas.forget((stream.key, number));
    };
    let size = disk.open(&path, OpenMode::Read).and_then(|f| f.len()).unwrap_or(0);
    // Under another name, a snapshot's, the bytes must stay.
    let ours_alone = disk.links(&path).is_ok_and(|links| links == 1);
    let wanted = stream.if_open(|log| {
        // Readers that hold the old file open would see it change: they find the commits' salt wrong and start over.
        let fits = ours_alone && size * 2 >= log.active.capacity && size > 0;
        let wanted = matches!(log.spare, Spare::None) && fits && !log.sealing.contains_key(&number);
        if wanted {
            log.spare = Spare::Preparing;
        }
        wanted
    });
    if wanted == Some(true) {
        // Its new name must be durable before its bytes change: under the old one they would be another segment's.
        let moved = disk.rename(&path, &stream.dir.join(SPARE)).and_then(|()| disk.sync_dir(&stream.dir));
        forget();
        stream.if_open(|log| log.spare = if moved.is_ok() { Spare::Ready(size) } else { Spare::None });
        moved
    } else {
        let removed = disk.remove_file(&path);
        forget();
        removed
    }
}

/// Makes a new log's directory and its first segment, unless a creation before a restart got that far.
pub(crate) fn create_files(stream: &Stream, descriptor: Bytes) -> io::Result<()> {
    let shared = &stream.shared;
    let disk = &shared.env.disk;
    disk.create_dir_all(&stream.dir)?;
    if segments_in(&**disk, &stream.dir)?.is_empty() {
        let content = Content { descriptor, base: shared.base, ..Content::default() };
        let mut header = shared.new_header(&stream.id, &content, 1, 1);
        header.capacity = shared.config.segment_min.max(header.encode().len() as u64 * 2);
        let bytes = header.encode();
        let temporary = stream.dir.join("next.tmp");
        let file = create_anew(&**disk, &temporary)?;
        file.allocate(header.capacity)?;
        let zeros = vec![0; header.capacity as usize - bytes.len()];
        file.write_all_at(&[IoSlice::new(&bytes), IoSlice::new(&zeros)], 0)?;
        if shared.config.durability != Durability::None {
            file.sync_data()?;
        }
        disk.rename(&temporary, &stream.dir.join(segment_name(1)))?;
    }
    // Also after a restart: the names may have been seen in the page cache only.
    disk.sync_dir(&stream.dir)?;
    let Some(region) = stream.dir.parent() else { return Ok(()) };
    disk.sync_dir(region)?;
    let mut rooted = shared.space.rooted.lock();
    if !rooted.contains(region) {
        for dir in region.ancestors().skip(1) {
            disk.sync_dir(dir)?;
            if dir == shared.config.dir {
                break;
            }
        }
        rooted.insert(region.to_path_buf());
    }
    Ok(())
}

/// Where a deleted log's files are until they are removed.
pub(crate) fn trash_dir(stream: &Stream) -> PathBuf {
    stream.shared.config.dir.join("trash").join(format!("{:016x}", stream.id.incarnation))
}

/// Takes a log's directory out of sight, durably.
pub(crate) fn move_to_trash(stream: &Stream) -> io::Result<()> {
    let disk = &stream.shared.env.disk;
    let trash = stream.shared.config.dir.join("trash");
    if disk.exists(&stream.dir) {
        let to = trash_dir(stream);
        if disk.exists(&to) {
            disk.remove_dir_all(&to)?;
        }
        disk.rename(&stream.dir, &to)?;
    }
    if let Some(parent) = stream.dir.parent()
        && disk.exists(parent)
    {
        disk.sync_dir(parent)?;
    }
    disk.sync_dir(&trash)
}

/// Removes what is in the trash, in the background.
pub(crate) fn empty_trash(shared: &Arc<Shared>) {
    let mut trash = shared.space.trash.lock();
    let before = std::mem::replace(&mut *trash, Trash::Emptying);
    if matches!(before, Trash::Resting) {
        drop(trash);
        remove_later(Arc::clone(shared), None);
    } else {
        *trash = Trash::Growing;
    }
}

/// Removes the next log that comes `after` this one in the trash, and so on: one at a time, so that large ones do not keep
/// all other upkeep waiting.
fn remove_later(shared: Arc<Shared>, after: Option<String>) {
    let pool = Arc::clone(&shared.env.pool);
    pool.spawn_background(Box::new(move || {
        if shared.closing.load(Ordering::Acquire) {
            // The next start goes on with it.
            return;
        }
        let disk = &shared.env.disk;
        let dir = shared.config.dir.join("trash");
        let entries = disk.list(&dir).unwrap_or_default().into_iter().map(|entry| entry.name);
        // After the look: what a snapshot that begins later holds was not there yet.
        {
            let mut trash = shared.space.trash.lock();
            if shared.holds.any() {
                *trash = Trash::Resting;
                return;
            }
        }
        if let Some(name) = entries.into_iter().find(|name| after.as_ref().is_none_or(|after| name > after)) {
            if let Err(e) = disk.remove_dir_all(&dir.join(&name)) {
                tracing::warn!(name, "cannot empty the trash: {e}");
            }
            return remove_later(shared, Some(name));
        }
        let mut trash = shared.space.trash.lock();
        if matches!(*trash, Trash::Growing) {
            *trash = Trash::Emptying;
            drop(trash);
            remove_later(shared, None);
        } else {
            *trash = Trash::Resting;
        }
    }));
}
