//! Buffers that reads from files fill, used again and again: fresh memory costs the kernel more than the reading.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::format::BlockEntry;
use crate::batch::{Decoded, length_of};
use crate::{Offset, Record};

/// Bytes of a buffer; a block that is larger gets memory of its own.
const BUFFER: usize = 1 << 20;

/// Records that take less than this part of a buffer are copied out of it: they would hold all of it for as long as their
/// reader takes, and readers' memory is counted by their records.
const SHARED_FROM: usize = 8;

/// Buffers at rest, shared by all logs.
pub(crate) struct Buffers {
    /// Most buffers at rest.
    limit: usize,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    buffers: Vec<Box<[u8]>>,
    /// The fewest that were at rest since the last tick: nobody needed those.
    fewest: usize,
}

impl Buffers {
    /// Keeps up to `limit` bytes at rest.
    pub(crate) fn new(limit: usize) -> Buffers {
        Buffers { limit: limit / BUFFER, idle: Mutex::default() }
    }

    fn take(self: &Arc<Self>, length: usize) -> Buffer {
        if length > BUFFER {
            return Buffer { bytes: vec![0; length].into(), home: None };
        }
        let mut idle = self.idle.lock();
        let bytes = idle.buffers.pop();
        idle.fewest = idle.fewest.min(idle.buffers.len());
        drop(idle);
        Buffer { bytes: bytes.unwrap_or_else(|| vec![0; BUFFER].into()), home: Some(Arc::clone(self)) }
    }

    fn give_back(&self, bytes: Box<[u8]>) {
        let mut idle = self.idle.lock();
        if idle.buffers.len() < self.limit {
            idle.buffers.push(bytes);
        }
    }

    /// Frees what nobody needed since the last call.
    pub(crate) fn tick(&self) {
        let mut idle = self.idle.lock();
        let kept = idle.buffers.len() - idle.fewest;
        let surplus = idle.buffers.split_off(kept);
        idle.fewest = kept;
        drop(idle);
        drop(surplus);
    }
}

/// A buffer in use; goes back when the last share of it is dropped.
struct Buffer {
    bytes: Box<[u8]>,
    home: Option<Arc<Buffers>>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

/// Puts the bodies of a shard's blocks one after the other into buffers, and shares these out as records. Bodies are looked
/// at as soon as they are read, when the processor still has them at hand.
pub(crate) struct Filler<'a> {
    buffers: &'a Arc<Buffers>,
    buffer: Option<Buffer>,
    filled: usize,
    /// The records in the buffer, and where each begins.
    decoded: Vec<(Offset, usize, Decoded)>,
    records: Vec<Record>,
}

impl<'a> Filler<'a> {
    pub(crate) fn new(buffers: &'a Arc<Buffers>) -> Filler<'a> {
        Filler { buffers, buffer: None, filled: 0, decoded: Vec::new(), records: Vec::new() }
    }

    /// Where the next block's body goes.
    pub(crate) fn room(&mut self, length: usize) -> &mut [u8] {
        let left = self.buffer.as_ref().map_or(0, |buffer| buffer.bytes.len() - self.filled);
        if length > left {
            self.share();
        }
        let buffer = self.buffer.get_or_insert_with(|| self.buffers.take(length));
        &mut buffer.bytes[self.filled..self.filled + length]
    }

    /// What was written to the room is the body of `block`, of which the records from offset `from` on are wanted. Says
    /// whether all of them could be decoded; if not, none is kept.
    pub(crate) fn keep(&mut self, block: &BlockEntry, from: Offset) -> bool {
        let Some(buffer) = &self.buffer else { return false };
        let before = self.decoded.len();
        let end = self.filled + block.length as usize;
        let (mut at, mut offset) = (self.filled, block.first);
        while at < end {
            let bytes = &buffer.bytes[at..end];
            let length = if offset < from {
                length_of(bytes)
            } else {
                Decoded::first_of(bytes).map(|decoded| {
                    let length = decoded.length();
                    self.decoded.push((offset, at, decoded));
                    length
                })
            };
            let Some(length) = length else { break };
            at += length;
            offset += 1;
        }
        if at != end || offset != block.end() {
            self.decoded.truncate(before);
            return false;
        }
        self.filled = end;
        true
    }

    /// Whether there is no record yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.decoded.is_empty()
    }

    /// Makes records of what is in the buffer.
    fn share(&mut self) {
        let end = std::mem::take(&mut self.filled);
        let (Some(buffer), Some((_, start, _))) = (self.buffer.take(), self.decoded.first()) else { return };
        let start = *start;
        let shared = if end - start < buffer.bytes.len() / SHARED_FROM {
            Bytes::copy_from_slice(&buffer.bytes[start..end])
        } else {
            Bytes::from_owner(buffer).slice(start..end)
        };
        self.records.extend(self.decoded.drain(..).map(|(offset, at, decoded)| {
            let encoded = shared.slice(at - start..at - start + decoded.length());
            decoded.record(offset, encoded)
        }));
    }

    /// The records, in order.
    pub(crate) fn finish(mut self) -> Vec<Record> {
        self.share();
        self.records
    }
}

#[cfg(test)]
mod tests {
    use super::super::commit::control;
    use super::super::format::BlockKind;
    use super::*;
    use crate::{Batch, RecordKeys};

    /// The body of a block of records with so many bytes of data each, and the block.
    fn block(first: u64, data: &[usize]) -> (Vec<u8>, BlockEntry) {
        let mut batch = Batch::new();
        for (n, length) in data.iter().enumerate() {
            let key = format!("key-{n}");
            let keys = RecordKeys { partition_key: Some(&key), ..RecordKeys::default() };
            batch.push(7, keys, &vec![n as u8; *length]);
        }
        let body = batch.shards.remove(0).encoded;
        let entry = control(BlockKind::Records, 7, first, 0, 0);
        let entry = BlockEntry { count: data.len() as u32, length: body.len() as u32, ..entry };
        (body, entry)
    }

    fn put(filler: &mut Filler<'_>, body: &[u8], block: &BlockEntry, from: u64) -> bool {
        filler.room(body.len()).copy_from_slice(body);
        filler.keep(block, from)
    }

    fn idle(buffers: &Buffers) -> usize {
        buffers.idle.lock().buffers.len()
    }

    #[test]
    fn blocks_share_buffers_which_are_used_again() {
        let buffers = Arc::new(Buffers::new(2 * BUFFER));
        for _ in 0..3 {
            let mut filler = Filler::new(&buffers);
            assert!(filler.is_empty());
            let blocks = [&[10, 0, BUFFER / 2][..], &[BUFFER - 200, 30], &[1], &[3 * BUFFER], &[BUFFER / 8]];
            let mut first = 0;
            for data in blocks {
                let (body, block) = block(first, data);
                assert!(put(&mut filler, &body, &block, 1));
                first = block.end();
            }
            let records = filler.finish();
            let lengths: Vec<usize> = blocks.concat().split_off(1);
            assert_eq!(records.iter().map(|r| r.offset).collect::<Vec<_>>(), (1..first).collect::<Vec<_>>());
            for (record, length) in records.iter().zip(lengths) {
                assert_eq!(record.data().len(), length);
                let (key, data) = record.clone().into_parts();
                let n = *data.first().unwrap_or(&1);
                assert_eq!(key, Some(format!("key-{n}")));
                assert_eq!(data, vec![n; length]);
            }
            drop(records);
            assert_eq!(idle(&buffers), 2, "three were in use, the large block's own memory aside");
        }
    }

    #[test]
    fn a_few_records_hold_no_buffer() {
        let buffers = Arc::new(Buffers::new(2 * BUFFER));
        let read = |last: usize, from: u64| {
            let mut filler = Filler::new(&buffers);
            let (body, block) = block(0, &[BUFFER / 2, 10, last]);
            assert!(put(&mut filler, &body, &block, from));
            let records = filler.finish();
            assert_eq!(records.last().unwrap().data(), vec![2; last]);
            (records.len(), idle(&buffers))
        };
        assert_eq!(read(20, 1), (2, 1), "most of the block was not asked for");
        assert_eq!(read(20, 0), (3, 0));
        assert_eq!(read(BUFFER / 4, 1), (2, 0));
    }

    #[test]
    fn what_cannot_be_decoded_leaves_no_trace() {
        let buffers = Arc::new(Buffers::new(BUFFER));
        let mut filler = Filler::new(&buffers);
        let (body, whole) = block(0, &[5, 6]);
        assert!(!put(&mut filler, &body, &BlockEntry { count: 3, ..whole }, 0));
        assert!(!put(&mut filler, &body[1..], &BlockEntry { length: whole.length - 1, ..whole }, 0));
        assert!(filler.is_empty());
        assert!(put(&mut filler, &body, &whole, 0));
        assert_eq!(filler.finish().iter().map(|r| r.data().len()).collect::<Vec<_>>(), [5, 6]);
    }

    #[test]
    fn what_nobody_needs_is_freed() {
        let buffers = Arc::new(Buffers::new(8 * BUFFER));
        let used: Vec<Buffer> = (0..4).map(|_| buffers.take(1)).collect();
        drop(used);
        buffers.tick();
        assert_eq!(idle(&buffers), 4, "all were needed since the start");
        drop([buffers.take(1), buffers.take(1)]);
        buffers.tick();
        assert_eq!(idle(&buffers), 2);
        buffers.tick();
        assert_eq!(idle(&buffers), 0);
    }
}
