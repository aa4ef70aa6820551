//! Enhanced fan-out consumers: RegisterStreamConsumer, DeregisterStreamConsumer, DescribeStreamConsumer,
//! ListStreamConsumers. A consumer is part of its stream's record.

mod lookup;
mod transitions;

use std::sync::Arc;

use millstream_api::kinesis::{
    Consumer, ConsumerDescription, ConsumerStatus as StatusShape, DeregisterStreamConsumerInput,
    DescribeStreamConsumerInput, DescribeStreamConsumerOutput, ListStreamConsumersInput, ListStreamConsumersOutput,
    Operation, RegisterStreamConsumerInput, RegisterStreamConsumerOutput,
};
use millstream_api::{Context, Error};

use crate::change::ChangeError;
use crate::describe::timestamp;
use crate::limits::Limits;
use crate::list_shards::check_listable;
use crate::resolve::{Address, ConsumerAddress};
use crate::service::Kinesis;
use crate::state::{ConsumerRecord, ConsumerStatus, Status, StreamRecord};
use crate::tags::tags_of_new;
use crate::texts;
use crate::token::PageToken;

pub(crate) use lookup::{WantedConsumer, consumer_of_arn};

/// Most consumers in one answer of ListStreamConsumers, whatever MaxResults says.
const PAGE: usize = 100;

impl Kinesis {
    pub(crate) async fn register_stream_consumer(
        &self,
        context: &Context,
        input: RegisterStreamConsumerInput<'_>,
    ) -> Result<RegisterStreamConsumerOutput, Error> {
        let stream = self.resolve(context, Operation::RegisterStreamConsumer, None, Some(&input.stream_arn))?;
        let address = stream.address.clone();
        let tags = tags_of_new(&address, stream.limits.tags, input.tags)?;
        let name = input.consumer_name.into_owned();
        let (now_ms, due_ms, limits) = (self.now(), self.plan_due_from_now(), Arc::clone(&stream.limits));
        let has_commitment = self.commitment_enabled(&address.account, &address.region);
        let registered = self.change(&stream, move |record, _| {
            check_registrable(record, &address, &name)?;
            check_limits(&limits, record, &address, has_commitment)?;
            let second = (now_ms / 1000).max(record.latest_consumer_second.saturating_add(1));
            let consumer = ConsumerRecord {
                name,
                created_ms: now_ms.max(second.saturating_mul(1000)),
                status: ConsumerStatus::Creating,
                due_ms: Some(due_ms),
                tags,
                policy: None,
            };
            let shape = consumer_shape(&address, &consumer);
            record.add_consumer(consumer);
            Ok(shape)
        });
        let consumer = registered.await?;
        self.consumers_changed(&stream).await;
        Ok(RegisterStreamConsumerOutput { consumer })
    }

    pub(crate) async fn deregister_stream_consumer(
        &self,
        context: &Context,
        input: DeregisterStreamConsumerInput<'_>,
    ) -> Result<(), Error> {
        let members =
            (input.consumer_arn.as_deref(), input.stream_arn.as_deref(), input.consumer_name.as_deref()).into();
        let (stream, wanted) = self.consumer_named(context, Operation::DeregisterStreamConsumer, members)?;
        let due_ms = self.plan_due_from_now();
        let deregistered = self.change(&stream, move |record, _| {
            let consumer = wanted.find_mut(record)?;
            // A second call finds it on its way out already, alone or with its stream.
            if consumer.status != ConsumerStatus::Deleting {
                (consumer.status, consumer.due_ms) = (ConsumerStatus::Deleting, Some(due_ms));
            }
            Ok(())
        });
        deregistered.await?;
        self.consumers_changed(&stream).await;
        Ok(())
    }

    pub(crate) fn describe_stream_consumer(
        &self,
        context: &Context,
        input: DescribeStreamConsumerInput<'_>,
    ) -> Result<DescribeStreamConsumerOutput, Error> {
        let members =
            (input.consumer_arn.as_deref(), input.stream_arn.as_deref(), input.consumer_name.as_deref()).into();
        let (stream, wanted) = self.consumer_named(context, Operation::DescribeStreamConsumer, members)?;
        let view = stream.view();
        let Consumer { consumer_name, consumer_arn, consumer_status, consumer_creation_timestamp } =
            consumer_shape(&stream.address, wanted.find(&view.record)?);
        Ok(DescribeStreamConsumerOutput {
            consumer_description: ConsumerDescription {
                consumer_name,
                consumer_arn,
                consumer_status,
                consumer_creation_timestamp,
                stream_arn: stream.address.arn(),
            },
        })
    }

    pub(crate) fn list_stream_consumers(
        &self,
        context: &Context,
        input: ListStreamConsumersInput<'_>,
    ) -> Result<ListStreamConsumersOutput, Error> {
        let operation = Operation::ListStreamConsumers;
        if input.next_token.is_some() && input.stream_creation_timestamp.is_some() {
            return Err(texts::next_token_excludes("StreamCreationTimestamp"));
        }
        let stream = self.resolve(context, operation, None, Some(&input.stream_arn))?;
        let view = stream.view();
        let record = &view.record;
        if let Some(created) = input.stream_creation_timestamp
            && created.0.div_euclid(1000) != (record.created_ms / 1000) as i64
        {
            return Err(texts::stream_not_found(&stream.address.name, &stream.address.account));
        }
        let after = match &input.next_token {
            Some(text) => {
                let token = self.open_page_token(context, operation, text)?;
                if token.incarnation != stream.incarnation {
                    return Err(texts::invalid_next_token());
                }
                Some(token.position)
            }
            None => None,
        };
        check_listable(record, &stream.address)?;
        let limit = input.max_results.and_then(|most| usize::try_from(most).ok()).unwrap_or(PAGE).min(PAGE);
        let start = after.map_or(0, |after| record.consumers.partition_point(|consumer| *consumer.name <= *after));
        let page = &record.consumers[start..][..limit.min(record.consumers.len() - start)];
        let has_more = start + page.len() < record.consumers.len();
        Ok(ListStreamConsumersOutput {
            consumers: Some(page.iter().map(|consumer| consumer_shape(&stream.address, consumer)).collect()),
            next_token: page.last().filter(|_| has_more).map(|last| {
                PageToken {
                    operation: operation.name().into(),
                    account: (&*stream.address.account).into(),
                    region: (&*stream.address.region).into(),
                    stream: (&*stream.address.name).into(),
                    incarnation: stream.incarnation,
                    position: last.name.as_str().into(),
                    filter: "".into(),
                    issued: self.now(),
                }
                .seal(&self.tokens)
            }),
        })
    }
}

/// Whether the stream takes a new consumer of that name.
fn check_registrable(record: &StreamRecord, address: &Address, name: &str) -> Result<(), ChangeError> {
    match record.status {
        Status::Active | Status::Updating => {}
        status => return Err(texts::stream_not_active(&address.name, &address.account, status.as_str()).into()),
    }
    match record.consumer(name) {
        Some(_) => Err(texts::consumer_exists(name, &address.name, &address.account).into()),
        None => Ok(()),
    }
}

/// Whether the stream may have one more consumer.
fn check_limits(
    limits: &Limits,
    record: &StreamRecord,
    address: &Address,
    has_commitment: bool,
) -> Result<(), ChangeError> {
    let all = if has_commitment { limits.consumers_with_commitment } else { limits.consumers };
    if let Some(limit) = all.get().filter(|limit| record.consumers.len() as u64 >= *limit) {
        return Err(texts::too_many_consumers(&address.name, &address.account, limit).into());
    }
    let creating = record.consumers.iter().filter(|c| c.status == ConsumerStatus::Creating).count() as u64;
    match limits.consumers_creating.get().filter(|limit| creating >= *limit) {
        Some(limit) => Err(texts::too_many_consumers_creating(&address.name, &address.account, limit).into()),
        None => Ok(()),
    }
}

/// The address of a stream's consumer.
pub(crate) fn consumer_address(stream: &Address, consumer: &ConsumerRecord) -> ConsumerAddress {
    ConsumerAddress { stream: stream.clone(), name: consumer.name.as_str().into(), created: consumer.second() }
}

/// A consumer as answers show it.
fn consumer_shape(stream: &Address, consumer: &ConsumerRecord) -> Consumer {
    Consumer {
        consumer_name: consumer.name.clone(),
        consumer_arn: consumer_address(stream, consumer).arn(),
        consumer_status: match consumer.status {
            ConsumerStatus::Creating => StatusShape::Creating,
            ConsumerStatus::Active => StatusShape::Active,
            ConsumerStatus::Deleting => StatusShape::Deleting,
        },
        // The very second that the ARN has.
        consumer_creation_timestamp: timestamp(consumer.second().saturating_mul(1000)),
    }
}
