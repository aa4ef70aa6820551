//! The scenarios of the goals, each by its name.

pub mod put;

use crate::context::{Context, Set};
use crate::error::BenchError;
use crate::results::Scenario;

/// A scenario that can be run.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its id.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The smallest set that it belongs to.
    pub from: Set,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Put(put::Puts),
}

impl Entry {
    /// Runs it.
    ///
    /// # Errors
    /// When it cannot be measured.
    pub async fn run(&self, context: &Context) -> Result<Scenario, BenchError> {
        match self.kind {
            Kind::Put(puts) => puts.run(context).await,
        }
    }
}

/// All scenarios, in the order in which they are run.
#[must_use]
pub fn all() -> Vec<Entry> {
    let mut entries = Vec::new();
    for puts in put::ALL {
        let quick = ["put-records-1k-4", "put-records-100b-4", "put-record-1k-1", "put-record-1k-64"];
        let from = if quick.contains(&puts.id) { Set::Quick } else { Set::Default };
        entries.push(Entry { id: puts.id, name: puts.name, from, kind: Kind::Put(puts) });
    }
    entries
}

/// A scenario in which nothing was measured yet.
#[must_use]
pub fn empty(id: &str, group: &str, name: &str) -> Scenario {
    Scenario {
        id: id.to_owned(),
        group: group.to_owned(),
        name: name.to_owned(),
        notes: Vec::new(),
        measured: Vec::new(),
        figures: Vec::new(),
        curves: Vec::new(),
        goals: Vec::new(),
        device_unstable: false,
    }
}
