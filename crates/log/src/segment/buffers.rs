//! Buffers that reads from files fill, used again and again: fresh memory costs the kernel more than the reading.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::format::BlockEntry;
use super::tail::Chunk;

/// Bytes of a buffer; a block that is larger gets memory of its own.
const BUFFER: usize = 1 << 20;

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

/// Puts the bodies of a shard's blocks one after the other into buffers, and shares these out as chunks.
pub(crate) struct Filler<'a> {
    buffers: &'a Arc<Buffers>,
    buffer: Option<Buffer>,
    filled: usize,
    /// The blocks in the buffer.
    blocks: Vec<BlockEntry>,
    chunks: Vec<Chunk>,
}

impl<'a> Filler<'a> {
    pub(crate) fn new(buffers: &'a Arc<Buffers>) -> Filler<'a> {
        Filler { buffers, buffer: None, filled: 0, blocks: Vec::new(), chunks: Vec::new() }
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

    /// What was written to the room is the body of `block`.
    pub(crate) fn keep(&mut self, block: &BlockEntry) {
        self.filled += block.length as usize;
        self.blocks.push(*block);
    }

    /// Whether there is no block yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.blocks.is_empty()
    }

    /// Makes chunks of the blocks in the buffer.
    fn share(&mut self) {
        self.filled = 0;
        let Some(buffer) = self.buffer.take() else { return };
        let mut rest = Bytes::from_owner(buffer);
        self.chunks.extend(self.blocks.drain(..).map(|block| Chunk {
            shard: block.shard,
            first: block.first,
            count: block.count,
            time_last: block.time_last,
            bytes: rest.split_to(block.length as usize),
        }));
    }

    /// The blocks as chunks, in order.
    pub(crate) fn finish(mut self) -> Vec<Chunk> {
        self.share();
        self.chunks
    }
}

#[cfg(test)]
mod tests {
    use super::super::commit::control;
    use super::super::format::BlockKind;
    use super::*;

    fn block(first: u64, length: usize) -> BlockEntry {
        BlockEntry { count: 1, length: length as u32, ..control(BlockKind::Records, 7, first, 0, 0) }
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
            let lengths = [10, BUFFER - 10, 1, 3 * BUFFER, 20];
            for (n, length) in lengths.into_iter().enumerate() {
                filler.room(length).fill(n as u8);
                filler.keep(&block(n as u64, length));
            }
            let chunks = filler.finish();
            assert_eq!(chunks.len(), lengths.len());
            for (n, (chunk, length)) in chunks.iter().zip(lengths).enumerate() {
                assert_eq!((chunk.shard, chunk.first), (7, n as u64));
                assert_eq!(chunk.bytes, vec![n as u8; length]);
            }
            drop(chunks);
            assert_eq!(idle(&buffers), 2, "three were in use, the large block's own memory aside");
        }
    }

    #[test]
    fn a_failed_block_leaves_no_trace() {
        let buffers = Arc::new(Buffers::new(BUFFER));
        let mut filler = Filler::new(&buffers);
        filler.room(5).fill(1);
        filler.room(4).fill(2);
        filler.keep(&block(0, 4));
        assert_eq!(filler.finish()[0].bytes, [2; 4][..]);
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
