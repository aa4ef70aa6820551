//! Reads: from the tail cache at once, else from segment files by a job.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::DiskFile;

use super::buffers::Filler;
use super::format::{BlockEntry, BlockKind, SegmentHeader};
use super::scan::{ScanError, Scanner};
use super::stream::Stream;
use super::tail::Chunk;
use super::{meta, regroup};
use crate::batch::{Decoded, RECORD_FIXED, length_of};
use crate::{Offset, Read, ReadError, ReadResult, Record, Records, ShardIndex, ShardPosition, TimeMs};

/// A part of a segment file to scan for a shard's blocks.
struct Part {
    number: u64,
    /// The file that the position belongs to: a segment that is regrouped gets a new one under its name.
    file: Arc<dyn DiskFile>,
    salt: u64,
    position: u64,
    end: u64,
}

/// Nothing is read ahead for a reader who took less than one in so many bytes of what it stepped over,
const READ_AHEAD_SHARE: u64 = 8;
/// or who does not read much.
const READ_AHEAD_LEAST: u64 = 1 << 20;

/// Where a search for records stops.
#[derive(Clone, Copy)]
struct Until {
    end: Offset,
    max_bytes: usize,
    max_records: usize,
}

/// What cache or files gave.
struct Scanned {
    records: Vec<Record>,
    /// The next offset wanted.
    next: Offset,
}

/// A scan of files under way.
struct Scan<'a> {
    found: Filler<'a>,
    /// Data and keys so far, about.
    bytes: usize,
    records: usize,
    /// The next offset wanted.
    next: Offset,
}

impl Scan<'_> {
    /// Whether there is enough for one answer.
    fn is_enough(&self, until: Until) -> bool {
        self.bytes >= until.max_bytes || self.records >= until.max_records
    }

    /// Counts a block's records from the next wanted one on.
    fn count(&mut self, block: &BlockEntry) {
        // What is stored beside data and keys: the length of a key as well.
        let fixed = block.count as usize * (RECORD_FIXED + 2);
        let wanted = (block.end() - self.next.max(block.first)) as usize;
        self.bytes += (block.length as usize).saturating_sub(fixed) * wanted / block.count.max(1) as usize;
        self.records += wanted;
        self.next = block.end();
    }
}

pub(crate) async fn read(stream: &Arc<Stream>, mut read: Read) -> Result<ReadResult, ReadError> {
    let (position, floor_time) =
        stream.opened(|log| (log.content.position(read.shard), log.content.floor_time)).await?;
    // Files that are not dropped yet may still hold what is below the floor.
    read.not_before = read.not_before.max(floor_time);
    let mut from = read.from.max(position.floor);
    let mut result = ReadResult { records: Vec::new(), next: from, position };
    let mut left = read.max_bytes;
    let mut skipped = false;
    while from < position.end {
        let max_records = read.max_records - result.records.len();
        let until = Until { end: position.end, max_bytes: left.max(1), max_records };
        let scanned = match stream.tail.read(read.shard, from, until.max_bytes, max_records) {
            Some(chunks) => {
                stream.shared.meters.cache_hits.increment(1);
                records_of(&chunks, from, until)?
            }
            None => {
                stream.shared.meters.cache_misses.increment(1);
                match from_files(stream, read.shard, from, until).await {
                    Ok(scanned) => scanned,
                    // What is whole before the damage is given; the read that starts at it fails.
                    Err(_) if !result.records.is_empty() => break,
                    Err(e) => return Err(e),
                }
            }
        };
        if !skipped && scanned.records.first().is_some_and(|record| record.time < read.not_before) {
            // Expired records not dropped yet: jump over them by the index, not record by record.
            skipped = true;
            from = from.max(seek_time(stream, read.shard, read.not_before).await?);
            result.next = from;
            continue;
        }
        let stepped = scanned.next.min(position.end).max(from);
        let stuck = stepped == from && scanned.records.is_empty();
        if take(scanned.records, &read, position.end, &mut left, &mut result) || stuck {
            break;
        }
        from = stepped.max(result.next);
        result.next = from;
        if result.records.len() >= read.max_records || !result.records.is_empty() && left == 0 {
            break;
        }
    }
    Ok(result)
}

/// The records of cached chunks from offset `from` on, until there are enough: a chunk may hold far more than is asked for.
fn records_of(chunks: &[Chunk], from: Offset, until: Until) -> Result<Scanned, ReadError> {
    let corrupt = |chunk: &Chunk| ReadError::Corrupt(undecodable(chunk.first).into());
    let mut scanned = Scanned { records: Vec::new(), next: from };
    let mut weight = 0;
    for chunk in chunks {
        let mut at = 0;
        for offset in chunk.first..chunk.first + u64::from(chunk.count) {
            let rest = chunk.bytes.get(at..).unwrap_or_default();
            if offset < from {
                at += length_of(rest).ok_or_else(|| corrupt(chunk))?;
                continue;
            }
            if weight >= until.max_bytes || scanned.records.len() >= until.max_records || offset >= until.end {
                return Ok(scanned);
            }
            let decoded = Decoded::first_of(rest).ok_or_else(|| corrupt(chunk))?;
            let encoded = chunk.bytes.slice(at..at + decoded.length());
            at += encoded.len();
            let record = decoded.record(offset, encoded);
            weight += record.weight();
            scanned.records.push(record);
            scanned.next = offset + 1;
        }
    }
    Ok(scanned)
}

fn undecodable(first: Offset) -> String {
    format!("records at offset {first} cannot be decoded")
}

/// Takes records until a limit is reached; true if one is.
fn take(records: Vec<Record>, read: &Read, end: Offset, left: &mut usize, result: &mut ReadResult) -> bool {
    for record in records {
        if record.offset >= end {
            continue;
        }
        if record.time < read.not_before {
            result.next = record.offset + 1;
            continue;
        }
        if result.records.len() >= read.max_records || !fits(&record, left, result.records.is_empty()) {
            return true;
        }
        result.next = record.offset + 1;
        result.records.push(record);
    }
    false
}

fn fits(record: &Record, left: &mut usize, first: bool) -> bool {
    let weight = record.weight();
    if weight <= *left {
        *left -= weight;
        return true;
    }
    if first {
        *left = 0;
    }
    first
}

fn position_of(stream: &Stream, shard: ShardIndex) -> Result<ShardPosition, ReadError> {
    stream.if_open(|log| log.content.position(shard)).ok_or(ReadError::Deleted)
}

async fn from_files(stream: &Arc<Stream>, shard: ShardIndex, from: Offset, until: Until) -> Result<Scanned, ReadError> {
    let job = Arc::clone(stream);
    let read = stream.shared.env.pool.run(move || scan_shard(&job, shard, from, until));
    match read.await {
        None => Err(ReadError::Unavailable("shutting down".into())),
        Some(Ok(scanned)) => Ok(scanned),
        Some(Err(e)) => {
            // A trim may have dropped the file under the read: then the floor tells.
            let floor = position_of(stream, shard)?.floor;
            if floor > from {
                return Ok(Scanned { next: floor, records: Vec::new() });
            }
            Err(match e {
                ScanError::Damaged(what) => {
                    stream.report_damage(&what);
                    ReadError::Corrupt(what.into())
                }
                ScanError::Disk(e) => ReadError::Unavailable(e.to_string().into()),
            })
        }
    }
}

/// Reads a shard's records from `from` on, over segments.
fn scan_shard(stream: &Arc<Stream>, shard: ShardIndex, from: Offset, until: Until) -> Result<Scanned, ScanError> {
    let mut scan = Scan { found: Filler::new(&stream.shared.buffers), bytes: 0, records: 0, next: from };
    match scan_segments(stream, shard, until, &mut scan) {
        // What is whole before the damage is given; the read that starts at it fails.
        Err(ScanError::Damaged(_)) if !scan.found.is_empty() => {}
        other => other?,
    }
    Ok(Scanned { next: scan.next, records: scan.found.finish() })
}

fn scan_segments(stream: &Arc<Stream>, shard: ShardIndex, until: Until, scan: &mut Scan<'_>) -> Result<(), ScanError> {
    let mut at = segment_of(stream, |header| header.start_of(shard).next <= scan.next)?;
    while scan.next < until.end && !scan.is_enough(until) {
        let next = segment_after(stream, at)?;
        // Where the shard's records in this segment end: nothing behind it needs to be looked at.
        let segment_end = match next {
            Some(next) => start_in(stream, next, shard)?.min(until.end),
            None => until.end,
        };
        if scan.next < segment_end
            && let Some(part) = part_of(stream, at, |index| index.position(shard, scan.next))?
        {
            scan_part(shard, &part, Until { end: segment_end, ..until }, scan)?;
        }
        match next {
            Some(next) if scan.next >= segment_end => at = next,
            _ if scan.next < segment_end && !scan.is_enough(until) => return Err(gap(shard, scan.next)),
            _ => break,
        }
    }
    Ok(())
}

fn gap(shard: ShardIndex, offset: Offset) -> ScanError {
    ScanError::Damaged(format!("shard {shard}: records from offset {offset} on are missing"))
}

fn scan_part(shard: ShardIndex, part: &Part, until: Until, scan: &mut Scan<'_>) -> Result<(), ScanError> {
    let mut scanner = Scanner::sparse(&*part.file, part.salt, part.position, part.end);
    let before = scan.bytes;
    while scan.next < until.end && !scan.is_enough(until) {
        let found = match scanner.next()? {
            Some(found) => found,
            // Damage: other shards' and later commits are found behind it, and the gap shows in the offsets.
            None => match scanner.resync()? {
                Some(found) => found,
                None => return Ok(()),
            },
        };
        for (at, block) in found.head.blocks.iter().enumerate() {
            if block.shard != shard || block.end() <= scan.next {
                continue;
            }
            if block.kind.has_offsets() && block.first > scan.next {
                return Err(gap(shard, scan.next));
            }
            match block.kind {
                BlockKind::Records => {
                    let body = scan.found.room(block.length as usize);
                    scanner.read_body(&found, at, body)?;
                    if !block.is_sound(body) {
                        let what = format!("shard {shard}: the block at offset {} is damaged", block.first);
                        return Err(ScanError::Damaged(format!("segment {}: {what}", part.number)));
                    }
                    if !scan.found.keep(block, scan.next) {
                        let what = undecodable(block.first);
                        return Err(ScanError::Damaged(format!("segment {}: shard {shard}: {what}", part.number)));
                    }
                    scan.count(block);
                }
                BlockKind::Fence | BlockKind::Hole => scan.next = block.end(),
                BlockKind::Close | BlockKind::Trim | BlockKind::Descriptor => {}
            }
        }
    }
    read_ahead(part, scanner.position, scan.bytes - before);
    Ok(())
}

/// A reader that took `bytes` of a part up to `position` will probably want as much again: the system may fetch it while
/// this answer is sent. Not where the reader's records are few among others'.
fn read_ahead(part: &Part, position: u64, bytes: usize) {
    let span = position - part.position;
    if bytes as u64 >= span / READ_AHEAD_SHARE && span >= READ_AHEAD_LEAST {
        part.file.will_need(position, span.min(part.end.saturating_sub(position)));
    }
}

/// What a search in a segment's index needs, whether it is sealed or active.
trait Index {
    fn position(&self, shard: ShardIndex, from: Offset) -> Option<u64>;
    fn seek_time(&self, shard: ShardIndex, time: TimeMs) -> Option<u64>;
}

impl Index for super::index::SparseIndex {
    fn position(&self, shard: ShardIndex, from: Offset) -> Option<u64> {
        self.position(shard, from)
    }
    fn seek_time(&self, shard: ShardIndex, time: TimeMs) -> Option<u64> {
        self.seek_time(shard, time).map(|e| e.position)
    }
}

impl Index for meta::SegmentMeta {
    fn position(&self, shard: ShardIndex, from: Offset) -> Option<u64> {
        self.position(shard, from)
    }
    fn seek_time(&self, shard: ShardIndex, time: TimeMs) -> Option<u64> {
        self.seek_time(shard, time).map(|e| e.position)
    }
}

fn deleted() -> ScanError {
    ScanError::Disk(io::Error::other("the log is deleted"))
}

/// The segment that follows number `at`.
fn segment_after(stream: &Stream, at: u64) -> Result<Option<u64>, ScanError> {
    let next = |segments: &[u64]| segments.get(segments.partition_point(|number| *number <= at)).copied();
    stream.if_open(|log| next(&log.segments)).ok_or_else(deleted)
}

/// Where a shard stood at the start of segment `number`.
fn start_in(stream: &Arc<Stream>, number: u64, shard: ShardIndex) -> Result<Offset, ScanError> {
    let active = stream.if_open(|log| {
        let header = &log.active.header;
        (header.number == number).then(|| header.start_of(shard).next)
    });
    match active.ok_or_else(deleted)? {
        Some(start) => Ok(start),
        None => {
            let next = segment_after(stream, number)?;
            Ok(meta::load(stream, number, next)?.header.start_of(shard).next)
        }
    }
}

/// Where in segment `number` to scan; `None` if the search finds nothing there.
fn part_of(
    stream: &Arc<Stream>,
    number: u64,
    search: impl Fn(&dyn Index) -> Option<u64>,
) -> Result<Option<Part>, ScanError> {
    let active = stream.if_open(|log| {
        if log.active.header.number != number {
            return None;
        }
        regroup::want_active(stream, log);
        let active = &log.active;
        Some((search(&active.index), active.header.salt, active.durable_end))
    });
    if let Some((position, salt, end)) = active.ok_or_else(deleted)? {
        let Some(position) = position else { return Ok(None) };
        let file = stream.file(number)?;
        return Ok(Some(Part { number, file, salt, position, end }));
    }
    let next = segment_after(stream, number)?;
    let meta = meta::load(stream, number, next)?;
    if regroup::may_be_scattered(&meta.footer) {
        stream.shared.regroups.want(stream, number);
    }
    Ok(search(&*meta).map(|position| Part {
        number,
        file: Arc::clone(&meta.file),
        salt: meta.header.salt,
        position: position.max(meta.start),
        end: meta.footer.end,
    }))
}

/// The last segment whose header satisfies `before`, which holds for a prefix of the segments; the first one if none.
fn segment_of(stream: &Arc<Stream>, before: impl Fn(&SegmentHeader) -> bool) -> Result<u64, ScanError> {
    let (segments, active) =
        stream.if_open(|log| (log.segments.clone(), Arc::clone(&log.active.header))).ok_or_else(deleted)?;
    if before(&active) {
        return Ok(active.number);
    }
    let (mut low, mut high) = (0, segments.len().saturating_sub(1));
    while low < high {
        let middle = (low + high) / 2;
        // A damaged header says nothing: the next sound one is asked.
        let mut asked = None;
        for at in middle..high {
            let meta = meta::load(stream, segments[at], segments.get(at + 1).copied());
            match meta.map(|meta| before(&meta.header)) {
                Ok(holds) => {
                    asked = Some((at, holds));
                    break;
                }
                Err(ScanError::Damaged(_)) => {}
                Err(e) => return Err(e),
            }
        }
        match asked {
            Some((at, true)) => low = at + 1,
            Some((_, false)) | None => high = middle,
        }
    }
    segments.get(low.saturating_sub(1)).copied().ok_or_else(deleted)
}

/// The offset of the first durable record at or after `time`.
pub(crate) async fn seek_time(stream: &Arc<Stream>, shard: ShardIndex, time: TimeMs) -> Result<Offset, ReadError> {
    let position = position_of(stream, shard)?;
    if position.last_time < time || position.floor >= position.end {
        return Ok(position.end);
    }
    let job = Arc::clone(stream);
    let sought = stream.shared.env.pool.run(move || scan_time(&job, shard, time, position)).await;
    match sought {
        None => Err(ReadError::Unavailable("shutting down".into())),
        Some(Ok(offset)) => Ok(offset),
        Some(Err(ScanError::Damaged(what))) => {
            stream.report_damage(&what);
            Err(ReadError::Corrupt(what.into()))
        }
        Some(Err(ScanError::Disk(e))) => Err(ReadError::Unavailable(e.to_string().into())),
    }
}

fn scan_time(
    stream: &Arc<Stream>,
    shard: ShardIndex,
    time: TimeMs,
    position: ShardPosition,
) -> Result<Offset, ScanError> {
    let mut at = segment_of(stream, |header| header.start_of(shard).last_time < time)?;
    loop {
        if let Some(part) = part_of(stream, at, |index| index.seek_time(shard, time))?
            && let Some(offset) = time_in_part(shard, time, &part)?
        {
            return Ok(offset.clamp(position.floor, position.end));
        }
        match segment_after(stream, at)? {
            Some(next) => at = next,
            None => return Ok(position.end),
        }
    }
}

fn time_in_part(shard: ShardIndex, time: TimeMs, part: &Part) -> Result<Option<Offset>, ScanError> {
    let mut scanner = Scanner::sparse(&*part.file, part.salt, part.position, part.end);
    let mut expected: Option<Offset> = None;
    loop {
        let found = match scanner.next()? {
            Some(found) => found,
            None => match scanner.resync()? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        for (at, block) in found.head.blocks.iter().enumerate() {
            let data = matches!(block.kind, BlockKind::Records | BlockKind::Fence | BlockKind::Hole);
            if block.shard != shard || !data {
                continue;
            }
            // A gap is damage: the reader that starts at it reports it.
            if let Some(expected) = expected.replace(block.end()).filter(|expected| block.first > *expected) {
                return Ok(Some(expected));
            }
            if block.kind != BlockKind::Records || block.time_last < time {
                continue;
            }
            let body: Bytes = scanner.body(&found, at)?;
            if !block.is_sound(&body) {
                // The reader that starts here reports it.
                return Ok(Some(block.first));
            }
            if let Some(record) = Records::new(block.first, body).find(|r| r.time >= time) {
                return Ok(Some(record.offset));
            }
        }
    }
}

#[cfg(test)]
mod tests;
