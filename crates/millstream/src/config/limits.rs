//! Which limits are enforced: a set by name, AWS's times a factor, or a table that names single ones and streams.

use std::sync::Arc;

use millstream_kinesis::limits::{Limits, OF_ACCOUNTS, Scale, StreamLimits};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use toml::{Table, Value};

use super::layers::one_line;
use super::values;

/// Which limits are enforced.
#[derive(Clone, Debug, PartialEq)]
pub enum LimitsChoice {
    /// AWS's for a new account.
    Aws,
    /// None but those of the service model.
    None,
    /// AWS's, with throughput and call rates multiplied.
    Scaled(Scale),
    /// What a table says.
    Table(Box<LimitsTable>),
}

/// What a table of limits says.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitsTable {
    /// Of everything that no entry names.
    pub limits: Limits,
    /// Of single streams.
    pub streams: Vec<StreamLimits>,
}

impl LimitsChoice {
    /// The limits of everything that no entry names.
    pub fn limits(&self) -> Limits {
        match self {
            LimitsChoice::Aws => Limits::aws(),
            LimitsChoice::None => Limits::none(),
            LimitsChoice::Scaled(scale) => Limits::aws().scaled(*scale),
            LimitsChoice::Table(table) => table.limits.clone(),
        }
    }

    /// Those of single streams.
    pub fn streams(&self) -> &[StreamLimits] {
        match self {
            LimitsChoice::Table(table) => &table.streams,
            _ => &[],
        }
    }

    /// The most bytes in one answer of GetRecords.
    pub fn largest_page(&self) -> usize {
        let pages = self.streams().iter().map(|entry| entry.limits.get_records_page());
        pages.fold(self.limits().get_records_page(), usize::max)
    }
}

impl Serialize for LimitsChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            LimitsChoice::Aws => serializer.serialize_str("aws"),
            LimitsChoice::None => serializer.serialize_str("none"),
            LimitsChoice::Scaled(scale) => scale.serialize(serializer),
            LimitsChoice::Table(table) => table.shown().map_err(S::Error::custom)?.serialize(serializer),
        }
    }
}

impl LimitsTable {
    /// Reads a table. `scale` comes first, then the limits that it names; then its streams, whose limits begin from these.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn from_toml(mut table: Table) -> Result<LimitsTable, String> {
        let streams = table.remove("streams");
        let limits = changed(&Limits::aws(), table)?;
        let streams = match streams {
            None => Vec::new(),
            Some(Value::Array(entries)) => {
                let entries = entries.into_iter().zip(1..);
                let read = |(entry, place)| {
                    entry_from(&limits, entry).map_err(|what| format!("streams, entry {place}: {what}"))
                };
                entries.map(read).collect::<Result<Vec<StreamLimits>, String>>()?
            }
            Some(_) => return Err("streams: a list of tables is wanted, each under [[limits.streams]]".to_owned()),
        };
        Ok(LimitsTable { limits, streams })
    }

    /// The table with every limit by name, so that reading it gives the same.
    fn shown(&self) -> Result<Table, toml::ser::Error> {
        let mut table = Table::try_from(&self.limits)?;
        let mut entries = Vec::new();
        for entry in &self.streams {
            let mut shown = Table::new();
            let names =
                [("name", Some(&entry.name)), ("account", entry.account.as_ref()), ("region", entry.region.as_ref())];
            for (name, value) in names {
                shown.extend(value.map(|value| (name.to_owned(), Value::String(value.clone()))));
            }
            let limits = Table::try_from(&*entry.limits)?;
            shown.extend(limits.into_iter().filter(|(name, _)| !OF_ACCOUNTS.contains(&name.as_str())));
            entries.push(Value::Table(shown));
        }
        if !entries.is_empty() {
            table.insert("streams".to_owned(), Value::Array(entries));
        }
        Ok(table)
    }
}

/// The limits after those that a table names, and its `scale`.
fn changed(limits: &Limits, mut table: Table) -> Result<Limits, String> {
    let base = match table.remove("scale") {
        None => limits.clone(),
        Some(Value::String(text)) if text == "none" => limits.unthrottled(),
        Some(Value::String(text)) => {
            limits.scaled(text.parse().map_err(|_| format!("scale: \"{text}\" is neither none nor a factor as x10"))?)
        }
        Some(_) => return Err("scale: \"none\" or a factor in quotes is wanted, e.g. \"x10\"".to_owned()),
    };
    let mut all = Table::try_from(&base).map_err(|error| error.to_string())?;
    all.extend(table);
    all.try_into().map_err(|error: toml::de::Error| one_line(error.message()))
}

fn entry_from(limits: &Limits, entry: Value) -> Result<StreamLimits, String> {
    let Value::Table(mut table) = entry else { return Err("a table is wanted".to_owned()) };
    let mut text = |member: &str, parse: fn(&str) -> Result<String, String>| match table.remove(member) {
        None => Ok(None),
        Some(Value::String(text)) => parse(&text).map(Some).map_err(|what| format!("{member}: {what}")),
        Some(_) => Err(format!("{member}: a text in quotes is wanted")),
    };
    let name = text("name", values::stream_pattern)?;
    let (account, region) = (text("account", values::account)?, text("region", values::region)?);
    let name = name.ok_or("name: say which streams it is for, e.g. \"orders\" or \"orders-*\"")?;
    if let Some(limit) = OF_ACCOUNTS.iter().find(|limit| table.contains_key(**limit)) {
        return Err(format!("{limit} counts for the account, not for a stream: set it in [limits]"));
    }
    Ok(StreamLimits { name, account, region, limits: Arc::new(changed(limits, table)?) })
}
