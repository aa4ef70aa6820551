//! GetShardIterator.

use std::sync::Arc;

use millstream_api::kinesis::{GetShardIteratorInput, GetShardIteratorOutput, Operation, ShardIteratorType};
use millstream_api::{Context, Error, Timestamp};

use super::{read_failed, shard_gone};
use crate::hooks::Refusal;
use crate::sequence::{Position, SequenceNumber, Side, StartMismatch, parse_start};
use crate::service::Kinesis;
use crate::state::{ShardIndex, ShardRecord, Status, parse_shard_id};
use crate::stream::Stream;
use crate::texts;
use crate::token::ShardIterator;

/// What an iterator's place depends on, checked.
enum Start {
    Horizon,
    Latest,
    Number(SequenceNumber, Side),
    /// Milliseconds since the epoch.
    Time(u64),
}

impl Kinesis {
    pub(crate) async fn get_shard_iterator(
        &self,
        context: &Context,
        input: GetShardIteratorInput<'_>,
    ) -> Result<GetShardIteratorOutput, Error> {
        let address = self.address(
            context,
            Operation::GetShardIterator,
            input.stream_name.as_deref(),
            input.stream_arn.as_deref(),
        )?;
        let (name, account) = (&address.name, &address.account);
        check_members(&input)?;
        let shard = parse_shard_id(&input.shard_id)
            .ok_or_else(|| texts::could_not_find_shard(&input.shard_id, name, account))?;
        let missing = || texts::shard_does_not_exist(shard, name, account);
        // AWS names the shard, whether it or the stream is missing.
        let stream = self.find(&address).map_err(|_| missing())?;
        let record = self.readable_shard(&stream, shard).ok_or_else(missing)?;
        let start = self.start(&stream, &record, &input)?;
        if input.dry_run == Some(true) {
            return Err(self.end_dry_run(&stream));
        }
        let throttle = stream.throttle.shard(shard);
        if !throttle.admit_iterator(&stream.limits, self.env.clock.monotonic()) {
            self.hooks.meter.refused(Refusal::ReadThroughput, 1);
            return Err(texts::shard_rate_exceeded(shard, name, account));
        }
        let iterator = ShardIterator {
            account: (&**account).into(),
            region: (&*address.region).into(),
            stream: (&**name).into(),
            incarnation: stream.incarnation,
            shard,
            position: position(&stream, &record, start).await?,
            issued: self.now(),
        };
        Ok(GetShardIteratorOutput { shard_iterator: Some(iterator.seal(&self.tokens)) })
    }

    /// The shard, unless it never was, has expired, or belongs to a stream that is being created.
    fn readable_shard(&self, stream: &Arc<Stream>, shard: ShardIndex) -> Option<ShardRecord> {
        let view = stream.view();
        let record = view.shard(shard)?;
        let has_expired = record.closed.is_some_and(|closed| closed.at_ms < self.horizon(&view.record));
        (view.status() != Status::Creating && !has_expired).then(|| record.clone())
    }

    /// Checks number and time of the request against the shard and the clock.
    fn start(&self, stream: &Stream, shard: &ShardRecord, input: &GetShardIteratorInput<'_>) -> Result<Start, Error> {
        match (number_side(&input.shard_iterator_type), input.starting_sequence_number.as_deref(), input.timestamp) {
            (Some(side), Some(number), _) => Ok(Start::Number(parse_number(number, stream, shard)?, side)),
            (None, _, Some(Timestamp(time))) if input.shard_iterator_type == ShardIteratorType::AtTimestamp => {
                let now = self.now();
                // A time before 1970 is before every record.
                let start = u64::try_from(time).unwrap_or(0);
                if start > now { Err(texts::timestamp_in_future(time, now)) } else { Ok(Start::Time(start)) }
            }
            _ if input.shard_iterator_type == ShardIteratorType::TrimHorizon => Ok(Start::Horizon),
            _ => Ok(Start::Latest),
        }
    }
}

/// On which side of its number an iterator of this type stands; `None` if the type has no number.
fn number_side(kind: &ShardIteratorType) -> Option<Side> {
    match kind {
        ShardIteratorType::AtSequenceNumber => Some(Side::At),
        ShardIteratorType::AfterSequenceNumber => Some(Side::After),
        _ => None,
    }
}

/// Checks that the request has what its type needs, before shard and stream are looked at.
fn check_members(input: &GetShardIteratorInput<'_>) -> Result<(), Error> {
    let kind = &input.shard_iterator_type;
    match (number_side(kind), &input.starting_sequence_number) {
        (Some(_), None) => Err(texts::starting_number_missing(kind.as_str())),
        (None, Some(_)) => Err(texts::starting_number_not_wanted(kind.as_str())),
        _ if *kind == ShardIteratorType::AtTimestamp && input.timestamp.is_none() => Err(texts::timestamp_missing()),
        _ => Ok(()),
    }
}

fn parse_number(number: &str, stream: &Stream, shard: &ShardRecord) -> Result<SequenceNumber, Error> {
    let (name, account) = (&stream.address.name, &stream.address.account);
    parse_start(number, shard.index, shard.create_second).map_err(|mismatch| match mismatch {
        StartMismatch::Invalid => texts::invalid_starting_number(number, shard.index, name, account),
        StartMismatch::OtherShard(encoded) => texts::starting_number_of_other_shard(encoded, shard.index),
        StartMismatch::OtherStream => texts::foreign_starting_number(number, shard.index, name, account),
        StartMismatch::Internal => texts::ancient_starting_number(),
    })
}

/// Where the reader stands. LATEST and a time are settled now: what is put later is read.
async fn position(stream: &Stream, shard: &ShardRecord, start: Start) -> Result<Position, Error> {
    let log = stream.log().ok_or_else(|| shard_gone(stream, shard.index))?;
    let offset = match start {
        Start::Number(number, side) => return Ok(Position { number, side }),
        Start::Horizon => Ok(0),
        Start::Latest => log.position(shard.index).await.map(|position| position.end),
        Start::Time(time) => log.seek_time(shard.index, time).await,
    };
    let offset = offset.map_err(|error| read_failed(&error, stream, shard.index))?;
    Ok(Position::of_offset(shard.create_second, shard.index, offset))
}
