//! The bytes of a segment file. `docs/format.md` draws them and states the rules; this module is their only reader and
//! writer. All numbers are little-endian.

use std::sync::Arc;

use bytes::Bytes;

use crate::bugs::{self, Bug};
use crate::{LogId, Offset, ShardIndex, TimeMs};

/// Format version written; older ones are read, newer ones refused by name.
pub(crate) const VERSION: u32 = 1;

pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"MILLSEG\0";
pub(crate) const COMMIT_MAGIC: u32 = u32::from_le_bytes(*b"CCOM");

/// Fixed part of a segment header.
pub(crate) const SEGMENT_FIXED: usize = 80;
/// Segment headers are padded to a multiple of this.
pub(crate) const SEGMENT_ALIGN: u64 = 512;
/// Commits start at multiples of this.
pub(crate) const COMMIT_ALIGN: u64 = 64;
/// Fixed part of a commit.
pub(crate) const COMMIT_FIXED: usize = 64;
/// One directory entry of a commit.
pub(crate) const BLOCK_ENTRY: usize = 80;

/// Guards for lengths read from disk, before anything is allocated.
pub(crate) const SEGMENT_HEADER_MAX: u32 = 64 << 20;
pub(crate) const COMMIT_BLOCKS_MAX: u32 = 1 << 20;

/// No offset, time, epoch or number on disk is larger, so that they can be added to: what says otherwise was not written by
/// us, whatever its checksum.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// Segment flag: written in relaxed mode.
pub(crate) const SEGMENT_RELAXED: u32 = 1;
/// Commit flag: everything before it is durable and the process stopped in order.
pub(crate) const COMMIT_CLEAN_STOP: u32 = 1;
/// Commit flag: acknowledged before it was synced.
pub(crate) const COMMIT_RELAXED: u32 = 2;

/// CRC-32C.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// CRC-32C over several pieces.
pub(crate) fn crc32c_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    for piece in pieces {
        digest.update(piece);
    }
    digest.finalize() as u32
}

pub(crate) fn align_up(n: u64, to: u64) -> u64 {
    n.div_ceil(to) * to
}

/// Reads fixed-size numbers off a slice; `None` past its end.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|b| b[0])
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    /// A number that can be added to.
    fn number(&mut self) -> Option<u64> {
        self.u64().filter(|number| *number <= NUMBER_MAX)
    }

    fn text(&mut self) -> Option<Arc<str>> {
        let n = self.u8()? as usize;
        Some(Arc::from(std::str::from_utf8(self.bytes(n)?).ok()?))
    }
}

/// Where a shard stands at the start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct ShardStart {
    pub(crate) shard: ShardIndex,
    /// Offset of the next record.
    pub(crate) next: Offset,
    /// Lowest offset that may be read.
    pub(crate) floor: Offset,
    /// Arrival time of the newest record or of the closing.
    pub(crate) last_time: TimeMs,
    pub(crate) closed: Option<u64>,
}

/// What a segment says about itself and about the log up to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: LogId,
    pub(crate) number: u64,
    /// Random, new for each use of the file: commits carry it.
    pub(crate) salt: u64,
    /// Number of its first commit: every lower one is durable and in earlier segments.
    pub(crate) first_commit: u64,
    pub(crate) epoch: u64,
    pub(crate) created: TimeMs,
    /// Records that arrived before are gone.
    pub(crate) floor_time: TimeMs,
    pub(crate) relaxed: bool,
    /// Where shards begin that are not in the table.
    pub(crate) base: Offset,
    /// Sorted by shard.
    pub(crate) shards: Vec<ShardStart>,
    pub(crate) descriptor: Bytes,
    /// How long the file was made for commits to go there: until it is sealed it is never shorter. 0 if it is not known.
    pub(crate) capacity: u64,
}

const SHARD_START: usize = 40;
const CLOSED: u32 = 1;

impl SegmentHeader {
    /// The header's bytes, padded.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.shards.len() * SHARD_START + self.descriptor.len());
        for text in [&self.id.account, &self.id.region] {
            body.push(text.len() as u8);
            body.extend_from_slice(text.as_bytes());
        }
        body.extend_from_slice(&self.id.incarnation.to_le_bytes());
        body.extend_from_slice(&self.base.to_le_bytes());
        body.extend_from_slice(&(self.shards.len() as u32).to_le_bytes());
        for s in &self.shards {
            body.extend_from_slice(&s.shard.to_le_bytes());
            body.extend_from_slice(&if s.closed.is_some() { CLOSED } else { 0 }.to_le_bytes());
            for n in [s.next, s.floor, s.last_time, s.closed.unwrap_or(0)] {
                body.extend_from_slice(&n.to_le_bytes());
            }
        }
        body.extend_from_slice(&(self.descriptor.len() as u32).to_le_bytes());
        body.extend_from_slice(&self.descriptor);
        if self.capacity > 0 {
            body.extend_from_slice(&self.capacity.to_le_bytes());
        }

        let length = align_up((SEGMENT_FIXED + body.len()) as u64, SEGMENT_ALIGN) as usize;
        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(&SEGMENT_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(length as u32).to_le_bytes());
        for n in [self.salt, self.number, self.first_commit, self.epoch, self.created, self.floor_time] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out.extend_from_slice(&if self.relaxed { SEGMENT_RELAXED } else { 0 }.to_le_bytes());
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32c(&body).to_le_bytes());
        let crc = crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&body);
        out.resize(length, 0);
        out
    }

    /// How many bytes the header takes, judged by its first [`SEGMENT_FIXED`] bytes. `Err` names what is wrong.
    pub(crate) fn length(fixed: &[u8]) -> Result<usize, String> {
        let mut r = Reader(fixed);
        let magic = r.bytes(8).ok_or("too short")?;
        if magic != SEGMENT_MAGIC {
            return Err("not a segment (magic)".into());
        }
        let version = r.u32().ok_or("too short")?;
        if version > VERSION {
            return Err(format!("segment format {version} is newer than this version knows ({VERSION})"));
        }
        let length = r.u32().ok_or("too short")?;
        let crc = fixed.get(SEGMENT_FIXED - 4..SEGMENT_FIXED).ok_or("too short")?;
        if crc32c(&fixed[..SEGMENT_FIXED - 4]).to_le_bytes() != crc {
            return Err("damaged header (CRC)".into());
        }
        if !(SEGMENT_FIXED as u32..=SEGMENT_HEADER_MAX).contains(&length) {
            return Err("damaged header (length)".into());
        }
        Ok(length as usize)
    }

    /// Reads a header from at least [`SegmentHeader::length`] bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, String> {
        SegmentHeader::length(bytes)?;
        let short = || String::from("damaged header (too short)");
        let mut r = Reader(bytes.get(16..).ok_or_else(short)?);
        let salt = r.u64().ok_or_else(short)?;
        let mut number = || r.number().ok_or_else(|| String::from("damaged header (numbers)"));
        let (segment, first_commit, epoch, created, floor_time) =
            (number()?, number()?, number()?, number()?, number()?);
        let flags = r.u32().ok_or_else(short)?;
        let body_length = r.u32().ok_or_else(short)? as usize;
        let body_crc = r.u32().ok_or_else(short)?;
        let body = bytes.get(SEGMENT_FIXED..SEGMENT_FIXED + body_length).ok_or_else(short)?;
        if crc32c(body) != body_crc {
            return Err("damaged header (body CRC)".into());
        }
        let mut header = SegmentHeader {
            id: LogId { account: "".into(), region: "".into(), incarnation: 0 },
            number: segment,
            salt,
            first_commit,
            epoch,
            created,
            floor_time,
            relaxed: flags & SEGMENT_RELAXED != 0,
            base: 0,
            shards: Vec::new(),
            descriptor: Bytes::new(),
            capacity: 0,
        };
        header.decode_body(body).ok_or_else(short)?;
        Ok(header)
    }

    fn decode_body(&mut self, body: &[u8]) -> Option<()> {
        let mut r = Reader(body);
        self.id = LogId { account: r.text()?, region: r.text()?, incarnation: r.u64()? };
        self.base = r.number()?;
        let count = r.u32()? as usize;
        if count > r.0.len() / SHARD_START {
            return None;
        }
        self.shards.reserve_exact(count);
        for _ in 0..count {
            let (shard, flags) = (r.u32()?, r.u32()?);
            let (next, floor, last_time, note) = (r.number()?, r.number()?, r.number()?, r.u64()?);
            let closed = (flags & CLOSED != 0).then_some(note);
            self.shards.push(ShardStart { shard, next, floor, last_time, closed });
        }
        let n = r.u32()? as usize;
        self.descriptor = Bytes::copy_from_slice(r.bytes(n)?);
        // The first ones had nothing behind the descriptor.
        self.capacity = r.u64().unwrap_or(0);
        Some(())
    }

    /// Where `shard` stood when the segment began.
    pub(crate) fn start_of(&self, shard: ShardIndex) -> ShardStart {
        match self.shards.binary_search_by_key(&shard, |s| s.shard) {
            Ok(at) => self.shards[at],
            Err(_) => ShardStart { shard, next: self.base, floor: self.base, ..ShardStart::default() },
        }
    }
}

/// Where shards begin in a segment: as its header says, or, those that it does not know, at its base, which a fence within
/// the segment may have raised.
pub(crate) struct Begins<'a> {
    header: &'a SegmentHeader,
    /// Ascending.
    bases: Vec<Offset>,
}

impl Begins<'_> {
    /// `blocks` are all of the segment, in any order: that of a sorted one is not that in which they were written.
    pub(crate) fn new<'a, 'b>(header: &'a SegmentHeader, blocks: impl Iterator<Item = &'b BlockEntry>) -> Begins<'a> {
        let raised = blocks.filter(|b| b.kind == BlockKind::Fence && b.shard == EVERY_SHARD).map(|b| b.arg);
        let mut bases: Vec<Offset> = std::iter::once(header.base).chain(raised).collect();
        bases.sort_unstable();
        Begins { header, bases }
    }

    /// Where shards begin that are not known at the segment's end.
    pub(crate) fn base(&self) -> Offset {
        self.bases.last().copied().unwrap_or(self.header.base)
    }

    /// Where the shard begins whose first block in the segment is at offset `first`.
    pub(crate) fn of(&self, shard: ShardIndex, first: Offset) -> Offset {
        match self.header.shards.binary_search_by_key(&shard, |s| s.shard) {
            Ok(at) => self.header.shards[at].next,
            Err(_) => self.bases.iter().rfind(|base| **base <= first).copied().unwrap_or(self.header.base),
        }
    }
}

/// Stands for the shards that the log does not know yet.
pub(crate) const EVERY_SHARD: ShardIndex = ShardIndex::MAX;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BlockKind {
    /// `count` records from `first` on.
    Records = 1,
    /// The shard ends at `first`; `arg` is the closer's note.
    Close = 2,
    /// Offsets from `first` up to `arg` are never used. For the shard [`EVERY_SHARD`]: those that have no records yet
    /// begin at `arg`.
    Fence = 3,
    /// The body lists shards and their new floors; `arg` is the floor's time.
    Trim = 4,
    /// Offsets from `first` up to `arg` were given up by a repair.
    Hole = 5,
    /// The body is the log's new descriptor.
    Descriptor = 6,
}

impl BlockKind {
    /// Whether the block takes offsets of its shard.
    pub(crate) fn has_offsets(self) -> bool {
        matches!(self, BlockKind::Records | BlockKind::Fence | BlockKind::Hole)
    }

    fn from_byte(byte: u8) -> Option<BlockKind> {
        Some(match byte {
            1 => BlockKind::Records,
            2 => BlockKind::Close,
            3 => BlockKind::Fence,
            4 => BlockKind::Trim,
            5 => BlockKind::Hole,
            6 => BlockKind::Descriptor,
            _ => return None,
        })
    }
}

/// One directory entry of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    pub(crate) kind: BlockKind,
    pub(crate) shard: ShardIndex,
    pub(crate) first: Offset,
    pub(crate) count: u32,
    /// Bytes of the body.
    pub(crate) length: u32,
    pub(crate) time_first: TimeMs,
    pub(crate) time_last: TimeMs,
    pub(crate) arg: u64,
    /// CRC-32C of the body.
    pub(crate) crc: u32,
}

impl BlockEntry {
    /// Whether these are the bytes that were written.
    pub(crate) fn is_sound(&self, body: &[u8]) -> bool {
        crc32c(body) == self.crc || bugs::is(Bug::IgnoreCrc)
    }

    /// The first offset after the block.
    pub(crate) fn end(&self) -> Offset {
        match self.kind {
            BlockKind::Records => self.first + u64::from(self.count),
            BlockKind::Fence | BlockKind::Hole => self.arg,
            BlockKind::Close | BlockKind::Trim | BlockKind::Descriptor => self.first,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind as u8, 0, 0, 0]); // kind, codec (none), reserved
        out.extend_from_slice(&self.shard.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.time_first.to_le_bytes());
        out.extend_from_slice(&self.time_last.to_le_bytes());
        out.extend_from_slice(&self.arg.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes()); // key id: not encrypted
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&[0; 24]); // nonce
    }

    fn decode(bytes: &[u8]) -> Option<BlockEntry> {
        let mut r = Reader(bytes);
        let kind = BlockKind::from_byte(r.u8()?)?;
        let codec = r.u8()?;
        r.bytes(2)?;
        let entry = BlockEntry {
            kind,
            shard: r.u32()?,
            first: r.number()?,
            count: r.u32()?,
            length: r.u32()?,
            time_first: r.number()?,
            time_last: r.number()?,
            arg: r.u64()?,
            crc: {
                let key_id = r.u32()?;
                if codec != 0 || key_id != 0 {
                    return None;
                }
                r.u32()?
            },
        };
        // The end of a fence or of a hole, and the time of a trim, are numbers like the others; a closer's note is its own.
        let is_number = entry.kind == BlockKind::Close || entry.arg <= NUMBER_MAX;
        let is_forwards = !entry.kind.has_offsets() || entry.first <= entry.end();
        (is_number && is_forwards).then_some(entry)
    }
}

/// A commit's header and directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitHead {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    pub(crate) epoch: u64,
    /// The highest commit known durable when this one was written.
    pub(crate) mark: u64,
    pub(crate) time: TimeMs,
    pub(crate) flags: u32,
    pub(crate) blocks: Vec<BlockEntry>,
}

impl CommitHead {
    /// Bytes of header and directory for `blocks` blocks.
    pub(crate) fn length_for(blocks: usize) -> usize {
        COMMIT_FIXED + blocks * BLOCK_ENTRY
    }

    /// Bytes of the whole commit, without the padding behind it.
    pub(crate) fn total(&self) -> u64 {
        CommitHead::length_for(self.blocks.len()) as u64 + self.blocks.iter().map(|b| u64::from(b.length)).sum::<u64>()
    }

    /// The bytes of header and directory.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CommitHead::length_for(self.blocks.len()));
        out.extend_from_slice(&COMMIT_MAGIC.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for n in [self.number, self.salt, self.epoch, self.mark, self.time] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out.extend_from_slice(&(self.total() as u32).to_le_bytes());
        out.extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for block in &self.blocks {
            block.encode(&mut out);
        }
        let crc = crc32c(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// How many blocks the commit at the start of `fixed` says it has; `None` if it does not look like a commit of the
    /// segment with this salt.
    pub(crate) fn blocks(fixed: &[u8], salt: u64) -> Option<usize> {
        let mut r = Reader(fixed);
        if r.u32()? != COMMIT_MAGIC {
            return None;
        }
        r.bytes(12)?;
        if r.u64()? != salt {
            return None;
        }
        r.bytes(28)?;
        let blocks = r.u32()?;
        (blocks <= COMMIT_BLOCKS_MAX).then_some(blocks as usize)
    }

    /// Reads header and directory from the start of `bytes`; `None` if they are not whole and sound.
    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Option<CommitHead> {
        let count = CommitHead::blocks(bytes, salt)?;
        let bytes = bytes.get(..CommitHead::length_for(count))?;
        let mut r = Reader(&bytes[4..]);
        if crc32c(&bytes[8..]) != r.u32()? {
            return None;
        }
        let (number, salt, epoch, mark, time) = (r.number()?, r.u64()?, r.number()?, r.number()?, r.number()?);
        let length = r.u32()?;
        r.u32()?;
        let flags = r.u32()?;
        r.u32()?;
        let blocks = r.0.chunks_exact(BLOCK_ENTRY).map(BlockEntry::decode).collect::<Option<Vec<_>>>()?;
        let head = CommitHead { number, salt, epoch, mark, time, flags, blocks };
        (head.total() == u64::from(length)).then_some(head)
    }
}

/// The body of a trim block.
pub(crate) fn encode_floors(floors: &[(ShardIndex, Offset)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(floors.len() * 12);
    for (shard, floor) in floors {
        out.extend_from_slice(&shard.to_le_bytes());
        out.extend_from_slice(&floor.to_le_bytes());
    }
    out
}

/// Reads the body of a trim block.
pub(crate) fn decode_floors(body: &[u8]) -> Vec<(ShardIndex, Offset)> {
    let mut r = Reader(body);
    let mut floors = Vec::with_capacity(body.len() / 12);
    while let (Some(shard), Some(floor)) = (r.u32(), r.number()) {
        floors.push((shard, floor));
    }
    floors
}

#[cfg(test)]
mod tests;
