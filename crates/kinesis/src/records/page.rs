//! A page of a shard's records, as GetRecords and SubscribeToShard give them.

use millstream_api::kinesis::{ChildShard, HashKeyRange, Record};
use millstream_api::{Error, Timestamp};
use millstream_log::{Offset, Read, ReadResult, TimeMs};

use super::{log_of, read_failed, shard_gone};
use crate::sequence::{Position, SequenceNumber};
use crate::state::{ShardRecord, shard_id};
use crate::stream::Stream;

/// How much a page holds at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSize {
    /// Bytes of data and partition keys, if it has more than one record.
    pub(super) bytes: usize,
    /// Records.
    pub(super) records: usize,
}

/// Reads from the position on what arrived at or after `horizon`. The first record at hand may be the one before the
/// position: then it is left out.
pub(super) async fn read_page(
    stream: &Stream,
    shard: &ShardRecord,
    horizon: TimeMs,
    position: Position,
    size: PageSize,
) -> Result<ReadResult, Error> {
    let log = log_of(stream, || shard_gone(stream, shard.index))?;
    let read = |from: Offset| {
        log.read(Read {
            shard: shard.index,
            from,
            not_before: horizon,
            max_bytes: size.bytes,
            max_records: size.records,
        })
    };
    let failed = |error| read_failed(&error, stream, shard.index);
    let mut page = read(position.first_offset()).await.map_err(failed)?;
    let is_wanted = |record: &millstream_log::Record| {
        position.wants(&SequenceNumber::of_record(shard.create_second, shard.index, record.offset, record.time))
    };
    if page.records.first().is_some_and(|first| !is_wanted(first)) {
        page.records.remove(0);
        if page.records.is_empty() && page.next < page.position.end {
            page = read(page.next).await.map_err(failed)?;
        }
    }
    Ok(page)
}

/// A page's records for the answer, and their bytes (data and partition keys).
pub(super) fn encode(page: Vec<millstream_log::Record>, shard: &ShardRecord) -> (Vec<Record>, u64) {
    let mut bytes = 0;
    let mut records = Vec::with_capacity(page.len());
    for record in page {
        let number = SequenceNumber::of_record(shard.create_second, shard.index, record.offset, record.time);
        let arrival = Timestamp(i64::try_from(record.time).unwrap_or(i64::MAX));
        let (partition_key, data) = record.into_parts();
        bytes += (data.len() + partition_key.as_ref().map_or(0, String::len)) as u64;
        records.push(Record {
            sequence_number: number.to_text(),
            approximate_arrival_timestamp: Some(arrival),
            data,
            partition_key,
            encryption_type: None,
        });
    }
    (records, bytes)
}

/// How far the page's end lies behind the shard's newest record, ms: 0 only if nothing is left to read.
pub(super) fn behind(page: &ReadResult) -> i64 {
    if page.next >= page.position.end {
        return 0;
    }
    let reached = page.records.last().map_or(0, |last| last.time);
    i64::try_from(page.position.last_time.saturating_sub(reached).max(1)).unwrap_or(i64::MAX)
}

/// The children of a closed shard of which everything has been read; `None` if there is more to come. A shard that the
/// log has closed counts as open until the view has its children.
pub(super) fn children_at_end(stream: &Stream, shard: &ShardRecord, page: &ReadResult) -> Option<Vec<ChildShard>> {
    let is_at_end = page.position.closed.is_some() && page.next >= page.position.end;
    let view = stream.view();
    if !is_at_end || view.shard(shard.index).is_some_and(ShardRecord::is_open) {
        return None;
    }
    let children = view.record.children(shard.index).map(|child| ChildShard {
        shard_id: shard_id(child.index),
        parent_shards: child.parents().map(shard_id).collect(),
        hash_key_range: HashKeyRange {
            starting_hash_key: child.range.start.to_string(),
            ending_hash_key: child.range.end.to_string(),
        },
    });
    Some(children.collect())
}
