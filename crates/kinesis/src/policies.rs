//! PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy.

use millstream_api::kinesis::{
    DeleteResourcePolicyInput, GetResourcePolicyInput, GetResourcePolicyOutput, Operation, PutResourcePolicyInput,
};
use millstream_api::{Context, Error};

use crate::service::{Kinesis, unsupported};

impl Kinesis {
    pub(crate) async fn put_resource_policy(&self, _: &Context, _: PutResourcePolicyInput<'_>) -> Result<(), Error> {
        unsupported(Operation::PutResourcePolicy)
    }

    pub(crate) fn get_resource_policy(
        &self,
        _: &Context,
        _: GetResourcePolicyInput<'_>,
    ) -> Result<GetResourcePolicyOutput, Error> {
        unsupported(Operation::GetResourcePolicy)
    }

    pub(crate) async fn delete_resource_policy(
        &self,
        _: &Context,
        _: DeleteResourcePolicyInput<'_>,
    ) -> Result<(), Error> {
        unsupported(Operation::DeleteResourcePolicy)
    }
}
