//! A door for the fuzzing targets, and for nobody else: what reads a request before the service is called, and what
//! writes its answer. It may change at any time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::request::Parts;
use millstream_api::Error;
use millstream_api::kinesis::{GetRecordsOutput, Input, Operation, Output, SubscribeToShardEvent};

use crate::admin;
use crate::auth::{self, Defaults};
use crate::codec::{Format, RecordsPage};
use crate::connection::Local;
use crate::fault::Dialect;
use crate::front::Target;
use crate::guard::Guard;
use crate::known::Known;

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// AWS JSON 1.1.
    Json,
    /// AWS CBOR 1.1.
    Cbor,
}

impl Wire {
    fn format(self) -> Format {
        match self {
            Wire::Json => Format::Json,
            Wire::Cbor => Format::Cbor,
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// A `SerializationException`.
    pub fn decode(self, operation: Operation, body: &[u8]) -> Result<Input<'_>, Error> {
        self.format().decode(operation, body)
    }

    /// Checks that a body is well-formed.
    ///
    /// # Errors
    /// A `SerializationException` without a message.
    pub fn check(self, body: &[u8]) -> Result<(), Error> {
        self.format().check(body)
    }

    /// Writes an answer.
    #[must_use]
    pub fn answer(self, output: &Output) -> Vec<u8> {
        self.format().encode(output)
    }

    /// Writes an error.
    #[must_use]
    pub fn error(self, error: &Error) -> Vec<u8> {
        self.format().encode_error(error)
    }

    /// Writes an answer of records in pieces, as a connection takes them.
    #[must_use]
    pub fn page(self, output: GetRecordsOutput) -> Vec<Vec<u8>> {
        let mut page = RecordsPage::new(self.format(), output);
        std::iter::from_fn(|| page.next()).collect()
    }

    /// The length that an event's message will have, and the message.
    #[must_use]
    pub fn event(self, event: &SubscribeToShardEvent) -> (usize, Vec<u8>) {
        (self.format().measure_event(event), self.format().encode_event(event))
    }

    /// The message of an error that ends a stream of events.
    #[must_use]
    pub fn exception(self, error: &Error) -> Vec<u8> {
        self.format().encode_exception(error)
    }
}

/// What a request's head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Account, region and access key of its credential.
    pub caller: Result<[Arc<str>; 3], Error>,
    /// The operation that it names.
    pub operation: Option<Operation>,
    /// The format that it comes in; `None` for one that no operation can be called with.
    pub wire: Option<Wire>,
    /// Whether it is for operators or tests, and not for the service.
    pub is_ours: bool,
    /// Why it is refused for its Host or its Origin.
    pub foreign: Option<String>,
}

/// Reads a request's head as the only one of its connection, which came in at 127.0.0.1. Where the credential says nothing
/// the account is 000000000000 and the region us-east-1; `allowed.example` may be its host.
#[must_use]
pub fn head(head: &Parts) -> Head {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let guard = Guard::new(&["allowed.example".to_owned()], &[], &[SocketAddr::new(ip, 4567)]);
    let defaults = Defaults { account: "000000000000".into(), region: "us-east-1".into() };
    let known = Known::default();
    let caller = auth::caller(head, &defaults, &known);
    let wire = match Dialect::of(&head.headers) {
        Dialect::Format(Format::Json) => Some(Wire::Json),
        Dialect::Format(Format::Cbor) => Some(Wire::Cbor),
        Dialect::PlainJson | Dialect::Xml => None,
    };
    let operation = match Target::of(&head.headers) {
        Target::Known(operation) => Some(operation),
        Target::Incomplete | Target::Unknown => None,
    };
    Head {
        caller: caller.map(|caller| [caller.account, caller.region, caller.access_key]),
        operation,
        wire,
        is_ours: admin::endpoint(head).is_some(),
        foreign: guard.check(head, Local { ip, is_tls: false }, &known).err().map(|foreign| foreign.to_string()),
    }
}
