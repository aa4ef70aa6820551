//! The service: what it holds, and which function answers which operation.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use arc_swap::ArcSwap;
use millstream_api::kinesis::{Input, Operation, Output, Service};
use millstream_api::{BoxFuture, Context, Error, ErrorCode};
use millstream_catalog::Catalog;
use millstream_env::Env;
use millstream_log::Log;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::account_settings::Accounts;
use crate::hooks::Hooks;
use crate::limits::{LimitTable, Limits, StreamLimits};
use crate::stream::Streams;
use crate::throttle::CallRates;
use crate::token::TokenKeys;

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct KinesisConfig {
    /// Quotas, throughput and call rates.
    pub limits: Limits,
    /// Limits of single streams, of which the first that names a stream counts.
    pub stream_limits: Vec<StreamLimits>,
    /// How long streams stay in CREATING, UPDATING and DELETING. Zero: such requests answer when all is done.
    pub transition_delay: Duration,
    /// How often retention is enforced on the files. Reads obey it at once, whatever this is.
    pub retention_interval: Duration,
    /// Whether tests may move the clock ([`Kinesis::move_clock`]), or have done so in an earlier run.
    pub virtual_clock: bool,
    /// The file of the keys that seal iterators and tokens; created if missing.
    pub token_keys: PathBuf,
}

impl KinesisConfig {
    /// AWS's limits, transitions of 500 ms, retention every quarter of an hour.
    pub fn new(token_keys: PathBuf) -> KinesisConfig {
        KinesisConfig {
            limits: Limits::aws(),
            stream_limits: Vec::new(),
            transition_delay: Duration::from_millis(500),
            retention_interval: Duration::from_secs(900),
            virtual_clock: false,
            token_keys,
        }
    }
}

/// The Kinesis Data Streams service over a log and a catalog.
pub struct Kinesis {
    pub(crate) env: Env,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) config: KinesisConfig,
    pub(crate) limits: LimitTable,
    pub(crate) hooks: Hooks,
    pub(crate) tokens: TokenKeys,
    pub(crate) call_rates: CallRates,
    /// Whether limits on the pace of callers count; see [`Kinesis::unpaced`].
    pub(crate) paced: AtomicBool,
    pub(crate) stamped: crate::clock::Stamped,
    pub(crate) loads_saved: AtomicU64,
    pub(crate) streams: Arc<ArcSwap<Streams>>,
    pub(crate) accounts: Arc<ArcSwap<Accounts>>,
    /// Held over a change of the catalog and of what `streams` and `accounts` show of it, so that both go in the same order.
    pub(crate) changing: Arc<tokio::sync::Mutex<()>>,
    /// Held over a snapshot: one at a time.
    pub(crate) snapshotting: tokio::sync::Mutex<()>,
    /// Wakes the driver of [`Kinesis::tick`].
    pub(crate) wake: Arc<Notify>,
    pub(crate) troubles: Mutex<crate::driver::Troubles>,
}

impl Kinesis {
    /// Every stream, now.
    pub fn streams(&self) -> arc_swap::Guard<Arc<Streams>> {
        self.streams.load()
    }

    /// Domain time, ms since the epoch.
    pub(crate) fn now(&self) -> u64 {
        self.env.clock.now()
    }

    async fn answer(&self, context: &Context, input: Input<'_>) -> Result<Output, Error> {
        input.validate()?;
        let operation = input.operation();
        match input {
            Input::AddTagsToStream(i) => self.add_tags_to_stream(context, i).await.map(|()| Output::AddTagsToStream),
            Input::CreateStream(i) => self.create_stream(context, i).await.map(|()| Output::CreateStream),
            Input::DecreaseStreamRetentionPeriod(i) => {
                self.decrease_stream_retention_period(context, i).await.map(|()| Output::DecreaseStreamRetentionPeriod)
            }
            Input::DeleteResourcePolicy(i) => {
                self.delete_resource_policy(context, i).await.map(|()| Output::DeleteResourcePolicy)
            }
            Input::DeleteStream(i) => self.delete_stream(context, i).await.map(|()| Output::DeleteStream),
            Input::DeregisterStreamConsumer(i) => {
                self.deregister_stream_consumer(context, i).await.map(|()| Output::DeregisterStreamConsumer)
            }
            Input::DescribeAccountSettings(i) => {
                self.describe_account_settings(context, i).map(Output::DescribeAccountSettings)
            }
            Input::DescribeLimits(i) => self.describe_limits(context, i).map(Output::DescribeLimits),
            Input::DescribeStream(i) => self.describe_stream(context, i).map(Output::DescribeStream),
            Input::DescribeStreamConsumer(i) => {
                self.describe_stream_consumer(context, i).map(Output::DescribeStreamConsumer)
            }
            Input::DescribeStreamSummary(i) => {
                self.describe_stream_summary(context, i).map(Output::DescribeStreamSummary)
            }
            Input::DisableEnhancedMonitoring(i) => {
                self.disable_enhanced_monitoring(context, i).await.map(Output::DisableEnhancedMonitoring)
            }
            Input::EnableEnhancedMonitoring(i) => {
                self.enable_enhanced_monitoring(context, i).await.map(Output::EnableEnhancedMonitoring)
            }
            Input::GetRecords(i) => self.get_records(context, i).await.map(Output::GetRecords),
            Input::GetResourcePolicy(i) => self.get_resource_policy(context, i).map(Output::GetResourcePolicy),
            Input::GetShardIterator(i) => self.get_shard_iterator(context, i).await.map(Output::GetShardIterator),
            Input::IncreaseStreamRetentionPeriod(i) => {
                self.increase_stream_retention_period(context, i).await.map(|()| Output::IncreaseStreamRetentionPeriod)
            }
            Input::ListShards(i) => self.list_shards(context, i).map(Output::ListShards),
            Input::ListStreamConsumers(i) => self.list_stream_consumers(context, i).map(Output::ListStreamConsumers),
            Input::ListStreams(i) => self.list_streams(context, i).map(Output::ListStreams),
            Input::ListTagsForResource(i) => self.list_tags_for_resource(context, i).map(Output::ListTagsForResource),
            Input::ListTagsForStream(i) => self.list_tags_for_stream(context, i).map(Output::ListTagsForStream),
            Input::MergeShards(i) => self.merge_shards(context, i).await.map(|()| Output::MergeShards),
            Input::PutRecord(i) => self.put_record(context, i).await.map(Output::PutRecord),
            Input::PutRecords(i) => self.put_records(context, i).await.map(Output::PutRecords),
            Input::PutResourcePolicy(i) => {
                self.put_resource_policy(context, i).await.map(|()| Output::PutResourcePolicy)
            }
            Input::RegisterStreamConsumer(i) => {
                self.register_stream_consumer(context, i).await.map(Output::RegisterStreamConsumer)
            }
            Input::RemoveTagsFromStream(i) => {
                self.remove_tags_from_stream(context, i).await.map(|()| Output::RemoveTagsFromStream)
            }
            Input::SplitShard(i) => self.split_shard(context, i).await.map(|()| Output::SplitShard),
            Input::SubscribeToShard(i) => self.subscribe_to_shard(context, i).await.map(Output::SubscribeToShard),
            Input::TagResource(i) => self.tag_resource(context, i).await.map(|()| Output::TagResource),
            Input::UntagResource(i) => self.untag_resource(context, i).await.map(|()| Output::UntagResource),
            Input::UpdateAccountSettings(i) => {
                self.update_account_settings(context, i).await.map(Output::UpdateAccountSettings)
            }
            Input::UpdateMaxRecordSize(i) => {
                self.update_max_record_size(context, i).await.map(|()| Output::UpdateMaxRecordSize)
            }
            Input::UpdateShardCount(i) => self.update_shard_count(context, i).await.map(Output::UpdateShardCount),
            Input::UpdateStreamMode(i) => self.update_stream_mode(context, i).await.map(|()| Output::UpdateStreamMode),
            Input::UpdateStreamRecordDistributionStrategy(i) => self
                .update_stream_record_distribution_strategy(context, i)
                .await
                .map(|()| Output::UpdateStreamRecordDistributionStrategy),
            Input::UpdateStreamWarmThroughput(i) => {
                self.update_stream_warm_throughput(context, i).await.map(Output::UpdateStreamWarmThroughput)
            }
            Input::AcknowledgeDeadLetterQueueRecords(_)
            | Input::AcknowledgeQueueRecords(_)
            | Input::CreateChannel(_)
            | Input::CreateQueue(_)
            | Input::DeleteChannel(_)
            | Input::DeleteQueue(_)
            | Input::DescribeChannel(_)
            | Input::DescribeQueue(_)
            | Input::ListChannels(_)
            | Input::ListQueues(_)
            | Input::ReceiveDeadLetterQueueRecords(_)
            | Input::ReceiveQueueRecords(_)
            | Input::RestoreDeadLetterQueueRecords(_)
            | Input::StartStreamEncryption(_)
            | Input::StopStreamEncryption(_)
            | Input::UpdateChannel(_)
            | Input::UpdateDeadLetterQueueRecordsVisibility(_)
            | Input::UpdateQueue(_)
            | Input::UpdateQueueRecordsVisibility(_) => unsupported(operation),
        }
    }
}

pub(crate) fn unsupported<T>(operation: Operation) -> Result<T, Error> {
    Err(Error::new(
        ErrorCode::UnsupportedOperationException,
        format!("Millstream does not support {} yet.", operation.name()),
    ))
}

impl Service for Kinesis {
    fn call<'a>(&'a self, context: &'a Context, input: Input<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        Box::pin(async move {
            let operation = input.operation();
            let answer = self.answer(context, input).await;
            self.hooks.meter.answered(operation, answer.as_ref().err().map(|e| e.code));
            answer
        })
    }
}
