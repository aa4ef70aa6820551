//! The segment engine: one log per stream in files of its own, group commit, one writer per log.
//!
//! ```text
//! append ─ join ─► open commit ─ writer: one write, one sync ─► durable ─► waiters, tail cache, readers
//! ```
//! Positions, order and time are assigned when a batch joins (under the log's lock); the writer is a job on the
//! environment's pool that takes the open commit whole while the next one fills. `docs/format.md` has the bytes.

mod base;
mod buffers;
mod check;
mod commit;
mod epoch;
mod files;
mod footer;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod index;
mod meta;
mod problem;
mod read;
mod recovery;
mod regroup;
mod repair;
mod scan;
mod snapshot;
mod space;
mod state;
mod stream;
mod tail;
mod trim;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use metrics::gauge;
use millstream_env::{Env, RandomExt};
use parking_lot::{Mutex, RwLock};

pub use base::set_base;
pub use check::{CheckReport, check};
pub use epoch::write_epoch;
pub use problem::{GivenUp, Problem, Repaired};

use crate::metrics::{LOG_STATE, LOGS, Meters};
use crate::{BoxFuture, Epoch, Log, LogCut, LogError, LogId, LogProblem, Offset, StreamLog};
use buffers::Buffers;
use files::FileCache;
use format::SegmentHeader;
use handle::Handle;
use meta::MetaCache;
use space::Space;
use state::Content;
use stream::Stream;
use tail::TailBudget;

/// How far a fence jumps: past anything that could have been handed out.
pub(crate) const FENCE: u64 = 1 << 32;

/// When an append is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When its commit is synced.
    Fsync,
    /// When its commit is written; it is synced at most this much later. Readers see it then.
    Relaxed(Duration),
    /// When its commit is written; nothing is ever synced. For data that may vanish with the process.
    None,
}

impl Durability {
    pub(crate) fn is_relaxed(self) -> bool {
        !matches!(self, Durability::Fsync)
    }
}

/// Settings of the engine. All sizes in bytes.
#[derive(Clone, Debug)]
pub struct SegmentConfig {
    /// The engine's own directory.
    pub dir: PathBuf,
    /// When an append is acknowledged.
    pub durability: Durability,
    /// Size of a log's first segment; the next ones grow.
    pub segment_min: u64,
    /// Size up to which segments grow.
    pub segment_max: u64,
    /// Memory for the newest records of all logs.
    pub tail_cache: usize,
    /// No more records join while so many bytes of all logs wait to be written. Callers that wait for their appends are
    /// to stay below it by themselves; a batch whose caller has gone is waited for by nobody, and still takes its memory.
    pub in_flight_max: usize,
    /// Memory for the indexes of sealed segments.
    pub index_cache: usize,
    /// Memory at rest for reads from files.
    pub read_buffers: usize,
    /// Segment files kept open.
    pub open_files: usize,
    /// Below this much free space puts are refused.
    pub min_free: u64,
    /// Size of the file that is given up when the disk is full.
    pub reserve: u64,
    /// All that the engine may use (`u64::MAX`: what the disk has).
    pub max_bytes: u64,
    /// A segment with records is sealed at this age, so that disk follows retention.
    pub seal_age: Duration,
}

impl SegmentConfig {
    /// The defaults for a directory.
    pub fn new(dir: impl Into<PathBuf>) -> SegmentConfig {
        SegmentConfig {
            dir: dir.into(),
            durability: Durability::Fsync,
            segment_min: 256 << 10,
            segment_max: 128 << 20,
            tail_cache: 64 << 20,
            in_flight_max: 96 << 20,
            index_cache: 16 << 20,
            read_buffers: 16 << 20,
            open_files: 512,
            min_free: 64 << 20,
            reserve: 16 << 20,
            max_bytes: u64::MAX,
            seal_age: Duration::from_secs(3600),
        }
    }
}

/// What every log of the engine shares.
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) config: SegmentConfig,
    pub(crate) epoch: u64,
    pub(crate) files: FileCache,
    pub(crate) metas: MetaCache,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) tails: TailBudget,
    pub(crate) space: Space,
    pub(crate) regroups: regroup::Queue,
    pub(crate) holds: snapshot::Holds,
    /// No offset below it is given out: those may be in use elsewhere.
    pub(crate) base: Offset,
    pub(crate) closing: AtomicBool,
    pub(crate) meters: Meters,
    next_key: AtomicU64,
}

impl Shared {
    /// The header of a log's segment `number`, begun now, whose first commit is `first_commit`. Who makes the file sets its
    /// capacity.
    pub(crate) fn new_header(&self, id: &LogId, content: &Content, number: u64, first_commit: u64) -> SegmentHeader {
        SegmentHeader {
            id: id.clone(),
            number,
            salt: self.env.random.u64(),
            first_commit,
            epoch: self.epoch,
            created: self.env.clock.now(),
            floor_time: content.floor_time,
            relaxed: self.config.durability.is_relaxed(),
            base: content.base,
            shards: content.starts(),
            descriptor: content.descriptor.clone(),
            capacity: u64::MAX,
        }
    }
}

/// The engine. See the module's documentation.
pub struct SegmentEngine {
    shared: Arc<Shared>,
    streams: Arc<RwLock<BTreeMap<LogId, Arc<Stream>>>>,
    /// Logs still to be recovered in the background.
    cold: Mutex<Vec<Arc<Stream>>>,
    strays: Mutex<Vec<String>>,
    /// Logs that are shown as poisoned or unavailable.
    ill: Mutex<BTreeSet<(String, &'static str)>>,
}

/// Name of a segment file.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:016}.seg")
}

/// The number in a segment file's name; `None` for other files.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() == 16 { digits.parse().ok() } else { None }
}

pub(crate) fn log_error(e: &io::Error) -> LogError {
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::DiskFull,
        _ => LogError::Disk(e.to_string().into()),
    }
}

impl SegmentEngine {
    /// Opens the engine in `config.dir` (created if missing) and takes ownership of its logs under a new epoch. Logs are
    /// recovered on first use and in the background by [`Log::tick`]. The caller holds a lock on the directory.
    pub fn open(env: Env, config: SegmentConfig) -> io::Result<Arc<SegmentEngine>> {
        let disk = &env.disk;
        let streams_dir = config.dir.join("streams");
        for dir in [&config.dir, &streams_dir, &config.dir.join("trash")] {
            disk.create_dir_all(dir)?;
        }
        disk.sync_dir(&config.dir)?;
        if let Some(parent) = config.dir.parent() {
            disk.sync_dir(parent)?;
        }
        let epoch = epoch::raise_epoch(&env, &config.dir, &streams_dir)?;
        let base = base::read_base(&*env.disk, &config.dir)?;
        let space = Space::open(&env, &config);
        let shared = Arc::new(Shared {
            files: FileCache::new(Arc::clone(&env.disk), config.open_files),
            metas: MetaCache::new(config.index_cache),
            buffers: Arc::new(Buffers::new(config.read_buffers)),
            tails: TailBudget::new(config.tail_cache),
            space,
            regroups: regroup::Queue::new(),
            holds: snapshot::Holds::default(),
            epoch,
            base,
            closing: AtomicBool::new(false),
            meters: Meters::new(),
            next_key: AtomicU64::new(0),
            env,
            config,
        });
        let engine = SegmentEngine {
            shared: Arc::clone(&shared),
            streams: Arc::default(),
            cold: Mutex::default(),
            strays: Mutex::default(),
            ill: Mutex::default(),
        };
        engine.find_streams(&streams_dir)?;
        space::empty_trash(&shared);
        Ok(Arc::new(engine))
    }

    fn find_streams(&self, dir: &Path) -> io::Result<()> {
        let disk = &self.shared.env.disk;
        let mut streams = self.streams.write();
        for account in disk.list(dir)?.into_iter().filter(|e| e.is_dir) {
            let account_dir = dir.join(&account.name);
            for region in disk.list(&account_dir)?.into_iter().filter(|e| e.is_dir) {
                let region_dir = account_dir.join(&region.name);
                for stream in disk.list(&region_dir)?.into_iter().filter(|e| e.is_dir) {
                    match u64::from_str_radix(&stream.name, 16) {
                        Ok(incarnation) if stream.name.len() == 16 => {
                            let id = LogId {
                                account: account.name.as_str().into(),
                                region: region.name.as_str().into(),
                                incarnation,
                            };
                            let stream = self.stream(&id);
                            self.cold.lock().push(Arc::clone(&stream));
                            streams.insert(id, stream);
                        }
                        _ => {
                            let stray = region_dir.join(&stream.name);
                            self.strays
                                .lock()
                                .push(format!("{} is not a stream's directory: move it away", stray.display()));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn stream(&self, id: &LogId) -> Arc<Stream> {
        let key = self.shared.next_key.fetch_add(1, Ordering::Relaxed);
        Stream::cold(Arc::clone(&self.shared), id.clone(), key)
    }
}

/// Where a log's files are.
pub(crate) fn stream_dir(config: &SegmentConfig, id: &LogId) -> PathBuf {
    config.dir.join(dir_of(id))
}

/// The same from the engine's directory on.
fn dir_of(id: &LogId) -> PathBuf {
    Path::new("streams").join(&*id.account).join(&*id.region).join(format!("{:016x}", id.incarnation))
}

impl Log for SegmentEngine {
    fn epoch(&self) -> Epoch {
        Epoch(self.shared.epoch)
    }

    fn create(&self, id: &LogId, descriptor: Bytes) -> BoxFuture<'static, Result<Arc<dyn StreamLog>, LogError>> {
        let stream = {
            let mut streams = self.streams.write();
            match streams.get(id) {
                Some(stream) => Arc::clone(stream),
                None => {
                    let stream = self.stream(id);
                    streams.insert(id.clone(), Arc::clone(&stream));
                    stream
                }
            }
        };
        Box::pin(async move {
            stream.create(descriptor).await?;
            Ok(Arc::new(Handle(stream)) as Arc<dyn StreamLog>)
        })
    }

    fn open(&self, id: &LogId) -> Option<Arc<dyn StreamLog>> {
        self.streams.read().get(id).cloned().map(|s| Arc::new(Handle(s)) as Arc<dyn StreamLog>)
    }

    fn delete(&self, id: &LogId) -> BoxFuture<'static, Result<(), LogError>> {
        let stream = self.streams.read().get(id).cloned();
        let Some(stream) = stream else {
            // An earlier process may have removed it and been killed before that was durable.
            let shared = Arc::clone(&self.shared);
            let dir = stream_dir(&shared.config, id).parent().map(Path::to_path_buf).unwrap_or_default();
            return Box::pin(async move {
                let job = Arc::clone(&shared);
                let work = move || if job.env.disk.exists(&dir) { job.env.disk.sync_dir(&dir) } else { Ok(()) };
                match shared.env.pool.run(work).await {
                    Some(synced) => synced.map_err(|e| log_error(&e)),
                    None => Err(LogError::Disk("shutting down".into())),
                }
            });
        };
        let (streams, id) = (Arc::clone(&self.streams), id.clone());
        Box::pin(async move {
            stream.delete().await?;
            streams.write().remove(&id);
            Ok(())
        })
    }

    fn list(&self) -> Vec<LogId> {
        self.streams.read().keys().cloned().collect()
    }

    fn tick(&self) {
        self.shared.env.clock.tick();
        self.shared.space.tick(&self.shared);
        self.shared.regroups.tick(&self.shared);
        self.shared.buffers.tick();
        self.shared.meters.in_flight.show();
        if let Some(stream) = self.cold.lock().pop() {
            stream.warm_up();
        }
        let streams: Vec<Arc<Stream>> = self.streams.read().values().cloned().collect();
        let mut states = BTreeMap::from([("cold", 0), ("open", 0), ("poisoned", 0), ("unavailable", 0)]);
        let mut ill = BTreeSet::new();
        for stream in streams {
            stream.tick();
            let state = stream.state_name();
            if let Some(count) = states.get_mut(state) {
                *count += 1;
            }
            if matches!(state, "poisoned" | "unavailable") {
                ill.insert((stream.id.to_string(), state));
            }
        }
        // Only logs that need attention have a series of their own: there may be very many logs.
        let mut shown = self.ill.lock();
        for (log, state) in shown.difference(&ill) {
            gauge!(LOG_STATE, "log" => log.clone(), "state" => *state).set(0.0);
        }
        for (log, state) in &ill {
            gauge!(LOG_STATE, "log" => log.clone(), "state" => *state).set(1.0);
        }
        *shown = ill;
        drop(shown);
        for (state, count) in states {
            gauge!(LOGS, "state" => state).set(f64::from(count));
        }
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.shared.closing.store(true, Ordering::Release);
        let streams: Vec<Arc<Stream>> = self.streams.read().values().cloned().collect();
        Box::pin(async move {
            let stops: Vec<_> = streams.iter().map(|s| s.begin_stop()).collect();
            for stop in stops {
                stop.await;
            }
        })
    }

    fn problems(&self) -> Vec<LogProblem> {
        let shared = self.strays.lock().clone().into_iter().chain(self.shared.space.problem());
        let mut problems: Vec<LogProblem> = shared.map(|what| LogProblem { log: None, what }).collect();
        let streams: Vec<Arc<Stream>> = self.streams.read().values().cloned().collect();
        problems.extend(streams.iter().flat_map(|s| s.problems()));
        problems
    }

    fn prepare_cut(&self) -> BoxFuture<'static, Result<(), LogError>> {
        let streams = self.streams.read().values().cloned().collect();
        Box::pin(snapshot::prepare(Arc::clone(&self.shared), streams))
    }

    fn cut(&self) -> Result<Arc<dyn LogCut>, LogError> {
        let streams = self.streams.read().values().cloned().collect();
        Ok(snapshot::cut(&self.shared, streams))
    }
}

#[cfg(test)]
mod instructions;
