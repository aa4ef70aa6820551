//! CBOR of the oracles' own: JSON is turned into it as it stands, and what the server has written is read into JSON.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};
use std::fmt;

const INDEFINITE_ARRAY: u8 = 0x9f;
const INDEFINITE_MAP: u8 = 0xbf;
const BREAK: u8 = 0xff;

/// The same request in CBOR: every member in its order, also those that are there twice. Instants, which CBOR counts in ms,
/// are the members whose name ends in `Timestamp`. `None` if `json` is not JSON.
pub(crate) fn from_json(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Transcoder { out: &mut out, is_instant: false }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(out)
}

struct Transcoder<'o> {
    out: &'o mut Vec<u8>,
    is_instant: bool,
}

impl Transcoder<'_> {
    fn head(&mut self, major: u8, value: u64) {
        self.out.push(major << 5 | 27);
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn integer(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.head(0, value),
            Err(_) => self.head(1, !value as u64),
        }
    }

    fn float(&mut self, value: f64) {
        self.out.push(0xfb);
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.head(3, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }
}

impl<'de> DeserializeSeed<'de> for Transcoder<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Transcoder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.out.push(0xf6);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.out.push(if value { 0xf5 } else { 0xf4 });
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        let scaled = if self.is_instant { value.saturating_mul(1000) } else { value };
        self.integer(scaled);
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        if self.is_instant {
            self.integer(i64::try_from(value).unwrap_or(i64::MAX).saturating_mul(1000));
        } else {
            self.head(0, value);
        }
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        if self.is_instant {
            self.integer((value * 1000.0).round() as i64);
        } else {
            self.float(value);
        }
        Ok(())
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        self.text(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.out.push(INDEFINITE_ARRAY);
        while list.next_element_seed(Transcoder { out: self.out, is_instant: false })?.is_some() {}
        self.out.push(BREAK);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.out.push(INDEFINITE_MAP);
        while let Some(name) = map.next_key::<String>()? {
            let mut member = Transcoder { out: self.out, is_instant: false };
            member.text(&name);
            member.is_instant = name.ends_with("Timestamp");
            map.next_value_seed(member)?;
        }
        self.out.push(BREAK);
        Ok(())
    }
}

/// What CBOR of our own server says, as JSON in the terms of its JSON: byte strings in base64, times in seconds.
pub(crate) fn to_json(cbor: &[u8]) -> Option<Value> {
    let mut reader = Reader(cbor);
    let value = reader.value()?;
    reader.0.is_empty().then_some(value)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn number(&mut self, short: u8) -> Option<u64> {
        let length = match short {
            0..=23 => return Some(u64::from(short)),
            24..=27 => 1 << (short - 24),
            _ => return None,
        };
        Some(self.take(length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn text(&mut self) -> Option<String> {
        match self.value()? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    fn value(&mut self) -> Option<Value> {
        let first = self.take(1)?[0];
        let (major, short) = (first >> 5, first & 31);
        Some(match major {
            0 => json!(self.number(short)?),
            1 => json!(-1 - i64::try_from(self.number(short)?).ok()?),
            2 => {
                let length = usize::try_from(self.number(short)?).ok()?;
                Value::String(base64_simd::STANDARD.encode_to_string(self.take(length)?))
            }
            3 => {
                let length = usize::try_from(self.number(short)?).ok()?;
                Value::String(std::str::from_utf8(self.take(length)?).ok()?.to_owned())
            }
            4 => (0..self.number(short)?).map(|_| self.value()).collect::<Option<Vec<Value>>>()?.into(),
            5 if short == 31 => {
                let mut entries = serde_json::Map::new();
                while self.0.first()? != &BREAK {
                    let name = self.text()?;
                    entries.insert(name, self.value()?);
                }
                self.take(1)?;
                Value::Object(entries)
            }
            5 => (0..self.number(short)?)
                .map(|_| Some((self.text()?, self.value()?)))
                .collect::<Option<serde_json::Map<_, _>>>()?
                .into(),
            6 if self.number(short)? == 1 => milliseconds(self.value()?.as_i64()?),
            7 if short == 20 || short == 21 => Value::Bool(short == 21),
            _ => return None,
        })
    }
}

/// An instant as the JSON of an answer has it.
fn milliseconds(value: i64) -> Value {
    if value % 1000 == 0 { json!(value / 1000) } else { json!(value as f64 / 1000.0) }
}
