use std::sync::Arc;

use millstream_api::kinesis::{
    DeregisterStreamConsumerInput, Record, RegisterStreamConsumerInput, ShardIteratorType as Type, StartingPosition,
    SubscribeToShardEvent, SubscribeToShardEventStream, SubscribeToShardInput,
};
use millstream_api::{Error, ErrorCode, EventStream, Timestamp};
use millstream_env::sim::SimEnv;

use super::world::{ACCOUNT, World, entry, refused};
use crate::limits::{Limit, Limits};
use crate::state::shard_id;

const HALF: u128 = 1 << 127;
const ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/s";

type Events = EventStream<SubscribeToShardEventStream>;

/// What the next event is.
#[derive(Debug)]
enum Next {
    Event(SubscribeToShardEvent),
    Error(ErrorCode, String),
    End,
    /// None comes before something happens.
    Nothing,
}

/// Takes the next event if there is one now. What waits is dropped, as a server may do.
fn next(sim: &SimEnv, events: &mut Events) -> Next {
    match sim.block_on(events.next_event()) {
        None => Next::Nothing,
        Some(None) => Next::End,
        Some(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => Next::Event(event),
        Some(Some(SubscribeToShardEventStream::Exception(error))) => {
            Next::Error(error.code, error.message.unwrap_or_default())
        }
    }
}

#[track_caller]
fn event(world: &World, events: &mut Events) -> SubscribeToShardEvent {
    match next(&world.sim, events) {
        Next::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn nothing(world: &World, events: &mut Events) {
    let next = next(&world.sim, events);
    assert!(matches!(next, Next::Nothing), "{next:?}");
}

#[track_caller]
fn ended(world: &World, events: &mut Events) {
    let next = next(&world.sim, events);
    assert!(matches!(next, Next::End), "{next:?}");
}

#[track_caller]
fn failed(world: &World, events: &mut Events) -> (ErrorCode, String) {
    let error = match next(&world.sim, events) {
        Next::Error(code, message) => (code, message),
        other => panic!("{other:?}"),
    };
    ended(world, events);
    error
}

fn data(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect()
}

fn from(kind: Type) -> StartingPosition<'static> {
    StartingPosition { r#type: kind, ..StartingPosition::default() }
}

fn from_number(kind: Type, number: &str) -> StartingPosition<'static> {
    StartingPosition { r#type: kind, sequence_number: Some(number.to_owned().into()), ..StartingPosition::default() }
}

fn input<'a>(consumer: &'a str, shard: &'a str, starting_position: StartingPosition<'a>) -> SubscribeToShardInput<'a> {
    SubscribeToShardInput {
        consumer_arn: consumer.into(),
        shard_id: shard.into(),
        starting_position,
        ..SubscribeToShardInput::default()
    }
}

impl World {
    fn register(&self, name: &str) -> String {
        let input = RegisterStreamConsumerInput {
            stream_arn: ARN.into(),
            consumer_name: name.into(),
            ..RegisterStreamConsumerInput::default()
        };
        self.run(self.kinesis.register_stream_consumer(&self.context, input)).unwrap().consumer.consumer_arn
    }

    fn deregister(&self, consumer: &str) {
        let input = DeregisterStreamConsumerInput { consumer_arn: Some(consumer.into()), ..Default::default() };
        self.run(self.kinesis.deregister_stream_consumer(&self.context, input)).unwrap();
    }

    fn try_subscribe(&self, consumer: &str, shard: &str, position: StartingPosition<'_>) -> Result<Events, Error> {
        let subscribed = self.kinesis.subscribe_to_shard(&self.context, input(consumer, shard, position));
        self.run(subscribed).map(|output| output.event_stream)
    }

    #[track_caller]
    fn subscribe(&self, consumer: &str, position: StartingPosition<'_>) -> Events {
        self.try_subscribe(consumer, "0", position).expect("subscribed")
    }

    fn put_all(&self, all: &[&str]) -> Vec<String> {
        let output = self.put_records(all.iter().map(|data| entry("a", data.as_bytes())).collect()).unwrap();
        output.records.into_iter().map(|record| record.sequence_number.expect("written")).collect()
    }
}

/// A world whose stream `s` of one shard has the consumer `c`.
fn world() -> (World, String) {
    let world = World::with_stream(1);
    let consumer = world.register("c");
    (world, consumer)
}

#[test]
fn records_are_pushed_in_order_and_at_once() {
    let (world, consumer) = world();
    world.put_all(&["1", "2"]);
    let mut events = world.subscribe(&consumer, from(Type::TrimHorizon));
    let first = event(&world, &mut events);
    assert_eq!((data(&first.records), first.millis_behind_latest), (vec!["1".into(), "2".into()], 0));
    assert_eq!(first.child_shards, None);
    assert!(first.records.iter().all(|r| r.encryption_type.is_none() && r.partition_key.as_deref() == Some("a")));
    nothing(&world, &mut events);
    // What one call puts comes as one event.
    let numbers = world.put_all(&["3", "4", "5", "6", "7"]);
    let second = event(&world, &mut events);
    assert_eq!(data(&second.records), ["3", "4", "5", "6", "7"]);
    assert!(second.records.iter().map(|r| &r.sequence_number).eq(&numbers));
    nothing(&world, &mut events);
}

#[test]
fn a_waiting_subscription_is_woken_by_its_own_shard_only() {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let world = World::new(1, Limits::aws());
    world.create(2);
    let consumer = world.register("c");
    let mut events = world.try_subscribe(&consumer, "1", from(Type::Latest)).expect("subscribed");
    event(&world, &mut events);
    let count = Arc::new(Count(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut waiting = events.next_event();
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(world.put("a", b"elsewhere").unwrap().shard_id, shard_id(0));
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    let upper = millstream_api::kinesis::PutRecordInput {
        explicit_hash_key: Some(HALF.to_string().into()),
        ..super::world::put_input("a", b"here")
    };
    world.run(world.kinesis.put_record(&world.context, upper)).unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    let Poll::Ready(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) =
        waiting.as_mut().poll(&mut Context::from_waker(&waker))
    else {
        panic!("an event")
    };
    assert_eq!(data(&event.records), ["here"]);
}

#[test]
fn every_starting_position() {
    let world = World::new(1, Limits::none());
    world.create(1);
    let numbers = world.put_all(&["1", "2"]);
    world.sim.clock.advance(1_000);
    let time = world.sim.env().clock.now();
    world.put_all(&["3"]);
    let at_time = |ms: u64| StartingPosition { timestamp: Some(Timestamp(ms as i64)), ..from(Type::AtTimestamp) };
    let positions = [
        (from(Type::TrimHorizon), vec!["1", "2", "3"]),
        (from(Type::Latest), vec![]),
        (from_number(Type::AtSequenceNumber, &numbers[1]), vec!["2", "3"]),
        (from_number(Type::AfterSequenceNumber, &numbers[1]), vec!["3"]),
        (at_time(time), vec!["3"]),
        (at_time(0), vec!["1", "2", "3"]),
    ];
    let mut all: Vec<(Events, Vec<&str>)> = positions
        .into_iter()
        .zip(["c0", "c1", "c2", "c3", "c4", "c5"])
        .map(|((position, expected), name)| (world.subscribe(&world.register(name), position), expected))
        .collect();
    for (events, expected) in &mut all {
        assert_eq!(data(&event(&world, events).records), *expected);
        nothing(&world, events);
    }
    world.put_all(&["later"]);
    for (events, _) in &mut all {
        assert_eq!(data(&event(&world, events).records), ["later"]);
    }
}

#[test]
fn wrong_starting_positions() {
    let (world, consumer) = world();
    let number = world.put("a", b"1").unwrap().sequence_number;
    // When the fourth position is tried, a second after each other.
    let now = world.sim.env().clock.now() + 4_000;
    let future = StartingPosition { timestamp: Some(Timestamp(now as i64 + 1)), ..from(Type::AtTimestamp) };
    let foreign = crate::sequence::SequenceNumber::new(7, 1, 7, 0).to_text();
    let other_shard = crate::sequence::SequenceNumber::new(7, 1, 7, 5).to_text();
    for (position, message) in [
        (
            from(Type::AtSequenceNumber),
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON \
             or LATEST and no StartingSequenceNumber. Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber."
                .to_owned(),
        ),
        (
            from_number(Type::Latest, &number),
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON \
             or LATEST and no StartingSequenceNumber. Request specified LATEST and also a StartingSequenceNumber."
                .to_owned(),
        ),
        (
            from(Type::AtTimestamp),
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp \
             parameter."
                .to_owned(),
        ),
        (
            future,
            format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {}, \
                 currentTimestampInMillis: {now}",
                now + 1
            ),
        ),
        (
            from_number(Type::AtSequenceNumber, &"9".repeat(60)),
            format!(
                "StartingSequenceNumber {} used in SubscribeToShard on shard shardId-000000000000 in stream s under account \
                 {ACCOUNT} is invalid.",
                "9".repeat(60)
            ),
        ),
        (
            from_number(Type::AfterSequenceNumber, &other_shard),
            "Invalid StartingSequenceNumber. It encodes shardId-000000000005, while it was used in a call to a shard with \
             shardId-000000000000"
                .to_owned(),
        ),
        (
            from_number(Type::AfterSequenceNumber, &foreign),
            format!(
                "StartingSequenceNumber {foreign} used in SubscribeToShard on shard shardId-000000000000 in stream s under \
                 account {ACCOUNT} is invalid because it did not come from this stream."
            ),
        ),
    ] {
        world.sim.clock.advance(1_000);
        let error = refused(world.try_subscribe(&consumer, "0", position));
        assert_eq!(error, (ErrorCode::InvalidArgumentException, message));
    }
}

#[test]
fn what_is_not_there_is_refused_before_any_event() {
    let (world, consumer) = world();
    let latest = || from(Type::Latest);
    let at = |consumer: &str, shard: &str| refused(world.try_subscribe(consumer, shard, latest()));
    let missing = ErrorCode::ResourceNotFoundException;
    let words = format!("Shard shardId-000000000009 in stream s under account {ACCOUNT} does not exist");
    assert_eq!(at(&consumer, "shardId-000000000009"), (missing, words));
    let words = format!("Could not find shard x in stream s under account {ACCOUNT}.");
    assert_eq!(at(&consumer, "x"), (missing, words));
    let second = consumer.rsplit(':').next().expect("the second").to_owned();
    let words = format!("Consumer d with creation timestamp {second} under stream: s, account {ACCOUNT} not found.");
    assert_eq!(at(&consumer.replace("/c:", "/d:"), "0"), (missing, words));
    assert_eq!(at(&consumer.replace(&second, "1"), "0").0, missing, "an earlier consumer of that name");
    assert_eq!(at(&consumer.replace("stream/s/", "stream/t/"), "0").0, missing);
    assert_eq!(at(&consumer.replace(ACCOUNT, "000000000000"), "0").0, ErrorCode::AccessDeniedException);
    world.deregister(&consumer);
    assert_eq!(at(&consumer, "0").0, missing);
}

#[test]
fn a_dry_run_disturbs_nobody() {
    let (world, consumer) = world();
    let mut events = world.subscribe(&consumer, from(Type::Latest));
    event(&world, &mut events);
    world.sim.clock.advance(6_000);
    event(&world, &mut events);
    let dry = SubscribeToShardInput { dry_run: Some(true), ..input(&consumer, "0", from(Type::Latest)) };
    let error = refused(world.run(world.kinesis.subscribe_to_shard(&world.context, dry)));
    assert_eq!(error.0, ErrorCode::DryRunOperationException);
    nothing(&world, &mut events);
}

#[test]
fn an_empty_event_comes_at_once_and_then_in_time() {
    let (world, consumer) = world();
    let mut events = world.subscribe(&consumer, from(Type::Latest));
    let mut number = String::new();
    for _ in 0..3 {
        let event = event(&world, &mut events);
        assert_eq!((event.records.len(), event.millis_behind_latest, &event.child_shards), (0, 0, &None));
        let next = event.continuation_sequence_number.expect("a number");
        assert_eq!(next.len(), 56);
        assert!(next > number, "it advances");
        number = next;
        world.sim.clock.advance(4_000);
        nothing(&world, &mut events);
        world.sim.clock.advance(1_000);
    }
}

#[test]
fn continuation_numbers_go_on_exactly() {
    let world = World::new(1, Limits::none());
    world.create(1);
    let numbers = world.put_all(&["1", "2", "3"]);
    let mut consumers = (0..).map(|i| world.register(&format!("c{i}")));
    let mut go_on = |number: &str, expected: &[&str]| {
        for kind in [Type::AfterSequenceNumber, Type::AtSequenceNumber] {
            let consumer = consumers.next().expect("one");
            let mut events = world.subscribe(&consumer, from_number(kind, number));
            assert_eq!(data(&event(&world, &mut events).records), expected);
            world.deregister(&consumer);
        }
    };
    let consumer = world.register("c");
    let mut events = world.subscribe(&consumer, from_number(Type::AfterSequenceNumber, &numbers[0]));
    let first = event(&world, &mut events);
    let after_first = first.continuation_sequence_number.expect("a number");
    assert!(after_first > numbers[2]);
    world.put_all(&["4"]);
    go_on(&after_first, &["4"]);
    event(&world, &mut events);
    world.sim.clock.advance(5_000);
    let empty = event(&world, &mut events);
    world.put_all(&["5"]);
    go_on(&empty.continuation_sequence_number.expect("a number"), &["5"]);
    go_on(&after_first, &["4", "5"]);
}

#[test]
fn an_event_has_a_mebibyte_or_one_record() {
    let (world, consumer) = world();
    let large = vec![b'x'; 600 << 10];
    for _ in 0..3 {
        world.put("a", &large).unwrap();
        world.sim.clock.advance(1_000);
    }
    world.put_all(&["small"]);
    let mut events = world.subscribe(&consumer, from(Type::TrimHorizon));
    let first = event(&world, &mut events);
    assert_eq!(first.records.len(), 1);
    assert!(first.millis_behind_latest >= 1);
    assert_eq!(event(&world, &mut events).records.len(), 1);
    let last = event(&world, &mut events);
    assert_eq!((last.records.len(), last.millis_behind_latest), (2, 0));
}

#[test]
fn two_mebibytes_a_second_and_heartbeats_meanwhile() {
    let limits = Limits { subscription_bytes_per_second: Limit::of(100 << 10), ..Limits::none() };
    let world = World::new(1, limits);
    world.create(1);
    let consumer = world.register("c");
    let large = vec![b'x'; 1 << 20];
    for _ in 0..2 {
        world.put("a", &large[..(1 << 20) - 1]).unwrap();
    }
    let mut events = world.subscribe(&consumer, from(Type::TrimHorizon));
    let first = event(&world, &mut events);
    assert_eq!(first.records.len(), 1);
    nothing(&world, &mut events);
    world.sim.clock.advance(5_000);
    // 924 KiB have to be paid back: 9.24 seconds.
    let waiting = event(&world, &mut events);
    assert_eq!(waiting.records.len(), 0);
    assert!(waiting.millis_behind_latest >= 1, "there is more");
    nothing(&world, &mut events);
    world.sim.clock.advance(4_300);
    assert_eq!(event(&world, &mut events).records.len(), 1);
    // Another subscription of the consumer does not begin with a full bucket.
    drop(events);
    world.put("a", b"y").unwrap();
    let number = waiting.continuation_sequence_number.expect("a number");
    let mut events = world.subscribe(&consumer, from_number(Type::AfterSequenceNumber, &number));
    let waiting = event(&world, &mut events);
    assert_eq!(waiting.records.len(), 0);
    assert_eq!(waiting.continuation_sequence_number.as_deref().map(str::len), Some(56));
    world.sim.clock.advance(11_000);
    let again = event(&world, &mut events);
    assert_eq!(again.records[0].data.len(), (1 << 20) - 1, "the second large record again");
}

#[test]
fn a_later_call_is_refused_for_five_seconds_and_then_takes_over() {
    let (world, consumer) = world();
    let mut first = world.subscribe(&consumer, from(Type::Latest));
    event(&world, &mut first);
    let words = format!("Another active subscription exists for this consumer: {ACCOUNT}:s:{}:c", shard_id(0));
    let busy = (ErrorCode::ResourceInUseException, words);
    assert_eq!(refused(world.try_subscribe(&consumer, "0", from(Type::Latest))), busy);
    world.sim.clock.advance(4_999);
    assert_eq!(refused(world.try_subscribe(&consumer, "0", from(Type::Latest))), busy);
    event(&world, &mut first);
    nothing(&world, &mut first);
    world.sim.clock.advance(1);
    let mut second = world.subscribe(&consumer, from(Type::Latest));
    assert_eq!(failed(&world, &mut first), busy);
    event(&world, &mut second);
    drop(first);
    nothing(&world, &mut second);
    // Other consumers and shards have places of their own.
    let other = world.register("d");
    world.subscribe(&other, from(Type::Latest));
    // A client that went away has subscribed all the same.
    drop(second);
    assert_eq!(refused(world.try_subscribe(&consumer, "0", from(Type::Latest))), busy);
}

#[test]
fn one_call_a_second() {
    let (world, consumer) = world();
    let wrong = || from_number(Type::AtSequenceNumber, "7");
    assert_eq!(refused(world.try_subscribe(&consumer, "0", wrong())).0, ErrorCode::InvalidArgumentException);
    let words = format!("Rate exceeded for consumer c on shard {} in stream s under account {ACCOUNT}.", shard_id(0));
    assert_eq!(refused(world.try_subscribe(&consumer, "0", wrong())), (ErrorCode::LimitExceededException, words));
    world.sim.clock.advance(1_000);
    world.subscribe(&consumer, from(Type::Latest));
}

#[test]
fn a_subscription_ends_after_five_minutes_without_an_error() {
    let (world, consumer) = world();
    let mut events = world.subscribe(&consumer, from(Type::Latest));
    event(&world, &mut events);
    world.sim.clock.advance(299_999);
    event(&world, &mut events);
    nothing(&world, &mut events);
    world.sim.clock.advance(1);
    ended(&world, &mut events);
    ended(&world, &mut events);
    world.subscribe(&consumer, from(Type::Latest));
}

#[test]
fn the_end_of_a_shard_comes_last_and_names_its_children() {
    let (world, consumer) = world();
    world.put_all(&["1"]);
    let mut events = world.subscribe(&consumer, from(Type::TrimHorizon));
    event(&world, &mut events);
    nothing(&world, &mut events);
    world.put_all(&["2"]);
    world.split("0", HALF).unwrap();
    assert_eq!(data(&event(&world, &mut events).records), ["2"]);
    let end = event(&world, &mut events);
    assert_eq!((end.records.len(), end.continuation_sequence_number, end.millis_behind_latest), (0, None, 0));
    let children = end.child_shards.expect("children");
    let ids: Vec<_> = children.iter().map(|c| (c.shard_id.clone(), c.parent_shards.clone())).collect();
    assert_eq!(ids, [(shard_id(1), vec![shard_id(0)]), (shard_id(2), vec![shard_id(0)])]);
    assert_eq!(children[1].hash_key_range.starting_hash_key, HALF.to_string());
    ended(&world, &mut events);
    // The end has freed the place. At a closed shard the end comes at once.
    world.sim.clock.advance(1_000);
    let mut events = world.subscribe(&consumer, from(Type::Latest));
    assert_eq!(event(&world, &mut events).child_shards, Some(children));
    ended(&world, &mut events);
}

#[test]
fn both_parents_of_a_merge_end_with_the_same_child() {
    let world = World::new(1, Limits::aws());
    world.create(2);
    let consumer = world.register("c");
    let mut both: Vec<Events> = ["0", "1"]
        .iter()
        .map(|shard| world.try_subscribe(&consumer, shard, from(Type::Latest)).expect("subscribed"))
        .collect();
    for events in &mut both {
        event(&world, events);
        nothing(&world, events);
    }
    let merge = millstream_api::kinesis::MergeShardsInput {
        stream_name: Some("s".into()),
        shard_to_merge: "0".into(),
        adjacent_shard_to_merge: "1".into(),
        ..Default::default()
    };
    world.run(world.kinesis.merge_shards(&world.context, merge)).unwrap();
    for events in &mut both {
        let children = event(&world, events).child_shards.expect("children");
        assert_eq!(children.len(), 1);
        assert_eq!(
            (&children[0].shard_id, &children[0].parent_shards),
            (&shard_id(2), &vec![shard_id(0), shard_id(1)])
        );
        ended(&world, events);
    }
}

#[test]
fn a_consumer_that_goes_takes_its_subscriptions_along() {
    let (world, consumer) = world();
    let mut events = world.subscribe(&consumer, from(Type::Latest));
    event(&world, &mut events);
    nothing(&world, &mut events);
    world.deregister(&consumer);
    let second = consumer.rsplit(':').next().expect("the second");
    let words = format!("Consumer c with creation timestamp {second} under stream: s, account {ACCOUNT} not found.");
    assert_eq!(failed(&world, &mut events), (ErrorCode::ResourceNotFoundException, words));
    let consumer = world.register("c");
    let mut events = world.subscribe(&consumer, from(Type::Latest));
    event(&world, &mut events);
    let delete = millstream_api::kinesis::DeleteStreamInput {
        stream_name: Some("s".into()),
        enforce_consumer_deletion: Some(true),
        ..Default::default()
    };
    world.run(world.kinesis.delete_stream(&world.context, delete)).unwrap();
    let words = format!("Stream s under account {ACCOUNT} not found.");
    assert_eq!(failed(&world, &mut events), (ErrorCode::ResourceNotFoundException, words));
}

#[test]
fn what_has_expired_is_stepped_over() {
    const HOUR: u64 = 60 * 60 * 1000;
    let (world, consumer) = world();
    let old = world.put_all(&["old"]);
    world.sim.clock.advance(23 * HOUR);
    world.put_all(&["new"]);
    world.sim.clock.advance(2 * HOUR);
    let mut events = world.subscribe(&consumer, from_number(Type::AtSequenceNumber, &old[0]));
    assert_eq!(data(&event(&world, &mut events).records), ["new"]);
    world.sim.clock.advance(24 * HOUR);
    ended(&world, &mut events);
    let mut events = world.subscribe(&consumer, from(Type::TrimHorizon));
    assert_eq!(event(&world, &mut events).records.len(), 0);
    world.put_all(&["newest"]);
    assert_eq!(data(&event(&world, &mut events).records), ["newest"]);
}

#[test]
fn a_consumer_subscribes_again_after_a_crash_and_goes_on() {
    let world = World::on_disk(3, Limits::none());
    world.create(1);
    let consumer = world.register("c");
    world.put_all(&["1", "2"]);
    let mut events = world.subscribe(&consumer, from(Type::TrimHorizon));
    let number = event(&world, &mut events).continuation_sequence_number.expect("a number");
    world.put_all(&["3"]);
    drop(events);
    let world = world.lose_power();
    let mut events = world.subscribe(&consumer, from_number(Type::AfterSequenceNumber, &number));
    assert_eq!(data(&event(&world, &mut events).records), ["3"]);
    world.put_all(&["4"]);
    assert_eq!(data(&event(&world, &mut events).records), ["4"]);
}
