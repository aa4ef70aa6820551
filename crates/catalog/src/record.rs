use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::CatalogError;

/// A kind of record, one table each. Stored as one byte of [`Record::VERSION`] and JSON.
pub trait Record: Serialize + DeserializeOwned {
    /// Name of its table. Never changes.
    const TABLE: &'static str;
    /// Version of its form. Raised when an older Millstream could no longer read it.
    const VERSION: u8;

    /// Where it belongs.
    fn key(&self) -> Key;

    /// Brings a value of the older version `from` to the present form.
    ///
    /// # Errors
    /// What is wrong with the value.
    fn upgrade(from: u8, value: Value) -> Result<Value, String> {
        let _ = value;
        Err(format!("version {from} is not known"))
    }
}

/// A record that counts its changes, so that each can be a compare-and-set.
pub trait Versioned: Record {
    /// How often it was changed.
    fn version(&self) -> u64;
    /// Sets the count.
    fn set_version(&mut self, version: u64);
}

/// A key: parts in order, so that keys sort by their first part, then by the second, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key without parts: the prefix of all.
    pub fn all() -> Key {
        Key::default()
    }

    /// The same with a text behind. Texts sort bytewise, a shorter one before those that it begins.
    #[must_use]
    pub fn text(mut self, text: &str) -> Key {
        // 0 ends a text; a 0 within it becomes 0 1, which sorts after the end and before every other byte pair.
        for byte in text.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(1);
            }
        }
        self.0.extend_from_slice(&[0, 0]);
        self
    }

    /// The same with a number behind.
    #[must_use]
    pub fn number(mut self, number: u64) -> Key {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

pub(crate) fn encode<R: Record>(record: &R) -> Result<Vec<u8>, CatalogError> {
    let mut bytes = vec![R::VERSION];
    serde_json::to_writer(&mut bytes, record)
        .map_err(|e| CatalogError::Corrupt { what: format!("a new record of {}", R::TABLE), why: e.to_string() })?;
    Ok(bytes)
}

pub(crate) fn decode<R: Record>(key: &[u8], bytes: &[u8]) -> Result<R, CatalogError> {
    let corrupt = |why: String| CatalogError::Corrupt {
        what: format!("record {:?} of {}", String::from_utf8_lossy(key), R::TABLE),
        why,
    };
    let (&version, json) = bytes.split_first().ok_or_else(|| corrupt("it is empty".to_owned()))?;
    if version > R::VERSION {
        return Err(CatalogError::Newer { table: R::TABLE.to_owned(), found: version, known: R::VERSION });
    }
    if version == R::VERSION {
        return serde_json::from_slice(json).map_err(|e| corrupt(e.to_string()));
    }
    let old = serde_json::from_slice(json).map_err(|e| corrupt(e.to_string()))?;
    let new = R::upgrade(version, old).map_err(corrupt)?;
    serde_json::from_value(new).map_err(|e| corrupt(e.to_string()))
}
