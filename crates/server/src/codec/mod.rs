//! Wire formats: how a request's body becomes an [`Input`], and an [`Output`], an event or an [`Error`] a body.

mod cbor;
mod frame;
mod json;
mod page;
mod sink;

use millstream_api::kinesis::{Input, Operation, Output, SubscribeToShardEvent, SubscribeToShardOutput};
use millstream_api::{Encode, Encoder, Error, ErrorCode};

use frame::Message;
pub(crate) use page::RecordsPage;
use sink::Count;

/// The content type of a stream of events; the events themselves are in the request's format.
pub(crate) const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// A wire format. An answer has its request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// AWS JSON 1.1.
    Json,
    /// AWS CBOR 1.1.
    Cbor,
}

impl Format {
    /// The content type of requests and answers.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/x-amz-json-1.1",
            Format::Cbor => "application/x-amz-cbor-1.1",
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
            Format::Cbor => cbor::decode(operation, body),
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
            Format::Cbor => cbor::check(body),
        }
    }

    /// An answer's body; empty for operations whose answer has none.
    pub fn encode(self, output: &Output) -> Vec<u8> {
        // Pages of records, which may be of megabytes, are not encoded here: the others may grow.
        self.append(Vec::with_capacity(512), &Whole(output))
    }

    /// An error's body.
    pub fn encode_error(self, error: &Error) -> Vec<u8> {
        let body = Vec::with_capacity(64 + error.message.as_ref().map_or(0, String::len));
        self.append(body, &Failure { error, named: true })
    }

    /// The first message of a stream of events: that the request is accepted. It carries the output itself.
    pub fn encode_initial(self, output: &SubscribeToShardOutput) -> Vec<u8> {
        let message = Message::event("initial-response", self.content_type());
        message.bytes(self.measure(output), |bytes| self.append(bytes, output))
    }

    /// How long the message of an event will be.
    pub fn measure_event(self, event: &SubscribeToShardEvent) -> usize {
        self.event().len() + self.measure(event)
    }

    /// The message of an event.
    pub fn encode_event(self, event: &SubscribeToShardEvent) -> Vec<u8> {
        self.event().bytes(self.measure(event), |bytes| self.append(bytes, event))
    }

    /// The message of an error that ends a stream of events.
    pub fn encode_exception(self, error: &Error) -> Vec<u8> {
        let payload = Failure { error, named: false };
        let message = Message::exception(error.code.name(), self.content_type());
        message.bytes(self.measure(&payload), |bytes| self.append(bytes, &payload))
    }

    fn event(self) -> Message {
        Message::event("SubscribeToShardEvent", self.content_type())
    }

    /// The length of a value, measured before it is written: an answer of megabytes is not to grow by copies.
    fn measure(self, value: &impl Encode) -> usize {
        match self {
            Format::Json => {
                let mut encoder = json::JsonEncoder::new(Count::default());
                value.encode(&mut encoder);
                encoder.len()
            }
            Format::Cbor => {
                let mut encoder = cbor::CborEncoder::new(Count::default());
                value.encode(&mut encoder);
                encoder.len()
            }
        }
    }

    /// `bytes`, and after them the value.
    fn append(self, bytes: Vec<u8>, value: &impl Encode) -> Vec<u8> {
        match self {
            Format::Json => {
                let mut encoder = json::JsonEncoder::new(bytes);
                value.encode(&mut encoder);
                encoder.into_sink()
            }
            Format::Cbor => {
                let mut encoder = cbor::CborEncoder::new(bytes);
                value.encode(&mut encoder);
                encoder.into_sink()
            }
        }
    }
}

/// An answer as a value: nothing for operations whose answer has no body.
struct Whole<'a>(&'a Output);

impl Encode for Whole<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) {
        self.0.encode(encoder);
    }
}

/// An error as a structure. Within a stream of events its name is in the message's headers.
struct Failure<'a> {
    error: &'a Error,
    named: bool,
}

impl Encode for Failure<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) {
        encoder.begin_structure();
        if self.named {
            encoder.member("__type");
            encoder.string(self.error.code.name());
        }
        if let Some(message) = &self.error.message {
            // As on AWS, which spells it differently for the framework's own error.
            encoder.member(match self.error.code {
                ErrorCode::SerializationException => "Message",
                _ => "message",
            });
            encoder.string(message);
        }
        encoder.end_structure();
    }
}

#[cfg(test)]
mod instructions;
