//! Making a damaged segment readable: its sound blocks are copied to a new file, holes stand for what was given up.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};

use bytes::Bytes;
use millstream_env::{OpenMode, RandomExt};

use super::check::{CheckReport, CheckedLog, Examined, damaged_blocks, is_data};
use super::commit::control;
use super::footer::Footer;
use super::format::{Begins, BlockEntry, BlockKind, COMMIT_ALIGN, CommitHead, EVERY_SHARD, SegmentHeader, align_up};
use super::index::SparseIndex;
use super::problem::{GivenUp, Repaired};
use super::scan::Scanner;
use super::state::Content;
use super::{FENCE, segment_name};
use crate::{Offset, ShardIndex};

/// More commits than the largest segment can hold. Where numbers tell of more that are missing, the numbers are wrong.
const COMMITS_MAX: u64 = 1 << 20;

/// A commit of the new file.
struct NewCommit {
    number: u64,
    epoch: u64,
    mark: u64,
    time: u64,
    flags: u32,
    blocks: Vec<(BlockEntry, Bytes)>,
}

impl NewCommit {
    fn empty(number: u64, epoch: u64, time: u64) -> NewCommit {
        NewCommit { number, epoch, mark: number.saturating_sub(1), time, flags: 0, blocks: Vec::new() }
    }
}

/// Rewrites a segment whose header is sound.
pub(super) fn repair_segment(
    log: &CheckedLog<'_>,
    segment: &Examined,
    next: Option<&SegmentHeader>,
    report: &mut CheckReport,
) -> io::Result<()> {
    let newest = segment.chain.commits.last().map_or(0, |found| found.head.number).max(segment.chain.mark);
    let newest = newest.max(next.map_or(0, |header| header.first_commit));
    if newest > segment.header.first_commit + COMMITS_MAX {
        leave(log, segment.number, report);
        return Ok(());
    }
    let (commits, given_up) = sound_commits(log, segment, next)?;
    let kept = write(log, segment.number, &segment.header, &commits, segment.last)?;
    done(log, segment.number, "rewritten", given_up, kept, report);
    Ok(())
}

/// Leaves a segment as it is, whose numbers cannot be right.
fn leave(log: &CheckedLog<'_>, number: u64, report: &mut CheckReport) {
    let what = "left as it is: more commits are missing than a segment can hold".to_owned();
    report.repairs.push(Repaired { log: Some(log.id.clone()), file: log.path(number), what });
}

fn done(log: &CheckedLog<'_>, number: u64, what: &str, given_up: GivenUp, kept: bool, report: &mut CheckReport) {
    let beside = if kept { format!("; the old file is kept as {}", aside(number)) } else { String::new() };
    let what = format!("{what}; given up: {given_up}{beside}");
    report.repairs.push(Repaired { log: Some(log.id.clone()), file: log.path(number), what });
    report.given_up.extend(&given_up);
}

fn aside(number: u64) -> String {
    format!("{}.damaged", segment_name(number))
}

/// The segment's commits with holes in place of damage, and what the holes cover.
fn sound_commits(
    log: &CheckedLog<'_>,
    segment: &Examined,
    next: Option<&SegmentHeader>,
) -> io::Result<(Vec<NewCommit>, GivenUp)> {
    let header = &segment.header;
    // Of a commit that is lost in the newest segment nothing else tells what it held.
    let untold = next.is_none() && !segment.chain.missing.is_empty();
    let mut given_up = GivenUp { more: segment.cut_short || untold, ..GivenUp::default() };
    let mut expected: BTreeMap<ShardIndex, Offset> = BTreeMap::new();
    let begins = Begins::new(header, segment.chain.commits.iter().flat_map(|f| &f.head.blocks));
    let mut commits: Vec<NewCommit> = Vec::new();
    let mut scanner = Scanner::new(&*segment.file, header.salt, 0, segment.end);
    let mut number = header.first_commit;
    for found in &segment.chain.commits {
        let damaged = damaged_blocks(&mut scanner, found)?;
        if !damaged.is_empty() && found.head.number > segment.chain.mark {
            break;
        }
        while number < found.head.number {
            commits.push(NewCommit::empty(number, found.head.epoch, found.head.time));
            number += 1;
        }
        number += 1;
        let mut blocks = Vec::with_capacity(found.head.blocks.len());
        for (at, block) in found.head.blocks.iter().enumerate() {
            if is_data(block.kind) && block.shard != EVERY_SHARD {
                let next = expected.entry(block.shard).or_insert(begins.of(block.shard, block.first));
                if block.first > *next {
                    given_up.add(block.shard, *next, block.first);
                    blocks.push((hole(block.shard, *next, block.first, block.time_first), Bytes::new()));
                }
                *next = block.end();
            }
            if !damaged.contains(&at) {
                blocks.push((*block, scanner.body(found, at)?));
            } else if block.kind == BlockKind::Records {
                given_up.add(block.shard, block.first, block.end());
                blocks.push((hole(block.shard, block.first, block.end(), block.time_last), Bytes::new()));
            }
        }
        let head = &found.head;
        let (epoch, mark, time, flags) = (head.epoch, head.mark, head.time, head.flags);
        commits.push(NewCommit { number: head.number, epoch, mark, time, flags, blocks });
    }
    let now = log.env.clock.now();
    let epoch = commits.last().map_or(header.epoch, |c| c.epoch);
    let bound = next.map_or(segment.chain.mark + 1, |h| h.first_commit);
    while number < bound {
        commits.push(NewCommit::empty(number, epoch, now));
        number += 1;
    }
    let end_of = |shard: ShardIndex| expected.get(&shard).copied().unwrap_or(begins.of(shard, Offset::MAX));
    match next {
        Some(next) => {
            let mut holes = Vec::new();
            for start in &next.shards {
                let have = end_of(start.shard);
                if have < start.next {
                    given_up.add(start.shard, have, start.next);
                    holes.push((hole(start.shard, have, start.next, start.last_time), Bytes::new()));
                }
            }
            if let Some(last) = commits.last_mut() {
                last.blocks.extend(holes);
            }
        }
        None => {
            // The log goes on behind this segment: nothing that may have been handed out is used again.
            let content = Content::from_header(header);
            let mut shards: Vec<ShardIndex> = content.shards.keys().copied().collect();
            shards.extend(expected.keys());
            shards.sort_unstable();
            shards.dedup();
            let closed = |shard: ShardIndex| {
                let closes =
                    |c: &NewCommit| c.blocks.iter().any(|(b, _)| b.kind == BlockKind::Close && b.shard == shard);
                header.start_of(shard).closed.is_some() || commits.iter().any(closes)
            };
            let fences = shards.iter().filter(|s| !closed(**s)).map(|shard| {
                let end = end_of(*shard);
                (control(BlockKind::Fence, *shard, end, end + FENCE, now), Bytes::new())
            });
            let mut fences: Vec<_> = fences.collect();
            let unknown = control(BlockKind::Fence, EVERY_SHARD, begins.base(), begins.base() + FENCE, now);
            fences.push((unknown, Bytes::new()));
            let mut commit = NewCommit::empty(number, epoch, now);
            commit.blocks = fences;
            commits.push(commit);
        }
    }
    Ok((commits, given_up))
}

/// Puts a segment of holes in the place of one that is gone or whose header is. Gives the log's content behind it.
pub(super) fn replace_lost_segment(
    log: &CheckedLog<'_>,
    number: u64,
    (content, first_commit): (Content, u64),
    next: Option<&SegmentHeader>,
    last: bool,
    report: &mut CheckReport,
) -> io::Result<Option<(Content, u64)>> {
    if next.is_some_and(|header| header.first_commit > first_commit + COMMITS_MAX) {
        leave(log, number, report);
        return Ok(next.map(|header| (Content::from_header(header), header.first_commit)));
    }
    let now = log.env.clock.now();
    let header = SegmentHeader {
        id: log.id.clone(),
        number,
        salt: 0,
        first_commit,
        epoch: 0,
        created: now,
        floor_time: content.floor_time,
        relaxed: false,
        base: content.base,
        shards: content.starts(),
        descriptor: content.descriptor.clone(),
        capacity: u64::MAX,
    };
    let mut given_up = GivenUp { more: next.is_none(), ..GivenUp::default() };
    let mut commit = NewCommit::empty(first_commit, 0, now);
    match next {
        Some(next) => {
            for start in &next.shards {
                let have = content.position(start.shard).end;
                if have < start.next {
                    given_up.add(start.shard, have, start.next);
                    commit.blocks.push((hole(start.shard, have, start.next, start.last_time), Bytes::new()));
                }
            }
        }
        None => {
            for (shard, s) in content.shards.iter().filter(|(_, s)| s.closed.is_none()) {
                let fence = control(BlockKind::Fence, *shard, s.end, s.end + FENCE, now);
                commit.blocks.push((fence, Bytes::new()));
            }
            let unknown = control(BlockKind::Fence, EVERY_SHARD, content.base, content.base + FENCE, now);
            commit.blocks.push((unknown, Bytes::new()));
        }
    }
    let mut commits = vec![commit];
    for missing in first_commit + 1..next.map_or(0, |h| h.first_commit) {
        commits.push(NewCommit::empty(missing, 0, now));
    }
    let kept = write(log, number, &header, &commits, last)?;
    done(log, number, "replaced by holes", given_up, kept, report);
    Ok(next.map(|h| (Content::from_header(h), h.first_commit)))
}

/// Writes the new file, keeps the old one as `*.damaged`, and swaps the names. Gives whether there was an old one.
fn write(
    log: &CheckedLog<'_>,
    number: u64,
    header: &SegmentHeader,
    commits: &[NewCommit],
    last: bool,
) -> io::Result<bool> {
    let disk = &log.env.disk;
    let temporary = log.dir.join("repair.tmp");
    if disk.exists(&temporary) {
        disk.remove_file(&temporary)?;
    }
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    let mut header = header.clone();
    header.salt = log.env.random.u64();
    let ends = |start: u64, commit: &NewCommit| {
        let bodies: u64 = commit.blocks.iter().map(|(block, _)| u64::from(block.length)).sum();
        align_up(start + CommitHead::length_for(commit.blocks.len()) as u64 + bodies, COMMIT_ALIGN)
    };
    header.capacity = u64::MAX;
    header.capacity = commits.iter().fold(header.encode().len() as u64, ends);
    let bytes = header.encode();
    file.write_all_at(&[IoSlice::new(&bytes)], 0)?;
    let mut position = bytes.len() as u64;
    let mut index = SparseIndex::default();
    for commit in commits {
        let head = CommitHead {
            number: commit.number,
            salt: header.salt,
            epoch: commit.epoch.max(header.epoch),
            mark: commit.mark,
            time: commit.time,
            flags: commit.flags,
            blocks: commit.blocks.iter().map(|(b, _)| *b).collect(),
        };
        let encoded = head.encode();
        let mut parts = vec![IoSlice::new(&encoded)];
        parts.extend(commit.blocks.iter().map(|(_, body)| IoSlice::new(body)));
        file.write_all_at(&parts, position)?;
        index.add(position, &head.blocks);
        position = align_up(position + head.total(), COMMIT_ALIGN);
    }
    file.set_len(position)?;
    if !last {
        let next_commit = commits.last().map_or(header.first_commit, |c| c.number + 1);
        let footer = Footer { next_commit, end: position, index: index.entries(), sorted: !index.is_scattered() };
        file.write_all_at(&[IoSlice::new(&footer.encode(header.salt))], position)?;
    }
    file.sync_data()?;
    let path = log.path(number);
    let aside = log.dir.join(aside(number));
    let kept = disk.exists(&path);
    if kept {
        if disk.exists(&aside) {
            disk.remove_file(&aside)?;
        }
        disk.hard_link(&path, &aside)?;
    }
    disk.rename(&temporary, &path)?;
    disk.sync_dir(log.dir)?;
    Ok(kept)
}

fn hole(shard: ShardIndex, first: Offset, end: Offset, time: u64) -> BlockEntry {
    control(BlockKind::Hole, shard, first, end, time)
}
