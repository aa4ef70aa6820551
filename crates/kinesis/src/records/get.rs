//! GetRecords.

use std::sync::Arc;

use millstream_api::kinesis::{GetRecordsInput, GetRecordsOutput, Operation};
use millstream_api::{Context, Error};

use super::page::{PageSize, behind, children_at_end, encode, read_page};
use crate::hooks::{Refusal, Resource};
use crate::resolve::Address;
use crate::sequence::Position;
use crate::service::Kinesis;
use crate::state::Status;
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
        let size = PageSize { bytes: limits.get_records_page(), records: limit };
        let mut page = read_page(&stream, shard, self.horizon(&view.record), iterator.position, size).await?;
        let (behind, newest) = (behind(&page), page.records.last().map(|last| last.time));
        let (records, bytes) = encode(std::mem::take(&mut page.records), shard);
        throttle.charge_read(limits, bytes, self.env.clock.monotonic());
        let now = self.now();
        if let Some(newest) = newest {
            let (count, age) = (records.len() as u64, now.saturating_sub(newest));
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
            millis_behind_latest: Some(behind),
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
        if address.region != context.region {
            return Err(match input.stream_arn.as_deref() {
                Some(arn) => texts::arn_of_other_region(arn, &context.region),
                None => texts::invalid_iterator(),
            });
        }
        self.allow(context, Operation::GetRecords, Resource::Stream(&address))?;
        Ok(iterator)
    }
}
