//! Looks at everything after a restart, and compares it with the model.

use std::collections::{BTreeMap, HashSet};

use millstream_api::kinesis::{
    GetRecordsInput, GetRecordsOutput, GetShardIteratorInput, Input, Output, Record, Shard, ShardIteratorType,
    StreamStatus,
};
use millstream_api::{Error, ErrorCode};
use millstream_env::sim::Crash;

use crate::Problem;
use crate::model::{Fate, Known, Model, NAMES, ShardKey};
use crate::node::Node;
use crate::settings::{Settings, observe, shards};

/// How often time is let pass until every plan must have ended.
const PATIENCE: u32 = 12;

/// What there is.
#[derive(Debug, Default)]
pub struct Findings {
    /// By place in [`NAMES`].
    pub streams: Vec<Option<Settings>>,
    /// Records by shard: sequence number and record.
    pub records: BTreeMap<ShardKey, Vec<(String, u64)>>,
}

/// Lets plans come to their end and looks at everything. `crash` is how the last life ended.
///
/// # Errors
/// The first promise that is broken.
pub fn verify(node: &Node, model: &Model, crash: Option<Crash>) -> Result<Findings, Problem> {
    let mut findings = Findings::default();
    let mut seen = HashSet::new();
    settle(node)?;
    for (stream, name) in NAMES.iter().enumerate() {
        let now = node.now();
        let observed = alone(node, observe(node, name))?.map_err(|e| format!("{name} cannot be described: {e}"))?;
        let settings = match observed {
            Some((StreamStatus::Active, settings)) => Some(settings),
            Some((status, _)) => return Err(format!("{name} stays {status:?}: {:?}", node.kinesis.problems())),
            None => None,
        };
        let allowed = &model.streams[stream].allowed;
        let fits = allowed.iter().any(|a| match (a, &settings) {
            (Some(a), Some(actual)) => a.allow(actual),
            (None, None) => true,
            _ => false,
        });
        if !fits {
            return Err(format!("{name} is {settings:?}, none of {allowed:?}"));
        }
        if settings.is_some() {
            let list = alone(node, shards(node, name))?.map_err(|e| format!("shards of {name}: {e}"))?;
            check_ranges(name, &list)?;
            for shard in &list {
                let key = (stream, shard.shard_id.clone());
                let records = read_all(node, name, shard)?;
                let mut found = Vec::with_capacity(records.len());
                for record in &records {
                    let id = model.identify(&key, record)?;
                    if !seen.insert(id) {
                        return Err(format!("record {id} is there twice, the second time in {}", key.1));
                    }
                    found.push((record.sequence_number.clone(), id));
                }
                findings.records.insert(key, found);
            }
            check_generations(name, stream, &list, &findings)?;
            check_required(node, model, stream, &findings, crash, now)?;
        }
        findings.streams.push(settings);
    }
    let problems = node.kinesis.problems();
    if problems.is_empty() { Ok(findings) } else { Err(format!("the service reports {problems:?}")) }
}

/// Brings plans to their end.
fn settle(node: &Node) -> Result<(), Problem> {
    for _ in 0..PATIENCE {
        node.pass(1_100);
        let mut busy = false;
        for name in NAMES {
            let observed = alone(node, observe(node, name))?.map_err(|e| format!("{name} cannot be described: {e}"))?;
            busy |= observed.is_some_and(|(status, _)| status != StreamStatus::Active);
        }
        if !busy {
            break;
        }
    }
    node.machine.settle();
    Ok(())
}

fn alone<T>(node: &Node, future: impl Future<Output = T>) -> Result<T, Problem> {
    node.machine.block_on(future).ok_or_else(|| "a call never ends".to_owned())
}

/// The open shards cover every hash key once.
fn check_ranges(name: &str, list: &[Shard]) -> Result<(), Problem> {
    let mut open: Vec<(u128, u128)> = list
        .iter()
        .filter(|shard| shard.sequence_number_range.ending_sequence_number.is_none())
        .map(|shard| {
            let range = &shard.hash_key_range;
            (range.starting_hash_key.parse().unwrap_or(1), range.ending_hash_key.parse().unwrap_or(0))
        })
        .collect();
    open.sort_unstable();
    let whole = open.first().is_some_and(|r| r.0 == 0)
        && open.last().is_some_and(|r| r.1 == u128::MAX)
        && open.windows(2).all(|pair| pair[1].0.checked_sub(1) == Some(pair[0].1));
    if whole { Ok(()) } else { Err(format!("the open shards of {name} cover {open:?}")) }
}

/// What a shard holds, from its oldest record to its end.
fn read_all(node: &Node, name: &str, shard: &Shard) -> Result<Vec<Record>, Problem> {
    let start = GetShardIteratorInput {
        stream_name: Some(name.into()),
        shard_id: shard.shard_id.as_str().into(),
        shard_iterator_type: ShardIteratorType::TrimHorizon,
        ..Default::default()
    };
    let at = format!("{} of {name}", shard.shard_id);
    let mut iterator = match alone(node, node.call(Input::GetShardIterator(start)))? {
        Ok(Output::GetShardIterator(output)) => output.shard_iterator,
        Err(e) if e.code == ErrorCode::ResourceNotFoundException => return Ok(Vec::new()),
        other => return Err(format!("no iterator for {at}: {other:?}")),
    };
    let mut records: Vec<Record> = Vec::new();
    while let Some(from) = iterator {
        let page = alone(node, get_records(node, &from))?.map_err(|e| format!("{at} cannot be read: {e}"))?;
        let empty = page.records.is_empty();
        for record in page.records {
            if records.last().is_some_and(|last| last.sequence_number >= record.sequence_number) {
                return Err(format!("{} is out of order in {at}", record.sequence_number));
            }
            records.push(record);
        }
        let at_end = page.millis_behind_latest == Some(0);
        iterator = page.next_shard_iterator;
        let open = shard.sequence_number_range.ending_sequence_number.is_none();
        match (&iterator, open) {
            (None, true) => return Err(format!("{at} is open, and its reader was told that it has ended")),
            (Some(_), _) if at_end && empty && open => return Ok(records),
            (Some(_), false) if at_end && empty => return Err(format!("{at} is closed, and its reader is not told")),
            _ => {}
        }
    }
    Ok(records)
}

/// One page of records.
///
/// # Errors
/// The service's.
pub async fn get_records(node: &Node, iterator: &str) -> Result<GetRecordsOutput, Error> {
    let get = GetRecordsInput { shard_iterator: iterator.into(), ..Default::default() };
    match node.call(Input::GetRecords(get)).await? {
        Output::GetRecords(page) => Ok(page),
        other => Err(Error::new(ErrorCode::InternalFailure, format!("{other:?}"))),
    }
}

/// Parents end before their children begin.
fn check_generations(name: &str, stream: usize, list: &[Shard], findings: &Findings) -> Result<(), Problem> {
    for child in list {
        let begin = &child.sequence_number_range.starting_sequence_number;
        let parents = [&child.parent_shard_id, &child.adjacent_parent_shard_id];
        for parent in list.iter().filter(|p| parents.contains(&&Some(p.shard_id.clone()))) {
            let Some(end) = &parent.sequence_number_range.ending_sequence_number else {
                return Err(format!("{} of {name} has a child and is open", parent.shard_id));
            };
            let last = findings.records.get(&(stream, parent.shard_id.clone())).and_then(|r| r.last());
            if last.is_some_and(|(sequence, _)| sequence > end) {
                return Err(format!("{last:?} of {} of {name} is above its end {end}", parent.shard_id));
            }
            if end >= begin {
                return Err(format!("{} of {name} ends at {end}, its child begins at {begin}", parent.shard_id));
            }
        }
        let first = findings.records.get(&(stream, child.shard_id.clone())).and_then(|r| r.first());
        if first.is_some_and(|(sequence, _)| sequence <= begin) {
            return Err(format!("{first:?} of {} of {name} is below its begin {begin}", child.shard_id));
        }
    }
    Ok(())
}

/// Nothing that must be there is missing.
fn check_required(
    node: &Node,
    model: &Model,
    stream: usize,
    findings: &Findings,
    crash: Option<Crash>,
    asked: u64,
) -> Result<(), Problem> {
    let mut model_now = None;
    for ((_, id), shard) in model.shards.range((stream, String::new())..(stream + 1, String::new())) {
        let found = findings.records.get(&(stream, id.clone())).map_or(&[][..], Vec::as_slice);
        let missing = shard.known.iter().find(|(sequence, known)| {
            model.is_required(stream, known, crash)
                && found.binary_search_by(|(s, _)| s.as_str().cmp(sequence)).is_err()
        });
        let Some((sequence, known)) = missing else { continue };
        // While it was looked for, more may have expired.
        let now = model_now.get_or_insert_with(|| {
            let mut later = model.clone();
            later.time_passes(node.now().max(asked));
            later
        });
        if now.is_required(stream, known, crash) {
            return Err(lost(stream, id, sequence, known));
        }
    }
    Ok(())
}

fn lost(stream: usize, shard: &str, sequence: &str, known: &Known) -> Problem {
    let how = if known.read { "was read" } else { "was acknowledged" };
    format!("record {} at {sequence} in {shard} of {}, which {how}, is lost", known.id, NAMES[stream])
}

impl Model {
    /// Clients have seen what there is after a restart.
    pub fn restarted(&mut self, findings: &Findings, crash: Option<Crash>) {
        let event = self.tick();
        for (stream, settings) in findings.streams.iter().enumerate() {
            let known = &mut self.streams[stream];
            known.allowed = vec![settings.clone()];
            known.version = known.version.next_multiple_of(2);
            if settings.is_none() {
                // All its records are gone with it.
                known.version += 2;
                known.due = 0;
            }
        }
        if self.relaxed && crash == Some(Crash::PowerLoss) {
            for known in self.shards.values_mut().flat_map(|shard| shard.known.values_mut()) {
                known.acknowledged = false;
            }
        }
        let mut found = HashSet::new();
        for (key, records) in &findings.records {
            let version = self.streams[key.0].version;
            for (sequence, id) in records {
                found.insert(*id);
                self.places.insert(*id, (key.clone(), sequence.clone()));
                let shard = self.shards.entry(key.clone()).or_default();
                let fresh = Known { id: *id, version, event, acknowledged: false, read: true };
                let known = shard.known.entry(sequence.clone()).or_insert(fresh);
                known.read = true;
                known.version = version;
            }
            if let Some((last, _)) = records.last() {
                let shard = self.shards.entry(key.clone()).or_default();
                shard.passed = shard.passed.clone().max(last.clone());
            }
        }
        for (id, put) in self.puts.iter_mut().enumerate() {
            if put.fate == Fate::Open && !found.contains(&(id as u64)) {
                put.fate = Fate::Dead;
            }
        }
    }
}
