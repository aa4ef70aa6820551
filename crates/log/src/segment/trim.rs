//! Raising the trim floor and dropping the segments below it.

use std::sync::Arc;

use bytes::Bytes;

use super::commit::Committed;
use super::format::encode_floors;
use super::scan::ScanError;
use super::stream::Stream;
use super::{meta, space};
use crate::{AppendError, Epoch, NotWritten, Offset, ShardIndex, TimeMs};

/// What lies below a floor.
struct Below {
    segments: Vec<u64>,
    floors: Vec<(ShardIndex, Offset)>,
}

/// Makes records that arrived before `before` unreadable for good, durably, then drops the segments that hold nothing
/// else.
pub(crate) async fn trim(stream: &Arc<Stream>, before: TimeMs, expected: Epoch) -> Result<(), AppendError> {
    let unavailable = |what: String| AppendError::NotWritten(NotWritten::Unavailable(what.into()));
    let raises = stream.if_open(|log| before > log.content.floor_time);
    if raises != Some(true) {
        return Ok(());
    }
    let finder = Arc::clone(stream);
    let below = match stream.shared.env.pool.run(move || find_below(&finder, before)).await {
        Some(Ok(below)) => below,
        Some(Err(e)) => return Err(unavailable(e.to_string())),
        None => return Err(AppendError::NotWritten(NotWritten::Closing)),
    };
    let floors = Bytes::from(encode_floors(&below.floors));
    let Some(joined) = stream.if_open(|log| stream.join_trim(log, before, floors, expected)) else {
        return Err(AppendError::NotWritten(NotWritten::Deleted));
    };
    Committed::new(joined?).await?;
    if below.segments.is_empty() {
        return Ok(());
    }
    let dropper = Arc::clone(stream);
    match stream.shared.env.pool.run(move || drop_segments(&dropper, &below.segments)).await {
        Some(Ok(())) => Ok(()),
        // The floor stands; what is left is dropped by the next trim.
        Some(Err(e)) => Err(unavailable(e.to_string())),
        None => Err(AppendError::NotWritten(NotWritten::Closing)),
    }
}

/// The sealed segments all of whose records arrived before `before`: those whose successor began with older last times
/// only. The successor's start is the new floor of each shard.
fn find_below(stream: &Arc<Stream>, before: TimeMs) -> Result<Below, ScanError> {
    let mut below = Below { segments: Vec::new(), floors: Vec::new() };
    let Some((segments, active)) = stream.if_open(|log| (log.segments.clone(), Arc::clone(&log.active.header))) else {
        return Ok(below);
    };
    for (at, number) in segments.iter().enumerate().skip(1) {
        let header = if *number == active.number {
            Arc::clone(&active)
        } else {
            match meta::load(stream, *number, segments.get(at + 1).copied()) {
                Ok(meta) => Arc::new(meta.header.clone()),
                // The next sound header tells as much.
                Err(ScanError::Damaged(_)) => continue,
                Err(e) => return Err(e),
            }
        };
        if header.shards.iter().any(|s| s.last_time >= before) {
            break;
        }
        below.segments = segments[..at].to_vec();
        below.floors = header.shards.iter().map(|s| (s.shard, s.next)).collect();
    }
    Ok(below)
}

fn drop_segments(stream: &Arc<Stream>, segments: &[u64]) -> std::io::Result<()> {
    for number in segments {
        // First out of sight: a segment that is being regrouped must not come back under its name.
        let held = stream.if_open(|log| {
            let held = stream.shared.holds.any();
            if !held {
                log.segments.retain(|n| n != number);
            }
            held
        });
        if held == Some(true) {
            // A snapshot copies it: dropped by the next trim.
            break;
        }
        if let Err(e) = space::recycle(stream, *number) {
            // Dropped by the next trim.
            stream.if_open(|log| log.segments.insert(log.segments.partition_point(|n| n < number), *number));
            return Err(e);
        }
    }
    stream.shared.env.disk.sync_dir(&stream.dir)
}
