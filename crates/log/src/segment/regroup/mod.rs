//! Sorting a sealed segment's records by shard.
//!
//! A stream with many shards writes commits in which each shard has a little; reading one shard back then means
//! reading all of them. A segment like that is copied once, in the background: each shard's blocks come together into large
//! ones. The result is an ordinary segment (same number, same range of commit numbers), so nothing else knows; its footer
//! says that it is sorted.

mod queue;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::DiskFile;

pub(crate) use queue::Queue;

use super::footer::Footer;
use super::format::{BlockEntry, BlockKind, COMMIT_ALIGN, CommitHead, SegmentHeader, align_up, crc32c, crc32c_of};
use super::index::SparseIndex;
use super::recovery::{Chain, chain};
use super::scan::{ScanError, read_footer, read_header};
use super::space::create_anew;
use super::stream::{OpenLog, Stream};
use super::{Durability, segment_name};
use crate::ShardIndex;

/// A shard's blocks are brought together up to this many bytes.
const RUN: u64 = 256 << 10;

/// The copy is synced each time so much of it is written: the commits' syncs wait for what the disk has taken on.
const SYNC_EVERY: u64 = 4 << 20;

/// A segment is not sealed early below this size,
const EARLY_MIN: u64 = 1 << 20;
/// nor below so many times what its header and footer take.
const EARLY_TIMES: u64 = 4;

/// Bytes that each shard takes in the header and the footer of a segment, at least.
const PER_SHARD: u64 = 80;

/// Where a block's body is in the old file.
struct Piece {
    entry: BlockEntry,
    position: u64,
}

/// A block and the pieces of its body.
type Block = (BlockEntry, Vec<Bytes>);

/// Whether a segment is worth a copy.
fn is_scattered(chain: &Chain) -> bool {
    let mut index = SparseIndex::default();
    chain.commits.iter().for_each(|found| index.add(found.position, &found.head.blocks));
    index.is_scattered()
}

/// Whether a segment with such a footer may be worth a copy.
pub(crate) fn may_be_scattered(footer: &Footer) -> bool {
    !footer.sorted
}

/// A reader has met the segment that is being written to: if its records are scattered, it is sealed early, so that it can
/// be sorted. Not where the next one's header and footer would be much beside it.
pub(crate) fn want_active(stream: &Arc<Stream>, log: &mut OpenLog) {
    let active = &mut log.active;
    let header = &active.header;
    let beside = header.descriptor.len() as u64 + header.shards.len() as u64 * PER_SHARD;
    let least = EARLY_MIN.max(EARLY_TIMES * beside);
    let kept = stream.shared.config.durability != Durability::None;
    if kept && !active.wanted_sorted && active.durable_end >= least && active.index.is_scattered() {
        active.wanted_sorted = true;
        stream.wake_writer(log);
    }
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Regrouped {
    Sorted,
    /// It would help no reader, the segment is damaged or gone.
    AsItWas,
    /// There is too little space for a copy, or a snapshot needs the file as it is. The next reader who meets it brings it
    /// back.
    NotNow,
}

/// Regroups a sealed segment if that helps its readers. The old file stays in use if anything goes wrong.
fn regroup(stream: &Arc<Stream>, number: u64) -> Result<Regrouped, ScanError> {
    let old = stream.file(number)?;
    let (header, start) = read_header(&*old)?;
    let header = &header;
    let Some(footer) = read_footer(&*old, header.salt)? else { return Ok(Regrouped::AsItWas) };
    let footer = &footer;
    if stream.shared.config.durability == Durability::None || !may_be_scattered(footer) {
        return Ok(Regrouped::AsItWas);
    }
    let chain = chain(&*old, header, start, footer.end, Some(footer.next_commit))?;
    let commits = footer.next_commit - header.first_commit;
    if !chain.missing.is_empty() || !is_scattered(&chain) {
        return Ok(Regrouped::AsItWas);
    }
    // The range of commit numbers stays: several runs share a commit, or some commits are empty.
    let mut runs = runs_of(&chain).into_iter();
    let per_commit = runs.len().div_ceil(commits as usize);
    let runs: Vec<Vec<Piece>> = (0..commits).map(|_| runs.by_ref().take(per_commit).flatten().collect()).collect();
    // A copy takes its time, and with very many blocks this is some megabytes.
    drop(chain);

    if !stream.shared.space.has_room(&stream.shared, old.len()?) {
        return Ok(Regrouped::NotNow);
    }
    let disk = &stream.shared.env.disk;
    let temporary = stream.dir.join("regroup.tmp");
    let new = create_anew(&**disk, &temporary)?;
    let copied = copy(&*old, &*new, header, footer, &runs);
    if !matches!(copied, Ok(true)) {
        disk.remove_file(&temporary)?;
        return Ok(copied.map(|_| Regrouped::AsItWas)?);
    }
    let path = stream.dir.join(segment_name(number));
    let swapped = stream.if_open(|log| {
        // A trim may have dropped the segment meanwhile.
        if !log.segments.contains(&header.number) {
            return Ok(Regrouped::AsItWas);
        }
        // A snapshot copies the old file, as far as that went.
        if stream.shared.holds.any() {
            return Ok(Regrouped::NotNow);
        }
        disk.rename(&temporary, &path).map(|()| Regrouped::Sorted)
    });
    match swapped {
        Some(Ok(Regrouped::Sorted)) => {
            stream.shared.files.forget((stream.key, header.number));
            stream.shared.metas.forget((stream.key, header.number));
            disk.sync_dir(&stream.dir)?;
            Ok(Regrouped::Sorted)
        }
        Some(Err(e)) => Err(e.into()),
        kept => {
            disk.remove_file(&temporary)?;
            Ok(kept.transpose()?.unwrap_or(Regrouped::AsItWas))
        }
    }
}

/// The new commits: per shard, runs of blocks; then everything that is not a shard's data, in order.
fn runs_of(chain: &Chain) -> Vec<Vec<Piece>> {
    let mut shards: BTreeMap<ShardIndex, Vec<Piece>> = BTreeMap::new();
    let mut others = Vec::new();
    for found in &chain.commits {
        for (at, entry) in found.head.blocks.iter().enumerate() {
            let piece = Piece { entry: *entry, position: found.body_position(at) };
            match entry.kind {
                BlockKind::Records | BlockKind::Fence | BlockKind::Hole => {
                    shards.entry(entry.shard).or_default().push(piece);
                }
                BlockKind::Close | BlockKind::Trim | BlockKind::Descriptor => others.push(piece),
            }
        }
    }
    let mut runs = Vec::new();
    for pieces in shards.into_values() {
        let mut run = Vec::new();
        let mut bytes = 0;
        for piece in pieces {
            if bytes > 0 && bytes + u64::from(piece.entry.length) > RUN {
                runs.push(std::mem::take(&mut run));
                bytes = 0;
            }
            bytes += u64::from(piece.entry.length);
            run.push(piece);
        }
        runs.push(run);
    }
    if !others.is_empty() {
        runs.push(others);
    }
    runs
}

/// Writes the new file; false if a block of the old one is damaged (which is then left for `check`).
fn copy(
    old: &dyn DiskFile,
    new: &dyn DiskFile,
    header: &SegmentHeader,
    footer: &Footer,
    runs: &[Vec<Piece>],
) -> io::Result<bool> {
    let bytes = header.encode();
    new.write_all_at(&[IoSlice::new(&bytes)], 0)?;
    let mut position = bytes.len() as u64;
    let mut synced = 0;
    let mut index = SparseIndex::default();
    for (at, run) in runs.iter().enumerate() {
        let Some(blocks) = read_run(old, run)? else { return Ok(false) };
        let number = header.first_commit + at as u64;
        let head = CommitHead {
            number,
            salt: header.salt,
            epoch: header.epoch,
            mark: number.saturating_sub(1),
            time: header.created,
            flags: 0,
            blocks: blocks.iter().map(|(entry, _)| *entry).collect(),
        };
        let encoded = head.encode();
        let mut parts = vec![IoSlice::new(&encoded)];
        parts.extend(blocks.iter().flat_map(|(_, bodies)| bodies.iter().map(|b| IoSlice::new(b))));
        new.write_all_at(&parts, position)?;
        index.add(position, &head.blocks);
        position = align_up(position + head.total(), COMMIT_ALIGN);
        if position - synced >= SYNC_EVERY {
            new.sync_data()?;
            synced = position;
        }
    }
    new.set_len(position)?;
    let footer = Footer { next_commit: footer.next_commit, end: position, index: index.entries(), sorted: true };
    new.write_all_at(&[IoSlice::new(&footer.encode(header.salt))], position)?;
    new.sync_data()?;
    Ok(true)
}

/// Reads a run's bodies, checks them, and joins neighbouring blocks of records.
fn read_run(old: &dyn DiskFile, run: &[Piece]) -> io::Result<Option<Vec<Block>>> {
    let mut blocks: Vec<Block> = Vec::new();
    for piece in run {
        let mut body = vec![0; piece.entry.length as usize];
        old.read_exact_at(&mut body, piece.position)?;
        let body = Bytes::from(body);
        if crc32c(&body) != piece.entry.crc {
            return Ok(None);
        }
        match blocks.last_mut() {
            Some((last, bodies))
                if last.kind == BlockKind::Records
                    && piece.entry.kind == BlockKind::Records
                    // Runs of several shards may share a commit.
                    && last.shard == piece.entry.shard
                    && last.end() == piece.entry.first =>
            {
                last.count += piece.entry.count;
                last.length += piece.entry.length;
                last.time_last = piece.entry.time_last;
                bodies.push(body);
            }
            _ => blocks.push((piece.entry, vec![body])),
        }
    }
    for (entry, bodies) in &mut blocks {
        entry.crc = crc32c_of(bodies.iter().map(|b| &b[..]));
    }
    Ok(Some(blocks))
}
