//! A log in memory whose answers take their time and may be unpleasant: a test double for everything that stands on
//! [`Log`]. Appends take effect when a job of the environment's pool runs, so the simulation decides when; outcomes can
//! be made unknown (with and without effect), and ownership can be lost in mid-append.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::Env;
use parking_lot::Mutex;

use crate::watchers::{Watch, Watchers};
use crate::{
    AppendError, Appended, AppendedShard, Batch, BoxFuture, Epoch, Log, LogError, LogId, LogProblem, NotWritten,
    Offset, Read, ReadError, ReadResult, Record, Records, ShardIndex, ShardPosition, StreamLog, TimeMs,
};

/// What happens to an append instead of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The outcome is unknown and the records are there.
    UnknownWritten,
    /// The outcome is unknown and nothing was written.
    UnknownLost,
    /// Nothing was written, for want of space.
    DiskFull,
    /// Another owner took the group while the append was under way.
    LoseOwnership,
}

/// A group of logs in memory.
pub struct MemoryLog {
    shared: Arc<Shared>,
    streams: Arc<Mutex<HashMap<LogId, Arc<MemoryStream>>>>,
}

struct Shared {
    env: Env,
    epoch: Mutex<u64>,
    faults: Mutex<VecDeque<Fault>>,
}

struct MemoryStream {
    id: LogId,
    shared: Arc<Shared>,
    content: Mutex<Content>,
    watchers: Watchers,
}

#[derive(Default)]
struct Content {
    deleted: bool,
    descriptor: Bytes,
    floor_time: TimeMs,
    shards: BTreeMap<ShardIndex, Shard>,
}

#[derive(Default)]
struct Shard {
    records: Vec<Record>,
    floor: Offset,
    last_time: TimeMs,
    closed: Option<u64>,
}

impl Shard {
    fn position(&self) -> ShardPosition {
        ShardPosition {
            floor: self.floor,
            end: self.records.len() as u64,
            last_time: self.last_time,
            closed: self.closed,
        }
    }
}

impl MemoryLog {
    /// An empty group with epoch 1.
    pub fn new(env: Env) -> Arc<MemoryLog> {
        let shared = Shared { env, epoch: Mutex::new(1), faults: Mutex::default() };
        Arc::new(MemoryLog { shared: Arc::new(shared), streams: Arc::default() })
    }

    /// Lets the next append (or closing, or trim) end in `fault`. Faults queue.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.lock().push_back(fault);
    }

    /// Takes ownership anew: appends under an older epoch are fenced.
    pub fn take_over(&self) -> Epoch {
        let mut epoch = self.shared.epoch.lock();
        *epoch += 1;
        Epoch(*epoch)
    }
}

impl Log for MemoryLog {
    fn epoch(&self) -> Epoch {
        Epoch(*self.shared.epoch.lock())
    }

    fn create(&self, id: &LogId, descriptor: Bytes) -> BoxFuture<'static, Result<Arc<dyn StreamLog>, LogError>> {
        let mut streams = self.streams.lock();
        let stream = streams.entry(id.clone()).or_insert_with(|| {
            Arc::new(MemoryStream {
                id: id.clone(),
                shared: Arc::clone(&self.shared),
                content: Mutex::new(Content { descriptor, ..Content::default() }),
                watchers: Watchers::default(),
            })
        });
        let handle: Arc<dyn StreamLog> = Arc::new(Handle(Arc::clone(stream)));
        Box::pin(std::future::ready(Ok(handle)))
    }

    fn open(&self, id: &LogId) -> Option<Arc<dyn StreamLog>> {
        self.streams.lock().get(id).map(|s| Arc::new(Handle(Arc::clone(s))) as Arc<dyn StreamLog>)
    }

    fn delete(&self, id: &LogId) -> BoxFuture<'static, Result<(), LogError>> {
        if let Some(stream) = self.streams.lock().remove(id) {
            stream.content.lock().deleted = true;
            stream.watchers.notify_all();
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn list(&self) -> Vec<LogId> {
        self.streams.lock().keys().cloned().collect()
    }

    fn tick(&self) {
        self.shared.env.clock.tick();
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn problems(&self) -> Vec<LogProblem> {
        Vec::new()
    }
}

struct Handle(Arc<MemoryStream>);

impl MemoryStream {
    /// Runs `write`, which moves the end of `shards` or closes them, when a job gets to it, or lets a fault have its way.
    fn change<T: Send + 'static>(
        self: &Arc<Self>,
        expected: Epoch,
        shards: Vec<ShardIndex>,
        write: impl FnOnce(&mut Content, TimeMs) -> Result<T, AppendError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, AppendError>> {
        let stream = Arc::clone(self);
        let job = move || {
            if expected.0 != *stream.shared.epoch.lock() {
                return Err(AppendError::Fenced);
            }
            let fault = stream.shared.faults.lock().pop_front();
            let now = stream.shared.env.clock.now();
            let mut content = stream.content.lock();
            if content.deleted {
                return Err(AppendError::NotWritten(NotWritten::Deleted));
            }
            let result = match fault {
                None => write(&mut content, now),
                Some(Fault::UnknownWritten) => {
                    write(&mut content, now).and(Err(AppendError::Unknown("injected".into())))
                }
                Some(Fault::UnknownLost) => Err(AppendError::Unknown("injected".into())),
                Some(Fault::DiskFull) => Err(AppendError::NotWritten(NotWritten::DiskFull)),
                Some(Fault::LoseOwnership) => {
                    *stream.shared.epoch.lock() += 1;
                    Err(AppendError::Fenced)
                }
            };
            drop(content);
            stream.watchers.notify(&shards);
            result
        };
        let done = self.shared.env.pool.run(job);
        Box::pin(async move { done.await.unwrap_or(Err(AppendError::NotWritten(NotWritten::Closing))) })
    }

    fn look<T>(&self, look: impl FnOnce(&Content) -> T) -> Result<T, ReadError> {
        let content = self.content.lock();
        if content.deleted { Err(ReadError::Deleted) } else { Ok(look(&content)) }
    }
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(value))
}

impl StreamLog for Handle {
    fn id(&self) -> &LogId {
        &self.0.id
    }

    fn append(&self, batch: Batch, expected: Epoch) -> BoxFuture<'static, Result<Appended, AppendError>> {
        let shards = batch.shards.iter().map(|part| part.shard).collect();
        self.0.change(expected, shards, move |content, now| {
            for part in &batch.shards {
                if content.shards.get(&part.shard).is_some_and(|s| s.closed.is_some()) {
                    return Err(AppendError::NotWritten(NotWritten::Closed(part.shard)));
                }
            }
            let mut appended = Vec::new();
            for mut part in batch.shards {
                let shard = content.shards.entry(part.shard).or_default();
                let time = now.max(shard.last_time);
                let first = shard.records.len() as u64;
                part.stamp(time);
                shard.records.extend(Records::new(first, Bytes::from(part.encoded)));
                shard.last_time = time;
                appended.push(AppendedShard { shard: part.shard, first, time });
            }
            Ok(Appended { shards: appended })
        })
    }

    fn close_shards(
        &self,
        shards: Vec<(ShardIndex, u64)>,
        descriptor: Bytes,
        expected: Epoch,
    ) -> BoxFuture<'static, Result<(), AppendError>> {
        let closing = shards.iter().map(|(shard, _)| *shard).collect();
        self.0.change(expected, closing, move |content, now| {
            for (shard, note) in shards {
                let shard = content.shards.entry(shard).or_default();
                shard.closed.get_or_insert(note);
                shard.last_time = shard.last_time.max(now);
            }
            content.descriptor = descriptor;
            Ok(())
        })
    }

    fn trim(&self, before: TimeMs, expected: Epoch) -> BoxFuture<'static, Result<(), AppendError>> {
        self.0.change(expected, Vec::new(), move |content, _| {
            content.floor_time = content.floor_time.max(before);
            Ok(())
        })
    }

    fn read(&self, read: Read) -> BoxFuture<'static, Result<ReadResult, ReadError>> {
        ready(self.0.look(|content| {
            let empty = Shard::default();
            let shard = content.shards.get(&read.shard).unwrap_or(&empty);
            let position = shard.position();
            let not_before = read.not_before.max(content.floor_time);
            let mut result = ReadResult { records: Vec::new(), next: read.from.max(shard.floor), position };
            let mut left = read.max_bytes;
            for record in shard.records.iter().skip(usize::try_from(result.next).unwrap_or(usize::MAX)) {
                if record.time >= not_before {
                    let weight = record.weight();
                    let full = result.records.len() >= read.max_records;
                    if full || (weight > left && !result.records.is_empty()) {
                        break;
                    }
                    left = left.saturating_sub(weight);
                    result.records.push(record.clone());
                }
                result.next = record.offset + 1;
            }
            result
        }))
    }

    fn seek_time(&self, shard: ShardIndex, time: TimeMs) -> BoxFuture<'static, Result<Offset, ReadError>> {
        ready(self.0.look(|content| {
            content.shards.get(&shard).map_or(0, |s| s.records.partition_point(|r| r.time < time) as u64)
        }))
    }

    fn position(&self, shard: ShardIndex) -> BoxFuture<'static, Result<ShardPosition, ReadError>> {
        ready(self.0.look(|content| content.shards.get(&shard).map(Shard::position).unwrap_or_default()))
    }

    fn positions(&self) -> BoxFuture<'static, Result<Vec<(ShardIndex, ShardPosition)>, ReadError>> {
        ready(self.0.look(|content| content.shards.iter().map(|(i, s)| (*i, s.position())).collect()))
    }

    fn durable_watch(&self, shard: ShardIndex) -> Watch {
        self.0.watchers.subscribe(shard)
    }

    fn descriptor(&self) -> BoxFuture<'static, Result<Bytes, ReadError>> {
        ready(self.0.look(|content| content.descriptor.clone()))
    }
}
