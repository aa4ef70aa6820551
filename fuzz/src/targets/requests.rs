//! Requests in JSON and in CBOR, down to validation.

use millstream_api::kinesis::{Input, Operation};
use millstream_api::{Error, ErrorCode};
use millstream_server::fuzzing::Wire;

use crate::cbor;

/// An operation, by the first byte, and a body.
fn split(input: &[u8]) -> Option<(Operation, &[u8])> {
    let (first, body) = input.split_first()?;
    Some((Operation::ALL[usize::from(*first) % Operation::ALL.len()], body))
}

/// Reads a request and checks what holds for every format.
fn read(wire: Wire, operation: Operation, body: &[u8]) -> Result<Input<'_>, Error> {
    let decoded = wire.decode(operation, body);
    let is_whole = wire.check(body).is_ok();
    match &decoded {
        Ok(input) => {
            assert!(is_whole, "what is read is well-formed");
            assert_eq!(wire.decode(operation, body).as_ref(), Ok(input), "a second time it is the same");
            if let Err(error) = input.validate() {
                assert_eq!(error.code, ErrorCode::ValidationException);
                answers(wire, &error);
            }
        }
        Err(error) => {
            assert_eq!(error.code, ErrorCode::SerializationException);
            assert_eq!(is_whole, error.message.is_some(), "a wrong type counts in a well-formed body: {error:?}");
            answers(wire, error);
        }
    }
    decoded
}

/// The error is answered in a body that can be read.
fn answers(wire: Wire, error: &Error) {
    let body = wire.error(error);
    match wire {
        Wire::Json => assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok(), "{error:?}"),
        Wire::Cbor => assert!(cbor::to_json(&body).is_some(), "{error:?}"),
    }
}

/// JSON; and the same request in CBOR means the same.
pub(super) fn json(input: &[u8]) {
    let Some((operation, body)) = split(input) else { return };
    let decoded = read(Wire::Json, operation, body);
    if !is_flat(body) {
        return;
    }
    let Some(cbor) = cbor::from_json(body) else { return };
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return;
    }
    let same = read(Wire::Cbor, operation, &cbor);
    match (&decoded, &same) {
        (Ok(json), Ok(cbor)) => {
            assert_eq!(json, cbor);
            assert_eq!(json.validate(), cbor.validate());
        }
        (Err(json), Err(cbor)) => assert_eq!(json, cbor),
        _ => panic!("JSON gives {decoded:?}, CBOR {same:?}"),
    }
}

/// Both formats limit how deep a request nests, not at quite the same depth.
fn is_flat(body: &[u8]) -> bool {
    body.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() < 100
}

/// CBOR.
pub(super) fn cbor(input: &[u8]) {
    if let Some((operation, body)) = split(input) {
        drop(read(Wire::Cbor, operation, body));
    }
}
