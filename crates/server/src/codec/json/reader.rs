//! A JSON parser for requests, as a serde deserializer.
//!
//! Requests are mostly long base64 strings, so what counts is how fast a string's end is found: here 64 bytes at a time
//! in a form that compilers turn into vector instructions, which is several times faster than `serde_json`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// How deep values may nest where the shapes do not say what to expect.
const MAX_DEPTH: usize = 128;

/// Why reading ended.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The text is not JSON.
    Syntax,
    /// A value has the wrong type; the text is AWS's.
    Type(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Syntax => f.write_str("not JSON"),
            ReadError::Type(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ReadError {}

impl serde::de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ReadError::Type(message.to_string())
    }
}

type Result<T> = std::result::Result<T, ReadError>;

/// Reads one JSON text.
pub(super) struct Reader<'de> {
    text: &'de str,
    /// Where the next byte is.
    at: usize,
}

impl<'de> Reader<'de> {
    pub fn new(text: &'de str) -> Reader<'de> {
        Reader { text, at: 0 }
    }

    /// Whether an object follows.
    pub fn at_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    /// Passes over one value of any type.
    pub fn skip_value(&mut self) -> Result<()> {
        self.skip(MAX_DEPTH)
    }

    /// Makes sure that nothing but blanks follows.
    pub fn end(&mut self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { Err(ReadError::Syntax) }
    }

    fn rest(&self) -> &'de [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is not blank, which is not yet taken.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        self.at += blanks;
        rest.get(blanks).copied()
    }

    /// Takes `byte` if it is the next one that is not blank.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) { Ok(()) } else { Err(ReadError::Syntax) }
    }

    fn literal(&mut self, literal: &str) -> Result<()> {
        if !self.rest().starts_with(literal.as_bytes()) {
            return Err(ReadError::Syntax);
        }
        self.at += literal.len();
        Ok(())
    }

    /// The text from `start` to here.
    fn since(&self, start: usize) -> Result<&'de str> {
        self.text.get(start..self.at).ok_or(ReadError::Syntax)
    }

    /// Reads a string, which the opening quote begins.
    fn string(&mut self) -> Result<Cow<'de, str>> {
        self.expect(b'"')?;
        let mut start = self.at;
        let mut unescaped = String::new();
        loop {
            self.at += plain_bytes(self.rest());
            let plain = self.since(start)?;
            match self.rest().first() {
                Some(b'"') => {
                    self.at += 1;
                    if unescaped.is_empty() {
                        return Ok(Cow::Borrowed(plain));
                    }
                    unescaped.push_str(plain);
                    return Ok(Cow::Owned(unescaped));
                }
                Some(b'\\') => {
                    self.at += 1;
                    unescaped.push_str(plain);
                    unescaped.push(self.escape()?);
                    start = self.at;
                }
                _ => return Err(ReadError::Syntax),
            }
        }
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Result<char> {
        let kind = self.rest().first().copied().ok_or(ReadError::Syntax)?;
        self.at += 1;
        Ok(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.utf16_unit()?;
                // A character beyond the first 65,536 is a pair of escapes.
                let second = if (0xd800..0xdc00).contains(&first) {
                    self.literal("\\u")?;
                    self.utf16_unit()?
                } else {
                    0
                };
                match char::decode_utf16([first, second]).next() {
                    Some(Ok(character)) => character,
                    _ => return Err(ReadError::Syntax),
                }
            }
            _ => return Err(ReadError::Syntax),
        })
    }

    fn utf16_unit(&mut self) -> Result<u16> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(ReadError::Syntax)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(ReadError::Syntax);
        }
        self.at += 4;
        u16::from_str_radix(digits, 16).map_err(|_| ReadError::Syntax)
    }

    fn number(&mut self) -> Result<Number> {
        let start = self.at;
        self.at += usize::from(self.rest().first() == Some(&b'-'));
        let leading_zero = self.rest().first() == Some(&b'0');
        if self.digits()? > 1 && leading_zero {
            return Err(ReadError::Syntax);
        }
        let mut whole = true;
        if self.rest().first() == Some(&b'.') {
            self.at += 1;
            self.digits()?;
            whole = false;
        }
        if let Some(b'e' | b'E') = self.rest().first() {
            self.at += 1;
            self.at += usize::from(matches!(self.rest().first(), Some(b'+' | b'-')));
            self.digits()?;
            whole = false;
        }
        let text = self.since(start)?;
        match text.parse() {
            Ok(integer) if whole => Ok(Number::Integer(integer)),
            // Beyond 64 bits, or with a fraction. What is beyond a float becomes infinite.
            _ => text.parse().map(Number::Float).map_err(|_| ReadError::Syntax),
        }
    }

    /// Takes one or more digits and says how many.
    fn digits(&mut self) -> Result<usize> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count > 0 { Ok(count) } else { Err(ReadError::Syntax) }
    }

    fn skip(&mut self, depth: usize) -> Result<()> {
        match self.peek().ok_or(ReadError::Syntax)? {
            b'"' => self.string().map(|_| ()),
            bracket @ (b'{' | b'[') => {
                let depth = depth.checked_sub(1).ok_or(ReadError::Syntax)?;
                self.at += 1;
                let closing = if bracket == b'{' { b'}' } else { b']' };
                let mut entries = Entries { reader: self, closing, first: true };
                while entries.advance()? {
                    if bracket == b'{' {
                        entries.reader.string()?;
                        entries.reader.expect(b':')?;
                    }
                    entries.reader.skip(depth)?;
                }
                Ok(())
            }
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number().map(|_| ()),
        }
    }
}

enum Number {
    Integer(i64),
    Float(f64),
}

/// How many bytes at the beginning of `bytes` belong to a string as they are: up to a quote, a backslash or a control
/// character.
fn plain_bytes(bytes: &[u8]) -> usize {
    const STEP: usize = 64;
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    // No early exit within a step, so that it becomes a few vector instructions.
    let (steps, _) = bytes.as_chunks::<STEP>();
    let plain = steps.iter().take_while(|step| !step.iter().fold(false, |found, byte| found | special(*byte))).count();
    let known = plain * STEP;
    known + bytes[known..].iter().position(|byte| special(*byte)).unwrap_or(bytes.len() - known)
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek().ok_or(ReadError::Syntax)? {
            b'"' => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            b'{' => {
                self.at += 1;
                visitor.visit_map(Entries { reader: self, closing: b'}', first: true })
            }
            b'[' => {
                self.at += 1;
                visitor.visit_seq(Entries { reader: self, closing: b']', first: true })
            }
            b't' => {
                self.literal("true")?;
                visitor.visit_bool(true)
            }
            b'f' => {
                self.literal("false")?;
                visitor.visit_bool(false)
            }
            b'n' => {
                self.literal("null")?;
                visitor.visit_unit()
            }
            _ => match self.number()? {
                Number::Integer(value) => visitor.visit_i64(value),
                Number::Float(value) => visitor.visit_f64(value),
            },
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip_value()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map struct enum identifier
    }
}

/// What is between two brackets.
struct Entries<'r, 'de> {
    reader: &'r mut Reader<'de>,
    closing: u8,
    first: bool,
}

impl Entries<'_, '_> {
    /// Goes to the next entry; false, and past the bracket, if there is none.
    fn advance(&mut self) -> Result<bool> {
        if self.reader.take(self.closing) {
            return Ok(false);
        }
        if !std::mem::take(&mut self.first) {
            self.reader.expect(b',')?;
        }
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Entries<'_, 'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.advance()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.advance()? {
            return Ok(None);
        }
        if self.reader.peek() != Some(b'"') {
            return Err(ReadError::Syntax);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}
