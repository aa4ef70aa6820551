//! `millstream check`: reads every byte of every log, says what is damaged, and with `repair` makes it readable again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use millstream_env::{Disk, DiskFile, Env, OpenMode};

use super::epoch::{read_epoch, write_epoch};
use super::footer::Footer;
use super::format::{Begins, BlockKind, EVERY_SHARD, SegmentHeader, decode_floors};
use super::problem::{GivenUp, Problem, Repaired, utc};
use super::recovery::{Chain, chain, cut_short, footer_of, newest_is_missing, segments_in};
use super::repair::{repair_segment, replace_lost_segment};
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
    /// What is damaged.
    pub problems: Vec<Problem>,
    /// What was done about it (with `repair` only).
    pub repairs: Vec<Repaired>,
    /// What was given up by that.
    pub given_up: GivenUp,
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
    /// Whether the file was longer once: nobody knows what was there.
    pub(super) cut_short: bool,
}

/// A log that is looked at.
pub(super) struct CheckedLog<'a> {
    pub(super) env: &'a Env,
    pub(super) id: &'a LogId,
    pub(super) dir: &'a Path,
}

impl CheckedLog<'_> {
    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_name(number))
    }

    fn problem(&self, report: &mut CheckReport, number: u64, what: String, repair: String) {
        report.problems.push(Problem { log: Some(self.id.clone()), file: self.path(number), what, repair });
    }
}

/// Reads every log below `dir` (an engine's directory that no engine has open). With `repair`, damaged blocks are
/// replaced by holes that readers step over, footers are rebuilt, and offsets that may have been handed out are fenced
/// off; the damaged files are kept beside the new ones as `*.damaged`.
pub fn check(env: &Env, dir: &Path, repair: bool) -> io::Result<CheckReport> {
    let config = SegmentConfig::new(dir);
    let disk = &*env.disk;
    let mut report = CheckReport::default();
    let streams = dir.join("streams");
    let mut newest_epoch = 0;
    for account in dirs(disk, &streams)? {
        for region in dirs(disk, &streams.join(&account))? {
            for name in dirs(disk, &streams.join(&account).join(&region))? {
                let incarnation = u64::from_str_radix(&name, 16).ok().filter(|_| name.len() == 16);
                let Some(incarnation) = incarnation else {
                    report.problems.push(Problem {
                        log: None,
                        file: streams.join(&account).join(&region).join(&name),
                        what: "it is not a stream's directory".to_owned(),
                        repair: "a repair leaves it alone: move it away".to_owned(),
                    });
                    continue;
                };
                let id = LogId { account: account.as_str().into(), region: region.as_str().into(), incarnation };
                report.logs += 1;
                let log = CheckedLog { env, id: &id, dir: &stream_dir(&config, &id) };
                newest_epoch = newest_epoch.max(check_log(&log, repair, &mut report)?);
            }
        }
    }
    check_epoch(env, dir, newest_epoch, repair, &mut report)?;
    Ok(report)
}

/// The epoch's file must name one that is not below any commit's: those of a lower one would not count.
fn check_epoch(env: &Env, dir: &Path, newest: u64, repair: bool, report: &mut CheckReport) -> io::Result<()> {
    let file = dir.join("epoch");
    let what = match read_epoch(env, dir) {
        Ok(Some(epoch)) if epoch >= newest => return Ok(()),
        Ok(None) if newest == 0 => return Ok(()),
        Ok(Some(epoch)) => format!("it says {epoch}, and there are commits of epoch {newest}"),
        Ok(None) => "it is missing".to_owned(),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => "it does not match its checksum".to_owned(),
        Err(e) => return Err(e),
    };
    let repair_by = "a repair writes it anew and gives nothing up".to_owned();
    report.problems.push(Problem { log: None, file: file.clone(), what, repair: repair_by });
    if repair {
        write_epoch(env, dir, newest)?;
        let what = format!("written anew, with epoch {newest}; nothing was given up");
        report.repairs.push(Repaired { log: None, file, what });
    }
    Ok(())
}

fn dirs(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<String>> {
    match disk.list(dir) {
        Ok(entries) => Ok(entries.into_iter().filter(|e| e.is_dir).map(|e| e.name).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// Checks a log, and gives the newest epoch that was met.
fn check_log(log: &CheckedLog<'_>, repair: bool, report: &mut CheckReport) -> io::Result<u64> {
    let disk = &*log.env.disk;
    let mut epoch = 0;
    let numbers = segments_in(disk, log.dir)?;
    let (Some(&first), Some(&newest)) = (numbers.first(), numbers.last()) else {
        report.problems.push(Problem {
            log: Some(log.id.clone()),
            file: log.dir.to_path_buf(),
            what: "it holds no segment: its files are lost, or the stream's creation was cut short".to_owned(),
            repair: "a repair cannot bring it back: put the files back, or delete the stream".to_owned(),
        });
        return Ok(epoch);
    };
    let mut headers = BTreeMap::new();
    let mut damaged = BTreeMap::new();
    for number in &numbers {
        let file = disk.open(&log.path(*number), OpenMode::Read)?;
        match read_header(&*file) {
            Ok(header) => drop(headers.insert(*number, header)),
            Err(ScanError::Damaged(what)) => drop(damaged.insert(*number, what)),
            Err(ScanError::Disk(e)) => return Err(e),
        }
    }
    // What the log is known to hold at the end of the segment before.
    let mut before: Option<(Content, u64)> = None;
    if let Some((header, _)) = headers.get(&first) {
        before = missing_at_the_beginning(log, first, header, &headers, repair, report)?;
    }
    for (at, number) in numbers.iter().enumerate() {
        report.segments += 1;
        let next = numbers.get(at + 1).and_then(|n| headers.get(n)).map(|(h, _)| h.clone());
        let last = at + 1 == numbers.len();
        let Some((header, start)) = headers.get(number).cloned() else {
            let what = damaged.get(number).cloned().unwrap_or_default();
            if before.is_none() && at == 0 {
                before = next.as_ref().map(at_the_floor);
            }
            before = lost(log, (*number, what), before, next.as_ref(), last, repair, report)?;
            continue;
        };
        let file = disk.open(&log.path(*number), OpenMode::Write)?;
        let footer = read_footer(&*file, header.salt)?;
        let length = file.len()?;
        let end = footer.as_ref().map_or(length, |f| f.end);
        let bound = next.as_ref().map(|h| h.first_commit).or(footer.as_ref().map(|f| f.next_commit));
        let chain = chain(&*file, &header, start, end, bound)?;
        let cut_short = last && footer.is_none() && length < header.capacity;
        epoch = chain.commits.iter().map(|f| f.head.epoch).fold(epoch.max(header.epoch), u64::max);
        let segment = Examined { number: *number, file, header, chain, end, last, cut_short };
        let found = report.problems.len();
        let content = examine(log, &segment, start, footer.as_ref(), next.as_ref(), report)?;
        let next_commit =
            bound.unwrap_or(segment.chain.commits.last().map_or(segment.header.first_commit, |f| f.head.number + 1));
        before = Some((content, next_commit));
        if repair && report.problems.len() > found {
            repair_segment(log, &segment, next.as_ref(), report)?;
        }
        if last && footer.is_some() {
            let what = newest_is_missing(newest, next_commit);
            before = lost(log, (newest + 1, what), before, None, true, repair, report)?;
        }
    }
    Ok(epoch)
}

/// What a log that began before its first segment `header` is known to have held there: nothing above the floor.
fn at_the_floor(header: &SegmentHeader) -> (Content, u64) {
    let mut content = Content::from_header(header);
    for shard in content.shards.values_mut() {
        (shard.next, shard.end) = (shard.floor, shard.floor);
    }
    (content, header.first_commit.saturating_sub(1).max(1))
}

/// Whether a log whose first segment is number `first` has lost those before it. The floor of its shards, as the newest
/// segment knows it, is what may still be read.
fn missing_at_the_beginning(
    log: &CheckedLog<'_>,
    first: u64,
    header: &SegmentHeader,
    headers: &BTreeMap<u64, (SegmentHeader, u64)>,
    repair: bool,
    report: &mut CheckReport,
) -> io::Result<Option<(Content, u64)>> {
    let mut floors = header.clone();
    for shard in &mut floors.shards {
        let newest = headers.values().filter_map(|(h, _)| {
            h.shards.binary_search_by_key(&shard.shard, |s| s.shard).ok().map(|at| h.shards[at].floor)
        });
        shard.floor = newest.max().unwrap_or(shard.floor);
    }
    // A trim since the newest segment began shows in no header, but in a commit.
    let trimmed = trims_in(log, headers)?;
    for shard in &mut floors.shards {
        shard.floor = trimmed.get(&shard.shard).copied().unwrap_or(0).max(shard.floor);
    }
    if floors.shards.iter().all(|shard| shard.next <= shard.floor) || first < 2 {
        return Ok(None);
    }
    let what = format!("segment {} is missing: segment {first} does not begin where the log does", first - 1);
    lost(log, (first - 1, what), Some(at_the_floor(&floors)), Some(header), false, repair, report)
}

/// The floors that commits of the newest segment set.
fn trims_in(
    log: &CheckedLog<'_>,
    headers: &BTreeMap<u64, (SegmentHeader, u64)>,
) -> io::Result<BTreeMap<ShardIndex, Offset>> {
    let mut floors = BTreeMap::new();
    if let Some((number, (header, start))) = headers.iter().next_back() {
        let file = log.env.disk.open(&log.path(*number), OpenMode::Read)?;
        let mut scanner = Scanner::new(&*file, header.salt, *start, file.len()?);
        while let Some(found) = scanner.next()? {
            for (at, block) in found.head.blocks.iter().enumerate().filter(|(_, b)| b.kind == BlockKind::Trim) {
                let body = scanner.body(&found, at)?;
                if block.is_sound(&body) {
                    for (shard, floor) in decode_floors(&body) {
                        let known: &mut Offset = floors.entry(shard).or_default();
                        *known = floor.max(*known);
                    }
                }
            }
        }
    }
    Ok(floors)
}

/// Reports a segment that is gone or does not say what it holds, and replaces it by holes. Gives what the log holds behind it,
/// if that is known.
fn lost(
    log: &CheckedLog<'_>,
    (number, what): (u64, String),
    before: Option<(Content, u64)>,
    next: Option<&SegmentHeader>,
    last: bool,
    repair: bool,
    report: &mut CheckReport,
) -> io::Result<Option<(Content, u64)>> {
    let known = before.is_some() && (last || next.is_some());
    let repair_by = match (&before, next) {
        (Some((content, _)), Some(next)) => {
            format!("a repair puts holes in its place and gives up {}", lost_between(content, next))
        }
        (Some(_), None) if last => {
            format!("a repair begins a new segment and gives up {}", GivenUp { more: true, ..GivenUp::default() })
        }
        _ => "a repair cannot replace it: what it began or ended with is not known".to_owned(),
    };
    log.problem(report, number, what, repair_by);
    match before.filter(|_| known) {
        Some(before) if repair => replace_lost_segment(log, number, before, next, last, report),
        _ => Ok(next.map(|next| (Content::from_header(next), next.first_commit))),
    }
}

/// Reads a segment's commits and reports what is wrong with it.
fn examine(
    log: &CheckedLog<'_>,
    segment: &Examined,
    start: u64,
    footer: Option<&Footer>,
    next: Option<&SegmentHeader>,
    report: &mut CheckReport,
) -> io::Result<Content> {
    let number = segment.number;
    let mut content = Content::from_header(&segment.header);
    let mut expected: BTreeMap<ShardIndex, Offset> = BTreeMap::new();
    let begins = Begins::new(&segment.header, segment.chain.commits.iter().flat_map(|f| &f.head.blocks));
    for (from, to) in &segment.chain.missing {
        let which =
            if to - from == 1 { format!("commit {from} is") } else { format!("commits {from} to {} are", to - 1) };
        let behind = segment.chain.commits.iter().rev().find(|found| found.head.number < *from);
        let what = format!("{which} damaged, from byte {} on", behind.map_or(start, Found::next));
        log.problem(report, number, what, "a repair gives up what it held that no line here names".to_owned());
    }
    if segment.cut_short {
        let what = cut_short(number, segment.file.len()?, segment.header.capacity);
        let more = GivenUp { more: true, ..GivenUp::default() };
        log.problem(report, number, what, format!("a repair fences off what may have been there and gives up {more}"));
    }
    let mut scanner = Scanner::new(&*segment.file, segment.header.salt, start, segment.end);
    for found in &segment.chain.commits {
        let damaged = damaged_blocks(&mut scanner, found)?;
        if !damaged.is_empty() && found.head.number > segment.chain.mark {
            // A torn commit that was never acknowledged: recovery cuts it, and all after it.
            break;
        }
        for (at, block) in found.head.blocks.iter().enumerate() {
            if is_data(block.kind) && block.shard != EVERY_SHARD {
                let next = expected.entry(block.shard).or_insert(begins.of(block.shard, block.first));
                if block.first > *next {
                    gap(log, number, GivenUp::range(block.shard, *next, block.first), found.position, report);
                }
                *next = block.end();
            }
            if damaged.contains(&at) {
                damaged_block(log, number, found, at, report);
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
        let missing = lost_between(&content, next);
        if !missing.offsets.is_empty() {
            gap(log, number, missing, segment.end, report);
        }
    }
    if !segment.last && segment.chain.missing.is_empty() {
        let bound = next.map_or(u64::MAX, |h| h.first_commit);
        let rebuilt = footer_of(&segment.chain.commits, start, bound);
        let what = match footer {
            Some(footer) if footer.index == rebuilt.index && footer.end == rebuilt.end => None,
            Some(_) => Some("its index does not match its commits"),
            None => Some("its index is missing or damaged"),
        };
        if let Some(what) = what {
            let repair = "a repair writes it anew and gives nothing up".to_owned();
            log.problem(report, number, what.to_owned(), repair);
        }
    }
    Ok(content)
}

/// What a log whose content is `content` lacks of what its next segment begins with.
pub(super) fn lost_between(content: &Content, next: &SegmentHeader) -> GivenUp {
    let mut lost = GivenUp::default();
    for start in &next.shards {
        lost.add(start.shard, content.position(start.shard).end, start.next);
    }
    lost
}

fn gap(log: &CheckedLog<'_>, number: u64, missing: GivenUp, before: u64, report: &mut CheckReport) {
    let what = format!("records are missing before byte {before}");
    log.problem(report, number, what, format!("a repair puts a hole in their place and gives up {missing}"));
}

fn damaged_block(log: &CheckedLog<'_>, number: u64, found: &Found, at: usize, report: &mut CheckReport) {
    let block = &found.head.blocks[at];
    let from = found.body_position(at);
    let bytes = format!("bytes {from} to {}", from + u64::from(block.length).saturating_sub(1));
    let (holds, repair) = match block.kind {
        BlockKind::Records => {
            let given_up = GivenUp::range(block.shard, block.first, block.end());
            let (from, to) = (utc(block.time_first), utc(block.time_last));
            (
                format!("records that arrived from {from} to {to}"),
                format!("a repair puts a hole in their place and gives up {given_up}"),
            )
        }
        BlockKind::Trim => (
            "how far retention has removed records".to_owned(),
            "a repair leaves it out and gives no record up: retention removes them again".to_owned(),
        ),
        BlockKind::Descriptor => (
            "the description of the stream".to_owned(),
            "a repair leaves it out and gives no record up: an older description stays, for the case that the catalog is \
             lost"
                .to_owned(),
        ),
        BlockKind::Close | BlockKind::Fence | BlockKind::Hole => {
            ("a mark without content".to_owned(), "a repair leaves it out".to_owned())
        }
    };
    log.problem(report, number, format!("{bytes} do not match their checksum: {holds}"), repair);
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
