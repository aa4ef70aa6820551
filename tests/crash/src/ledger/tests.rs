//! The judge must find every kind of fault it is there for.

use super::*;

const SEED: u64 = 11;

/// When everything is put and read.
const NOW: Moment = Moment { earliest: 1_000_000, latest: 1_000_020 };

fn number(sequence: u64) -> Sequence {
    Sequence::parse(&format!("{sequence:056}")).unwrap()
}

fn place(shard: u32, sequence: u64) -> Place {
    Place { shard, sequence: number(sequence) }
}

fn empty() -> Ledger {
    Ledger::new(SEED, 1, HashMap::new())
}

fn read(id: RecordId, place: Place) -> Read {
    Read { place, partition_key: payload::partition_key(SEED, id), data: payload::bytes(SEED, id), arrived: 1_000_010 }
}

/// A ledger with `count` acknowledged records of one writer on shard 0, and their ids.
fn ledger(count: u64) -> (Ledger, Vec<RecordId>) {
    let mut ledger = empty();
    let ids: Vec<RecordId> = (0..count).map(|_| ledger.attempt(0, NOW)).collect();
    for id in &ids {
        ledger.acknowledged(*id, place(0, id.number + 1));
    }
    (ledger, ids)
}

#[test]
fn what_was_acknowledged_and_found_is_fine() {
    let (mut ledger, ids) = ledger(20);
    let unknown = ledger.attempt(0, NOW);
    for id in ids {
        ledger.seen(read(id, place(0, id.number + 1)));
        ledger.found(read(id, place(0, id.number + 1)), NOW);
    }
    let expected = Counts { acknowledged: 20, unknown: 1, seen: 20, ..Counts::default() };
    assert_eq!(ledger.judge(), expected);
    ledger.found(read(unknown, place(0, 30)), NOW);
    assert_eq!(ledger.judge(), Counts { unknown_found: 1, ..expected });
    assert_eq!(ledger.problems(), [""; 0]);
}

#[test]
fn a_lost_record_is_found_out() {
    let (mut ledger, ids) = ledger(2);
    ledger.found(read(ids[0], place(0, 1)), NOW);
    ledger.judge();
    assert_eq!(ledger.problems().len(), 1, "{:?}", ledger.problems());
}

#[test]
fn a_seen_record_must_stay() {
    let mut ledger = empty();
    let id = ledger.attempt(0, NOW);
    ledger.seen(read(id, place(0, 5)));
    ledger.judge();
    assert_eq!(ledger.problems().len(), 1, "{:?}", ledger.problems());
}

#[test]
fn duplicates_moves_refused_records_and_foreign_bytes_are_found_out() {
    let (mut doubled, ids) = ledger(1);
    doubled.found(read(ids[0], place(0, 1)), NOW);
    doubled.found(read(ids[0], place(0, 2)), NOW);
    assert!(!doubled.problems().is_empty());

    let (mut moved, ids) = ledger(1);
    moved.found(read(ids[0], place(1, 1)), NOW);
    assert_eq!(moved.problems().len(), 1);

    let mut refused = empty();
    let id = refused.attempt(0, NOW);
    refused.refused(id);
    refused.found(read(id, place(0, 1)), NOW);
    assert_eq!(refused.problems().len(), 1);

    let (mut altered, ids) = ledger(1);
    let mut bytes = read(ids[0], place(0, 1));
    if let Some(last) = bytes.data.last_mut() {
        *last ^= 1;
    }
    altered.found(bytes, NOW);
    assert_eq!(altered.problems().len(), 1);

    let (mut unknown, _) = ledger(1);
    unknown.found(read(RecordId { writer: 0, number: 7 }, place(0, 1)), NOW);
    assert_eq!(unknown.problems().len(), 1);
}

/// Two records of the same key, the earlier one first.
fn pair(ids: &[RecordId]) -> (RecordId, RecordId) {
    let first = ids[0];
    let second = ids.iter().skip(1).find(|id| payload::key(SEED, **id) == payload::key(SEED, first)).copied();
    (first, second.unwrap_or(first))
}

#[test]
fn a_record_that_expired_may_be_gone_and_must_not_be_there_later() {
    let (mut ledger, ids) = ledger(1);
    ledger.retained(NOW, 20, 100);
    ledger.judge();
    assert_eq!(ledger.problems().len(), 1, "it was put just now");
    let (mut ledger, _) = self::ledger(1);
    let later = Moment { earliest: NOW.earliest + 100, latest: NOW.latest + 100 };
    ledger.retained(later, 50, 500);
    assert_eq!(ledger.judge(), Counts { acknowledged: 1, expired: 1, ..Counts::default() });
    assert_eq!(ledger.problems(), [""; 0]);
    ledger.found(read(ids[0], place(0, 1)), NOW);
    assert_eq!(ledger.problems(), [""; 0], "the longer retention may hold");
    ledger.read_again();
    ledger.retained(later, 50, 80);
    ledger.found(read(ids[0], place(0, 1)), NOW);
    assert_eq!(ledger.problems().len(), 1, "{:?}", ledger.problems());
}

#[test]
fn a_time_of_arrival_that_cannot_be_is_found_out() {
    let (mut ledger, ids) = ledger(1);
    ledger.found(Read { arrived: NOW.earliest - 1, ..read(ids[0], place(0, 1)) }, NOW);
    assert_eq!(ledger.problems().len(), 1);
}

#[test]
fn a_sequence_number_of_an_earlier_stream_is_found_out() {
    let mut ledger = Ledger::new(SEED, 1, [(0, number(7))].into());
    let id = ledger.attempt(0, NOW);
    ledger.found(read(id, place(0, 7)), NOW);
    assert_eq!(ledger.problems().len(), 1);
    assert_eq!(ledger.highest(), [(0, number(7))].into());
}

#[test]
fn disorder_is_found_out() {
    let mut ledger = empty();
    let ids: Vec<RecordId> = (0..50).map(|_| ledger.attempt(0, NOW)).collect();
    let (first, second) = pair(&ids);
    assert_ne!(first, second);
    ledger.found(read(second, place(0, 1)), NOW);
    ledger.found(read(first, place(0, 2)), NOW);
    assert_eq!(ledger.problems().len(), 1, "{:?}", ledger.problems());
    ledger.read_again();
    ledger.found(read(first, place(0, 2)), NOW);
    ledger.found(read(second, place(0, 1)), NOW);
    assert_eq!(ledger.problems().len(), 2, "{:?}", ledger.problems());
}

#[test]
fn disorder_between_parent_and_child_is_found_out() {
    let mut ledger = empty();
    let ids: Vec<RecordId> = (0..50).map(|_| ledger.attempt(0, NOW)).collect();
    let (first, second) = pair(&ids);
    ledger.found(read(second, place(0, 1)), NOW);
    ledger.found(read(first, place(1, 2)), NOW);
    ledger.judge();
    assert_eq!(ledger.problems().len(), 1, "{:?}", ledger.problems());
}
