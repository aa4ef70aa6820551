//! From the files of a log to a log that can be written to.
//!
//! Only segments without a footer are read: the last one, and those before it whose sealing a crash cut short. What is
//! found at each place where a commit should be has one outcome, [`outcome`]; what is kept but was not known durable is
//! written anew and synced before anything is served.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::{Disk, DiskFile, OpenMode};

use super::commit::control;
use super::footer::Footer;
use super::format::{
    BlockEntry, BlockKind, COMMIT_ALIGN, COMMIT_CLEAN_STOP, COMMIT_RELAXED, CommitHead, EVERY_SHARD, SegmentHeader,
    align_up,
};
use super::index::SparseIndex;
use super::scan::{Found, ScanError, Scanner, read_footer, read_header};
use super::state::{Active, Content};
use super::{FENCE, Shared, segment_name, segment_number};
use crate::bugs::{self, Bug};
use crate::{LogId, Offset};

/// What is found where commit `n` should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A sound header and directory, and sound bodies (or bodies that need not be looked at).
    Whole,
    /// A sound header and directory, but a body does not match its CRC.
    BadBody,
    /// No sound header.
    NoHeader,
}

/// Whether something proves that commit `n` was durable: a later header's mark, a later segment, a clean stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    Proven,
    Open,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Stays as it is.
    Keep,
    /// Stays, and is written anew: it may only be in the page cache.
    Rewrite,
    /// A torn commit, never acknowledged: it and all after it are cut off.
    Cut,
    /// Acknowledged data is damaged: reported, read around, never served.
    Corrupt,
}

/// The recovery table. Every combination has its row.
pub(crate) fn outcome(finding: Finding, durability: Durability) -> Outcome {
    match (finding, durability) {
        (Finding::Whole, Durability::Proven) => Outcome::Keep,
        (Finding::Whole, Durability::Open) => Outcome::Rewrite,
        (Finding::BadBody, Durability::Proven) => Outcome::Corrupt,
        (Finding::BadBody, Durability::Open) => Outcome::Cut,
        (Finding::NoHeader, Durability::Proven) => Outcome::Corrupt,
        (Finding::NoHeader, Durability::Open) => Outcome::Cut,
    }
}

/// A log ready for use.
pub(crate) struct Recovered {
    pub(crate) content: Content,
    pub(crate) active: Active,
    /// All segment numbers, ascending; the last one is the active segment's.
    pub(crate) segments: Vec<u64>,
    pub(crate) next_commit: u64,
    /// Whether the file ends with a clean-stop marker.
    pub(crate) clean: bool,
    /// Damage to report: one line each.
    pub(crate) damage: Vec<String>,
}

/// The commits of a segment as its headers tell, in order, and what is wrong with it.
pub(crate) struct Chain {
    pub(crate) commits: Vec<Found>,
    /// Highest commit number that is known durable.
    pub(crate) mark: u64,
    /// Damaged places below the mark: commit numbers missing from the chain, as (from, up to).
    pub(crate) missing: Vec<(u64, u64)>,
    pub(crate) clean_stop: bool,
    pub(crate) relaxed: bool,
}

/// Walks the headers of a segment whose commits end before `next_commit` (if a later segment says so) and `end`.
pub(crate) fn chain(
    file: &dyn DiskFile,
    header: &SegmentHeader,
    start: u64,
    end: u64,
    next_commit: Option<u64>,
) -> io::Result<Chain> {
    let mut scanner = Scanner::new(file, header.salt, start, end);
    let mut chain = Chain {
        commits: Vec::new(),
        mark: next_commit.unwrap_or(header.first_commit).saturating_sub(1),
        missing: Vec::new(),
        clean_stop: false,
        relaxed: false,
    };
    let mut expected = header.first_commit;
    let mut epoch = header.epoch;
    loop {
        if next_commit.is_some_and(|n| expected >= n) {
            return Ok(chain);
        }
        let here = scanner.position;
        let sound = |f: &Found, expected: u64, epoch: u64| f.head.number >= expected && f.head.epoch >= epoch;
        let found = match scanner.next()? {
            Some(f) if f.head.number == expected && sound(&f, expected, epoch) => f,
            other => {
                // Either the end, or damage that something later proves.
                let mut later = other.filter(|f| sound(f, expected, epoch));
                if later.is_none() {
                    scanner.position = here + COMMIT_ALIGN;
                    while let Some(f) = scanner.resync()? {
                        if sound(&f, expected, epoch) {
                            later = Some(f);
                            break;
                        }
                    }
                }
                let proof = later.filter(|f| f.head.number > expected && f.head.mark >= expected);
                let durability = if proof.is_some() { Durability::Proven } else { Durability::Open };
                match (outcome(Finding::NoHeader, durability), proof) {
                    (Outcome::Corrupt, Some(f)) => {
                        chain.missing.push((expected, f.head.number));
                        f
                    }
                    _ => {
                        if next_commit.is_some_and(|n| n > expected) {
                            chain.missing.push((expected, chain.mark + 1));
                        }
                        return Ok(chain);
                    }
                }
            }
        };
        if next_commit.is_some_and(|n| found.head.number >= n) {
            if let Some(n) = next_commit.filter(|n| *n > expected) {
                chain.missing.push((expected, n));
            }
            return Ok(chain);
        }
        expected = found.head.number + 1;
        epoch = found.head.epoch;
        chain.mark = chain.mark.max(found.head.mark);
        // A stop marker vouches for all before it, by its mark; not for itself: its own sync may have failed.
        chain.clean_stop = found.head.flags & COMMIT_CLEAN_STOP != 0;
        chain.relaxed = found.head.flags & COMMIT_RELAXED != 0;
        chain.commits.push(found);
    }
}

/// A segment gets its footer when the one that follows it is durable: a newest one that has a footer is not the newest.
pub(crate) fn newest_is_missing(last: u64, next_commit: u64) -> String {
    let next = segment_name(last + 1);
    format!("segment {} is missing: segment {last} is sealed, commits from {next_commit} on were in {next}", last + 1)
}

/// A segment that is written to has the length with which it was made.
pub(crate) fn cut_short(number: u64, length: u64, capacity: u64) -> String {
    format!("segment {number} is cut short: it has {length} of its {capacity} bytes")
}

/// Whether every body of a commit matches its CRC.
pub(crate) fn bodies_sound(file: &dyn DiskFile, found: &Found, end: u64) -> io::Result<bool> {
    let mut scanner = Scanner::new(file, found.head.salt, found.position, end);
    for (at, block) in found.head.blocks.iter().enumerate() {
        match scanner.body(found, at) {
            Ok(body) if block.is_sound(&body) => {}
            Ok(_) => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

/// Applies a commit to the content, reading the bodies that are needed. A damaged one is named in `damage`.
fn replay(
    file: &dyn DiskFile,
    found: &Found,
    end: u64,
    content: &mut Content,
    damage: &mut Vec<String>,
) -> io::Result<()> {
    let mut scanner = Scanner::new(file, found.head.salt, found.position, end);
    for (at, block) in found.head.blocks.iter().enumerate() {
        let body = match block.kind {
            BlockKind::Trim | BlockKind::Descriptor => scanner.body(found, at)?,
            _ => Bytes::new(),
        };
        if matches!(block.kind, BlockKind::Trim | BlockKind::Descriptor) && !block.is_sound(&body) {
            damage.push(format!("commit {}: {:?} block damaged", found.head.number, block.kind));
        } else if block.kind != BlockKind::Close || !bugs::is(Bug::DropClose) {
            content.apply(block, &body);
        }
    }
    Ok(())
}

/// The footer of a segment whose commits end before `next_commit`.
pub(crate) fn footer_of(found: &[Found], start: u64, next_commit: u64) -> Footer {
    let mut index = SparseIndex::default();
    let mut end = start;
    for commit in found.iter().filter(|f| f.head.number < next_commit) {
        index.add(commit.position, &commit.head.blocks);
        end = commit.next();
    }
    Footer { next_commit, end, index: index.entries(), sorted: !index.is_scattered() }
}

/// Writes a segment's footer and gives back the space behind it.
pub(crate) fn write_footer(file: &dyn DiskFile, footer: &Footer, salt: u64) -> io::Result<()> {
    let bytes = footer.encode(salt);
    file.write_all_at(&[IoSlice::new(&bytes)], footer.end)?;
    file.set_len(footer.end + bytes.len() as u64)?;
    file.sync_data()
}

/// The segment files of a directory, ascending by number.
pub(crate) fn segments_in(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = disk.list(dir)?.iter().filter_map(|e| segment_number(&e.name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Recovers the log in `dir`.
pub(crate) fn recover(shared: &Shared, id: &LogId, dir: &Path) -> Result<Recovered, ScanError> {
    let disk = &*shared.env.disk;
    // A name seen here may be in the page cache only, and older segments are cut because of it: make it durable first.
    disk.sync_dir(dir)?;
    // What an earlier process was making.
    for name in ["spare", "spare.tmp", "next.tmp", "regroup.tmp", "recovery.tmp"] {
        if disk.exists(&dir.join(name)) {
            disk.remove_file(&dir.join(name))?;
        }
    }
    let mut segments = segments_in(disk, dir)?;
    let Some(&last) = segments.last() else {
        return Err(ScanError::Damaged("the directory holds no segment".into()));
    };
    let file = disk.open(&dir.join(segment_name(last)), OpenMode::Write)?;
    let (header, start) = read_header(&*file).map_err(|e| match e {
        ScanError::Damaged(what) => ScanError::Damaged(format!("segment {last}: {what}")),
        disk => disk,
    })?;
    if header.id != *id {
        return Err(ScanError::Damaged(format!("segment {last} belongs to another log")));
    }
    let mut damage = seal_unfinished(disk, dir, &segments, header.first_commit)?;

    if let Some(footer) = read_footer(&*file, header.salt)? {
        return Err(ScanError::Damaged(newest_is_missing(last, footer.next_commit)));
    }
    let end = file.len()?;
    let chain = chain(&*file, &header, start, end, None)?;
    let mark = chain.mark;
    let newest_epoch = chain.commits.last().map_or(header.epoch, |f| f.head.epoch);
    if newest_epoch > shared.epoch {
        // What would be written now would not count after the next start.
        let epoch = shared.epoch;
        let what =
            format!("segment {last} is of epoch {newest_epoch}, and this is epoch {epoch}: the epoch's file is old");
        return Err(ScanError::Damaged(what));
    }
    let is_cut_short = end < header.capacity;
    if is_cut_short {
        damage.push(cut_short(last, end, header.capacity));
    }

    // What is kept, and what of it has to be written anew.
    let mut content = Content::from_header(&header);
    let mut index = SparseIndex::default();
    let mut rewrite: Vec<(BlockEntry, Bytes)> = Vec::new();
    let mut kept_end = start;
    let mut kept_number = header.first_commit.saturating_sub(1);
    let mut cut = None;
    let considered = chain.commits.len().saturating_sub(usize::from(bugs::is(Bug::CutTooMuch)));
    for found in &chain.commits[..considered] {
        let number = found.head.number;
        let durability = if number <= mark { Durability::Proven } else { Durability::Open };
        // Below the mark bodies are checked when they are read.
        let finding = match durability {
            Durability::Open if !bodies_sound(&*file, found, end)? => Finding::BadBody,
            _ => Finding::Whole,
        };
        match outcome(finding, durability) {
            Outcome::Keep => {
                replay(&*file, found, end, &mut content, &mut damage)?;
                index.add(found.position, &found.head.blocks);
                kept_end = found.next();
                kept_number = number;
            }
            Outcome::Rewrite => {
                let mut scanner = Scanner::new(&*file, header.salt, found.position, end);
                for (at, block) in found.head.blocks.iter().enumerate() {
                    rewrite.push((*block, scanner.body(found, at)?));
                }
            }
            Outcome::Cut | Outcome::Corrupt => {
                cut = Some(number);
                break;
            }
        }
    }
    for (from, to) in &chain.missing {
        damage.push(format!("segment {last}: commits {from} to {} are damaged", to - 1));
    }
    if let Some(number) = cut {
        tracing::warn!(log = %id, segment = last, commit = number, "cut a torn commit that was never acknowledged");
    }
    // Relaxed mode syncs the first commit of a process: without one nothing was acknowledged.
    let lost_relaxed = chain.relaxed && !chain.clean_stop;
    let mut kept = content.clone();
    for (entry, body) in &rewrite {
        kept.apply(entry, body);
    }
    let damaged_to = if is_cut_short { Some(u64::MAX) } else { chain.missing.last().map(|(_, to)| *to) };
    let now = shared.env.clock.now();
    let mut fences = fences(&kept, &chain, damaged_to, lost_relaxed, now);
    for fence in &fences {
        kept.apply(fence, &[]);
    }
    fences.extend(fences_to_base(&kept, shared.base, now));

    if rewrite.is_empty() && fences.is_empty() {
        let capacity = file.len()?;
        let has_records = !index.is_empty();
        let header = Arc::new(header);
        let durable_end = kept_end;
        let active =
            Active { header, position: kept_end, capacity, index, durable_end, has_records, wanted_sorted: false };
        return Ok(Recovered {
            content,
            active,
            segments,
            next_commit: kept_number.max(mark) + 1,
            clean: chain.clean_stop,
            damage,
        });
    }

    // A new segment takes the log over: the old one's bytes behind the mark are dead from the moment it has its name.
    let mut entries = rewrite;
    entries.extend(fences.into_iter().map(|f| (f, Bytes::new())));
    let first_commit = kept_number.max(mark) + 1;
    let number = last + 1;
    let mut new = shared.new_header(id, &content, number, first_commit);
    let head = CommitHead {
        number: first_commit,
        salt: new.salt,
        epoch: shared.epoch,
        mark: first_commit - 1,
        time: new.created,
        flags: if new.relaxed { COMMIT_RELAXED } else { 0 },
        blocks: entries.iter().map(|(e, _)| *e).collect(),
    };
    let commit_at = new.encode().len() as u64;
    let commit_end = align_up(commit_at + head.total(), COMMIT_ALIGN);
    let capacity = (commit_end + shared.config.segment_min).max(shared.config.segment_min);
    new.capacity = capacity;
    let header_bytes = new.encode();
    let head_bytes = head.encode();
    let mut parts = vec![IoSlice::new(&header_bytes), IoSlice::new(&head_bytes)];
    parts.extend(entries.iter().map(|(_, body)| IoSlice::new(body)));
    let temporary = dir.join("recovery.tmp");
    let new_file = disk.open(&temporary, OpenMode::CreateNew)?;
    new_file.allocate(capacity)?;
    new_file.write_all_at(&parts, 0)?;
    new_file.sync_data()?;
    disk.rename(&temporary, &dir.join(segment_name(number)))?;
    disk.sync_dir(dir)?;
    let footer =
        Footer { next_commit: first_commit, end: kept_end, index: index.entries(), sorted: !index.is_scattered() };
    write_footer(&*file, &footer, header.salt)?;
    for (entry, body) in &entries {
        content.apply(entry, body);
    }
    let mut index = SparseIndex::default();
    index.add(commit_at, &head.blocks);
    segments.push(number);
    let has_records = !index.is_empty();
    let header = Arc::new(new);
    let durable_end = commit_end;
    let active =
        Active { header, position: commit_end, capacity, index, durable_end, has_records, wanted_sorted: false };
    Ok(Recovered { content, active, segments, next_commit: first_commit + 1, clean: false, damage })
}

/// The jumps that keep offsets from being used twice: all shards after relaxed mode lost its tail, and after damage
/// whose extent is unknown, behind which there are sound commits from `damaged_to` on. In the latter case one offset is left open before the jump, so that readers see the damage
/// and do not step over it.
fn fences(content: &Content, chain: &Chain, damaged_to: Option<u64>, lost_relaxed: bool, now: u64) -> Vec<BlockEntry> {
    // Shards whose only records were lost are not known at all.
    let unknown = control(BlockKind::Fence, EVERY_SHARD, content.base, content.base + FENCE, now);
    let Some(damaged_to) = damaged_to else {
        if !lost_relaxed {
            return Vec::new();
        }
        let open = content.shards.iter().filter(|(_, s)| s.closed.is_none());
        let known =
            open.map(|(shard, s)| control(BlockKind::Fence, *shard, s.end, s.end + FENCE, now.max(s.last_time)));
        return known.chain([unknown]).collect();
    };
    let known: BTreeMap<_, _> = chain
        .commits
        .iter()
        .filter(|f| f.head.number >= damaged_to)
        .flat_map(|f| f.head.blocks.iter().map(|b| (b.shard, ())))
        .collect();
    let open = content.shards.iter().filter(|(_, s)| s.closed.is_none());
    let fences = open.map(|(shard, s)| {
        let from = s.end + u64::from(!known.contains_key(shard));
        control(BlockKind::Fence, *shard, from, s.end + FENCE, now.max(s.last_time))
    });
    fences.chain([unknown]).collect()
}

/// The jumps over what the logs that these were copied from may have given out since.
fn fences_to_base(content: &Content, base: Offset, now: u64) -> Vec<BlockEntry> {
    let low = content.shards.iter().filter(|(_, s)| s.closed.is_none() && s.end < base);
    let known = low.map(|(shard, s)| control(BlockKind::Fence, *shard, s.end, base, now.max(s.last_time)));
    let unknown = (content.base < base).then(|| control(BlockKind::Fence, EVERY_SHARD, content.base, base, now));
    known.chain(unknown).collect()
}

/// Seals the segments before the last one that a crash has left open.
fn seal_unfinished(
    disk: &dyn Disk,
    dir: &Path,
    segments: &[u64],
    first_commit_of_last: u64,
) -> Result<Vec<String>, ScanError> {
    let mut damage = Vec::new();
    let mut next_commit = first_commit_of_last;
    for number in segments.iter().rev().skip(1) {
        let path: PathBuf = dir.join(segment_name(*number));
        let file = disk.open(&path, OpenMode::Write)?;
        let (header, start) = match read_header(&*file) {
            Ok(read) => read,
            Err(ScanError::Damaged(what)) => {
                // Readers meet it; whatever lies before was sealed long ago or is found by `check`.
                damage.push(format!("segment {number}: {what}"));
                break;
            }
            Err(e) => return Err(e),
        };
        if read_footer(&*file, header.salt)?.is_some() {
            break;
        }
        let chain = chain(&*file, &header, start, file.len()?, Some(next_commit))?;
        for (from, to) in &chain.missing {
            damage.push(format!("segment {number}: commits {from} to {} are damaged", to - 1));
        }
        // A damaged segment keeps its bytes as they are for `check --repair`.
        if chain.missing.is_empty() {
            write_footer(&*file, &footer_of(&chain.commits, start, next_commit), header.salt)?;
        }
        next_commit = header.first_commit;
    }
    Ok(damage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recovery_table_is_total_and_never_serves_damage() {
        for finding in [Finding::Whole, Finding::BadBody, Finding::NoHeader] {
            for durability in [Durability::Proven, Durability::Open] {
                let outcome = outcome(finding, durability);
                let serves = matches!(outcome, Outcome::Keep | Outcome::Rewrite);
                assert_eq!(serves, finding == Finding::Whole, "only whole commits are served");
                let drops = outcome == Outcome::Cut;
                assert!(!(drops && durability == Durability::Proven), "nothing proven durable is cut");
            }
        }
    }
}
