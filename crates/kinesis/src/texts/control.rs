//! Texts of the control plane that have no source on AWS's side but the model's words.

use millstream_api::Error;

use super::{invalid_argument, validation};

/// Warm throughput without the account's billing commitment. Our words.
pub fn warm_throughput_needs_commitment() -> Error {
    validation("WarmThroughputMiBps requires the minimum throughput billing commitment to be enabled for the account.")
}

/// Record distribution that Millstream does not have. Our words.
pub fn auto_distribution_unsupported() -> Error {
    invalid_argument("Millstream does not support RecordDistributionStrategy=AUTO yet.")
}
