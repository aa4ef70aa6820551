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
use crate::batch::{Batch, ShardBatch};
use crate::wakers::{Ticket, Wakers};
use crate::{AppendError, ShardIndex, TimeMs};

/// A shard's part of a batch is copied behind its forerunners below this size, and kept as its own buffer above it.
const COPY_BELOW: usize = 16 << 10;

/// A commit of this many bytes of records, or of this many batches, is written without waiting for more: a sync costs
/// little beside them, and writing them meanwhile gains more.
const LARGE_BYTES: usize = 256 << 10;
const LARGE_BATCHES: usize = 16;

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
        let known = self.ticket;
        let mut state = self.outcome.state.lock();
        match &state.result {
            Some(result) => {
                let result = result.clone();
                drop(state);
                self.leave();
                Poll::Ready(result)
            }
            None => {
                let ticket = state.wakers.wait(known, context.waker());
                drop(state);
                self.ticket = Some(ticket);
                Poll::Pending
            }
        }
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
    /// Where each shard's block is.
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
    chunks: Vec<Chunk>,
    /// Small pieces since the last chunk.
    small: Vec<u8>,
    small_count: u32,
}

impl OpenBlock {
    fn flush_small(&mut self) {
        if self.small_count > 0 {
            self.chunks.push(Chunk {
                shard: self.shard,
                first: self.first + u64::from(self.count - self.small_count),
                count: self.small_count,
                bytes: Bytes::from(std::mem::take(&mut self.small)),
            });
            self.small_count = 0;
        }
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
    pub(crate) fn push(&mut self, mut batch: ShardBatch, first: u64, time: TimeMs) {
        batch.stamp(time);
        self.bytes += batch.encoded.len();
        let block = match self.places.get(&batch.shard) {
            Some(at) => &mut self.blocks[*at],
            None => {
                self.places.insert(batch.shard, self.blocks.len());
                self.blocks.push(OpenBlock {
                    shard: batch.shard,
                    first,
                    count: 0,
                    time_first: time,
                    time_last: time,
                    chunks: Vec::new(),
                    small: Vec::new(),
                    small_count: 0,
                });
                let last = self.blocks.len() - 1;
                &mut self.blocks[last]
            }
        };
        debug_assert_eq!(block.first + u64::from(block.count), first, "a shard's offsets are dense");
        if batch.encoded.len() < COPY_BELOW {
            block.count += batch.count;
            block.time_last = time;
            if block.small_count == 0 {
                block.small = batch.encoded;
            } else {
                block.small.extend_from_slice(&batch.encoded);
            }
            block.small_count += batch.count;
        } else {
            block.flush_small();
            block.chunks.push(Chunk {
                shard: batch.shard,
                first,
                count: batch.count,
                bytes: Bytes::from(batch.encoded),
            });
            block.count += batch.count;
            block.time_last = time;
        }
    }

    /// Adds a block without records.
    pub(crate) fn push_control(&mut self, mut entry: BlockEntry, body: Bytes) {
        entry.length = body.len() as u32;
        self.control.push((entry, body));
    }

    /// Ends the commit: its directory, the bodies in order, and the chunks to cache.
    pub(crate) fn seal(self) -> SealedCommit {
        let mut entries = Vec::with_capacity(self.blocks.len() + self.control.len());
        let mut bodies = Vec::new();
        let mut chunks = Vec::new();
        for mut block in self.blocks {
            block.flush_small();
            entries.push(BlockEntry {
                kind: BlockKind::Records,
                shard: block.shard,
                first: block.first,
                count: block.count,
                length: block.chunks.iter().map(|c| c.bytes.len() as u32).sum(),
                time_first: block.time_first,
                time_last: block.time_last,
                arg: 0,
                crc: crc32c_of(block.chunks.iter().map(|c| &c.bytes[..])),
            });
            for chunk in block.chunks {
                bodies.push(chunk.bytes.clone());
                chunks.push(chunk);
            }
        }
        for (mut entry, body) in self.control {
            entry.crc = crc32c_of([&body[..]]);
            entries.push(entry);
            if !body.is_empty() {
                bodies.push(body);
            }
        }
        SealedCommit { entries, bodies, chunks, outcome: self.outcome }
    }
}

/// A commit ready to be written.
pub(crate) struct SealedCommit {
    pub(crate) entries: Vec<BlockEntry>,
    pub(crate) bodies: Vec<Bytes>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) outcome: Arc<Outcome>,
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
