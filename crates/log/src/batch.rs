//! Records on their way in ([`Batch`]) and on their way out ([`Record`], [`Records`]): one encoding for both.
//!
//! A stored record is, little-endian: length of what follows (`u32`), arrival time in ms (`u64`), flags (`u8`), then for
//! each flag set its field: partition key (`u16` length, UTF-8), explicit hash key (`u8` length, decimal digits), headers
//! (`u32` length, opaque); the rest is data.

use std::collections::HashMap;

use bytes::{Buf, Bytes};

use crate::{Offset, ShardIndex, TimeMs};

const HAS_PARTITION_KEY: u8 = 1;
const HAS_EXPLICIT_HASH: u8 = 2;
const HAS_HEADERS: u8 = 4;

/// Bytes of a record before its optional fields: length, time, flags.
pub(crate) const RECORD_FIXED: usize = 4 + 8 + 1;

/// Bytes that the lengths of keys and headers take at most.
const KEY_LENGTHS: usize = 2 + 1 + 4;

/// Largest stored record, a guard when decoding: 10 MiB of data and generous keys.
pub(crate) const RECORD_MAX: usize = 16 << 20;

/// Up to this many shards a batch or a commit is searched, which beats hashing.
pub(crate) const SEARCHED: usize = 16;

/// Records to append together, grouped by shard. The records are encoded as they are pushed, in the form in which they
/// are stored; only the arrival time is filled in when the batch joins a commit.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) shards: Vec<ShardBatch>,
    /// Where each shard is in `shards`, once there are many.
    places: HashMap<ShardIndex, usize>,
    bytes: usize,
    /// What each shard's records are expected to take, bytes.
    room: usize,
}

/// One shard's records of a batch.
#[derive(Debug)]
pub(crate) struct ShardBatch {
    pub(crate) shard: ShardIndex,
    pub(crate) count: u32,
    pub(crate) encoded: Vec<u8>,
}

/// Where a pushed record is in its batch: which entry of [`crate::Appended::shards`], and how far behind its `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSlot {
    /// Index into [`crate::Appended::shards`].
    pub group: usize,
    /// The record's offset is that entry's `first` plus this.
    pub behind: u32,
}

/// The parts of a record that are known before its data is decoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordKeys<'a> {
    /// Partition key, if the producer gave one.
    pub partition_key: Option<&'a str>,
    /// Explicit hash key, decimal, if the producer gave one.
    pub explicit_hash: Option<&'a str>,
    /// Opaque headers.
    pub headers: Option<&'a [u8]>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// An empty batch for `records` of `bytes` of data and keys together, which will be spread over `shards` shards more
    /// or less evenly: their space is not grown piece by piece.
    pub fn expecting(records: usize, bytes: usize, shards: usize) -> Batch {
        let all = bytes + records * (RECORD_FIXED + KEY_LENGTHS);
        // A quarter more, since evenly is never quite so.
        let room = if shards <= 1 { all } else { all / shards + all / shards / 4 };
        Batch { room, ..Batch::default() }
    }

    /// Adds a record whose data, of `data_len` bytes, are appended by `write`.
    pub fn push_with(
        &mut self,
        shard: ShardIndex,
        keys: RecordKeys<'_>,
        data_len: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> BatchSlot {
        let group = match self.group_of(shard) {
            Some(group) => group,
            None => {
                self.shards.push(ShardBatch { shard, count: 0, encoded: Vec::new() });
                if self.shards.len() > SEARCHED {
                    let missing = self.places.len()..self.shards.len();
                    self.places.extend(missing.map(|at| (self.shards[at].shard, at)));
                }
                self.shards.len() - 1
            }
        };
        let into = &mut self.shards[group];
        let start = into.encoded.len();
        // At once: among many shards most have one record, and its space would be grown piece by piece.
        let keys_len = [keys.partition_key.map_or(0, str::len), keys.explicit_hash.map_or(0, str::len)];
        let headers_len = keys.headers.map_or(0, <[u8]>::len);
        let needed = RECORD_FIXED + KEY_LENGTHS + keys_len.iter().sum::<usize>() + headers_len + data_len;
        into.encoded.reserve(if start == 0 { needed.max(self.room) } else { needed });
        into.encoded.extend_from_slice(&[0; RECORD_FIXED]);
        let mut flags = 0;
        if let Some(key) = keys.partition_key {
            flags |= HAS_PARTITION_KEY;
            into.encoded.extend_from_slice(&(key.len() as u16).to_le_bytes());
            into.encoded.extend_from_slice(key.as_bytes());
        }
        if let Some(hash) = keys.explicit_hash {
            flags |= HAS_EXPLICIT_HASH;
            into.encoded.push(hash.len() as u8);
            into.encoded.extend_from_slice(hash.as_bytes());
        }
        if let Some(headers) = keys.headers {
            flags |= HAS_HEADERS;
            into.encoded.extend_from_slice(&(headers.len() as u32).to_le_bytes());
            into.encoded.extend_from_slice(headers);
        }
        write(&mut into.encoded);
        let length = (into.encoded.len() - start - 4) as u32;
        into.encoded[start..start + 4].copy_from_slice(&length.to_le_bytes());
        into.encoded[start + RECORD_FIXED - 1] = flags;
        let behind = into.count;
        into.count += 1;
        self.bytes += length as usize + 4;
        BatchSlot { group, behind }
    }

    fn group_of(&self, shard: ShardIndex) -> Option<usize> {
        if self.shards.len() <= SEARCHED {
            return self.shards.iter().position(|s| s.shard == shard);
        }
        self.places.get(&shard).copied()
    }

    /// Adds a record from bytes at hand.
    pub fn push(&mut self, shard: ShardIndex, keys: RecordKeys<'_>, data: &[u8]) -> BatchSlot {
        self.push_with(shard, keys, data.len(), |into| into.extend_from_slice(data))
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Encoded size in bytes.
    pub fn encoded_len(&self) -> usize {
        self.bytes
    }
}

impl ShardBatch {
    /// Writes the arrival time into every record.
    pub(crate) fn stamp(&mut self, time: TimeMs) {
        let mut at = 0;
        while at + RECORD_FIXED <= self.encoded.len() {
            let mut length = [0; 4];
            length.copy_from_slice(&self.encoded[at..at + 4]);
            self.encoded[at + 4..at + 12].copy_from_slice(&time.to_le_bytes());
            at += 4 + u32::from_le_bytes(length) as usize;
        }
    }
}

/// A record as stored, owning a share of the buffer it was read into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Position in the shard.
    pub offset: Offset,
    /// Arrival time.
    pub time: TimeMs,
    /// Apart from the rest: readers want it as a text of its own.
    partition_key: Option<String>,
    encoded: Bytes,
    layout: Layout,
}

/// Where a record's parts are in its stored form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    flags: u8,
    key: u16,
    explicit_hash: u8,
    headers: u32,
    /// Where the data begin.
    data: u32,
}

/// A record's fields, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Arrival time.
    pub time: TimeMs,
    /// Partition key, if the producer gave one.
    pub partition_key: Option<&'a str>,
    /// Explicit hash key, if the producer gave one.
    pub explicit_hash: Option<&'a str>,
    /// Opaque headers.
    pub headers: Option<&'a [u8]>,
    /// The data blob.
    pub data: &'a [u8],
}

impl Record {
    /// The record's fields; `None` if its texts are not UTF-8.
    pub fn view(&self) -> Option<RecordView<'_>> {
        let Layout { flags, key, explicit_hash, headers, data } = self.layout;
        let mut rest = self.encoded.get(RECORD_FIXED..data as usize)?;
        let mut field = |flag: u8, prefix: usize, length: usize| {
            if flags & flag == 0 {
                return Some(None);
            }
            take(&mut rest, prefix)?;
            take(&mut rest, length).map(Some)
        };
        field(HAS_PARTITION_KEY, 2, key.into())?;
        let explicit_hash = field(HAS_EXPLICIT_HASH, 1, explicit_hash.into())?;
        let headers = field(HAS_HEADERS, 4, headers as usize)?;
        Some(RecordView {
            time: self.time,
            partition_key: self.partition_key.as_deref(),
            explicit_hash: explicit_hash.map(std::str::from_utf8).transpose().ok()?,
            headers,
            data: self.encoded.get(data as usize..)?,
        })
    }

    /// The partition key, and the data blob as a share of the buffer it was read into.
    pub fn into_parts(mut self) -> (Option<String>, Bytes) {
        self.encoded.advance(self.layout.data as usize);
        (self.partition_key, self.encoded)
    }

    /// The data blob as a share of the buffer it was read into.
    pub fn data(&self) -> Bytes {
        self.encoded.slice(self.layout.data as usize..)
    }

    /// Bytes that count against read limits: data and partition key.
    pub fn weight(&self) -> usize {
        self.encoded.len() - self.layout.data as usize + usize::from(self.layout.key)
    }
}

/// The records of a run of encoded bytes, from a given first offset on.
#[derive(Clone, Debug)]
pub struct Records {
    next: Offset,
    rest: Bytes,
}

impl Records {
    /// Reads `encoded`, whose first record has offset `first`.
    pub fn new(first: Offset, encoded: Bytes) -> Records {
        Records { next: first, rest: encoded }
    }
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let decoded = Decoded::first_of(&self.rest)?;
        let encoded = self.rest.split_to(decoded.length());
        let offset = self.next;
        self.next += 1;
        Some(decoded.record(offset, encoded))
    }
}

/// What is known of a record whose bytes have been looked at. Making the [`Record`] of it looks at none.
pub(crate) struct Decoded {
    time: TimeMs,
    partition_key: Option<String>,
    layout: Layout,
    length: usize,
}

impl Decoded {
    /// The first record of `bytes`; `None` if its stored form is not one this version knows.
    pub(crate) fn first_of(bytes: &[u8]) -> Option<Decoded> {
        let (layout, time, length) = decode(bytes)?;
        let key = RECORD_FIXED + 2;
        let partition_key = if layout.flags & HAS_PARTITION_KEY != 0 {
            Some(std::str::from_utf8(bytes.get(key..key + usize::from(layout.key))?).ok()?.to_owned())
        } else {
            None
        };
        Some(Decoded { time, partition_key, layout, length })
    }

    /// How many bytes the record takes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The record, which has offset `offset` and the bytes `encoded`.
    pub(crate) fn record(self, offset: Offset, encoded: Bytes) -> Record {
        debug_assert_eq!(encoded.len(), self.length);
        let Decoded { time, partition_key, layout, .. } = self;
        Record { offset, time, partition_key, encoded, layout }
    }
}

/// The length of the first record of `bytes`, without a look at its texts.
pub(crate) fn length_of(bytes: &[u8]) -> Option<usize> {
    decode(bytes).map(|(_, _, length)| length)
}

/// The first record's layout, time and stored length; `None` if the stored form is not one this version knows.
fn decode(bytes: &[u8]) -> Option<(Layout, TimeMs, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    if length > RECORD_MAX {
        return None;
    }
    let mut rest = bytes.get(4..4 + length)?;
    let time = u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?);
    let mut layout = Layout { flags: take(&mut rest, 1)?[0], key: 0, explicit_hash: 0, headers: 0, data: 0 };
    if layout.flags & !(HAS_PARTITION_KEY | HAS_EXPLICIT_HASH | HAS_HEADERS) != 0 {
        return None;
    }
    if layout.flags & HAS_PARTITION_KEY != 0 {
        layout.key = u16::from_le_bytes(take(&mut rest, 2)?.try_into().ok()?);
        take(&mut rest, layout.key.into())?;
    }
    if layout.flags & HAS_EXPLICIT_HASH != 0 {
        layout.explicit_hash = take(&mut rest, 1)?[0];
        take(&mut rest, layout.explicit_hash.into())?;
    }
    if layout.flags & HAS_HEADERS != 0 {
        layout.headers = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?);
        take(&mut rest, layout.headers as usize)?;
    }
    layout.data = (4 + length - rest.len()) as u32;
    Some((layout, time, 4 + length))
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(n)?;
    *rest = tail;
    Some(head)
}
