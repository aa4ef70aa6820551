//! Reading shapes from a request, as AWS does: member by member, forgiving where AWS forgives, and with AWS's words
//! where it does not. Works on any self-describing serde format.

mod passed;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::{Blob, Timestamp};
pub use passed::Passed;

/// The name of the newtype struct that a timestamp is asked for as.
///
/// A format that counts in seconds does as serde formats do and visits the newtype's content, a number of seconds. A
/// format that counts in milliseconds visits the integer itself, without the newtype around it.
pub const TIMESTAMP: &str = "Timestamp";

/// A value that can be read from a request.
pub trait Decode<'de>: Default {
    /// Reads a value; `None` for a null, which on AWS is the same as nothing.
    ///
    /// # Errors
    /// The format's own, or, made by `serde::de::Error::custom`, what AWS says of a value of a wrong type.
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error>;

    /// What stands for a null within a list.
    fn absent() -> Self {
        Self::default()
    }
}

/// A structure that can be read from a request.
pub trait Structure<'de>: Default {
    /// The structure of which no member was sent.
    fn absent() -> Self;

    /// Reads the value of the member called `name`; skips it if the structure has no such member.
    ///
    /// # Errors
    /// As [`Decode::decode`].
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

/// The required members that a request did not send, by their order in the model.
///
/// Validation reports them. A value that was made otherwise than by decoding misses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing(u16);

impl Missing {
    /// All of a structure's `count` required members.
    pub(crate) const fn all(count: u16) -> Missing {
        Missing((1 << count) - 1)
    }

    /// Stores what was sent for required member `index`.
    pub(crate) fn fill<T: Default>(&mut self, index: u16, slot: &mut T, sent: Option<T>) {
        match sent {
            Some(value) => {
                self.0 &= !(1 << index);
                *slot = value;
            }
            None => {
                self.0 |= 1 << index;
                *slot = T::default();
            }
        }
    }

    /// The value of required member `index`, if it was sent.
    pub(crate) fn sent<T>(self, index: u16, value: &T) -> Option<&T> {
        (self.0 & (1 << index) == 0).then_some(value)
    }
}

/// Reads the next member's value.
pub(crate) fn value<'de, T: Decode<'de>, A: MapAccess<'de>>(map: &mut A) -> Result<Option<T>, A::Error> {
    map.next_value_seed(Seed(PhantomData))
}

/// Passes over the next member's value.
pub(crate) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<Passed>().map(|_| ())
}

/// Reads a text, for the enumerations.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    Decode::decode(deserializer)
}

/// How much is kept of a list or a map: one more than the longest that a model allows, so that validation sees that it
/// is too long. Some more are read and dropped, for a body of `{},{},…` would otherwise take a hundred times its size.
const KEPT: usize = 10_001;

/// How many elements of a list are read at all. Millions of them would keep a thread busy that serves others.
const READ: usize = 100_000;

const TOO_MANY: &str = "The list has more elements than any may have";
const LIST_FOUND: &str = "Start of list found where not expected";
const STRUCTURE_FOUND: &str = "Start of structure or map found where not expected.";

/// Lets serde drive a [`Decode`].
struct Seed<T>(PhantomData<T>);

impl<'de, T: Decode<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        T::decode(deserializer)
    }
}

/// A scalar as the format gave it, before it is known to suit the member.
enum Scalar<'de> {
    Null,
    Boolean(bool),
    Integer(i64),
    /// A number with a fraction, or beyond 64 bits.
    Float(f64),
    Text(Cow<'de, str>),
    Bytes,
}

impl<'de> Scalar<'de> {
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar<'de>, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }

    /// AWS's complaint about this value in a place for a `target`, which includes the article.
    fn not_convertible<E: Error>(&self, target: &str) -> E {
        let class = match self {
            Scalar::Null => "java.lang.Object",
            Scalar::Boolean(_) => "java.lang.Boolean",
            Scalar::Integer(_) | Scalar::Float(_) => "com.amazon.coral.value.json.numbers.TruncatingBigNumber",
            Scalar::Text(_) => "java.lang.String",
            Scalar::Bytes => "java.nio.HeapByteBuffer",
        };
        E::custom(format_args!("class {class} can not be converted to {target}"))
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value)))
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Scalar<'de>, A::Error> {
        Err(A::Error::custom(LIST_FOUND))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Scalar<'de>, A::Error> {
        Err(A::Error::custom(STRUCTURE_FOUND))
    }
}

impl<'de> Decode<'de> for Cow<'de, str> {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        match Scalar::read(deserializer)? {
            Scalar::Null => Ok(None),
            Scalar::Text(text) => Ok(Some(text)),
            other => Err(other.not_convertible("an String")),
        }
    }
}

/// An integer of 64 bits: fractions are floored, what is beyond the range becomes its end.
fn integer<'de, D: Deserializer<'de>>(deserializer: D, target: &str) -> Result<Option<i64>, D::Error> {
    match Scalar::read(deserializer)? {
        Scalar::Null => Ok(None),
        Scalar::Integer(value) => Ok(Some(value)),
        // The cast saturates.
        Scalar::Float(value) => Ok(Some(value.floor() as i64)),
        other => Err(other.not_convertible(target)),
    }
}

impl<'de> Decode<'de> for i32 {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let value = integer(deserializer, "an Integer")?;
        Ok(value.map(|value| value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32))
    }
}

impl<'de> Decode<'de> for i64 {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        integer(deserializer, "an Long")
    }
}

impl<'de> Decode<'de> for bool {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        match Scalar::read(deserializer)? {
            Scalar::Null => Ok(None),
            Scalar::Boolean(value) => Ok(Some(value)),
            // AWS refuses whole numbers here, but not those with a fraction.
            Scalar::Float(value) => Ok(Some(value != 0.0)),
            Scalar::Text(text) => match text.to_uppercase().as_str() {
                "TRUE" | "1" | "YES" => Ok(Some(true)),
                "FALSE" | "0" | "NO" => Ok(Some(false)),
                other => Err(D::Error::custom(format_args!("'{other}' can not be converted to an Boolean"))),
            },
            other => Err(other.not_convertible("an Boolean")),
        }
    }
}

impl<'de> Decode<'de> for Blob<'de> {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let in_base64 = deserializer.is_human_readable();
        // Not as anything that may come: a format that knows that bytes are wanted need not look at a long text as a text.
        deserializer.deserialize_option(BlobVisitor { in_base64 })
    }
}

/// A blob, in bytes or in base64. A format for human readers, which has no bytes, may visit the text as bytes.
struct BlobVisitor {
    in_base64: bool,
}

impl BlobVisitor {
    fn bytes<'de, E: Error>(self, bytes: Cow<'de, [u8]>) -> Result<Option<Blob<'de>>, E> {
        match self.in_base64 {
            true => Blob::from_base64(bytes).map(Some).map_err(E::custom),
            false => Ok(Some(Blob::from_bytes(bytes))),
        }
    }
}

const A_BLOB: &str = "a Blob";

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Option<Blob<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(A_BLOB)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Blob::from_base64(text.as_bytes()).map(Some).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Blob::from_base64(text.into_bytes()).map(Some).map_err(E::custom)
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        self.bytes(Cow::Borrowed(bytes))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        self.visit_byte_buf(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
        self.bytes(Cow::Owned(bytes))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Err(Scalar::Boolean(value).not_convertible(A_BLOB))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Err(Scalar::Integer(value).not_convertible(A_BLOB))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Err(Scalar::Float(value as f64).not_convertible(A_BLOB))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Err(Scalar::Float(value).not_convertible(A_BLOB))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(LIST_FOUND))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(STRUCTURE_FOUND))
    }
}

/// AWS's words for a value in the place of a blob, from serde's: a format that is asked for bytes does not show a visitor
/// what else it finds. `None` if serde speaks of something else.
pub fn no_blob(serde_says: &str) -> Option<String> {
    let found = serde_says.strip_prefix("invalid type: ")?.strip_suffix(A_BLOB)?.strip_suffix(", expected ")?;
    let scalar = match found.split(' ').next()? {
        "map" => return Some(STRUCTURE_FOUND.to_owned()),
        "boolean" => Scalar::Boolean(false),
        _ => Scalar::Integer(0),
    };
    let error: serde::de::value::Error = scalar.not_convertible(A_BLOB);
    Some(error.to_string())
}

impl<'de> Decode<'de> for Timestamp {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        deserializer.deserialize_newtype_struct(TIMESTAMP, TimestampVisitor)
    }
}

/// See [`TIMESTAMP`].
struct TimestampVisitor;

impl<'de> Visitor<'de> for TimestampVisitor {
    type Value = Option<Timestamp>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a timestamp")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match Scalar::read(deserializer)? {
            Scalar::Null => Ok(None),
            Scalar::Integer(seconds) => Ok(Some(Timestamp(seconds.saturating_mul(1000)))),
            // The cast saturates.
            Scalar::Float(seconds) => Ok(Some(Timestamp((seconds * 1000.0).round() as i64))),
            other => Err(other.not_convertible("milliseconds since epoch")),
        }
    }

    fn visit_i64<E: Error>(self, milliseconds: i64) -> Result<Self::Value, E> {
        Ok(Some(Timestamp(milliseconds)))
    }

    fn visit_u64<E: Error>(self, milliseconds: u64) -> Result<Self::Value, E> {
        Ok(Some(Timestamp(i64::try_from(milliseconds).unwrap_or(i64::MAX))))
    }
}

/// A list, a map or a structure.
trait Container<'de>: Sized {
    /// What AWS says when it finds a scalar instead.
    const SCALAR_FOUND: &'static str;

    fn from_list<A: SeqAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(A::Error::custom(LIST_FOUND))
    }

    fn from_map<A: MapAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(A::Error::custom(STRUCTURE_FOUND))
    }
}

impl<'de, T: Decode<'de>> Container<'de> for Vec<T> {
    const SCALAR_FOUND: &'static str = "Expected list or null";

    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut elements = Vec::new();
        let mut read = 0;
        while let Some(element) = list.next_element_seed(Seed(PhantomData))? {
            read += 1;
            if read > READ {
                return Err(A::Error::custom(TOO_MANY));
            }
            if elements.len() < KEPT {
                elements.push(element.unwrap_or_else(T::absent));
            }
        }
        Ok(elements)
    }
}

impl<'de> Container<'de> for BTreeMap<Cow<'de, str>, Cow<'de, str>> {
    const SCALAR_FOUND: &'static str = "Expected map or null";

    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key_seed(Name)? {
            let value = value(&mut map)?.unwrap_or_default();
            if entries.len() < KEPT || entries.contains_key(&key) {
                entries.insert(key, value);
            }
        }
        Ok(entries)
    }
}

impl<'de, T: Structure<'de>> Container<'de> for T {
    const SCALAR_FOUND: &'static str = "Expected null";

    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut structure = <T as Structure<'de>>::absent();
        while let Some(name) = map.next_key_seed(Name)? {
            structure.member(&name, &mut map)?;
        }
        Ok(structure)
    }
}

impl<'de, T: Decode<'de>> Decode<'de> for Vec<T> {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        deserializer.deserialize_any(ContainerVisitor(PhantomData))
    }
}

impl<'de> Decode<'de> for BTreeMap<Cow<'de, str>, Cow<'de, str>> {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        deserializer.deserialize_any(ContainerVisitor(PhantomData))
    }
}

impl<'de, T: Structure<'de>> Decode<'de> for T {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        deserializer.deserialize_any(ContainerVisitor(PhantomData))
    }

    fn absent() -> Self {
        <T as Structure<'de>>::absent()
    }
}

struct ContainerVisitor<C>(PhantomData<C>);

impl<'de, C: Container<'de>> Visitor<'de> for ContainerVisitor<C> {
    type Value = Option<C>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, a map or a structure")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Option<C>, A::Error> {
        C::from_list(list).map(Some)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<C>, A::Error> {
        C::from_map(map).map(Some)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<C>, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Option<C>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Option<C>, E> {
        Err(E::custom(C::SCALAR_FOUND))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Option<C>, E> {
        Err(E::custom(C::SCALAR_FOUND))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Option<C>, E> {
        Err(E::custom(C::SCALAR_FOUND))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Option<C>, E> {
        Err(E::custom(C::SCALAR_FOUND))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Option<C>, E> {
        Err(E::custom(C::SCALAR_FOUND))
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Option<C>, E> {
        Err(E::custom(C::SCALAR_FOUND))
    }
}

/// A member's name or a map's key.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
