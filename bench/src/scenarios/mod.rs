//! The scenarios of the goals, each by its name.

pub mod catch_up;
pub mod fan_out;
pub mod memory;
pub mod overload;
pub mod poller;
pub mod put;
pub mod shards;
pub mod start;
pub mod streams;
pub mod timestamp;

use crate::context::{Context, Set};
use crate::error::BenchError;
use crate::requests::Codec;
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
    CatchUp(catch_up::CatchUp),
    FanOut(fan_out::FanOut),
    Poller,
    Shards,
    Streams,
    Memory(memory::Case),
    Start(start::On),
    Timestamp,
    Flood,
    Mixed,
}

impl Entry {
    /// Whether it is made of rounds, each with a limit of its own.
    #[must_use]
    pub fn in_rounds(&self) -> bool {
        !matches!(self.kind, Kind::Start(_) | Kind::Timestamp)
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it cannot be measured.
    pub async fn run(&self, context: &Context) -> Result<Scenario, BenchError> {
        match self.kind {
            Kind::Put(puts) => puts.run(context).await,
            Kind::CatchUp(catch_up) => catch_up.run(context).await,
            Kind::FanOut(fan_out) => fan_out.run(context).await,
            Kind::Poller => poller::scenario(context).await,
            Kind::Shards => shards::scenario(context).await,
            Kind::Streams => streams::scenario(context).await,
            Kind::Memory(case) => case.run(context).await,
            Kind::Start(on) => on.run(context).await,
            Kind::Timestamp => timestamp::scenario(context).await,
            Kind::Flood => overload::flood(context, self.id, self.name).await,
            Kind::Mixed => overload::mixed(context, self.id, self.name).await,
        }
    }
}

const CATCH_UP: catch_up::CatchUp =
    catch_up::CatchUp { id: "catch-up", name: "GetRecords, catch-up of 1 KB records", codec: Codec::Json };
const CATCH_UP_CBOR: catch_up::CatchUp =
    catch_up::CatchUp { id: "catch-up-cbor", name: "GetRecords, catch-up of 1 KB records, CBOR", codec: Codec::Cbor };

const FAN_OUT: [fan_out::FanOut; 3] = [
    fan_out::FanOut { id: "fan-out-1", name: "Put → fan-out, 1 consumer", consumers: 1 },
    fan_out::FanOut { id: "fan-out-5", name: "Put → fan-out, 5 consumers", consumers: 5 },
    fan_out::FanOut { id: "fan-out-20", name: "Put → fan-out, 20 consumers", consumers: 20 },
];

/// All scenarios, in the order in which they are run.
#[must_use]
pub fn all() -> Vec<Entry> {
    const QUICK: [&str; 11] = [
        "put-records-1k-4",
        "put-records-100b-4",
        "put-record-1k-1",
        "put-record-1k-64",
        "put-record-1m-4",
        "catch-up",
        "fan-out-5",
        "poller",
        "memory-idle",
        "memory-puts",
        "start-data",
    ];
    let entry = |id, name, kind| Entry { id, name, from: Set::Default, kind };
    let mut entries: Vec<Entry> = put::ALL.iter().map(|puts| entry(puts.id, puts.name, Kind::Put(*puts))).collect();
    entries.extend([CATCH_UP, CATCH_UP_CBOR].map(|what| entry(what.id, what.name, Kind::CatchUp(what))));
    entries.extend(FAN_OUT.map(|what| entry(what.id, what.name, Kind::FanOut(what))));
    entries.push(entry(poller::ID, poller::NAME, Kind::Poller));
    entries.push(entry(shards::ID, shards::NAME, Kind::Shards));
    entries.push(entry(streams::ID, streams::NAME, Kind::Streams));
    entries.extend(memory::ALL.map(|case| entry(case.id, case.name, Kind::Memory(case))));
    entries.extend([start::On::Data, start::On::Streams].map(|on| entry(on.id(), on.name(), Kind::Start(on))));
    entries.push(entry(timestamp::ID, timestamp::NAME, Kind::Timestamp));
    entries.push(entry("overload-flood", "Overload, ten times the best rate", Kind::Flood));
    entries.push(entry("overload-mixed", "Readers and writers beside each other", Kind::Mixed));
    for entry in &mut entries {
        if QUICK.contains(&entry.id) {
            entry.from = Set::Quick;
        }
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
        reduced: None,
        left_out: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_an_id_of_its_own() {
        let mut ids: Vec<&str> = all().iter().map(|entry| entry.id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert_eq!(all().iter().filter(|entry| entry.from == Set::Quick).count(), 11);
    }
}
