//! PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy.

mod grammar;

use millstream_api::kinesis::{
    DeleteResourcePolicyInput, GetResourcePolicyInput, GetResourcePolicyOutput, Operation, PutResourcePolicyInput,
};
use millstream_api::{Context, Error};

use crate::resolve::ResourceAddress;
use crate::resources::{labels, labels_mut};
use crate::service::Kinesis;
use crate::texts;

/// What a stream's policy may speak of.
const STREAM_ACTIONS: &[&str] = &[
    "DescribeStream",
    "DescribeStreamSummary",
    "GetRecords",
    "GetShardIterator",
    "ListShards",
    "PutRecord",
    "PutRecords",
];

/// What a consumer's policy may speak of.
const CONSUMER_ACTIONS: &[&str] = &["DescribeStreamConsumer", "SubscribeToShard"];

/// The answer for a resource that has no policy, as AWS gives it.
const NO_POLICY: &str = "{}";

/// Checks the policy of a stream or of a consumer. The error says what is wrong, without a full stop.
pub(crate) fn check(policy: &str, of_stream: bool) -> Result<(), String> {
    grammar::check(policy, if of_stream { STREAM_ACTIONS } else { CONSUMER_ACTIONS })
}

impl Kinesis {
    pub(crate) async fn put_resource_policy(
        &self,
        context: &Context,
        input: PutResourcePolicyInput<'_>,
    ) -> Result<(), Error> {
        let (stream, address) = self.resource(context, Operation::PutResourcePolicy, &input.resource_arn)?;
        let limit = stream.limits.resource_policy_bytes;
        if !limit.allows(input.policy.len() as u64) {
            return Err(texts::resource_policy_too_large(limit));
        }
        let of_stream = matches!(address, ResourceAddress::Stream(_));
        check(&input.policy, of_stream).map_err(|why| texts::invalid_resource_policy(&why))?;
        let policy = input.policy.into_owned();
        let put = self.change(&stream, move |record, _| {
            *labels_mut(record, &address)?.policy = Some(policy);
            Ok(())
        });
        Ok(put.await?)
    }

    pub(crate) fn get_resource_policy(
        &self,
        context: &Context,
        input: GetResourcePolicyInput<'_>,
    ) -> Result<GetResourcePolicyOutput, Error> {
        let (stream, address) = self.resource(context, Operation::GetResourcePolicy, &input.resource_arn)?;
        let view = stream.view();
        let policy = labels(&view.record, &address)?.policy.clone();
        Ok(GetResourcePolicyOutput { policy: policy.unwrap_or_else(|| NO_POLICY.to_owned()) })
    }

    pub(crate) async fn delete_resource_policy(
        &self,
        context: &Context,
        input: DeleteResourcePolicyInput<'_>,
    ) -> Result<(), Error> {
        let (stream, address) = self.resource(context, Operation::DeleteResourcePolicy, &input.resource_arn)?;
        let arn = input.resource_arn.into_owned();
        let deleted = self.change(&stream, move |record, _| match labels_mut(record, &address)?.policy.take() {
            Some(_) => Ok(()),
            None => Err(texts::no_resource_policy(&arn).into()),
        });
        Ok(deleted.await?)
    }
}
