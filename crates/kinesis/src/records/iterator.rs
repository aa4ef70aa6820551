//! GetShardIterator.

use millstream_api::kinesis::{GetShardIteratorInput, GetShardIteratorOutput, Operation};
use millstream_api::{Context, Error};

use super::start::{Asked, position};
use crate::hooks::Refusal;
use crate::service::Kinesis;
use crate::state::parse_shard_id;
use crate::texts;
use crate::token::ShardIterator;

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
        let asked = Asked {
            operation: Operation::GetShardIterator,
            kind: &input.shard_iterator_type,
            number: input.starting_sequence_number.as_deref(),
            timestamp: input.timestamp,
        };
        asked.check_members()?;
        let shard = parse_shard_id(&input.shard_id)
            .ok_or_else(|| texts::could_not_find_shard(&input.shard_id, name, account))?;
        let missing = || texts::shard_does_not_exist(shard, name, account);
        // AWS names the shard, whether it or the stream is missing.
        let stream = self.find(&address).map_err(|_| missing())?;
        let record = self.readable_shard(&stream, shard).ok_or_else(missing)?;
        let start = self.start(&stream, &record, &asked)?;
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
}
