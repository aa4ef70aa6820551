//! A service model as `strip_model.py` leaves it, and the overlay of what the service enforces beyond it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// The facts of one service.
#[derive(Debug, Deserialize)]
pub struct Model {
    /// Where the facts come from.
    pub source: String,
    /// Names of the service as a whole.
    pub metadata: Metadata,
    /// By name.
    pub operations: BTreeMap<String, Operation>,
    /// By name.
    pub shapes: BTreeMap<String, Shape>,
}

/// Names of the service as a whole.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The date that names the API's version.
    pub api_version: String,
    /// What precedes the operation in `X-Amz-Target`.
    pub target_prefix: String,
    /// The service's name in a credential scope.
    pub endpoint_prefix: String,
    /// The service's name for people.
    pub service_full_name: String,
}

/// One operation.
#[derive(Debug, Deserialize)]
pub struct Operation {
    /// The structure of a request.
    pub input: Option<Reference>,
    /// The structure of an answer; nothing if the answer's body is empty.
    pub output: Option<Reference>,
    /// The errors that the model lists.
    #[serde(default)]
    pub errors: Vec<Reference>,
}

/// A shape by its name.
#[derive(Debug, Deserialize)]
pub struct Reference {
    /// The name.
    pub shape: String,
}

/// A type on the wire.
#[derive(Debug, Deserialize)]
pub struct Shape {
    /// `structure`, `list`, `map`, or a scalar's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// A structure's members, in the model's order.
    #[serde(default)]
    pub members: Ordered<Reference>,
    /// The names of a structure's required members.
    #[serde(default)]
    pub required: Vec<String>,
    /// A list's element.
    pub member: Option<Reference>,
    /// A map's key.
    pub key: Option<Reference>,
    /// A map's value.
    pub value: Option<Reference>,
    /// The least value or length.
    pub min: Option<i64>,
    /// The greatest value or length.
    pub max: Option<i64>,
    /// A Java regular expression.
    pub pattern: Option<String>,
    /// The values of an enumeration.
    #[serde(default, rename = "enum")]
    pub values: Vec<String>,
    /// An error.
    #[serde(default)]
    pub exception: bool,
    /// A union of events.
    #[serde(default)]
    pub eventstream: bool,
}

/// What the service enforces or prints beyond its model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// By shape.
    pub shapes: BTreeMap<String, Amendment>,
    /// By `Structure.Member`.
    pub members: BTreeMap<String, Amendment>,
}

/// Changes to one shape, everywhere or as the type of one member.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amendment {
    /// The reason.
    pub why: String,
    /// Replaces the model's.
    pub min: Option<i64>,
    /// Replaces the model's.
    pub max: Option<i64>,
    /// The pattern as error messages print it.
    pub shown: Option<String>,
    /// The service leaves this member out at times, although its model requires it.
    #[serde(default)]
    pub optional: bool,
    /// The enumeration's values in the order in which error messages print them.
    #[serde(default, rename = "enum")]
    pub values: Vec<String>,
}

/// A JSON object's entries in the order of the text.
#[derive(Debug)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}
