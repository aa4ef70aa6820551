//! Wire formats: how a request's body becomes an [`Input`], and an [`Output`] or an [`Error`] a body.

mod json;
mod size;

use millstream_api::Error;
use millstream_api::kinesis::{Input, Operation, Output};

/// A wire format. An answer has its request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// AWS JSON 1.1.
    Json,
}

impl Format {
    /// The content type of requests and answers.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/x-amz-json-1.1",
        }
    }

    /// Reads the request for `operation`, which borrows from `body`. Its constraints are not checked.
    ///
    /// # Errors
    /// A `SerializationException`: without a message if the body is not one well-formed structure, else with what is
    /// wrong with the type of a member.
    pub fn decode<'a>(self, operation: Operation, body: &'a [u8]) -> Result<Input<'a>, Error> {
        match self {
            Format::Json => json::decode(operation, body),
        }
    }

    /// Checks only that the body is one well-formed structure. AWS does so before it looks at the operation's name and
    /// at the authentication, so this comes before the refusal of either.
    ///
    /// # Errors
    /// A `SerializationException` without a message.
    pub fn check(self, body: &[u8]) -> Result<(), Error> {
        match self {
            Format::Json => json::check(body),
        }
    }

    /// An answer's body; empty for operations whose answer has none.
    pub fn encode(self, output: &Output) -> Vec<u8> {
        // Measured first: an answer of megabytes is not to grow by copies.
        let mut size = size::SizeCounter::default();
        output.encode(&mut size);
        match self {
            Format::Json => {
                let mut encoder = json::JsonEncoder::with_capacity(size.bytes);
                output.encode(&mut encoder);
                encoder.into_bytes()
            }
        }
    }

    /// An error's body.
    pub fn encode_error(self, error: &Error) -> Vec<u8> {
        match self {
            Format::Json => json::encode_error(error),
        }
    }
}
