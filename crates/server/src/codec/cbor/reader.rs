//! A serde deserializer over CBOR. Texts and byte strings in one piece are borrowed from the body. What is allocated
//! follows what has come, never a declared length, and how deep it nests is limited.

use std::borrow::Cow;
use std::fmt;

use millstream_api::TIMESTAMP;
use minicbor::data::Type;
use minicbor::decode::Decoder;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Containers within containers.
const DEPTH: usize = 128;

/// Items of a body, those that are passed over included. The largest request that there is has some thousands; millions
/// of one byte each would keep a thread busy that serves others.
pub(super) const ITEMS: usize = 250_000;

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is no well-formed CBOR, or not of the form of a request.
    Form,
    /// A value of a wrong type, in AWS's words.
    Type(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Form => "malformed",
            Refusal::Type(text) => text,
        })
    }
}

impl std::error::Error for Refusal {}

impl Error for Refusal {
    fn custom<T: fmt::Display>(text: T) -> Refusal {
        Refusal::Type(text.to_string())
    }
}

impl From<minicbor::decode::Error> for Refusal {
    fn from(_: minicbor::decode::Error) -> Refusal {
        Refusal::Form
    }
}

type Result<T> = std::result::Result<T, Refusal>;

/// Reads one item after the other.
pub(super) struct Reader<'de> {
    decoder: Decoder<'de>,
    /// Containers that may still be opened.
    depth: usize,
    /// Items that may still come.
    left: usize,
}

impl<'de> Reader<'de> {
    pub fn new(body: &'de [u8]) -> Reader<'de> {
        Reader { decoder: Decoder::new(body), depth: DEPTH, left: ITEMS }
    }

    /// Checks that a map follows.
    pub fn expect_map(&mut self) -> Result<()> {
        if matches!(self.kind()?, Type::Map | Type::MapIndef) { Ok(()) } else { Err(Refusal::Form) }
    }

    /// Checks that nothing follows.
    pub fn end(&self) -> Result<()> {
        if self.decoder.position() == self.decoder.input().len() { Ok(()) } else { Err(Refusal::Form) }
    }

    /// The type of the next item, past its tags: none of them changes what a value means here.
    fn kind(&mut self) -> Result<Type> {
        loop {
            // Tags count as well.
            self.left = self.left.checked_sub(1).ok_or(Refusal::Form)?;
            match self.decoder.datatype()? {
                Type::Tag => self.decoder.tag()?,
                kind => return Ok(kind),
            };
        }
    }

    fn text(&mut self) -> Result<Cow<'de, str>> {
        let mut text = Cow::Borrowed("");
        for piece in self.decoder.str_iter()? {
            let piece = piece?;
            if text.is_empty() {
                text = Cow::Borrowed(piece);
            } else {
                text.to_mut().push_str(piece);
            }
        }
        Ok(text)
    }

    fn bytes(&mut self) -> Result<Cow<'de, [u8]>> {
        let mut bytes = Cow::Borrowed(&[][..]);
        for piece in self.decoder.bytes_iter()? {
            let piece = piece?;
            if bytes.is_empty() {
                bytes = Cow::Borrowed(piece);
            } else {
                bytes.to_mut().extend_from_slice(piece);
            }
        }
        Ok(bytes)
    }

    /// A negative integer; those below 64 bits become the least one.
    fn negative(&mut self) -> Result<i64> {
        Ok(i64::try_from(i128::from(self.decoder.int()?)).unwrap_or(i64::MIN))
    }

    fn half(&mut self) -> Result<f64> {
        let start = self.decoder.position();
        let (Some([high, low]), Some(end)) = (
            start.checked_add(1).and_then(|at| self.decoder.input().get(at..)).and_then(|rest| rest.first_chunk::<2>()),
            start.checked_add(3),
        ) else {
            return Err(Refusal::Form);
        };
        self.decoder.set_position(end);
        Ok(from_half(u16::from_be_bytes([*high, *low])))
    }

    /// Opens a container, reads it with `read`, and closes it.
    fn nested<T>(&mut self, length: Option<u64>, read: impl FnOnce(&mut Items<'_, 'de>) -> Result<T>) -> Result<T> {
        self.depth = self.depth.checked_sub(1).ok_or(Refusal::Form)?;
        let mut items = Items { reader: self, left: length };
        let value = read(&mut items)?;
        // A visitor that succeeds has read to the end.
        self.depth += 1;
        Ok(value)
    }
}

/// The value of a float of 16 bits: a sign, five bits of exponent, ten of fraction.
fn from_half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 0 { magnitude } else { -magnitude }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.kind()? {
            Type::Bool => visitor.visit_bool(self.decoder.bool()?),
            Type::Null => {
                self.decoder.null()?;
                visitor.visit_unit()
            }
            Type::Undefined => {
                self.decoder.undefined()?;
                visitor.visit_unit()
            }
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => visitor.visit_u64(self.decoder.u64()?),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => visitor.visit_i64(self.negative()?),
            Type::F16 => visitor.visit_f64(self.half()?),
            Type::F32 | Type::F64 => visitor.visit_f64(self.decoder.f64()?),
            Type::String | Type::StringIndef => match self.text()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Type::Bytes | Type::BytesIndef => match self.bytes()? {
                Cow::Borrowed(bytes) => visitor.visit_borrowed_bytes(bytes),
                Cow::Owned(bytes) => visitor.visit_byte_buf(bytes),
            },
            Type::Array | Type::ArrayIndef => {
                let length = self.decoder.array()?;
                self.nested(length, |items| visitor.visit_seq(items))
            }
            Type::Map | Type::MapIndef => {
                let length = self.decoder.map()?;
                self.nested(length, |items| visitor.visit_map(items))
            }
            Type::Simple | Type::Break | Type::Tag | Type::Unknown(_) => Err(Refusal::Form),
        }
    }

    /// A timestamp is a number of milliseconds; see [`TIMESTAMP`].
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        if name != TIMESTAMP {
            return visitor.visit_newtype_struct(self);
        }
        match self.kind()? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => visitor.visit_u64(self.decoder.u64()?),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => visitor.visit_i64(self.negative()?),
            // The casts saturate.
            Type::F16 => visitor.visit_i64(self.half()?.round() as i64),
            Type::F32 | Type::F64 => visitor.visit_i64(self.decoder.f64()?.round() as i64),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    /// Bytes are bytes.
    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// What is left of a container: so many items or entries, or all up to a break.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    left: Option<u64>,
}

impl Items<'_, '_> {
    /// Whether another one follows.
    fn has_next(&mut self) -> Result<bool> {
        match &mut self.left {
            Some(0) => return Ok(false),
            Some(left) => *left -= 1,
            None if self.reader.decoder.datatype()? == Type::Break => {
                let position = self.reader.decoder.position();
                self.reader.decoder.set_position(position + 1);
                self.left = Some(0);
                return Ok(false);
            }
            None => {}
        }
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.has_next()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.has_next()? {
            return Ok(None);
        }
        match self.reader.kind()? {
            Type::String | Type::StringIndef => seed.deserialize(&mut *self.reader).map(Some),
            _ => Err(Refusal::Form),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(&mut *self.reader)
    }
}
