//! AWS JSON 1.1.

#[cfg(test)]
mod tests;

use millstream_api::kinesis::{Input, Operation};
use millstream_api::{Encoder, Error, ErrorCode, Passed, Timestamp, no_blob};

use super::sink::Sink;

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
            let text = without_position(&error);
            Err(Error::new(ErrorCode::SerializationException, no_blob(&text).unwrap_or(text)))
        }
        Ok(None) | Err(_) => Err(Error::bare(ErrorCode::SerializationException)),
    }
}

/// Checks that the body is one well-formed object.
pub(super) fn check(body: &[u8]) -> Result<(), Error> {
    if is_object(body) && serde_json::from_slice::<Passed>(body).is_ok() {
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
pub(super) struct JsonEncoder<S> {
    out: S,
    /// Whether an opening bracket, or nothing, was written last.
    opened: bool,
}

impl<S: Sink> JsonEncoder<S> {
    /// An encoder of a value that comes behind what `out` has.
    pub fn new(out: S) -> JsonEncoder<S> {
        JsonEncoder { out, opened: true }
    }

    /// An encoder of elements, of a list whose opening bracket has been written; `first` if no element has been.
    pub fn within_list(out: S, first: bool) -> JsonEncoder<S> {
        JsonEncoder { out, opened: first }
    }

    pub fn into_sink(self) -> S {
        self.out
    }

    /// What the sink has.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.opened = true;
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.opened = false;
    }

    /// Writes a comma unless this is the first thing after an opening bracket.
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.opened, false) {
            self.out.push(b',');
        }
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'"' => self.out.put(b"\\\""),
            b'\\' => self.out.put(b"\\\\"),
            b'\n' => self.out.put(b"\\n"),
            b'\r' => self.out.put(b"\\r"),
            b'\t' => self.out.put(b"\\t"),
            control => {
                let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
                self.out.put(&[b'\\', b'u', b'0', b'0', hex(control >> 4), hex(control & 15)]);
            }
        }
    }
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The decimal digits of a number, at the end of a buffer.
struct Digits {
    buffer: [u8; 20],
    start: usize,
}

impl Digits {
    fn of(mut value: u64) -> Digits {
        let mut digits = Digits { buffer: [b'0'; 20], start: 20 };
        loop {
            digits.start -= 1;
            digits.buffer[digits.start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return digits;
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

impl<S: Sink> Encoder for JsonEncoder<S> {
    fn begin_structure(&mut self) {
        self.open(b'{');
    }

    fn member(&mut self, name: &'static str) {
        self.separate();
        self.out.push(b'"');
        self.out.put(name.as_bytes());
        self.out.put(b"\":");
    }

    fn end_structure(&mut self) {
        self.close(b'}');
    }

    fn begin_list(&mut self, _: usize) {
        self.open(b'[');
    }

    fn element(&mut self) {
        self.separate();
    }

    fn end_list(&mut self) {
        self.close(b']');
    }

    fn begin_map(&mut self, _: usize) {
        self.open(b'{');
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.string(key);
        self.out.push(b':');
    }

    fn end_map(&mut self) {
        self.close(b'}');
    }

    fn string(&mut self, value: &str) {
        self.out.push(b'"');
        let mut rest = value.as_bytes();
        // Without a way out, which lets the compiler look at many bytes at once: most texts need no escape.
        if rest.iter().fold(false, |found, byte| found | needs_escape(*byte)) {
            while let Some(position) = rest.iter().position(|byte| needs_escape(*byte)) {
                self.out.put(&rest[..position]);
                self.escape(rest[position]);
                rest = &rest[position + 1..];
            }
        }
        self.out.put(rest);
        self.out.push(b'"');
    }

    fn integer(&mut self, value: i64) {
        if value < 0 {
            self.out.push(b'-');
        }
        self.out.put(Digits::of(value.unsigned_abs()).as_bytes());
    }

    fn boolean(&mut self, value: bool) {
        self.out.put(if value { b"true" } else { b"false" });
    }

    fn blob(&mut self, value: &[u8]) {
        self.out.push(b'"');
        self.out.put_base64(value);
        self.out.push(b'"');
    }

    /// Seconds since the epoch with up to three decimals, never with an exponent: some clients can't read one.
    fn timestamp(&mut self, value: Timestamp) {
        let milliseconds = value.0.unsigned_abs();
        if value.0 < 0 {
            self.out.push(b'-');
        }
        self.out.put(Digits::of(milliseconds / 1000).as_bytes());
        let decimals = match milliseconds % 1000 {
            0 => return,
            // A digit in front keeps the zeros that lead.
            rest => Digits::of(1000 + rest),
        };
        let decimals = &decimals.as_bytes()[1..];
        let kept = decimals.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        self.out.push(b'.');
        self.out.put(&decimals[..kept]);
    }
}
