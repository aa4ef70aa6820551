use super::*;
use crate::{Batch, RecordKeys};

const RECORDS: u64 = 500;

/// A chunk of records from offset `first` on, with ten bytes of key and data each.
fn chunk(first: Offset) -> Chunk {
    let mut batch = Batch::new();
    for _ in 0..RECORDS {
        let keys = RecordKeys { partition_key: Some("key"), ..RecordKeys::default() };
        batch.push(0, keys, &[1; 7]);
    }
    Chunk::new(0, first, RECORDS as u32, batch.shards.remove(0).encoded)
}

fn offsets(chunks: &[Chunk], from: Offset, until: Until) -> (Vec<Offset>, Offset) {
    let scanned = records_of(chunks, from, until).unwrap();
    (scanned.records.iter().map(|r| r.offset).collect(), scanned.next)
}

#[test]
fn no_more_records_of_a_chunk_are_decoded_than_are_asked_for() {
    let chunks = [chunk(0), chunk(RECORDS)];
    let all = Until { end: 2 * RECORDS, max_bytes: usize::MAX, max_records: usize::MAX };
    assert_eq!(offsets(&chunks, 100, Until { max_records: 10, ..all }), ((100..110).collect(), 110));
    assert_eq!(offsets(&chunks, 495, Until { max_bytes: 91, ..all }), ((495..505).collect(), 505));
    assert_eq!(offsets(&chunks, 990, Until { end: 995, ..all }), ((990..995).collect(), 995));
    assert_eq!(offsets(&chunks, 3, all), ((3..2 * RECORDS).collect(), 2 * RECORDS));
}

#[test]
fn what_cannot_be_decoded_is_reported_whether_wanted_or_stepped_over() {
    let mut cut = chunk(0);
    cut.bytes.truncate(cut.bytes.len() - 1);
    let all = Until { end: 2 * RECORDS, max_bytes: usize::MAX, max_records: usize::MAX };
    for from in [0, RECORDS - 1, RECORDS] {
        assert!(records_of(&[cut.clone(), chunk(RECORDS)], from, all).is_err(), "from {from}");
    }
}
