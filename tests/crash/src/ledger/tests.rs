//! The judge must find every kind of fault it is there for.

use super::*;

const SEED: u64 = 11;

fn place(shard: u64, sequence: u64) -> Place {
    Place { shard: format!("shardId-{shard:012}"), sequence: format!("{sequence:056}") }
}

fn read(id: RecordId, place: Place) -> Read {
    Read { place, partition_key: payload::partition_key(SEED, id), data: payload::bytes(SEED, id) }
}

/// A ledger with `count` acknowledged records of one writer on shard 0, and their ids.
fn ledger(count: u64) -> (Ledger, Vec<RecordId>) {
    let mut ledger = Ledger::new(SEED, 1);
    let ids: Vec<RecordId> = (0..count).map(|_| ledger.attempt(0)).collect();
    for id in &ids {
        ledger.acknowledged(*id, place(0, id.number + 1));
    }
    (ledger, ids)
}

#[test]
fn what_was_acknowledged_and_found_is_fine() {
    let (mut ledger, ids) = ledger(20);
    let unknown = ledger.attempt(0);
    for id in ids {
        ledger.seen(read(id, place(0, id.number + 1)));
        ledger.found(read(id, place(0, id.number + 1)));
    }
    let expected = Counts { acknowledged: 20, unknown: 1, seen: 20, ..Counts::default() };
    assert_eq!(ledger.judge(), expected);
    ledger.found(read(unknown, place(0, 30)));
    assert_eq!(ledger.judge(), Counts { unknown_found: 1, ..expected });
    assert_eq!(ledger.problems(), [""; 0]);
}

#[test]
fn a_lost_record_is_found_out() {
    let (mut ledger, ids) = ledger(2);
    ledger.found(read(ids[0], place(0, 1)));
    ledger.judge();
    assert_eq!(ledger.problems().len(), 1, "{:?}", ledger.problems());
}

#[test]
fn a_seen_record_must_stay() {
    let mut ledger = Ledger::new(SEED, 1);
    let id = ledger.attempt(0);
    ledger.seen(read(id, place(0, 5)));
    ledger.judge();
    assert_eq!(ledger.problems().len(), 1, "{:?}", ledger.problems());
}

#[test]
fn duplicates_moves_refused_records_and_foreign_bytes_are_found_out() {
    let (mut doubled, ids) = ledger(1);
    doubled.found(read(ids[0], place(0, 1)));
    doubled.found(read(ids[0], place(0, 2)));
    assert!(!doubled.problems().is_empty());

    let (mut moved, ids) = ledger(1);
    moved.found(read(ids[0], place(1, 1)));
    assert_eq!(moved.problems().len(), 1);

    let mut refused = Ledger::new(SEED, 1);
    let id = refused.attempt(0);
    refused.refused(id);
    refused.found(read(id, place(0, 1)));
    assert_eq!(refused.problems().len(), 1);

    let (mut altered, ids) = ledger(1);
    let mut bytes = read(ids[0], place(0, 1));
    if let Some(last) = bytes.data.last_mut() {
        *last ^= 1;
    }
    altered.found(bytes);
    assert_eq!(altered.problems().len(), 1);

    let (mut unknown, _) = ledger(1);
    unknown.found(read(RecordId { writer: 0, number: 7 }, place(0, 1)));
    assert_eq!(unknown.problems().len(), 1);
}

/// Two records of the same key, the earlier one first.
fn pair(ids: &[RecordId]) -> (RecordId, RecordId) {
    let first = ids[0];
    let second = ids.iter().skip(1).find(|id| payload::key(SEED, **id) == payload::key(SEED, first)).copied();
    (first, second.unwrap_or(first))
}

#[test]
fn disorder_is_found_out() {
    let mut ledger = Ledger::new(SEED, 1);
    let ids: Vec<RecordId> = (0..50).map(|_| ledger.attempt(0)).collect();
    let (first, second) = pair(&ids);
    assert_ne!(first, second);
    ledger.found(read(second, place(0, 1)));
    ledger.found(read(first, place(0, 2)));
    assert_eq!(ledger.problems().len(), 1, "{:?}", ledger.problems());
    ledger.read_again();
    ledger.found(read(first, place(0, 2)));
    ledger.found(read(second, place(0, 1)));
    assert_eq!(ledger.problems().len(), 2, "{:?}", ledger.problems());
}

#[test]
fn disorder_between_parent_and_child_is_found_out() {
    let mut ledger = Ledger::new(SEED, 1);
    let ids: Vec<RecordId> = (0..50).map(|_| ledger.attempt(0)).collect();
    let (first, second) = pair(&ids);
    ledger.found(read(second, place(0, 1)));
    ledger.found(read(first, place(1, 2)));
    ledger.judge();
    assert_eq!(ledger.problems().len(), 1, "{:?}", ledger.problems());
}
