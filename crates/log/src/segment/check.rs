//! `millstream check`: reads every byte of every log, says what is damaged, and with `repair` makes it readable again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use millstream_env::{Disk, DiskFile, Env, OpenMode};

use super::footer::Footer;
use super::format::{BlockKind, EVERY_SHARD, SegmentHeader};
use super::recovery::{Chain, chain, footer_of, segments_in};
use super::repair::{Repair, repair_segment};
use super::scan::{Found, ScanError, Scanner, read_footer, read_header};
use super::state::Content;
use super::{SegmentConfig, segment_name, stream_dir};
use crate::{LogId, Offset, ShardIndex};

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Logs looked at.
    pub logs: usize,
    /// Segments read.
    pub segments: usize,
    /// Sound records.
    pub records: u64,
    /// Bytes of sound records, as stored.
    pub bytes: u64,
    /// What is damaged, one line each.
    pub problems: Vec<String>,
    /// What was done about it, one line each (with `repair` only).
    pub repairs: Vec<String>,
}

/// A segment as the check sees it.
pub(super) struct Examined {
    pub(super) number: u64,
    pub(super) file: Box<dyn DiskFile>,
    pub(super) header: SegmentHeader,
    pub(super) chain: Chain,
    /// Where commits end.
    pub(super) end: u64,
    pub(super) last: bool,
}

/// Reads every log below `dir` (an engine's directory that no engine has open). With `repair`, damaged blocks are
/// replaced by holes that readers step over, footers are rebuilt, and offsets that may have been handed out are fenced
/// off; the damaged files are kept beside the new ones as `*.damaged`.
pub fn check(env: &Env, dir: &Path, repair: bool) -> io::Result<CheckReport> {
    let config = SegmentConfig::new(dir);
    let disk = &*env.disk;
    let mut report = CheckReport::default();
    let streams = dir.join("streams");
    for account in dirs(disk, &streams)? {
        for region in dirs(disk, &streams.join(&account))? {
            for name in dirs(disk, &streams.join(&account).join(&region))? {
                let Ok(incarnation) = u64::from_str_radix(&name, 16) else {
                    report.problems.push(format!("{account}/{region}/{name} is not a stream's directory"));
                    continue;
                };
                let id = LogId { account: account.as_str().into(), region: region.as_str().into(), incarnation };
                report.logs += 1;
                check_log(env, &id, &stream_dir(&config, &id), repair, &mut report)?;
            }
        }
    }
    Ok(report)
}

fn dirs(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<String>> {
    match disk.list(dir) {
        Ok(entries) => Ok(entries.into_iter().filter(|e| e.is_dir).map(|e| e.name).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

fn check_log(env: &Env, id: &LogId, dir: &Path, repair: bool, report: &mut CheckReport) -> io::Result<()> {
    let disk = &*env.disk;
    let numbers = segments_in(disk, dir)?;
    if numbers.is_empty() {
        report.problems.push(format!("log {id}: no segment (a creation that was cut short?)"));
        return Ok(());
    }
    let mut headers = BTreeMap::new();
    for number in &numbers {
        let file = disk.open(&dir.join(segment_name(*number)), OpenMode::Read)?;
        match read_header(&*file) {
            Ok(header) => {
                headers.insert(*number, header);
            }
            Err(ScanError::Damaged(what)) => report.problems.push(format!("log {id}: segment {number}: {what}")),
            Err(ScanError::Disk(e)) => return Err(e),
        }
    }
    // What the log is known to hold at the end of the segment before.
    let mut before: Option<(Content, u64)> = None;
    for (at, number) in numbers.iter().enumerate() {
        report.segments += 1;
        let next = numbers.get(at + 1).and_then(|n| headers.get(n)).map(|(h, _)| h.clone());
        let last = at + 1 == numbers.len();
        let path = dir.join(segment_name(*number));
        let file = disk.open(&path, OpenMode::Write)?;
        let Some((header, start)) = headers.get(number).cloned() else {
            if repair {
                let lost = Repair { env, id, dir, report };
                before = lost.replace_lost_segment(*number, before, next.as_ref(), last)?;
            } else {
                before = None;
            }
            continue;
        };
        let footer = read_footer(&*file, header.salt)?;
        let end = footer.as_ref().map_or(file.len()?, |f| f.end);
        let bound = next.as_ref().map(|h| h.first_commit).or(footer.as_ref().map(|f| f.next_commit));
        let chain = chain(&*file, &header, start, end, bound)?;
        let segment = Examined { number: *number, file, header, chain, end, last };
        let found = report.problems.len();
        let content = examine(id, &segment, start, footer.as_ref(), next.as_ref(), report)?;
        let next_commit =
            bound.unwrap_or(segment.chain.commits.last().map_or(segment.header.first_commit, |f| f.head.number + 1));
        before = Some((content, next_commit));
        if repair && report.problems.len() > found {
            repair_segment(env, id, dir, &segment, next.as_ref(), report)?;
        }
    }
    Ok(())
}

/// Reads a segment's commits and reports what is wrong with it.
fn examine(
    id: &LogId,
    segment: &Examined,
    start: u64,
    footer: Option<&Footer>,
    next: Option<&SegmentHeader>,
    report: &mut CheckReport,
) -> io::Result<Content> {
    let number = segment.number;
    let mut content = Content::from_header(&segment.header);
    let mut expected: BTreeMap<ShardIndex, Offset> = BTreeMap::new();
    for (from, to) in &segment.chain.missing {
        report.problems.push(format!("log {id}: segment {number}: commits {from} to {} are damaged", to - 1));
    }
    let mut scanner = Scanner::new(&*segment.file, segment.header.salt, start, segment.end);
    for found in &segment.chain.commits {
        let damaged = damaged_blocks(&mut scanner, found)?;
        if !damaged.is_empty() && found.head.number > segment.chain.mark {
            // A torn commit that was never acknowledged: recovery cuts it, and all after it.
            break;
        }
        for (at, block) in found.head.blocks.iter().enumerate() {
            let what = format!("log {id}: segment {number}: shard {}: offsets", block.shard);
            if is_data(block.kind) && block.shard != EVERY_SHARD {
                let next = expected.entry(block.shard).or_insert(segment.header.start_of(block.shard).next);
                if block.first > *next {
                    report.problems.push(format!("{what} {next} to {} are missing", block.first - 1));
                }
                *next = block.end();
            }
            if damaged.contains(&at) {
                let last = block.end().saturating_sub(1);
                report.problems.push(format!("{what} {} to {last} are damaged ({:?} block)", block.first, block.kind));
                content.apply(&control_only(block), &[]);
                continue;
            }
            if block.kind == BlockKind::Records {
                report.records += u64::from(block.count);
                report.bytes += u64::from(block.length);
            }
            let body = match block.kind {
                BlockKind::Trim | BlockKind::Descriptor => scanner.body(found, at)?,
                _ => bytes::Bytes::new(),
            };
            content.apply(block, &body);
        }
    }
    if let Some(next) = next {
        for start in &next.shards {
            let have = content.position(start.shard).end;
            if have < start.next {
                let what = format!("offsets {have} to {} are missing at its end", start.next - 1);
                report.problems.push(format!("log {id}: segment {number}: shard {}: {what}", start.shard));
            }
        }
    }
    if !segment.last && segment.chain.missing.is_empty() {
        let bound = next.map_or(u64::MAX, |h| h.first_commit);
        let rebuilt = footer_of(&segment.chain.commits, start, bound);
        match footer {
            Some(footer) if footer.index == rebuilt.index && footer.end == rebuilt.end => {}
            Some(_) => {
                report.problems.push(format!("log {id}: segment {number}: the footer does not match its commits"))
            }
            None => report.problems.push(format!("log {id}: segment {number}: the footer is missing or damaged")),
        }
    }
    Ok(content)
}

/// A damaged records block moves the shard's end all the same.
fn control_only(block: &super::format::BlockEntry) -> super::format::BlockEntry {
    match block.kind {
        BlockKind::Records => super::format::BlockEntry { kind: BlockKind::Hole, arg: block.end(), ..*block },
        _ => super::format::BlockEntry { kind: BlockKind::Hole, first: 0, arg: 0, ..*block },
    }
}

pub(super) fn is_data(kind: BlockKind) -> bool {
    matches!(kind, BlockKind::Records | BlockKind::Fence | BlockKind::Hole)
}

/// Which blocks of a commit do not match their CRC.
pub(super) fn damaged_blocks(scanner: &mut Scanner<'_>, found: &Found) -> io::Result<Vec<usize>> {
    let mut damaged = Vec::new();
    for (at, block) in found.head.blocks.iter().enumerate() {
        match scanner.body(found, at) {
            Ok(body) if block.is_sound(&body) => {}
            Ok(_) => damaged.push(at),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => damaged.push(at),
            Err(e) => return Err(e),
        }
    }
    Ok(damaged)
}
