//! SubscribeToShard.

mod places;
mod subscription;

use std::sync::Arc;

use millstream_api::kinesis::{Operation, SubscribeToShardInput, SubscribeToShardOutput};
use millstream_api::{Context, Error, EventStream};

pub(crate) use self::places::Subscriptions;
use self::subscription::Subscription;
use super::start::{Asked, position};
use crate::consumers::{WantedConsumer, consumer_of_arn};
use crate::hooks::Refusal;
use crate::resolve::{Address, ConsumerAddress};
use crate::service::Kinesis;
use crate::state::{ConsumerStatus, ShardIndex, Status, parse_shard_id};
use crate::stream::Stream;
use crate::texts;

impl Kinesis {
    pub(crate) async fn subscribe_to_shard(
        &self,
        context: &Context,
        input: SubscribeToShardInput<'_>,
    ) -> Result<SubscribeToShardOutput, Error> {
        let consumer = consumer_of_arn(&input.consumer_arn)?;
        self.allow_on_consumer(context, Operation::SubscribeToShard, &consumer, &input.consumer_arn)?;
        let asked = Asked {
            operation: Operation::SubscribeToShard,
            kind: &input.starting_position.r#type,
            number: input.starting_position.sequence_number.as_deref(),
            timestamp: input.starting_position.timestamp,
        };
        asked.check_members()?;
        let (name, account) = (&consumer.stream.name, &consumer.stream.account);
        let index = parse_shard_id(&input.shard_id)
            .ok_or_else(|| texts::could_not_find_shard(&input.shard_id, name, account))?;
        let stream = self.find(&consumer.stream)?;
        check_subscribable(&stream, &consumer)?;
        let shard =
            self.readable_shard(&stream, index).ok_or_else(|| texts::shard_does_not_exist(index, name, account))?;
        let is_dry = input.dry_run == Some(true);
        if !is_dry {
            self.admit_subscription(&stream, &consumer, index)?;
        }
        let start = self.start(&stream, &shard, &asked)?;
        if is_dry {
            return Err(self.end_dry_run(&stream));
        }
        let position = position(&stream, &shard, start).await?;
        let place = Subscriptions::claim(&stream, &consumer, index, self.now())
            .ok_or_else(|| texts::subscription_exists(&consumer, index))?;
        let subscription = Subscription::new(self, stream, consumer, shard, position, place)?;
        Ok(SubscribeToShardOutput { event_stream: EventStream::new(subscription) })
    }

    /// Counts a call of the consumer for the shard, or refuses it. That it has subscribed a moment ago says more than that
    /// it calls too often.
    fn admit_subscription(
        &self,
        stream: &Arc<Stream>,
        consumer: &ConsumerAddress,
        shard: ShardIndex,
    ) -> Result<(), Error> {
        let throttle = stream.subscriptions.throttle(consumer, shard);
        if throttle.admit_call(&stream.limits, self.env.clock.monotonic()) {
            return Ok(());
        }
        self.hooks.meter.refused(Refusal::CallRate, 1);
        Err(if stream.subscriptions.is_recent(consumer, shard, self.now()) {
            texts::subscription_exists(consumer, shard)
        } else {
            texts::subscription_rate_exceeded(consumer, shard)
        })
    }
}

/// Whether the consumer may subscribe to its stream's shards now.
fn check_subscribable(stream: &Stream, consumer: &ConsumerAddress) -> Result<(), Error> {
    let view = stream.view();
    let Address { name, account, .. } = &stream.address;
    match view.status() {
        Status::Active | Status::Updating => {}
        status @ Status::Creating => return Err(texts::stream_not_active(name, account, status.as_str())),
        Status::Deleting => return Err(texts::stream_not_found(name, account)),
    }
    match WantedConsumer::Address(consumer.clone()).find(&view.record)?.status {
        ConsumerStatus::Active => Ok(()),
        ConsumerStatus::Creating | ConsumerStatus::Deleting => Err(texts::consumer_not_active(consumer)),
    }
}
