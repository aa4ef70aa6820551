//! DescribeStream and DescribeStreamSummary, and the shapes that describe streams elsewhere.

use millstream_api::kinesis::{
    DescribeStreamInput, DescribeStreamOutput, DescribeStreamSummaryInput, DescribeStreamSummaryOutput, EncryptionType,
    EnhancedMetrics, HashKeyRange, MetricsName, Operation, SequenceNumberRange, Shard, StreamDescription,
    StreamDescriptionSummary, StreamMode, StreamModeDetails, StreamStatus,
};
use millstream_api::{Context, Error, Timestamp};

use crate::distribution::distribution_shape;
use crate::sequence::SequenceNumber;
use crate::service::Kinesis;
use crate::state::{Metric, Mode, ShardRecord, Status, StreamRecord, parse_shard_id, shard_id};
use crate::texts;

/// Most shards in one answer of DescribeStream, whatever Limit says.
const PAGE: usize = 100;

impl Kinesis {
    pub(crate) fn describe_stream(
        &self,
        context: &Context,
        input: DescribeStreamInput<'_>,
    ) -> Result<DescribeStreamOutput, Error> {
        let stream = self.resolve(
            context,
            Operation::DescribeStream,
            input.stream_name.as_deref(),
            input.stream_arn.as_deref(),
        )?;
        let after = match input.exclusive_start_shard_id.as_deref() {
            Some(id) => Some(
                parse_shard_id(id)
                    .ok_or_else(|| texts::could_not_find_shard(id, &stream.address.name, &stream.address.account))?,
            ),
            None => None,
        };
        let view = stream.view();
        let record = &view.record;
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE).min(PAGE);
        let mut listed = self.listed_shards(record).filter(|s| after.is_none_or(|after| s.index > after));
        let shards: Vec<Shard> = listed.by_ref().take(limit).map(shard_shape).collect();
        Ok(DescribeStreamOutput {
            stream_description: StreamDescription {
                stream_name: record.name.clone(),
                stream_arn: stream.address.arn(),
                stream_status: status_shape(record.status),
                stream_mode_details: Some(mode_shape(record.mode)),
                shards,
                has_more_shards: listed.next().is_some(),
                retention_period_hours: to_i32(record.retention_hours),
                stream_creation_timestamp: timestamp(record.created_ms),
                enhanced_monitoring: monitoring_shape(record),
                encryption_type: Some(EncryptionType::None),
                key_id: None,
            },
        })
    }

    pub(crate) fn describe_stream_summary(
        &self,
        context: &Context,
        input: DescribeStreamSummaryInput<'_>,
    ) -> Result<DescribeStreamSummaryOutput, Error> {
        let stream = self.resolve(
            context,
            Operation::DescribeStreamSummary,
            input.stream_name.as_deref(),
            input.stream_arn.as_deref(),
        )?;
        let view = stream.view();
        let record = &view.record;
        let distribution = distribution_shape(record.distribution);
        let open = self.listed_shards(record).filter(|s| s.is_open()).count();
        Ok(DescribeStreamSummaryOutput {
            stream_description_summary: StreamDescriptionSummary {
                stream_name: record.name.clone(),
                stream_arn: stream.address.arn(),
                stream_id: None,
                stream_status: status_shape(record.status),
                stream_mode_details: Some(mode_shape(record.mode)),
                retention_period_hours: to_i32(record.retention_hours),
                stream_creation_timestamp: timestamp(record.created_ms),
                enhanced_monitoring: monitoring_shape(record),
                encryption_type: Some(EncryptionType::None),
                key_id: None,
                open_shard_count: to_i32(open),
                consumer_count: Some(to_i32(record.consumers.len())),
                warm_throughput: self.warm_throughput_shape(record, open),
                max_record_size_in_kib: Some(to_i32(record.max_record_kib)),
                channel_count: Some(0),
                record_distribution_strategy: (record.mode == Mode::OnDemand).then_some(distribution),
                queue_count: Some(0),
            },
        })
    }

    /// The shards that clients see: none before the stream is there, and none that has expired.
    pub(crate) fn listed_shards<'a>(
        &self,
        record: &'a StreamRecord,
    ) -> impl Iterator<Item = &'a ShardRecord> + use<'a> {
        let horizon = self.horizon(record);
        let is_there = record.status != Status::Creating;
        record.shards.iter().filter(move |s| is_there && !s.expired(horizon))
    }
}

/// A shard as answers show it.
pub(crate) fn shard_shape(shard: &ShardRecord) -> Shard {
    let ending = shard.closed.map(|c| SequenceNumber::end_of(shard.create_second, shard.index, c.second).to_text());
    Shard {
        shard_id: shard_id(shard.index),
        parent_shard_id: shard.parent.map(shard_id),
        adjacent_parent_shard_id: shard.adjacent_parent.map(shard_id),
        hash_key_range: HashKeyRange {
            starting_hash_key: shard.range.start.to_string(),
            ending_hash_key: shard.range.end.to_string(),
        },
        sequence_number_range: SequenceNumberRange {
            starting_sequence_number: SequenceNumber::start_of(shard.create_second, shard.index).to_text(),
            ending_sequence_number: ending,
        },
    }
}

pub(crate) fn status_shape(status: Status) -> StreamStatus {
    match status {
        Status::Creating => StreamStatus::Creating,
        Status::Active => StreamStatus::Active,
        Status::Updating => StreamStatus::Updating,
        Status::Deleting => StreamStatus::Deleting,
    }
}

pub(crate) fn mode_shape(mode: Mode) -> StreamModeDetails {
    let stream_mode = match mode {
        Mode::Provisioned => StreamMode::Provisioned,
        Mode::OnDemand => StreamMode::OnDemand,
    };
    StreamModeDetails { stream_mode, ..StreamModeDetails::default() }
}

pub(crate) fn metric_shape(metric: Metric) -> MetricsName {
    match metric {
        Metric::IncomingBytes => MetricsName::IncomingBytes,
        Metric::IncomingRecords => MetricsName::IncomingRecords,
        Metric::IteratorAgeMilliseconds => MetricsName::IteratorAgeMilliseconds,
        Metric::OutgoingBytes => MetricsName::OutgoingBytes,
        Metric::OutgoingRecords => MetricsName::OutgoingRecords,
        Metric::ReadProvisionedThroughputExceeded => MetricsName::ReadProvisionedThroughputExceeded,
        Metric::WriteProvisionedThroughputExceeded => MetricsName::WriteProvisionedThroughputExceeded,
    }
}

fn monitoring_shape(record: &StreamRecord) -> Vec<EnhancedMetrics> {
    let metrics = record.monitoring.iter().copied().map(metric_shape).collect();
    vec![EnhancedMetrics { shard_level_metrics: Some(metrics) }]
}

pub(crate) fn timestamp(ms: u64) -> Timestamp {
    Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// A count in an answer, whose numbers have 32 bits.
pub(crate) fn to_i32(count: impl TryInto<i32>) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}
