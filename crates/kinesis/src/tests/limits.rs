//! Limits of single streams, through the front door.

use millstream_api::Blob;

use super::*;
use crate::StreamLimits;
use crate::limits::Limit;

fn entry(name: &str, limits: Limits) -> StreamLimits {
    StreamLimits { name: name.to_owned(), account: None, region: None, limits: Arc::new(limits) }
}

/// How many of 20 records of 200,000 bytes a stream takes at once.
fn taken(world: &World, name: &str) -> i32 {
    let data = vec![0; 200_000];
    let record = || PutRecordsRequestEntry {
        data: Blob::from_bytes(&data),
        partition_key: Some("k".into()),
        ..Default::default()
    };
    let records = (0..20).map(|_| record()).collect();
    let input = PutRecordsInput { stream_name: Some(name.into()), records, ..Default::default() };
    match world.call(Input::PutRecords(input)) {
        Ok(Output::PutRecords(answer)) => 20 - answer.failed_record_count.unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

fn lists(world: &World, name: &str) -> usize {
    let list = || Input::ListShards(ListShardsInput { stream_name: Some(name.into()), ..Default::default() });
    (0..1_200).filter(|_| world.call(list()).is_ok()).count()
}

#[test]
fn a_stream_may_have_limits_of_its_own() {
    let aws = Limits::aws();
    let world = World::new(KinesisConfig {
        limits: aws.clone(),
        stream_limits: vec![
            entry("free", aws.unthrottled()),
            entry("half*", aws.scaled("x0.5".parse().expect("a factor"))),
            entry("tagged", Limits { tags: Limit::of(1), ..aws.clone() }),
        ],
        ..at_once()
    });
    for name in ["plain", "free", "half-1", "tagged"] {
        world.create(name, 1);
        world.machine.clock.advance(1_000);
    }
    assert_eq!([taken(&world, "plain"), taken(&world, "free"), taken(&world, "half-1")], [5, 20, 2]);
    assert_eq!([lists(&world, "plain"), lists(&world, "free"), lists(&world, "half-1")], [1_000, 1_200, 500]);
    // An entry counts for a stream that does not exist, too: AWS counts such calls.
    assert_eq!(world.error(describe("free-not")).code, ErrorCode::ResourceNotFoundException);
    let tags = [("a".into(), "1".into()), ("b".into(), "2".into())];
    let tag = |name| {
        let tags = tags.clone().into_iter().collect();
        Input::AddTagsToStream(AddTagsToStreamInput { stream_name: Some(name), tags, ..Default::default() })
    };
    world.call(tag("plain".into())).expect("tagged");
    assert_eq!(world.error(tag("tagged".into())).code, ErrorCode::InvalidArgumentException);
    // They are found again after a start.
    let world = world.reopen();
    assert_eq!([taken(&world, "plain"), taken(&world, "free"), taken(&world, "half-1")], [5, 20, 2]);
}

#[test]
fn update_shard_count_knows_large_streams() {
    let limits = Limits { update_shard_count_shards: Limit::of(4), call_rates: false, ..Limits::aws() };
    let world = World::new(KinesisConfig { limits, ..at_once() });
    world.create("s", 6);
    for target in [8, 5, 4] {
        world.refused(
            scale("s", target),
            ErrorCode::LimitExceededException,
            &format!(
                "Target shard count or number of open shards cannot be greater than 4. Current open shard count: 6, Target \
                 shard count: {target}"
            ),
        );
    }
    world.call(scale("s", 3)).expect("less than the limit");
}

#[test]
fn refused_changes_do_not_count_for_the_day() {
    let world = World::new(at_once());
    world.create("s", 1);
    for _ in 0..20 {
        world.error(scale("s", 3));
    }
    for i in 0..10 {
        world.call(scale("s", 1 + (i + 1) % 2)).expect("ten calls a day");
    }
    assert_eq!(world.error(scale("s", 1)).code, ErrorCode::LimitExceededException);
}

#[test]
fn a_mode_is_changed_twice_a_day() {
    let world = World::new(at_once());
    world.create("s", 1);
    world.call(switch("s", StreamMode::OnDemand)).expect("once");
    world.call(switch("s", StreamMode::OnDemand)).expect("no change");
    world.machine.clock.advance(1_000);
    world.call(switch("s", StreamMode::Provisioned)).expect("twice");
    let back = || switch("s", StreamMode::OnDemand);
    world.refused(back(), ErrorCode::LimitExceededException, "Rate exceeded for stream s under account 000000000000.");
    world.machine.clock.advance(24 * 60 * 60 * 1000 - 1_001);
    assert_eq!(world.error(back()).code, ErrorCode::LimitExceededException, "the day rolls");
    world.machine.clock.advance(1);
    world.call(back()).expect("a day after the first");
}

#[test]
fn describe_limits_counts_by_mode() {
    let world = World::new(at_once());
    world.create("a", 3);
    world.create("b", 2);
    world.call(create_on_demand("c")).expect("created");
    let limits = || match world.call(Input::DescribeLimits(DescribeLimitsInput::default())) {
        Ok(Output::DescribeLimits(limits)) => limits,
        other => panic!("{other:?}"),
    };
    let now = limits();
    assert_eq!((now.open_shard_count, now.shard_limit), (5, 1_000));
    assert_eq!((now.on_demand_stream_count, now.on_demand_stream_count_limit), (1, 50));
    world.call(split("a", "0", "5")).expect("split");
    world.call(switch("b", StreamMode::OnDemand)).expect("switched");
    let now = limits();
    assert_eq!((now.open_shard_count, now.on_demand_stream_count), (4, 2));
}
