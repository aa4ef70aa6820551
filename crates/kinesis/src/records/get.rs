//! GetRecords.

use std::sync::Arc;

use millstream_api::kinesis::{ChildShard, GetRecordsInput, GetRecordsOutput, HashKeyRange, Operation, Record};
use millstream_api::{Context, Error, Timestamp};
use millstream_log::{Offset, Read, ReadResult};

use super::{read_failed, shard_gone};
use crate::hooks::{Refusal, Resource};
use crate::resolve::Address;
use crate::sequence::{Position, SequenceNumber};
use crate::service::Kinesis;
use crate::state::{ShardRecord, Status, shard_id};
use crate::stream::{Stream, View};
use crate::texts;
use crate::token::{ShardIterator, TokenError};

/// Records in a page if the request says nothing.
const DEFAULT_LIMIT: usize = 10_000;

impl Kinesis {
    pub(crate) async fn get_records(
        &self,
        context: &Context,
        input: GetRecordsInput<'_>,
    ) -> Result<GetRecordsOutput, Error> {
        let iterator = self.open_iterator(context, &input)?;
        let missing = || texts::shard_does_not_exist(iterator.shard, &iterator.stream, &iterator.account);
        let stream = self.streams().by_incarnation(iterator.incarnation).map(Arc::clone).ok_or_else(missing)?;
        let view = stream.view_owned();
        let shard = view.shard(iterator.shard).filter(|_| view.status() != Status::Creating).ok_or_else(missing)?;
        if input.dry_run == Some(true) {
            return Err(self.end_dry_run(&stream));
        }
        let (limits, started) = (&stream.limits, self.env.clock.monotonic());
        let throttle = stream.throttle.shard(shard.index);
        if !throttle.admit_read(limits, started) {
            self.hooks.meter.refused(Refusal::ReadThroughput, 1);
            return Err(texts::shard_rate_exceeded(shard.index, &iterator.stream, &iterator.account));
        }
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(DEFAULT_LIMIT);
        let page = self.read_page(&stream, &view, shard, iterator.position, limit).await?;
        let (records, bytes) = encode(&page, shard).ok_or_else(|| {
            tracing::error!(stream = %stream.address.arn(), shard = shard.index, "a record's form is not known");
            texts::internal_failure()
        })?;
        throttle.charge_read(limits, bytes, self.env.clock.monotonic());
        let now = self.now();
        if let Some(last) = page.records.last() {
            let (count, age) = (records.len() as u64, now.saturating_sub(last.time));
            self.hooks.meter.outgoing(&stream, shard.index, count, bytes, age);
        }
        let children = children_at_end(&stream, shard, &page);
        let next_shard_iterator = children.is_none().then(|| {
            // An iterator beyond the end stays where it is, to the second.
            let position = if page.next > iterator.position.first_offset() {
                Position::of_offset(shard.create_second, shard.index, page.next)
            } else {
                iterator.position
            };
            ShardIterator { position, issued: now, ..iterator }.seal(&self.tokens)
        });
        Ok(GetRecordsOutput {
            millis_behind_latest: Some(behind(&page)),
            records,
            next_shard_iterator,
            child_shards: children,
        })
    }

    /// Opens the iterator and asks whether the caller may read what it names.
    fn open_iterator(&self, context: &Context, input: &GetRecordsInput<'_>) -> Result<ShardIterator<'static>, Error> {
        let iterator =
            ShardIterator::open(&input.shard_iterator, &self.tokens, self.now()).map_err(|error| match error {
                TokenError::Malformed => texts::invalid_iterator(),
                TokenError::Expired { issued, now } => texts::expired_iterator(issued, now),
            })?;
        let address = Address {
            account: (&*iterator.account).into(),
            region: (&*iterator.region).into(),
            name: (&*iterator.stream).into(),
        };
        if let Some(arn) = input.stream_arn.as_deref() {
            let given = Address::from_arn(arn).ok_or_else(|| texts::invalid_stream_arn(arn))?;
            if given != address {
                return Err(texts::iterator_of_other_stream(arn));
            }
        }
        if address.account != context.account {
            return Err(texts::cross_account(&context.account, Operation::GetRecords.name(), &address.arn()));
        }
        // A caller of another region has to say by ARN that it means this one.
        if address.region != context.region && input.stream_arn.is_none() {
            return Err(texts::invalid_iterator());
        }
        self.allow(context, Operation::GetRecords, Resource::Stream(&address))?;
        Ok(iterator)
    }

    /// Reads from the position on. The first record at hand may be the one before the position: then it is left out.
    async fn read_page(
        &self,
        stream: &Stream,
        view: &View,
        shard: &ShardRecord,
        position: Position,
        limit: usize,
    ) -> Result<ReadResult, Error> {
        let log = stream.log().ok_or_else(|| shard_gone(stream, shard.index))?;
        let read = |from: Offset| {
            log.read(Read {
                shard: shard.index,
                from,
                not_before: self.horizon(&view.record),
                max_bytes: stream.limits.get_records_page(),
                max_records: limit,
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
}

/// The page's records for the answer, and their bytes. `None` if one cannot be decoded.
fn encode(page: &ReadResult, shard: &ShardRecord) -> Option<(Vec<Record>, u64)> {
    let mut bytes = 0;
    let mut records = Vec::with_capacity(page.records.len());
    for record in &page.records {
        let partition_key = record.view()?.partition_key.map(str::to_owned);
        let data = record.data();
        bytes += (data.len() + partition_key.as_ref().map_or(0, String::len)) as u64;
        let number = SequenceNumber::of_record(shard.create_second, shard.index, record.offset, record.time);
        records.push(Record {
            sequence_number: number.to_text(),
            approximate_arrival_timestamp: Some(Timestamp(i64::try_from(record.time).unwrap_or(i64::MAX))),
            data,
            partition_key,
            encryption_type: None,
        });
    }
    Some((records, bytes))
}

/// How far the page's end lies behind the shard's newest record, ms: 0 only if nothing is left to read.
fn behind(page: &ReadResult) -> i64 {
    if page.next >= page.position.end {
        return 0;
    }
    let reached = page.records.last().map_or(0, |last| last.time);
    i64::try_from(page.position.last_time.saturating_sub(reached).max(1)).unwrap_or(i64::MAX)
}

/// The children of a closed shard of which everything has been read; `None` if there is more to come. A shard that the
/// log has closed counts as open until the view has its children.
fn children_at_end(stream: &Stream, shard: &ShardRecord, page: &ReadResult) -> Option<Vec<ChildShard>> {
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
