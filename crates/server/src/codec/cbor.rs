//! AWS CBOR 1.1: blobs are byte strings, and a timestamp is tag 1 with milliseconds, where RFC 8949 means seconds.

mod reader;
#[cfg(test)]
mod tests;

use millstream_api::kinesis::{Input, Operation};
use millstream_api::{Encoder, Error, ErrorCode, Passed, Timestamp};
use serde::Deserialize;

use super::sink::Sink;
use reader::{Reader, Refusal};

/// Reads the request for `operation`.
pub(super) fn decode(operation: Operation, body: &[u8]) -> Result<Input<'_>, Error> {
    let mut reader = Reader::new(body);
    let input = reader.expect_map().and_then(|()| Input::decode(operation, &mut reader)).and_then(|input| {
        reader.end()?;
        Ok(input)
    });
    match input {
        Ok(Some(input)) => Ok(input),
        // A wrong type counts only in a body that is well-formed to its end.
        Err(Refusal::Type(text)) => {
            check(body)?;
            Err(Error::new(ErrorCode::SerializationException, text))
        }
        Ok(None) | Err(Refusal::Form) => Err(Error::bare(ErrorCode::SerializationException)),
    }
}

/// Checks that the body is one well-formed map.
pub(super) fn check(body: &[u8]) -> Result<(), Error> {
    let mut reader = Reader::new(body);
    let read = reader.expect_map().and_then(|()| Passed::deserialize(&mut reader)).and_then(|_| reader.end());
    read.map_err(|_| Error::bare(ErrorCode::SerializationException))
}

/// Major types, as the upper three bits of an item's first byte.
mod major {
    pub const UNSIGNED: u8 = 0;
    pub const NEGATIVE: u8 = 1 << 5;
    pub const BYTES: u8 = 2 << 5;
    pub const TEXT: u8 = 3 << 5;
    pub const ARRAY: u8 = 4 << 5;
    pub const MAP: u8 = 5 << 5;
    pub const TAG: u8 = 6 << 5;
}

const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const INDEFINITE_MAP: u8 = 0xbf;
const BREAK: u8 = 0xff;
/// The tag of a time.
const EPOCH: u64 = 1;
/// Lengths below it are in the first byte.
const SHORT: u64 = 24;

/// Writes CBOR.
pub(super) struct CborEncoder<S> {
    out: S,
    /// The open structures: where each begins, and how many members it has.
    open: Vec<(usize, u64)>,
}

impl<S: Sink> CborEncoder<S> {
    /// An encoder of what comes behind what `out` has.
    pub fn new(out: S) -> CborEncoder<S> {
        CborEncoder { out, open: Vec::new() }
    }

    pub fn into_sink(self) -> S {
        self.out
    }

    /// What the sink has.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// An item's first byte and what follows it of its length or value.
    fn head(&mut self, major: u8, value: u64) {
        let bytes = value.to_be_bytes();
        match value {
            0..SHORT => self.out.push(major | bytes[7]),
            SHORT..=0xff => self.out.put(&[major | 24, bytes[7]]),
            0x100..=0xffff => {
                self.out.push(major | 25);
                self.out.put(&bytes[6..]);
            }
            0x1_0000..=0xffff_ffff => {
                self.out.push(major | 26);
                self.out.put(&bytes[4..]);
            }
            _ => {
                self.out.push(major | 27);
                self.out.put(&bytes);
            }
        }
    }
}

impl<S: Sink> Encoder for CborEncoder<S> {
    fn begin_structure(&mut self) {
        self.open.push((self.out.len(), 0));
        // The number of members is filled in at the end.
        self.out.push(major::MAP);
    }

    fn member(&mut self, name: &'static str) {
        if let Some((_, members)) = self.open.last_mut() {
            *members += 1;
        }
        self.string(name);
    }

    fn end_structure(&mut self) {
        let Some((start, members)) = self.open.pop() else { return };
        if members < SHORT {
            self.out.amend(start, members as u8);
        } else {
            self.out.amend(start, INDEFINITE_MAP);
            self.out.push(BREAK);
        }
    }

    fn begin_list(&mut self, length: usize) {
        self.head(major::ARRAY, length as u64);
    }

    fn element(&mut self) {}

    fn end_list(&mut self) {}

    fn begin_map(&mut self, length: usize) {
        self.head(major::MAP, length as u64);
    }

    fn key(&mut self, key: &str) {
        self.string(key);
    }

    fn end_map(&mut self) {}

    fn string(&mut self, value: &str) {
        self.head(major::TEXT, value.len() as u64);
        self.out.put(value.as_bytes());
    }

    fn integer(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.head(major::UNSIGNED, value),
            // -1 - value, which is the complement.
            Err(_) => self.head(major::NEGATIVE, !value as u64),
        }
    }

    fn boolean(&mut self, value: bool) {
        self.out.push(if value { TRUE } else { FALSE });
    }

    fn blob(&mut self, value: &[u8]) {
        self.head(major::BYTES, value.len() as u64);
        self.out.put(value);
    }

    /// Always an integer: some clients can't read a float.
    fn timestamp(&mut self, value: Timestamp) {
        self.head(major::TAG, EPOCH);
        self.integer(value.0);
    }
}
