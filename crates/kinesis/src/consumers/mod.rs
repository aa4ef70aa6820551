//! RegisterStreamConsumer, DeregisterStreamConsumer, DescribeStreamConsumer, ListStreamConsumers.

use millstream_api::kinesis::{
    DeregisterStreamConsumerInput, DescribeStreamConsumerInput, DescribeStreamConsumerOutput, ListStreamConsumersInput,
    ListStreamConsumersOutput, Operation, RegisterStreamConsumerInput, RegisterStreamConsumerOutput,
};
use millstream_api::{Context, Error};

use crate::service::{Kinesis, unsupported};

impl Kinesis {
    pub(crate) async fn register_stream_consumer(
        &self,
        _: &Context,
        _: RegisterStreamConsumerInput<'_>,
    ) -> Result<RegisterStreamConsumerOutput, Error> {
        unsupported(Operation::RegisterStreamConsumer)
    }

    pub(crate) async fn deregister_stream_consumer(
        &self,
        _: &Context,
        _: DeregisterStreamConsumerInput<'_>,
    ) -> Result<(), Error> {
        unsupported(Operation::DeregisterStreamConsumer)
    }

    pub(crate) fn describe_stream_consumer(
        &self,
        _: &Context,
        _: DescribeStreamConsumerInput<'_>,
    ) -> Result<DescribeStreamConsumerOutput, Error> {
        unsupported(Operation::DescribeStreamConsumer)
    }

    pub(crate) fn list_stream_consumers(
        &self,
        _: &Context,
        _: ListStreamConsumersInput<'_>,
    ) -> Result<ListStreamConsumersOutput, Error> {
        unsupported(Operation::ListStreamConsumers)
    }
}
