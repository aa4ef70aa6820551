//! Proves Millstream with the AWS SDK for Rust. There is nothing here but tests.

#[cfg(test)]
mod consumers;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
