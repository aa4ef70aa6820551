//! What `make bench-instructions` counts of the data plane: whole operations, from the decoded request to the answer
//! before it is encoded, over the segment engine on a simulated disk. As tests they check that the pieces do their work.

use base64_simd::STANDARD;
use millstream_api::Blob;
use millstream_api::kinesis::{PutRecordInput, PutRecordsRequestEntry, ShardIteratorType};
use millstream_env::counted;

use super::world::{World, iterator_input, put_input};
use crate::hash::{HashRange, Routes, initial_ranges, md5_hash};
use crate::limits::Limits;

/// Records of a batch, and of a page.
const RECORDS: usize = 500;

fn unlimited(shards: i32) -> World {
    let world = World::on_disk(1, Limits::none());
    world.create(shards);
    world
}

fn partition_keys() -> Vec<String> {
    (0..RECORDS).map(|record| format!("partition-key-{record:05}")).collect()
}

/// 1 KB as a JSON request carries it.
fn base64() -> String {
    STANDARD.encode_to_string([0xa5; 1024])
}

#[test]
fn route_500_records() {
    let ranges: Vec<HashRange> = initial_ranges(4);
    let routes = Routes::new(ranges.into_iter().zip(0..));
    let keys = partition_keys();
    let route = || keys.iter().filter_map(|key| routes.route(md5_hash(key))).map(u64::from).sum::<u64>();
    assert!(route() > 0);
    counted(route);
}

#[test]
fn put_record() {
    let world = unlimited(4);
    let (data, key) = (base64(), "partition-key-00042");
    let put = || {
        let data = Blob::from_base64(data.as_bytes()).unwrap();
        let input = PutRecordInput { data, ..put_input(key, &[]) };
        world.run(world.kinesis.put_record(&world.context, input)).unwrap()
    };
    assert!(!put().sequence_number.is_empty());
    counted(put);
}

#[test]
fn put_records() {
    let world = unlimited(4);
    let (data, keys) = (base64(), partition_keys());
    let put = || {
        let entry = |key| PutRecordsRequestEntry {
            data: Blob::from_base64(data.as_bytes()).unwrap(),
            partition_key: Some(key),
            ..PutRecordsRequestEntry::default()
        };
        world.put_records(keys.iter().map(|key| entry(key.into())).collect()).unwrap()
    };
    assert_eq!(put().records.len(), RECORDS);
    counted(put);
}

#[test]
fn get_records() {
    let world = unlimited(1);
    let (data, keys) = ([0xa5; 1024], partition_keys());
    world.put_records(keys.iter().map(|key| super::world::entry(key, &data)).collect()).unwrap();
    let iterator = world.iterator(iterator_input("shardId-000000000000", ShardIteratorType::TrimHorizon)).unwrap();
    let get = || world.get(&iterator, Some(500)).unwrap();
    assert_eq!(get().records.len(), RECORDS);
    counted(get);
}
