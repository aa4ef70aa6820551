//! Texts of the control plane that have no source on AWS's side but the model's words.

use std::fmt::Display;

use millstream_api::Error;

use super::{invalid_argument, validation};

/// A number above a bound that the server has, but not the model. `member` begins in lower case.
pub fn value_too_large(member: &str, value: impl Display, most: impl Display) -> Error {
    validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have value \
         less than or equal to {most}"
    ))
}

/// A number below a bound that the server has, but not the model. `member` begins in lower case.
pub fn value_too_small(member: &str, value: impl Display, least: impl Display) -> Error {
    validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have value \
         greater than or equal to {least}"
    ))
}

/// Warm throughput without the account's billing commitment. Our words.
pub fn warm_throughput_needs_commitment() -> Error {
    validation("WarmThroughputMiBps requires the minimum throughput billing commitment to be enabled for the account.")
}

/// Record distribution that Millstream does not have. Our words.
pub fn auto_distribution_unsupported() -> Error {
    invalid_argument("Millstream does not support RecordDistributionStrategy=AUTO yet.")
}
