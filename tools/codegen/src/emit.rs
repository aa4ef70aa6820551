//! Writing Rust.

mod constraints;
mod enumerations;
mod operations;
mod structures;
mod traits;
mod words;

use crate::shapes::{Result, Service};

/// The files of a service's module, unformatted.
pub fn files(service: &Service) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("mod.rs", operations::module(service)),
        ("operations.rs", operations::operations(service)),
        ("messages.rs", operations::messages(service)?),
        ("enums.rs", enumerations::enumerations(service)),
        ("inputs.rs", structures::inputs(service)?),
        ("shared.rs", structures::shared(service)?),
        ("outputs.rs", structures::outputs(service)?),
        ("decode.rs", traits::decode(service)?),
        ("encode.rs", traits::encode(service)?),
        ("constraints.rs", constraints::rules(service)?),
        ("validate.rs", constraints::walks(service)?),
    ])
}

/// `Name<'lifetime>` or `Name`.
fn with_lifetime(service: &Service, name: &str, lifetime: &str) -> Result<String> {
    Ok(if service.borrows(name)? { format!("{name}<{lifetime}>") } else { name.to_owned() })
}
