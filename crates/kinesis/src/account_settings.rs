//! DescribeAccountSettings and UpdateAccountSettings.

use millstream_api::kinesis::{
    DescribeAccountSettingsInput, DescribeAccountSettingsOutput, Operation, UpdateAccountSettingsInput,
    UpdateAccountSettingsOutput,
};
use millstream_api::{Context, Error};

use crate::service::{Kinesis, unsupported};

impl Kinesis {
    /// Whether the account has the minimum throughput billing commitment in the region.
    pub(crate) fn commitment_enabled(&self, _account: &str, _region: &str) -> bool {
        false
    }

    pub(crate) fn describe_account_settings(
        &self,
        _: &Context,
        _: DescribeAccountSettingsInput,
    ) -> Result<DescribeAccountSettingsOutput, Error> {
        unsupported(Operation::DescribeAccountSettings)
    }

    pub(crate) async fn update_account_settings(
        &self,
        _: &Context,
        _: UpdateAccountSettingsInput,
    ) -> Result<UpdateAccountSettingsOutput, Error> {
        unsupported(Operation::UpdateAccountSettings)
    }
}
