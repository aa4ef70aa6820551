//! `[[streams]]`: what the server makes at its start, as it is written in the file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::layers::{Layers, one_line};
use super::{ConfigError, Key, values};
use crate::provision;

/// A stream that is there, ACTIVE, when the server is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its name.
    pub name: String,
    /// The account that owns it.
    pub account: String,
    /// Its region.
    pub region: String,
    /// How many shards it is created with.
    pub capacity: Capacity,
    /// How long records are kept, hours; `None` leaves what is, at first 24.
    pub retention_hours: Option<i32>,
    /// Largest record, KiB; `None` leaves what is, at first 1024.
    pub max_record_size_kib: Option<i32>,
    /// Registered consumers, by name.
    pub consumers: Vec<String>,
    /// Tags. Others that it has stay.
    pub tags: BTreeMap<String, String>,
}

/// The capacity mode of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// Provisioned, with so many shards.
    Shards(i32),
    /// On demand.
    OnDemand,
}

impl std::fmt::Display for Capacity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Capacity::Shards(1) => f.write_str("1 shard"),
            Capacity::Shards(count) => write!(f, "{count} shards"),
            Capacity::OnDemand => f.write_str("on demand"),
        }
    }
}

/// An entry as a file has it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_demand: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_hours: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_record_size_kib: Option<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    consumers: Vec<String>,
    // Last: a table ends the keys before it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

impl From<&StreamEntry> for Written {
    fn from(entry: &StreamEntry) -> Written {
        let (shards, on_demand) = match entry.capacity {
            Capacity::Shards(count) => (Some(count), None),
            Capacity::OnDemand => (None, Some(true)),
        };
        Written {
            name: entry.name.clone(),
            shards,
            on_demand,
            account: Some(entry.account.clone()),
            region: Some(entry.region.clone()),
            retention_hours: entry.retention_hours,
            max_record_size_kib: entry.max_record_size_kib,
            consumers: entry.consumers.clone(),
            tags: entry.tags.clone(),
        }
    }
}

/// The entries, in the file's order. Those that name neither account nor region get these.
pub fn streams(layers: &Layers, account: &str, region: &str) -> Result<Vec<StreamEntry>, ConfigError> {
    let mut entries: Vec<StreamEntry> = Vec::new();
    for (number, table) in (1..).zip(layers.tables(Key::Streams)) {
        let name = table.get("name").and_then(toml::Value::as_str);
        let label = name.map_or_else(|| format!("number {number}"), |name| format!("\"{name}\""));
        let wrong = |what: &str| layers.wrong(Key::Streams, &format!("{label}: {what}"));
        let written: Written =
            table.clone().try_into().map_err(|error: toml::de::Error| wrong(&one_line(error.message())))?;
        let entry = entry(written, account, region).map_err(|what| wrong(&what))?;
        let same = |other: &StreamEntry| {
            (&other.name, &other.account, &other.region) == (&entry.name, &entry.account, &entry.region)
        };
        if entries.iter().any(same) {
            return Err(wrong("is there twice"));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(written: Written, account: &str, region: &str) -> Result<StreamEntry, String> {
    let capacity = match (written.shards, written.on_demand) {
        (Some(count), None | Some(false)) => Capacity::Shards(count),
        (None, Some(true)) => Capacity::OnDemand,
        (Some(_), Some(true)) => return Err("has shards and on_demand: write one of the two".to_owned()),
        (None, _) => return Err("has neither shards = 1 (or more) nor on_demand = true".to_owned()),
    };
    let entry = StreamEntry {
        name: written.name,
        account: values::account(written.account.as_deref().unwrap_or(account))?,
        region: values::region(written.region.as_deref().unwrap_or(region))?,
        capacity,
        retention_hours: written.retention_hours,
        max_record_size_kib: written.max_record_size_kib,
        consumers: written.consumers,
        tags: written.tags,
    };
    if let Some(twice) =
        (1..).zip(&entry.consumers).find_map(|(next, name)| entry.consumers[next..].iter().find(|other| *other == name))
    {
        return Err(format!("has the consumer {twice} twice"));
    }
    provision::check(&entry).map_err(|error| error.message.unwrap_or_default())?;
    Ok(entry)
}
