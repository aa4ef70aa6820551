//! What a call is about: its stream and its shards, found before it is answered.

use std::sync::Arc;

use millstream_api::Context;
use millstream_api::kinesis::{Input, Operation};
use millstream_kinesis::{Address, Kinesis, ResourceAddress, ShardIndex, parse_shard_id};

/// A call that a fault may be applied to.
pub(crate) struct Call<'a> {
    pub(crate) context: &'a Context,
    pub(crate) operation: Operation,
    /// The stream it names, existing or not.
    pub(crate) stream: Option<Address>,
    /// The shards it reads or writes.
    pub(crate) shards: Vec<ShardIndex>,
    /// When the iterator was made that it carries, ms since the epoch.
    pub(crate) iterator_issued: Option<u64>,
    /// The shard of each record of a PutRecords that passes all checks and is no dry run.
    pub(crate) placed: Option<Vec<ShardIndex>>,
}

impl<'a> Call<'a> {
    pub(crate) fn of(kinesis: &Kinesis, context: &'a Context, input: &Input<'_>) -> Call<'a> {
        let operation = input.operation();
        let mut call =
            Call { context, operation, stream: None, shards: Vec::new(), iterator_issued: None, placed: None };
        let (name, arn) = names(input);
        call.stream = match (arn, name) {
            (Some(arn), _) => ResourceAddress::from_arn(arn).map(|resource| resource.stream().clone()),
            (None, Some(name)) => Some(Address {
                account: Arc::clone(&context.account),
                region: Arc::clone(&context.region),
                name: name.into(),
            }),
            (None, None) => None,
        };
        match input {
            Input::GetRecords(i) => {
                if let Some(iterator) = kinesis.peek_iterator(&i.shard_iterator) {
                    call.shards = vec![iterator.shard];
                    call.iterator_issued = Some(iterator.issued);
                    call.stream = Some(Address {
                        account: (&*iterator.account).into(),
                        region: (&*iterator.region).into(),
                        name: (&*iterator.stream).into(),
                    });
                }
            }
            Input::ListShards(i) if call.stream.is_none() => {
                call.stream = i.next_token.as_deref().and_then(|token| kinesis.peek_page_token(operation, token));
            }
            Input::GetShardIterator(i) => call.shards = shards([&*i.shard_id]),
            Input::SubscribeToShard(i) => call.shards = shards([&*i.shard_id]),
            Input::SplitShard(i) => call.shards = shards([&*i.shard_to_split]),
            Input::MergeShards(i) => call.shards = shards([&*i.shard_to_merge, &*i.adjacent_shard_to_merge]),
            Input::PutRecord(i) => {
                let (key, hash) = (i.partition_key.as_deref(), i.explicit_hash_key.as_deref());
                call.shards = call.stream.iter().filter_map(|stream| kinesis.shard_of(stream, key, hash)).collect();
            }
            Input::PutRecords(i) => {
                // One that will be refused as a whole has no shards.
                let placed = input.validate().and_then(|()| kinesis.place_records(context, i));
                if let Ok((stream, placed)) = placed {
                    call.stream = Some(stream);
                    call.shards.clone_from(&placed);
                    call.shards.sort_unstable();
                    call.shards.dedup();
                    call.placed = (i.dry_run != Some(true)).then_some(placed);
                }
            }
            _ => {}
        }
        call
    }
}

fn shards<const N: usize>(ids: [&str; N]) -> Vec<ShardIndex> {
    ids.into_iter().filter_map(parse_shard_id).collect()
}

/// The names by which a request names its stream, or a consumer of it.
fn names<'i>(input: &'i Input<'_>) -> (Option<&'i str>, Option<&'i str>) {
    macro_rules! both {
        ($i:expr) => {
            ($i.stream_name.as_deref(), $i.stream_arn.as_deref())
        };
    }
    match input {
        Input::AddTagsToStream(i) => both!(i),
        Input::CreateStream(i) => (Some(&i.stream_name), None),
        Input::DecreaseStreamRetentionPeriod(i) => both!(i),
        Input::DeleteResourcePolicy(i) => (None, Some(&i.resource_arn)),
        Input::DeleteStream(i) => both!(i),
        Input::DeregisterStreamConsumer(i) => (None, i.consumer_arn.as_deref().or(i.stream_arn.as_deref())),
        Input::DescribeStream(i) => both!(i),
        Input::DescribeStreamConsumer(i) => (None, i.consumer_arn.as_deref().or(i.stream_arn.as_deref())),
        Input::DescribeStreamSummary(i) => both!(i),
        Input::DisableEnhancedMonitoring(i) => both!(i),
        Input::EnableEnhancedMonitoring(i) => both!(i),
        Input::GetRecords(i) => (None, i.stream_arn.as_deref()),
        Input::GetResourcePolicy(i) => (None, Some(&i.resource_arn)),
        Input::GetShardIterator(i) => both!(i),
        Input::IncreaseStreamRetentionPeriod(i) => both!(i),
        Input::ListShards(i) => both!(i),
        Input::ListStreamConsumers(i) => (None, Some(&i.stream_arn)),
        Input::ListTagsForResource(i) => (None, Some(&i.resource_arn)),
        Input::ListTagsForStream(i) => both!(i),
        Input::MergeShards(i) => both!(i),
        Input::PutRecord(i) => both!(i),
        Input::PutRecords(i) => both!(i),
        Input::PutResourcePolicy(i) => (None, Some(&i.resource_arn)),
        Input::RegisterStreamConsumer(i) => (None, Some(&i.stream_arn)),
        Input::RemoveTagsFromStream(i) => both!(i),
        Input::SplitShard(i) => both!(i),
        Input::StartStreamEncryption(i) => both!(i),
        Input::StopStreamEncryption(i) => both!(i),
        Input::SubscribeToShard(i) => (None, Some(&i.consumer_arn)),
        Input::TagResource(i) => (None, Some(&i.resource_arn)),
        Input::UntagResource(i) => (None, Some(&i.resource_arn)),
        Input::UpdateMaxRecordSize(i) => (None, i.stream_arn.as_deref()),
        Input::UpdateShardCount(i) => both!(i),
        Input::UpdateStreamMode(i) => (None, Some(&i.stream_arn)),
        Input::UpdateStreamRecordDistributionStrategy(i) => (None, Some(&i.stream_arn)),
        Input::UpdateStreamWarmThroughput(i) => both!(i),
        // The account as a whole, and what is no stream's.
        _ => (None, None),
    }
}
