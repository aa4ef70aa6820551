use millstream_api::ErrorCode;
use millstream_api::kinesis::{
    CreateStreamInput, PutRecordInput, PutRecordsRequestEntry, RecordDistributionStrategy, ShardIteratorType,
};
use millstream_log::memory::Fault;

use super::world::{World, context, entry, iterator_input, put_input, refused};
use crate::limits::Limits;
use crate::sequence::{Parsed, SequenceNumber};

fn number(text: &str) -> SequenceNumber {
    match SequenceNumber::parse(text) {
        Ok(Parsed::V2(number)) => number,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_put_names_shard_and_number() {
    let world = World::with_stream(3);
    for (key, shard) in [("a", 0), ("b", 1), ("e", 2), ("f", 1)] {
        let put = world.put(key, b"data").unwrap();
        assert_eq!(put.shard_id, format!("shardId-{shard:012}"));
        let number = number(&put.sequence_number);
        assert_eq!((number.shard(), number.index()), (shard, if key == "f" { 2 } else { 1 }));
        assert_eq!(put.encryption_type, None);
    }
    let explicit = PutRecordInput { explicit_hash_key: Some("0".into()), ..put_input("e", b"") };
    let put = world.run(world.kinesis.put_record(&world.context, explicit)).unwrap();
    assert_eq!(put.shard_id, "shardId-000000000000");
}

#[test]
fn arguments_of_a_put_are_checked() {
    let world = World::with_stream(1);
    let put = |input| refused(world.run(world.kinesis.put_record(&world.context, input)));
    let big = "340282366920938463463374607431768211456";
    let (code, message) = put(PutRecordInput { explicit_hash_key: Some(big.into()), ..put_input("a", b"") });
    assert_eq!(code, ErrorCode::InvalidArgumentException);
    assert!(message.ends_with(&format!("Specified value was {big}")));
    let (code, message) = put(PutRecordInput { sequence_number_for_ordering: Some("5".into()), ..put_input("a", b"") });
    assert_eq!(code, ErrorCode::InvalidArgumentException);
    assert!(message.starts_with("ExclusiveMinimumSequenceNumber 5 used in PutRecord on stream s"), "{message}");
    let (code, _) = put(PutRecordInput { partition_key: None, ..put_input("a", b"") });
    assert_eq!(code, ErrorCode::InvalidArgumentException);
    let (code, message) = put(put_input("a", &[0; 1 << 20]));
    assert_eq!(code, ErrorCode::ValidationException, "the key counts too");
    assert!(message.contains("'data'") && message.ends_with("1048576"), "{message}");
    assert!(world.put("a", &[0; (1 << 20) - 1]).is_ok());
    let elsewhere = PutRecordInput { stream_name: Some("t".into()), ..put_input("a", b"") };
    let (code, message) = put(elsewhere);
    assert_eq!(code, ErrorCode::ResourceNotFoundException);
    assert_eq!(message, "Stream t under account 123456789012 not found.");
}

#[test]
fn worlds_do_not_see_each_other() {
    let world = World::with_stream(1);
    let other = context("999999999999");
    let (code, _) = refused(world.run(world.kinesis.put_record(&other, put_input("a", b""))));
    assert_eq!(code, ErrorCode::ResourceNotFoundException);
    let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/s";
    let by_arn = || PutRecordInput { stream_name: None, stream_arn: Some(arn.into()), ..put_input("a", b"") };
    assert!(world.run(world.kinesis.put_record(&world.context, by_arn())).is_ok());
    let (code, _) = refused(world.run(world.kinesis.put_record(&other, by_arn())));
    assert_eq!(code, ErrorCode::AccessDeniedException);
}

#[test]
fn records_of_one_call_keep_their_order() {
    let world = World::with_stream(3);
    let keys = ["a", "b", "e", "f", "a", "b"];
    let output = world.put_records(keys.iter().map(|key| entry(key, key.as_bytes())).collect()).unwrap();
    assert_eq!(output.failed_record_count, Some(0));
    let shards: Vec<_> = output.records.iter().map(|r| number(r.sequence_number.as_ref().unwrap()).shard()).collect();
    assert_eq!(shards, [0, 1, 2, 1, 0, 1]);
    let indexes: Vec<_> = output.records.iter().map(|r| number(r.sequence_number.as_ref().unwrap()).index()).collect();
    assert_eq!(indexes, [1, 1, 1, 2, 2, 3]);
    let iterator = world.iterator(iterator_input("1", ShardIteratorType::TrimHorizon)).unwrap();
    assert_eq!(world.read_on(iterator, None), ["b", "f", "b"]);
}

#[test]
fn of_five_large_records_four_are_throttled() {
    let world = World::with_stream(1);
    let data = vec![7; 1_000_000];
    let output = world.put_records((0..5).map(|_| entry("a", &data)).collect()).unwrap();
    assert_eq!(output.failed_record_count, Some(4));
    assert!(output.records[0].sequence_number.is_some() && output.records[0].error_code.is_none());
    for record in &output.records[1..] {
        assert_eq!(record.error_code.as_deref(), Some("ProvisionedThroughputExceededException"));
        assert_eq!(
            record.error_message.as_deref(),
            Some("Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012.")
        );
        assert!(record.sequence_number.is_none() && record.shard_id.is_none());
    }
    let output = world.put_records(vec![entry("a", &data)]).unwrap();
    assert_eq!(output.failed_record_count, Some(1), "all throttled is an answer too");
    let (code, _) = refused(world.put("a", &data));
    assert_eq!(code, ErrorCode::ProvisionedThroughputExceededException);
    world.sim.clock.advance(1_000);
    assert!(world.put("a", &data).is_ok());
}

#[test]
fn a_call_is_checked_as_a_whole() {
    let world = World::with_stream(1);
    let bad_hash = PutRecordsRequestEntry {
        explicit_hash_key: Some("340282366920938463463374607431768211456".into()),
        ..entry("a", b"")
    };
    let (code, _) = refused(world.put_records(vec![entry("a", b"kept"), bad_hash]));
    assert_eq!(code, ErrorCode::InvalidArgumentException);
    let no_key = PutRecordsRequestEntry { partition_key: None, ..entry("a", b"") };
    let (code, _) = refused(world.put_records(vec![entry("a", b"kept"), no_key]));
    assert_eq!(code, ErrorCode::InvalidArgumentException);
    let large = vec![0; 1 << 20];
    let (code, message) = refused(world.put_records(vec![entry("a", b""), entry("a", &large)]));
    assert_eq!(code, ErrorCode::ValidationException);
    assert!(message.contains("'records.2.member.data'"), "{message}");
    let data = vec![0; (1 << 20) - 1];
    let (code, message) = refused(world.put_records((0..11).map(|_| entry("a", &data)).collect()));
    assert_eq!((code, message.as_str()), (ErrorCode::InvalidArgumentException, "Records size exceeds 10 MB limit"));
    let iterator = world.iterator(iterator_input("0", ShardIteratorType::TrimHorizon)).unwrap();
    assert!(world.read_on(iterator, None).is_empty());
}

#[test]
fn a_failed_append_is_an_internal_failure() {
    for fault in [Fault::DiskFull, Fault::UnknownLost, Fault::UnknownWritten, Fault::LoseOwnership] {
        let world = World::with_stream(1);
        world.memory.as_ref().expect("the log in memory").inject(fault);
        let (code, _) = refused(world.put_records(vec![entry("a", b"x"), entry("b", b"y")]));
        assert_eq!(code, ErrorCode::InternalFailureException, "{fault:?}");
        // The next one finds the new epoch.
        assert!(world.put("a", b"z").is_ok());
    }
}

#[test]
fn a_dry_run_checks_and_writes_nothing() {
    let world = World::with_stream(1);
    let dry = |input: PutRecordInput<'_>| {
        let input = PutRecordInput { dry_run: Some(true), ..input };
        refused(world.run(world.kinesis.put_record(&world.context, input)))
    };
    let (code, message) = dry(put_input("a", b"x"));
    assert_eq!(code, ErrorCode::DryRunOperationException);
    assert_eq!(message, "Request would have succeeded, but DryRun flag is set.");
    let (code, _) = dry(put_input("a", b"x"));
    assert_eq!(code, ErrorCode::ThrottlingException);
    let (code, _) = dry(PutRecordInput { partition_key: None, ..put_input("a", b"x") });
    assert_eq!(code, ErrorCode::InvalidArgumentException, "checks come first");
    let (code, _) = dry(PutRecordInput { stream_name: Some("t".into()), ..put_input("a", b"x") });
    assert_eq!(code, ErrorCode::ResourceNotFoundException);
    world.sim.clock.advance(1_000);
    let mut input = iterator_input("0", ShardIteratorType::Latest);
    input.dry_run = Some(true);
    let (code, _) = refused(world.iterator(input));
    assert_eq!(code, ErrorCode::DryRunOperationException);
    let iterator = world.iterator(iterator_input("0", ShardIteratorType::TrimHorizon)).unwrap();
    assert!(world.read_on(iterator, None).is_empty());
}

#[test]
fn without_limits_a_shard_takes_what_comes() {
    let world = World::new(1, Limits::none());
    world.create(1);
    let data = vec![7; 1_000_000];
    for _ in 0..5 {
        let output = world.put_records((0..20).map(|_| entry("a", &data)).collect()).unwrap();
        assert_eq!(output.failed_record_count, Some(0));
    }
}

/// A world whose on-demand stream `s` has AUTO distribution, and four shards.
fn spread_world(limits: Limits) -> World {
    let world = World::new(1, limits);
    let input = CreateStreamInput {
        stream_name: "s".into(),
        record_distribution_strategy: Some(RecordDistributionStrategy::Auto),
        ..CreateStreamInput::default()
    };
    world.run(world.kinesis.create_stream(&world.context, input)).unwrap();
    world
}

#[test]
fn records_are_spread_over_the_shards_in_turn() {
    let world = spread_world(Limits::aws());
    let shards = |keys: &[&str]| -> Vec<u32> {
        let output = world.put_records(keys.iter().map(|key| entry(key, b"x")).collect()).unwrap();
        output.records.iter().map(|r| number(r.sequence_number.as_ref().unwrap()).shard()).collect()
    };
    assert_eq!(shards(&["same"; 6]), [0, 1, 2, 3, 0, 1]);
    assert_eq!(shards(&["same"; 3]), [2, 3, 0], "the next request goes on");
    let explicit = PutRecordInput { explicit_hash_key: Some("0".into()), ..put_input("e", b"") };
    let put = world.run(world.kinesis.put_record(&world.context, explicit)).unwrap();
    assert_eq!(put.shard_id, "shardId-000000000001");
}

#[test]
fn keys_are_optional_where_records_are_spread() {
    let world = spread_world(Limits::aws());
    let keyless = PutRecordInput { partition_key: None, ..put_input("", b"no key") };
    world.run(world.kinesis.put_record(&world.context, keyless)).unwrap();
    let entries = vec![PutRecordsRequestEntry { partition_key: None, ..entry("", b"none") }, entry("mine", b"keyed")];
    assert_eq!(world.put_records(entries).unwrap().failed_record_count, Some(0));
    let key_in = |shard: &str| {
        let iterator = world.iterator(iterator_input(shard, ShardIteratorType::TrimHorizon)).unwrap();
        world.get(&iterator, None).unwrap().records.remove(0).partition_key
    };
    assert_eq!((key_in("0"), key_in("1"), key_in("2")), (None, None, Some("mine".to_owned())));
    // Data alone may be as large as a record.
    let data = vec![0; 1 << 20];
    let largest = PutRecordInput { partition_key: None, ..put_input("", &data) };
    world.run(world.kinesis.put_record(&world.context, largest)).unwrap();
    let ordered = PutRecordInput { sequence_number_for_ordering: Some("5".into()), ..put_input("a", b"") };
    let (code, message) = refused(world.run(world.kinesis.put_record(&world.context, ordered)));
    assert_eq!(code, ErrorCode::InvalidArgumentException);
    let text = "Stream has SERVICE_DEFINED PartitionKey enabled. SequenceNumberForOrdering must not be provided.";
    assert_eq!(message, text);
}

#[test]
fn spreading_skips_shards_without_throughput() {
    let world = spread_world(Limits::aws());
    let data = vec![7; 700_000];
    // Each shard takes one such record in a second, and is skipped from then on.
    let output = world.put_records((0..6).map(|_| entry("k", &data)).collect()).unwrap();
    assert_eq!(output.failed_record_count, Some(2));
    assert!(output.records[4].error_code.is_some() && output.records[5].error_code.is_some());
    // A small one finds room wherever its turn begins.
    for _ in 0..4 {
        assert!(world.put("k", &data[..300_000]).is_ok());
    }
    let (code, _) = refused(world.put("k", &data[..300_000]));
    assert_eq!(code, ErrorCode::ProvisionedThroughputExceededException);
    world.sim.clock.advance(1_000);
    assert!(world.put("k", &data).is_ok());
}
