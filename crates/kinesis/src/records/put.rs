//! PutRecord and PutRecords.

use std::sync::Arc;

use millstream_api::kinesis::{
    Operation, PutRecordInput, PutRecordOutput, PutRecordsInput, PutRecordsOutput, PutRecordsResultEntry,
};
use millstream_api::{Blob, Context, Error, ErrorCode};
use millstream_log::RecordKeys;

use super::write::{Fate, Incoming, Place};
use crate::hash::{md5_hash, parse_hash_key};
use crate::sequence::check_ordering;
use crate::service::Kinesis;
use crate::state::{Distribution, ShardIndex, Status, StreamRecord, shard_id};
use crate::stream::{Stream, View};
use crate::texts;

/// A PutRecords that can be written.
pub(crate) struct Checked<'a> {
    pub(crate) stream: Arc<Stream>,
    pub(crate) view: Arc<View>,
    pub(crate) records: Vec<Incoming<'a>>,
}

impl Kinesis {
    pub(crate) async fn put_record(
        &self,
        context: &Context,
        input: PutRecordInput<'_>,
    ) -> Result<PutRecordOutput, Error> {
        let (stream, view) =
            self.writable(context, Operation::PutRecord, input.stream_name.as_deref(), input.stream_arn.as_deref())?;
        let (name, account) = (&stream.address.name, &stream.address.account);
        let record =
            incoming(&view.record, &input.data, input.partition_key.as_deref(), input.explicit_hash_key.as_deref())?;
        let most = view.record.max_record_bytes();
        if record.size > most {
            return Err(texts::record_too_large(most));
        }
        if let Some(number) = input.sequence_number_for_ordering.as_deref() {
            if view.record.distribution == Distribution::Auto {
                return Err(texts::ordering_with_auto_distribution());
            }
            // A stream's logical seconds may be ahead of the clock.
            let latest = view.record.latest_second.max(self.now() / 1000);
            check_ordering(number, latest).map_err(|_| texts::invalid_ordering_number(number, name, account))?;
        }
        if input.dry_run == Some(true) {
            return Err(self.end_dry_run(&stream));
        }
        let fates = self.write(&stream, view, &[record]).await?;
        match fates.first() {
            Some(Fate::Written(number)) => Ok(PutRecordOutput {
                shard_id: shard_id(number.shard()),
                sequence_number: number.to_text(),
                encryption_type: None,
            }),
            Some(Fate::Throttled(shard)) => Err(texts::shard_rate_exceeded(*shard, name, account)),
            None => Err(texts::internal_failure()),
        }
    }

    pub(crate) async fn put_records(
        &self,
        context: &Context,
        input: PutRecordsInput<'_>,
    ) -> Result<PutRecordsOutput, Error> {
        let Checked { stream, view, records } = self.check_records(context, &input)?;
        if input.dry_run == Some(true) {
            return Err(self.end_dry_run(&stream));
        }
        let fates = self.write(&stream, view, &records).await?;
        let failed = fates.iter().filter(|fate| matches!(fate, Fate::Throttled(_))).count();
        Ok(PutRecordsOutput {
            failed_record_count: Some(i32::try_from(failed).unwrap_or(i32::MAX)),
            records: fates.into_iter().map(|fate| entry(fate, &stream)).collect(),
            encryption_type: None,
        })
    }

    /// All that is checked of a PutRecords before it is written.
    pub(crate) fn check_records<'a>(
        &self,
        context: &Context,
        input: &'a PutRecordsInput<'_>,
    ) -> Result<Checked<'a>, Error> {
        let (stream, view) =
            self.writable(context, Operation::PutRecords, input.stream_name.as_deref(), input.stream_arn.as_deref())?;
        let most = view.record.max_record_bytes();
        let mut records = Vec::with_capacity(input.records.len());
        let mut total = 0;
        for (place, entry) in input.records.iter().enumerate() {
            let record = incoming(
                &view.record,
                &entry.data,
                entry.partition_key.as_deref(),
                entry.explicit_hash_key.as_deref(),
            )?;
            if record.size > most {
                return Err(texts::nth_record_too_large(place, most));
            }
            total += record.size as u64;
            records.push(record);
        }
        if let Some(most) = stream.limits.put_records_bytes.get().filter(|most| total > *most) {
            return Err(texts::records_too_large(most));
        }
        Ok(Checked { stream, view, records })
    }

    /// The stream, if it takes records.
    fn writable(
        &self,
        context: &Context,
        operation: Operation,
        stream_name: Option<&str>,
        stream_arn: Option<&str>,
    ) -> Result<(Arc<Stream>, Arc<View>), Error> {
        let stream = self.resolve(context, operation, stream_name, stream_arn)?;
        let view = stream.view_owned();
        match view.status() {
            Status::Active | Status::Updating => Ok((stream, view)),
            Status::Creating | Status::Deleting => {
                Err(texts::stream_not_found(&stream.address.name, &stream.address.account))
            }
        }
    }
}

/// Checks what a record says of its place.
fn incoming<'a>(
    stream: &StreamRecord,
    data: &'a Blob<'a>,
    partition_key: Option<&'a str>,
    explicit_hash: Option<&'a str>,
) -> Result<Incoming<'a>, Error> {
    let place = match (stream.distribution, partition_key, explicit_hash) {
        (Distribution::UserPartitionKey, None, _) => return Err(texts::partition_key_required()),
        (Distribution::UserPartitionKey, Some(_), Some(hash)) => {
            Place::At(parse_hash_key(hash).ok_or_else(|| texts::invalid_explicit_hash_key(hash))?)
        }
        (Distribution::UserPartitionKey, Some(key), None) => Place::At(md5_hash(key)),
        // What the producer says of the place is kept with the record and otherwise ignored.
        (Distribution::Auto, ..) => Place::Anywhere,
    };
    let size = data.decoded_len() + partition_key.map_or(0, str::len);
    Ok(Incoming { place, size, keys: RecordKeys { partition_key, explicit_hash, headers: None }, data })
}

/// A record's part of the answer to PutRecords.
fn entry(fate: Fate, stream: &Stream) -> PutRecordsResultEntry {
    match fate {
        Fate::Written(number) => PutRecordsResultEntry {
            sequence_number: Some(number.to_text()),
            shard_id: Some(shard_id(number.shard())),
            ..PutRecordsResultEntry::default()
        },
        Fate::Throttled(shard) => throttled(shard, stream),
    }
}

fn throttled(shard: ShardIndex, stream: &Stream) -> PutRecordsResultEntry {
    let message = texts::shard_rate_message(shard, &stream.address.name, &stream.address.account);
    PutRecordsResultEntry {
        error_code: Some(ErrorCode::ProvisionedThroughputExceededException.name().to_owned()),
        error_message: Some(message),
        ..PutRecordsResultEntry::default()
    }
}
