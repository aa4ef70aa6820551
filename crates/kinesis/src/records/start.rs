//! Where a reader starts: the types that GetShardIterator and SubscribeToShard share.

use std::sync::Arc;

use millstream_api::kinesis::{Operation, ShardIteratorType};
use millstream_api::{Error, Timestamp};

use super::{log_of, read_failed, shard_gone};
use crate::sequence::{Position, SequenceNumber, Side, StartMismatch, parse_start};
use crate::service::Kinesis;
use crate::state::{ShardIndex, ShardRecord, Status};
use crate::stream::Stream;
use crate::texts;

/// A start as a request names it.
pub(super) struct Asked<'a> {
    /// Who asks: errors name it.
    pub(super) operation: Operation,
    /// The type.
    pub(super) kind: &'a ShardIteratorType,
    /// The number that some types need.
    pub(super) number: Option<&'a str>,
    /// The time that one type needs.
    pub(super) timestamp: Option<Timestamp>,
}

/// A start, checked.
pub(super) enum Start {
    Horizon,
    Latest,
    Number(SequenceNumber, Side),
    /// Milliseconds since the epoch.
    Time(u64),
}

impl Asked<'_> {
    /// On which side of its number the reader stands; `None` if the type has no number.
    fn side(&self) -> Option<Side> {
        match self.kind {
            ShardIteratorType::AtSequenceNumber => Some(Side::At),
            ShardIteratorType::AfterSequenceNumber => Some(Side::After),
            _ => None,
        }
    }

    /// Checks that the request has what its type needs, before shard and stream are looked at.
    pub(super) fn check_members(&self) -> Result<(), Error> {
        match (self.side(), self.number) {
            (Some(_), None) => Err(texts::starting_number_missing(self.kind.as_str())),
            (None, Some(_)) => Err(texts::starting_number_not_wanted(self.kind.as_str())),
            _ if *self.kind == ShardIteratorType::AtTimestamp && self.timestamp.is_none() => {
                Err(texts::timestamp_missing())
            }
            _ => Ok(()),
        }
    }

    fn parse_number(&self, number: &str, stream: &Stream, shard: &ShardRecord) -> Result<SequenceNumber, Error> {
        let (name, account) = (&stream.address.name, &stream.address.account);
        let operation = self.operation.name();
        parse_start(number, shard.index, shard.create_second).map_err(|mismatch| match mismatch {
            StartMismatch::Invalid => texts::invalid_starting_number(number, operation, shard.index, name, account),
            StartMismatch::OtherShard(encoded) => texts::starting_number_of_other_shard(encoded, shard.index),
            StartMismatch::OtherStream => texts::foreign_starting_number(number, operation, shard.index, name, account),
            StartMismatch::Internal => texts::ancient_starting_number(),
        })
    }
}

impl Kinesis {
    /// The shard, unless it never was, has expired, or belongs to a stream that is being created.
    pub(super) fn readable_shard(&self, stream: &Arc<Stream>, shard: ShardIndex) -> Option<ShardRecord> {
        let view = stream.view();
        let record = view.shard(shard)?;
        let is_readable = view.status() != Status::Creating && !record.expired(self.horizon(&view.record));
        is_readable.then(|| record.clone())
    }

    /// Checks number and time of the request against the shard and the clock.
    pub(super) fn start(&self, stream: &Stream, shard: &ShardRecord, asked: &Asked<'_>) -> Result<Start, Error> {
        match (asked.side(), asked.number, asked.timestamp) {
            (Some(side), Some(number), _) => Ok(Start::Number(asked.parse_number(number, stream, shard)?, side)),
            (None, _, Some(Timestamp(time))) if *asked.kind == ShardIteratorType::AtTimestamp => {
                let now = self.now();
                // A time before 1970 is before every record.
                let start = u64::try_from(time).unwrap_or(0);
                if start > now { Err(texts::timestamp_in_future(time, now)) } else { Ok(Start::Time(start)) }
            }
            _ if *asked.kind == ShardIteratorType::TrimHorizon => Ok(Start::Horizon),
            _ => Ok(Start::Latest),
        }
    }
}

/// Where the reader stands. LATEST and a time are settled now: what is put later is read.
pub(super) async fn position(stream: &Stream, shard: &ShardRecord, start: Start) -> Result<Position, Error> {
    let log = log_of(stream, || shard_gone(stream, shard.index))?;
    let offset = match start {
        Start::Number(number, side) => return Ok(Position { number, side }),
        Start::Horizon => Ok(0),
        Start::Latest => log.position(shard.index).await.map(|position| position.end),
        Start::Time(time) => log.seek_time(shard.index, time).await,
    };
    let offset = offset.map_err(|error| read_failed(&error, stream, shard.index))?;
    Ok(Position::of_offset(shard.create_second, shard.index, offset))
}
