//! AWS JSON 1.1.

#[cfg(test)]
mod tests;

use std::io::Write;

use base64_simd::STANDARD;
use millstream_api::kinesis::{Input, Operation};
use millstream_api::{Encoder, Error, ErrorCode, Timestamp};
use serde::de::IgnoredAny;

/// Reads the request for `operation`.
pub(super) fn decode(operation: Operation, body: &[u8]) -> Result<Input<'_>, Error> {
    if !is_object(body) {
        return Err(Error::bare(ErrorCode::SerializationException));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let input = Input::decode(operation, &mut deserializer).and_then(|input| {
        deserializer.end()?;
        Ok(input)
    });
    match input {
        Ok(Some(input)) => Ok(input),
        // A wrong type counts only in a body that is well-formed to its end.
        Err(error) if error.is_data() => {
            check(body)?;
            Err(Error::new(ErrorCode::SerializationException, without_position(&error)))
        }
        Ok(None) | Err(_) => Err(Error::bare(ErrorCode::SerializationException)),
    }
}

/// Checks that the body is one well-formed object.
pub(super) fn check(body: &[u8]) -> Result<(), Error> {
    if is_object(body) && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
        Ok(())
    } else {
        Err(Error::bare(ErrorCode::SerializationException))
    }
}

fn is_object(body: &[u8]) -> bool {
    body.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) == Some(&b'{')
}

/// The error's text, to which serde_json adds where it was found.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&position) {
        Some(bare) => bare.to_owned(),
        None => text,
    }
}

/// Writes compact JSON.
pub(super) struct JsonEncoder {
    out: Vec<u8>,
}

impl JsonEncoder {
    /// An encoder that writes behind `bytes`.
    pub fn after(bytes: Vec<u8>) -> JsonEncoder {
        JsonEncoder { out: bytes }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Writes a comma unless this is the first thing after an opening bracket.
    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    /// Writes an integer or a timestamp. Writing to a vector can't fail.
    fn digits(&mut self, digits: std::fmt::Arguments<'_>) {
        let written = self.out.write_fmt(digits);
        debug_assert!(written.is_ok());
    }
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

impl Encoder for JsonEncoder {
    fn begin_structure(&mut self) {
        self.out.push(b'{');
    }

    fn member(&mut self, name: &'static str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn end_structure(&mut self) {
        self.out.push(b'}');
    }

    fn begin_list(&mut self, _: usize) {
        self.out.push(b'[');
    }

    fn element(&mut self) {
        self.separate();
    }

    fn end_list(&mut self) {
        self.out.push(b']');
    }

    fn begin_map(&mut self, _: usize) {
        self.out.push(b'{');
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.string(key);
        self.out.push(b':');
    }

    fn end_map(&mut self) {
        self.out.push(b'}');
    }

    fn string(&mut self, value: &str) {
        self.out.push(b'"');
        let mut rest = value.as_bytes();
        while let Some(position) = rest.iter().position(|byte| needs_escape(*byte)) {
            let (plain, escaped) = rest.split_at(position);
            self.out.extend_from_slice(plain);
            match escaped[0] {
                b'"' => self.out.extend_from_slice(b"\\\""),
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                control => self.digits(format_args!("\\u{control:04x}")),
            }
            rest = &escaped[1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    fn integer(&mut self, value: i64) {
        self.digits(format_args!("{value}"));
    }

    fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn blob(&mut self, value: &[u8]) {
        self.out.push(b'"');
        STANDARD.encode_append(value, &mut self.out);
        self.out.push(b'"');
    }

    /// Seconds since the epoch with up to three decimals, never with an exponent: some clients can't read one.
    fn timestamp(&mut self, value: Timestamp) {
        let sign = if value.0 < 0 { "-" } else { "" };
        let (seconds, milliseconds) = (value.0.unsigned_abs() / 1000, value.0.unsigned_abs() % 1000);
        if milliseconds == 0 {
            return self.digits(format_args!("{sign}{seconds}"));
        }
        self.digits(format_args!("{sign}{seconds}.{milliseconds:03}"));
        while self.out.last() == Some(&b'0') {
            self.out.pop();
        }
    }
}
