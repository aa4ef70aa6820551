//! UpdateStreamRecordDistributionStrategy.

use millstream_api::kinesis::{Operation, RecordDistributionStrategy, UpdateStreamRecordDistributionStrategyInput};
use millstream_api::{Context, Error};

use crate::service::Kinesis;
use crate::shards::check_active;
use crate::state::{Distribution, Mode};
use crate::texts;

impl Kinesis {
    pub(crate) async fn update_stream_record_distribution_strategy(
        &self,
        context: &Context,
        input: UpdateStreamRecordDistributionStrategyInput<'_>,
    ) -> Result<(), Error> {
        let operation = Operation::UpdateStreamRecordDistributionStrategy;
        let stream = self.resolve(context, operation, None, Some(&input.stream_arn))?;
        let distribution = distribution_of(&input.record_distribution_strategy);
        let address = stream.address.clone();
        // It takes effect at once: the stream stays ACTIVE.
        let updated = self.change(&stream, move |record, _| {
            check_active(record, &address)?;
            if distribution == Distribution::Auto && record.mode == Mode::Provisioned {
                return Err(texts::distribution_needs_on_demand(&address.name).into());
            }
            record.distribution = distribution;
            Ok(())
        });
        Ok(updated.await?)
    }
}

/// The distribution that a request names.
pub(crate) fn distribution_of(strategy: &RecordDistributionStrategy) -> Distribution {
    match strategy {
        RecordDistributionStrategy::Auto => Distribution::Auto,
        _ => Distribution::UserPartitionKey,
    }
}

/// A distribution as answers show it.
pub(crate) fn distribution_shape(distribution: Distribution) -> RecordDistributionStrategy {
    match distribution {
        Distribution::Auto => RecordDistributionStrategy::Auto,
        Distribution::UserPartitionKey => RecordDistributionStrategy::UserPartitionKey,
    }
}
