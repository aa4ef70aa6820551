//! From the names in a request to a consumer.

use std::sync::Arc;

use millstream_api::kinesis::Operation;
use millstream_api::{Context, Error};

use crate::hooks::Resource;
use crate::resolve::{Address, ConsumerAddress, check_world};
use crate::service::Kinesis;
use crate::state::{ConsumerRecord, StreamRecord};
use crate::stream::Stream;
use crate::texts;

/// The members of a request that name a consumer.
pub(super) struct Members<'a> {
    consumer_arn: Option<&'a str>,
    stream_arn: Option<&'a str>,
    consumer_name: Option<&'a str>,
}

impl<'a> From<(Option<&'a str>, Option<&'a str>, Option<&'a str>)> for Members<'a> {
    /// ConsumerARN, StreamARN and ConsumerName.
    fn from((consumer_arn, stream_arn, consumer_name): (Option<&'a str>, Option<&'a str>, Option<&'a str>)) -> Self {
        Members { consumer_arn, stream_arn, consumer_name }
    }
}

/// Which of a stream's consumers is meant.
pub(crate) enum WantedConsumer {
    /// The one that was registered in that second.
    Address(ConsumerAddress),
    /// The present one of that name, in that account.
    Name(String, Arc<str>),
}

impl WantedConsumer {
    /// The consumer, or ResourceNotFoundException.
    pub(crate) fn find<'a>(&self, record: &'a StreamRecord) -> Result<&'a ConsumerRecord, Error> {
        let found = record.consumer(self.name()).filter(|consumer| self.is(consumer));
        found.ok_or_else(|| self.not_found())
    }

    /// The same, to change it.
    pub(crate) fn find_mut<'a>(&self, record: &'a mut StreamRecord) -> Result<&'a mut ConsumerRecord, Error> {
        let found = record.consumers.iter_mut().find(|consumer| consumer.name == self.name() && self.is(consumer));
        found.ok_or_else(|| self.not_found())
    }

    fn name(&self) -> &str {
        match self {
            WantedConsumer::Address(address) => &address.name,
            WantedConsumer::Name(name, _) => name,
        }
    }

    /// Whether a consumer of the name is the one.
    fn is(&self, consumer: &ConsumerRecord) -> bool {
        match self {
            WantedConsumer::Address(address) => address.created == consumer.second(),
            WantedConsumer::Name(..) => true,
        }
    }

    fn not_found(&self) -> Error {
        match self {
            WantedConsumer::Address(address) => texts::consumer_not_found(address),
            WantedConsumer::Name(name, account) => texts::consumer_name_not_found(name, account),
        }
    }
}

impl Kinesis {
    /// The stream whose consumer is meant by its ARN, by its name and its stream's ARN, or by all three if they agree;
    /// and which consumer that is. Asks whether the caller may do `operation` on it.
    pub(super) fn consumer_named(
        &self,
        context: &Context,
        operation: Operation,
        members: Members<'_>,
    ) -> Result<(Arc<Stream>, WantedConsumer), Error> {
        let Members { consumer_arn, stream_arn, consumer_name } = members;
        let Some(consumer_arn) = consumer_arn else {
            let (Some(stream_arn), Some(name)) = (stream_arn, consumer_name) else {
                return Err(texts::consumer_required());
            };
            let stream = self.resolve(context, operation, None, Some(stream_arn))?;
            let account = Arc::clone(&stream.address.account);
            return Ok((stream, WantedConsumer::Name(name.to_owned(), account)));
        };
        let consumer = consumer_of_arn(consumer_arn)?;
        if let Some(arn) = stream_arn {
            let stream = Address::from_arn(arn).ok_or_else(|| texts::invalid_stream_arn(arn))?;
            if stream != consumer.stream {
                return Err(texts::consumer_members_differ());
            }
        }
        if consumer_name.is_some_and(|name| name != &*consumer.name) {
            return Err(texts::consumer_members_differ());
        }
        self.allow_on_consumer(context, operation, &consumer, consumer_arn)?;
        self.admit_stream_call(operation, &consumer.stream)?;
        let stream = self.find(&consumer.stream)?;
        Ok((stream, WantedConsumer::Address(consumer)))
    }

    /// Whether the caller may do `operation` on the consumer that `arn` names.
    pub(crate) fn allow_on_consumer(
        &self,
        context: &Context,
        operation: Operation,
        consumer: &ConsumerAddress,
        arn: &str,
    ) -> Result<(), Error> {
        check_world(context, operation, &consumer.stream, arn)?;
        self.allow(context, operation, Resource::Consumer(consumer))
    }
}

/// The consumer that an ARN names.
pub(crate) fn consumer_of_arn(arn: &str) -> Result<ConsumerAddress, Error> {
    ConsumerAddress::from_arn(arn).ok_or_else(|| texts::invalid_consumer_arn(arn))
}
