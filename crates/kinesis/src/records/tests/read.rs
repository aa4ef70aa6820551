use millstream_api::kinesis::{GetRecordsInput, GetShardIteratorInput, ShardIteratorType as Type};
use millstream_api::{Context, ErrorCode, Timestamp};
use proptest::prelude::*;

use super::world::{ACCOUNT, World, context, entry, iterator_input, refused};
use crate::limits::{Limit, Limits};
use crate::sequence::{Parsed, SequenceNumber};

fn with_number(kind: Type, number: String) -> GetShardIteratorInput<'static> {
    GetShardIteratorInput { starting_sequence_number: Some(number.into()), ..iterator_input("0", kind) }
}

fn at_time(ms: u64) -> GetShardIteratorInput<'static> {
    GetShardIteratorInput { timestamp: Some(Timestamp(ms as i64)), ..iterator_input("0", Type::AtTimestamp) }
}

#[test]
fn what_was_put_is_read() {
    let world = World::with_stream(1);
    let empty = world.iterator(iterator_input("0", Type::TrimHorizon)).unwrap();
    let page = world.get(&empty, None).unwrap();
    assert_eq!((page.records.len(), page.millis_behind_latest), (0, Some(0)));
    assert!(page.next_shard_iterator.is_some_and(|next| next != empty) && page.child_shards.is_none());
    let put = world.put("key", b"some data").unwrap();
    world.put("key", b"").unwrap();
    let page = world.get(&empty, Some(1)).unwrap();
    let record = &page.records[0];
    assert_eq!((&record.data[..], record.partition_key.as_deref()), (&b"some data"[..], Some("key")));
    assert_eq!(record.sequence_number, put.sequence_number);
    assert_eq!(record.approximate_arrival_timestamp, Some(Timestamp(world.kinesis.now() as i64)));
    assert_eq!(record.encryption_type, None);
    assert_eq!(page.millis_behind_latest, Some(1), "there is more to read");
    let page = world.get(&page.next_shard_iterator.unwrap(), None).unwrap();
    assert_eq!((page.records.len(), page.records[0].data.len(), page.millis_behind_latest), (1, 0, Some(0)));
    let again = world.get(&format!("\"{empty}\""), None).unwrap();
    assert_eq!(again.records.len(), 2, "an iterator can be used again, and in quotes");
}

#[test]
fn latest_is_settled_when_it_is_asked_for() {
    let world = World::with_stream(1);
    world.put("a", b"before").unwrap();
    let latest = world.iterator(iterator_input("shardId-000000000000", Type::Latest)).unwrap();
    world.put("a", b"after").unwrap();
    assert_eq!(world.read_on(latest, None), ["after"]);
}

#[test]
fn a_time_is_a_place_too() {
    let world = World::with_stream(1);
    let start = world.kinesis.now();
    world.put("a", b"first").unwrap();
    world.sim.clock.advance(1_500);
    world.put("a", b"second").unwrap();
    let (code, message) = refused(world.iterator(at_time(start + 1_501)));
    assert_eq!(code, ErrorCode::InvalidArgumentException);
    assert!(message.ends_with(&format!("currentTimestampInMillis: {}", start + 1_500)), "{message}");
    let read = |ms| world.read_on(world.iterator(at_time(ms)).unwrap(), None);
    assert_eq!(read(start), ["first", "second"]);
    assert_eq!(read(start + 1), ["second"]);
    assert_eq!(read(0), ["first", "second"]);
    assert_eq!(read(world.kinesis.now()), [""; 0]);
}

#[test]
fn arguments_of_an_iterator_are_checked() {
    let world = World::with_stream(1);
    let refuse = |input| refused(world.iterator(input));
    let (code, message) = refuse(iterator_input("2.14E4", Type::Latest));
    assert_eq!(code, ErrorCode::ResourceNotFoundException);
    assert_eq!(message, "Could not find shard 2.14E4 in stream s under account 123456789012.");
    let missing = "Shard shardId-000000000007 in stream s under account 123456789012 does not exist";
    assert_eq!(refuse(iterator_input("x-7", Type::Latest)).1, missing);
    let elsewhere = GetShardIteratorInput { stream_name: Some("t".into()), ..iterator_input("7", Type::Latest) };
    let (code, message) = refuse(elsewhere);
    assert_eq!(code, ErrorCode::ResourceNotFoundException);
    assert_eq!(message, missing.replace("stream s", "stream t"));
    assert!(
        refuse(iterator_input("0", Type::AtSequenceNumber))
            .1
            .ends_with("AT_SEQUENCE_NUMBER and no StartingSequenceNumber.")
    );
    assert!(refuse(with_number(Type::Latest, "0".into())).1.ends_with("LATEST and also a StartingSequenceNumber."));
    assert!(refuse(iterator_input("0", Type::AtTimestamp)).1.starts_with("Must specify timestampInMillis"));
    let after = |number: &str| refuse(with_number(Type::AfterSequenceNumber, number.to_owned()));
    assert_eq!(after("0").0, ErrorCode::InternalFailure);
    assert!(after("5").1.contains("It encodes shardId-000000000005"));
    assert!(after(&"9".repeat(56)).1.ends_with("is invalid."));
    let foreign = SequenceNumber::start_of(1_000_000_000, 0).to_text();
    assert!(after(&foreign).1.ends_with("is invalid because it did not come from this stream."));
}

#[test]
fn iterators_expire_and_are_checked() {
    let world = World::with_stream(1);
    let iterator = world.iterator(iterator_input("0", Type::TrimHorizon)).unwrap();
    let (code, message) = refused(world.get("garbage", None));
    assert_eq!((code, message.as_str()), (ErrorCode::InvalidArgumentException, "Invalid ShardIterator."));
    let input = |arn: &'static str| GetRecordsInput {
        shard_iterator: iterator.clone().into(),
        stream_arn: Some(arn.into()),
        ..GetRecordsInput::default()
    };
    let get = |input| world.run(world.kinesis.get_records(&world.context, input));
    assert!(get(input("arn:aws:kinesis:us-east-1:123456789012:stream/s")).is_ok());
    let (code, _) = refused(get(input("arn:aws:kinesis:us-east-1:123456789012:stream/t")));
    assert_eq!(code, ErrorCode::InvalidArgumentException);
    let other = context("999999999999");
    let stolen = GetRecordsInput { shard_iterator: iterator.clone().into(), ..GetRecordsInput::default() };
    let (code, _) = refused(world.run(world.kinesis.get_records(&other, stolen)));
    assert_eq!(code, ErrorCode::AccessDeniedException);
    let far = Context { region: "eu-west-1".into(), ..context(ACCOUNT) };
    let carried = GetRecordsInput { shard_iterator: iterator.clone().into(), ..GetRecordsInput::default() };
    let (code, message) = refused(world.run(world.kinesis.get_records(&far, carried)));
    assert_eq!((code, message.as_str()), (ErrorCode::InvalidArgumentException, "Invalid ShardIterator."));
    let named = input("arn:aws:kinesis:us-east-1:123456789012:stream/s");
    let (code, message) = refused(world.run(world.kinesis.get_records(&far, named)));
    assert_eq!(code, ErrorCode::InvalidArgumentException);
    assert!(message.ends_with("is not in the region eu-west-1."), "{message}");
    world.sim.clock.advance(300_000);
    assert!(world.get(&iterator, None).is_ok());
    world.sim.clock.advance(1);
    let (code, message) = refused(world.get(&iterator, None));
    assert_eq!(code, ErrorCode::ExpiredIteratorException);
    assert!(message.starts_with("Iterator expired. The iterator was created at time Sun Jun 15 "), "{message}");
}

#[test]
fn a_stream_created_again_rejects_the_old_ones_places() {
    let world = World::new(1, Limits::none());
    world.create(1);
    for _ in 0..5 {
        let put = world.put("a", b"old").unwrap();
        let iterator = world.iterator(iterator_input("0", Type::TrimHorizon)).unwrap();
        world.delete();
        let (code, _) = refused(world.get(&iterator, None));
        assert_eq!(code, ErrorCode::ResourceNotFoundException);
        world.create(1);
        let (code, message) = refused(world.get(&iterator, None));
        assert_eq!(code, ErrorCode::ResourceNotFoundException);
        assert_eq!(message, "Shard shardId-000000000000 in stream s under account 123456789012 does not exist");
        // All within one second: only logical seconds tell the streams apart.
        let (_, message) = refused(world.iterator(with_number(Type::AtSequenceNumber, put.sequence_number)));
        assert!(message.ends_with("it did not come from this stream."), "{message}");
        let iterator = world.iterator(iterator_input("0", Type::TrimHorizon)).unwrap();
        assert!(world.get(&iterator, None).unwrap().records.is_empty());
    }
}

#[test]
fn reads_are_throttled() {
    let world = World::with_stream(1);
    let iterator = world.iterator(iterator_input("0", Type::TrimHorizon)).unwrap();
    for _ in 0..5 {
        assert!(world.get(&iterator, None).is_ok());
    }
    let (code, message) = refused(world.get(&iterator, None));
    assert_eq!(code, ErrorCode::ProvisionedThroughputExceededException);
    assert_eq!(message, "Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012.");
    world.sim.clock.advance(200);
    assert!(world.get(&iterator, None).is_ok());
    for _ in 0..5 {
        world.iterator(iterator_input("0", Type::Latest)).unwrap();
    }
    let (code, _) = refused(world.iterator(iterator_input("0", Type::Latest)));
    assert_eq!(code, ErrorCode::ProvisionedThroughputExceededException);
}

#[test]
fn pages_are_bounded_in_bytes() {
    let limits = Limits { get_records_bytes: Limit::of(3_000), ..Limits::none() };
    let world = World::new(1, limits);
    world.create(1);
    let data = vec![1; 1_000];
    world.put_records((0..7).map(|_| entry("a", &data)).collect()).unwrap();
    let mut next = world.iterator(iterator_input("0", Type::TrimHorizon)).unwrap();
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 7 {
        let page = world.get(&next, None).unwrap();
        sizes.push(page.records.len());
        next = page.next_shard_iterator.unwrap();
    }
    assert_eq!(sizes, [2, 2, 2, 1], "2 records and their keys are 2,002 bytes");
}

#[test]
fn expired_records_are_not_given() {
    let world = World::with_stream(1);
    let old = world.put("a", b"old").unwrap();
    world.sim.clock.advance(24 * 60 * 60 * 1000 - 1_000);
    world.kinesis.env.clock.tick();
    world.put("a", b"young").unwrap();
    world.sim.clock.advance(1_001);
    world.kinesis.env.clock.tick();
    for input in [
        iterator_input("0", Type::TrimHorizon),
        with_number(Type::AtSequenceNumber, old.sequence_number.clone()),
        with_number(Type::AfterSequenceNumber, old.sequence_number.clone()),
        at_time(0),
    ] {
        let iterator = world.iterator(input).unwrap();
        assert_eq!(world.read_on(iterator, None), ["young"]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// AT and AFTER on the shard's start and end, on records, and on numbers between two records, in pages of any size.
    #[test]
    fn reading_from_a_number_gives_what_lies_above_it(
        pauses in proptest::collection::vec(0u64..3_000, 1..12),
        pick in 0usize..14,
        seconds_later in 0u64..3,
        after: bool,
        limit in 1i32..4,
        on_disk in proptest::bool::weighted(0.2),
    ) {
        let world = if on_disk { World::on_disk(1, Limits::none()) } else { World::new(1, Limits::none()) };
        world.create(1);
        let mut puts = Vec::new();
        for (i, pause) in pauses.iter().enumerate() {
            world.sim.clock.advance(*pause);
            let put = world.put("a", i.to_string().as_bytes()).unwrap();
            puts.push(put.sequence_number);
        }
        let create = world.stream().view().record.shards[0].create_second;
        let number = match pick {
            0 => SequenceNumber::start_of(create, 0),
            1 => SequenceNumber::end_of(create, 0, create + 100),
            n => match SequenceNumber::parse(&puts[(n - 2) % puts.len()]) {
                Ok(Parsed::V2(n)) => SequenceNumber::new(create, n.index(), n.time() + seconds_later, 0),
                other => panic!("{other:?}"),
            },
        };
        let text = number.to_text();
        let expected: Vec<String> = (0..puts.len())
            .filter(|i| if after { puts[*i] > text } else { puts[*i] >= text })
            .map(|i| i.to_string())
            .collect();
        let kind = if after { Type::AfterSequenceNumber } else { Type::AtSequenceNumber };
        let iterator = world.iterator(with_number(kind, text)).unwrap();
        prop_assert_eq!(world.read_on(iterator, Some(limit)), expected);
    }
}
