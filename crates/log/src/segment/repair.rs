//! Making a damaged segment readable: its sound blocks are copied to a new file, holes stand for what was given up.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::Path;

use bytes::Bytes;
use millstream_env::{Env, OpenMode, RandomExt};

use super::check::{CheckReport, Examined, damaged_blocks, is_data};
use super::commit::control;
use super::footer::Footer;
use super::format::{BlockEntry, BlockKind, COMMIT_ALIGN, CommitHead, EVERY_SHARD, SegmentHeader, align_up};
use super::index::SparseIndex;
use super::scan::Scanner;
use super::state::Content;
use super::{FENCE, segment_name};
use crate::{LogId, Offset, ShardIndex};

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

/// What is needed to repair a log.
pub(super) struct Repair<'a> {
    pub(super) env: &'a Env,
    pub(super) id: &'a LogId,
    pub(super) dir: &'a Path,
    pub(super) report: &'a mut CheckReport,
}

/// Rewrites a segment whose header is sound.
pub(super) fn repair_segment(
    env: &Env,
    id: &LogId,
    dir: &Path,
    segment: &Examined,
    next: Option<&SegmentHeader>,
    report: &mut CheckReport,
) -> io::Result<()> {
    let mut repair = Repair { env, id, dir, report };
    let (commits, given_up) = repair.sound_commits(segment, next)?;
    repair.write(segment.number, &segment.header, &commits, segment.last)?;
    let what = if given_up == 0 { "nothing was given up".into() } else { format!("{given_up} offsets were given up") };
    repair.report.repairs.push(format!("log {id}: segment {} rewritten, {what}", segment.number));
    Ok(())
}

impl Repair<'_> {
    /// The segment's commits with holes in place of damage, and how many offsets the holes cover.
    fn sound_commits(&self, segment: &Examined, next: Option<&SegmentHeader>) -> io::Result<(Vec<NewCommit>, u64)> {
        let header = &segment.header;
        let mut given_up = 0;
        let mut expected: BTreeMap<ShardIndex, Offset> = BTreeMap::new();
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
                    let next = expected.entry(block.shard).or_insert(header.start_of(block.shard).next);
                    if block.first > *next {
                        given_up += block.first - *next;
                        blocks.push((hole(block.shard, *next, block.first, block.time_first), Bytes::new()));
                    }
                    *next = block.end();
                }
                if !damaged.contains(&at) {
                    blocks.push((*block, scanner.body(found, at)?));
                } else if block.kind == BlockKind::Records {
                    given_up += u64::from(block.count);
                    blocks.push((hole(block.shard, block.first, block.end(), block.time_last), Bytes::new()));
                }
            }
            let head = &found.head;
            let (epoch, mark, time, flags) = (head.epoch, head.mark, head.time, head.flags);
            commits.push(NewCommit { number: head.number, epoch, mark, time, flags, blocks });
        }
        let now = self.env.clock.now();
        let epoch = commits.last().map_or(header.epoch, |c| c.epoch);
        let bound = next.map_or(segment.chain.mark + 1, |h| h.first_commit);
        while number < bound {
            commits.push(NewCommit::empty(number, epoch, now));
            number += 1;
        }
        let end_of = |shard: ShardIndex| expected.get(&shard).copied().unwrap_or(header.start_of(shard).next);
        match next {
            Some(next) => {
                let mut holes = Vec::new();
                for start in &next.shards {
                    let have = end_of(start.shard);
                    if have < start.next {
                        given_up += start.next - have;
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
                let unknown = control(BlockKind::Fence, EVERY_SHARD, header.base, header.base + FENCE, now);
                fences.push((unknown, Bytes::new()));
                let mut commit = NewCommit::empty(number, epoch, now);
                commit.blocks = fences;
                commits.push(commit);
            }
        }
        Ok((commits, given_up))
    }

    /// Puts a segment of holes in the place of one whose header is lost. Gives the log's content behind it.
    pub(super) fn replace_lost_segment(
        mut self,
        number: u64,
        before: Option<(Content, u64)>,
        next: Option<&SegmentHeader>,
        last: bool,
    ) -> io::Result<Option<(Content, u64)>> {
        let Some((content, first_commit)) = before else {
            let what = "cannot be repaired: what it began with is not known";
            self.report.repairs.push(format!("log {}: segment {number} {what}", self.id));
            return Ok(None);
        };
        let now = self.env.clock.now();
        let header = SegmentHeader {
            id: self.id.clone(),
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
        };
        let mut commit = NewCommit::empty(first_commit, 0, now);
        let mut given_up = 0;
        match next {
            Some(next) => {
                for start in &next.shards {
                    let have = content.position(start.shard).end;
                    if have < start.next {
                        given_up += start.next - have;
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
        self.write(number, &header, &commits, last)?;
        let what = match next {
            Some(_) => format!("{given_up} offsets were given up"),
            None => "all its records were given up, how many is not known".into(),
        };
        self.report.repairs.push(format!("log {}: segment {number} replaced by holes: {what}", self.id));
        Ok(next.map(|h| (Content::from_header(h), h.first_commit)))
    }

    /// Writes the new file, keeps the old one as `*.damaged`, and swaps the names.
    fn write(&mut self, number: u64, header: &SegmentHeader, commits: &[NewCommit], last: bool) -> io::Result<()> {
        let disk = &self.env.disk;
        let temporary = self.dir.join("repair.tmp");
        if disk.exists(&temporary) {
            disk.remove_file(&temporary)?;
        }
        let file = disk.open(&temporary, OpenMode::CreateNew)?;
        let mut header = header.clone();
        header.salt = self.env.random.u64();
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
        let path = self.dir.join(segment_name(number));
        let aside = self.dir.join(format!("{}.damaged", segment_name(number)));
        if disk.exists(&aside) {
            disk.remove_file(&aside)?;
        }
        disk.hard_link(&path, &aside)?;
        disk.rename(&temporary, &path)?;
        disk.sync_dir(self.dir)
    }
}

fn hole(shard: ShardIndex, first: Offset, end: Offset, time: u64) -> BlockEntry {
    control(BlockKind::Hole, shard, first, end, time)
}
