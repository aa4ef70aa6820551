//! The open commit: batches join it under the log's lock; the writer takes it whole.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use super::format::{BlockEntry, BlockKind, crc32c_of};
use super::tail::Chunk;
use crate::batch::{Batch, SEARCHED, ShardBatch};
use crate::wakers::{Ticket, Wakers};
use crate::{AppendError, ShardIndex, TimeMs};

/// A shard's parts of batches are brought together in one buffer below this size, and kept as their own above it.
const COPY_BELOW: usize = 16 << 10;

/// A commit of this many bytes of records, or of this many batches, is written without waiting for more: a sync costs
/// little beside them, and writing them meanwhile gains more.
const LARGE_BYTES: usize = 256 << 10;
const LARGE_BATCHES: usize = 32;

/// What every batch of a commit waits for.
#[derive(Default)]
pub(crate) struct Outcome {
    state: Mutex<OutcomeState>,
}

#[derive(Default)]
struct OutcomeState {
    result: Option<Result<(), AppendError>>,
    wakers: Wakers,
}

impl Outcome {
    /// Ends the wait, for all.
    pub(crate) fn complete(&self, result: Result<(), AppendError>) {
        let first: Vec<Waker> = {
            let mut state = self.state.lock();
            state.result = Some(result);
            state.wakers.firsts()
        };
        for waker in first {
            waker.wake();
        }
    }
}

/// Resolves when the commit has its outcome.
pub(crate) struct Committed {
    outcome: Arc<Outcome>,
    ticket: Option<Ticket>,
}

impl Committed {
    pub(crate) fn new(outcome: Arc<Outcome>) -> Committed {
        Committed { outcome, ticket: None }
    }

    /// Wakes those that count on this one, if the outcome is there; else stops waiting.
    fn leave(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let others = {
            let mut state = self.outcome.state.lock();
            if state.result.is_some() {
                state.wakers.take(ticket)
            } else {
                state.wakers.forget(ticket);
                Vec::new()
            }
        };
        others.into_iter().for_each(Waker::wake);
    }
}

impl Future for Committed {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Committed { outcome, ticket } = &mut *self;
        let mut state = outcome.state.lock();
        let Some(result) = state.result.clone() else {
            *ticket = Some(state.wakers.wait(*ticket, context.waker()));
            return Poll::Pending;
        };
        let others = ticket.take().map(|ticket| state.wakers.take(ticket));
        drop(state);
        others.into_iter().flatten().for_each(Waker::wake);
        Poll::Ready(result)
    }
}

impl Drop for Committed {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Blocks that will be written together.
#[derive(Default)]
pub(crate) struct OpenCommit {
    blocks: Vec<OpenBlock>,
    /// Where each shard's block is, once there are many.
    places: HashMap<ShardIndex, usize>,
    /// Blocks without records: closings, fences, trims, descriptors.
    control: Vec<(BlockEntry, Bytes)>,
    bytes: usize,
    batches: usize,
    /// Whether it is to be written as soon as the writer is free. Until then more may join.
    pub(crate) due: bool,
    pub(crate) outcome: Arc<Outcome>,
}

struct OpenBlock {
    shard: ShardIndex,
    first: u64,
    count: u32,
    time_first: TimeMs,
    time_last: TimeMs,
    /// What each batch has brought. Nothing is done to it before the commit is sealed: here the log's lock is held.
    parts: Vec<(ShardBatch, TimeMs)>,
}

impl OpenBlock {
    /// The records with their times, small neighbours in one buffer.
    fn into_chunks(mut self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut first = self.first;
        for (part, time) in &mut self.parts {
            part.stamp(*time);
        }
        let mut add = |count: u32, encoded: Vec<u8>| {
            chunks.push(Chunk::new(self.shard, first, count, encoded));
            first += u64::from(count);
        };
        let is_small = |part: &ShardBatch| part.encoded.len() < COPY_BELOW;
        for run in self.parts.chunk_by_mut(|(a, _), (b, _)| is_small(a) && is_small(b)) {
            match run {
                [(alone, _)] => add(alone.count, std::mem::take(&mut alone.encoded)),
                run => {
                    let mut together = Vec::with_capacity(run.iter().map(|(part, _)| part.encoded.len()).sum());
                    let count = run.iter().map(|(part, _)| part.count).sum();
                    for (part, _) in run {
                        together.extend_from_slice(&std::mem::take(&mut part.encoded));
                    }
                    add(count, together);
                }
            }
        }
        chunks
    }
}

impl OpenCommit {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.control.is_empty()
    }

    /// Whether closings, trims or descriptors are in it.
    pub(crate) fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// Whether waiting for more would gain nothing.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes >= LARGE_BYTES || self.batches >= LARGE_BATCHES
    }

    /// Batches in it.
    pub(crate) fn batches(&self) -> usize {
        self.batches
    }

    /// Bytes of records.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds one shard's records, whose first gets offset `first`.
    pub(crate) fn push(&mut self, batch: ShardBatch, first: u64, time: TimeMs) {
        self.bytes += batch.encoded.len();
        let at = match self.place_of(batch.shard) {
            Some(at) => at,
            None => {
                self.blocks.push(OpenBlock {
                    shard: batch.shard,
                    first,
                    count: 0,
                    time_first: time,
                    time_last: time,
                    parts: Vec::new(),
                });
                if self.blocks.len() > SEARCHED {
                    let missing = self.places.len()..self.blocks.len();
                    self.places.extend(missing.map(|at| (self.blocks[at].shard, at)));
                }
                self.blocks.len() - 1
            }
        };
        let block = &mut self.blocks[at];
        debug_assert_eq!(block.first + u64::from(block.count), first, "a shard's offsets are dense");
        block.count += batch.count;
        block.time_last = time;
        block.parts.push((batch, time));
    }

    fn place_of(&self, shard: ShardIndex) -> Option<usize> {
        if self.blocks.len() <= SEARCHED {
            return self.blocks.iter().position(|block| block.shard == shard);
        }
        self.places.get(&shard).copied()
    }

    /// Adds a block without records.
    pub(crate) fn push_control(&mut self, mut entry: BlockEntry, body: Bytes) {
        entry.length = body.len() as u32;
        self.control.push((entry, body));
    }

    /// Ends the commit: its directory, and the bodies in order.
    pub(crate) fn seal(self) -> SealedCommit {
        let mut entries = Vec::with_capacity(self.blocks.len() + self.control.len());
        let mut chunks = Vec::new();
        for block in self.blocks {
            let entry = BlockEntry {
                kind: BlockKind::Records,
                shard: block.shard,
                first: block.first,
                count: block.count,
                length: 0,
                time_first: block.time_first,
                time_last: block.time_last,
                arg: 0,
                crc: 0,
            };
            let mut own = block.into_chunks();
            entries.push(BlockEntry {
                length: own.iter().map(|c| c.bytes.len() as u32).sum(),
                crc: crc32c_of(own.iter().map(|c| &c.bytes[..])),
                ..entry
            });
            chunks.append(&mut own);
        }
        let mut control = Vec::with_capacity(self.control.len());
        for (mut entry, body) in self.control {
            entry.crc = crc32c_of([&body[..]]);
            entries.push(entry);
            control.push(body);
        }
        SealedCommit { entries, chunks, control, outcome: self.outcome }
    }
}

/// A commit ready to be written.
pub(crate) struct SealedCommit {
    /// Those of the records come first.
    pub(crate) entries: Vec<BlockEntry>,
    /// The records' bodies: one or more for each entry.
    pub(crate) chunks: Vec<Chunk>,
    /// The other blocks' bodies: one for each entry, if only an empty one.
    pub(crate) control: Vec<Bytes>,
    pub(crate) outcome: Arc<Outcome>,
}

impl SealedCommit {
    /// The bodies, in the order in which they are written.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &Bytes> {
        self.chunks.iter().map(|chunk| &chunk.bytes).chain(&self.control)
    }

    /// The entries with the bodies of those that are not records.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (&BlockEntry, &[u8])> {
        let records = self.entries.len().saturating_sub(self.control.len());
        let bodies = std::iter::repeat_n(&[][..], records).chain(self.control.iter().map(|body| &body[..]));
        self.entries.iter().zip(bodies)
    }
}

/// A block that carries no records.
pub(crate) fn control(kind: BlockKind, shard: ShardIndex, first: u64, arg: u64, time: TimeMs) -> BlockEntry {
    BlockEntry { kind, shard, first, count: 0, length: 0, time_first: time, time_last: time, arg, crc: 0 }
}

/// Puts a whole batch into the commit; `first_of` gives each shard its first offset and time.
pub(crate) fn join(
    open: &mut OpenCommit,
    batch: Batch,
    mut first_of: impl FnMut(&ShardBatch) -> (u64, TimeMs),
) -> Vec<crate::AppendedShard> {
    let mut appended = Vec::with_capacity(batch.shards.len());
    open.batches += 1;
    for part in batch.shards {
        let (first, time) = first_of(&part);
        appended.push(crate::AppendedShard { shard: part.shard, first, time });
        open.push(part, first, time);
    }
    appended
}

#[cfg(test)]
mod tests;
