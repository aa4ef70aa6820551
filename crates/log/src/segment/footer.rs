//! The end of a sealed segment: its index, and the trailer that finds it. `docs/format.md` draws the bytes.

use super::format::{Reader, crc32c};
use crate::{Offset, ShardIndex, TimeMs};

pub(crate) const FOOTER_MAGIC: [u8; 8] = *b"MILLFOOT";
/// The trailer at the very end of a sealed segment.
pub(crate) const TRAILER: usize = 64;
/// An entry of the index.
const ENTRY: usize = 24;

/// A position to start reading a shard from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// The first offset of the shard in the commit.
    pub(crate) first: Offset,
    /// Arrival time of that record.
    pub(crate) time: TimeMs,
    /// Where the commit starts in the file.
    pub(crate) position: u64,
}

impl IndexEntry {
    fn decode(bytes: &[u8; ENTRY]) -> IndexEntry {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        IndexEntry { first: number(0), time: number(8), position: number(16) }
    }
}

/// The index of a segment: each shard's entries in order, the shards ascending. One list holds them all, since a segment may
/// have very many shards with an entry each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentIndex {
    /// The shards, and where their entries end in the list.
    ends: Vec<(ShardIndex, u32)>,
    entries: Vec<IndexEntry>,
}

impl SegmentIndex {
    /// Adds a shard's entries. It must be above all others.
    pub(crate) fn push(&mut self, shard: ShardIndex, entries: impl IntoIterator<Item = IndexEntry>) {
        self.entries.extend(entries);
        self.ends.push((shard, self.entries.len() as u32));
    }

    /// How many shards have entries.
    pub(crate) fn shards(&self) -> usize {
        self.ends.len()
    }

    /// A shard's entries; `None` if the segment has none of its records.
    pub(crate) fn of(&self, shard: ShardIndex) -> Option<&[IndexEntry]> {
        let at = self.ends.binary_search_by_key(&shard, |(shard, _)| *shard).ok()?;
        self.at(at)
    }

    fn at(&self, at: usize) -> Option<&[IndexEntry]> {
        let start = if at == 0 { 0 } else { self.ends[at - 1].1 };
        self.entries.get(start as usize..self.ends[at].1 as usize)
    }

    fn iter(&self) -> impl Iterator<Item = (ShardIndex, &[IndexEntry])> {
        self.ends.iter().enumerate().map(|(at, (shard, _))| (*shard, self.at(at).unwrap_or_default()))
    }

    /// Memory that it holds, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.ends.capacity() * size_of::<(ShardIndex, u32)>() + self.entries.capacity() * size_of::<IndexEntry>()
    }
}

/// The end of a sealed segment: where its commits end, and its sparse index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// One past the last commit's number.
    pub(crate) next_commit: u64,
    /// Where the commits end in the file.
    pub(crate) end: u64,
    /// Where each shard's records are.
    pub(crate) index: SegmentIndex,
    /// Whether sorting the segment by shard would gain nothing: it is sorted, or its blocks are few or large.
    pub(crate) sorted: bool,
}

const SORTED: u32 = 1;

impl Footer {
    /// The footer's bytes, index and trailer, to be written at `self.end`.
    pub(crate) fn encode(&self, salt: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.index.shards() * 8 + self.index.entries.len() * ENTRY + TRAILER);
        out.extend_from_slice(&(self.index.shards() as u32).to_le_bytes());
        for (shard, entries) in self.index.iter() {
            out.extend_from_slice(&shard.to_le_bytes());
            out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
            for e in entries {
                for n in [e.first, e.time, e.position] {
                    out.extend_from_slice(&n.to_le_bytes());
                }
            }
        }
        let length = out.len();
        let crc = crc32c(&out);
        let mut trailer = Vec::with_capacity(TRAILER);
        trailer.extend_from_slice(&FOOTER_MAGIC);
        for n in [salt, self.end, length as u64, self.next_commit] {
            trailer.extend_from_slice(&n.to_le_bytes());
        }
        trailer.extend_from_slice(&crc.to_le_bytes());
        trailer.extend_from_slice(&if self.sorted { SORTED } else { 0 }.to_le_bytes());
        trailer.resize(TRAILER - 4, 0);
        let crc = crc32c(&trailer);
        trailer.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&trailer);
        out
    }

    /// Where the index starts and how long it is, from the file's last [`TRAILER`] bytes; `None` if the segment is not
    /// sealed.
    pub(crate) fn locate(trailer: &[u8], salt: u64, file_length: u64) -> Option<(u64, usize)> {
        let mut r = Reader(trailer);
        if r.bytes(8)? != FOOTER_MAGIC || crc32c(&trailer[..TRAILER - 4]).to_le_bytes() != trailer[TRAILER - 4..] {
            return None;
        }
        if r.u64()? != salt {
            return None;
        }
        let (end, length) = (r.u64()?, r.u64()?);
        (end.checked_add(length)?.checked_add(TRAILER as u64)? == file_length).then_some((end, length as usize))
    }

    /// Reads a footer from its index and trailer.
    pub(crate) fn decode(index: &[u8], trailer: &[u8]) -> Option<Footer> {
        let mut r = Reader(trailer);
        r.bytes(16)?;
        let end = r.u64()?;
        r.u64()?;
        let next_commit = r.u64()?;
        if crc32c(index) != r.u32()? {
            return None;
        }
        let sorted = r.u32()? & SORTED != 0;
        let mut r = Reader(index);
        let mut all = SegmentIndex::default();
        for _ in 0..r.u32()? {
            let shard = r.u32()?;
            let count = r.u32()? as usize;
            let list = r.bytes(count.checked_mul(ENTRY)?)?;
            all.push(shard, list.as_chunks().0.iter().map(IndexEntry::decode));
        }
        Some(Footer { next_commit, end, index: all, sorted })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn footers_come_back(
            numbers in any::<[u64; 2]>(), end in 0..1u64 << 40, sorted in any::<bool>(),
            index in prop::collection::btree_map(any::<u32>(), prop::collection::vec(any::<[u64; 3]>(), 0..5), 0..5),
        ) {
            let [salt, next_commit] = numbers;
            let entry = |[first, time, position]: [u64; 3]| IndexEntry { first, time, position };
            let mut all = SegmentIndex::default();
            for (shard, list) in &index {
                all.push(*shard, list.iter().copied().map(entry));
            }
            for (shard, list) in &index {
                let list: Vec<IndexEntry> = list.iter().copied().map(entry).collect();
                prop_assert_eq!(all.of(*shard), Some(&list[..]));
            }
            let footer = Footer { next_commit, end, index: all, sorted };
            let bytes = footer.encode(salt);
            let (body, trailer) = bytes.split_at(bytes.len() - TRAILER);
            let length = end + bytes.len() as u64;
            prop_assert_eq!(Footer::locate(trailer, salt, length), Some((end, body.len())));
            prop_assert_eq!(Footer::locate(trailer, salt, length + 1), None);
            prop_assert_eq!(Footer::decode(body, trailer), Some(footer));
        }
    }
}
