//! On-demand streams under load, over days.

use std::future::{Future, poll_fn};
use std::task::Poll;

use millstream_api::Blob;

use super::*;
use crate::limits::Limit;
use crate::load::History;
use crate::stream::Stream;

const MINUTE: u64 = 60 * 1000;
const DAY: u64 = 24 * 60 * MINUTE;

/// A shard takes 10,000 bytes per second, so that little must be written to load it.
fn small() -> Limits {
    Limits {
        call_rates: false,
        shard_write_bytes_per_second: Limit::of(10_000),
        shard_write_burst_bytes: Limit::of(10_000),
        on_demand_write_bytes_per_second_in_region: Limit::of(200_000),
        ..Limits::aws()
    }
}

fn world() -> World {
    World::new(KinesisConfig { limits: small(), ..at_once() })
}

/// Lets the minute end.
fn align(world: &World) {
    world.pass(MINUTE - world.kinesis.now() % MINUTE);
}

/// Writes that much each second, evenly over the hash keys, for so long; gives the number of records refused.
fn load(world: &World, seconds: u64, bytes_per_second: usize) -> i32 {
    const RECORDS: usize = 32;
    let data = vec![7; bytes_per_second / RECORDS - 1];
    let step = u128::MAX / RECORDS as u128;
    let mut refused = 0;
    for _ in 0..seconds {
        let records = (0..RECORDS as u128).map(|i| PutRecordsRequestEntry {
            data: Blob::from_bytes(&data),
            partition_key: Some("k".into()),
            explicit_hash_key: Some((i * step + step / 2).to_string().into()),
            ..Default::default()
        });
        let input = PutRecordsInput { stream_name: Some("s".into()), records: records.collect(), ..Default::default() };
        let Ok(Output::PutRecords(answer)) = world.call(Input::PutRecords(input)) else { panic!("no answer") };
        refused += answer.failed_record_count.unwrap_or_default();
        world.pass(1_000);
    }
    refused
}

fn list(world: &World, filter: ShardFilterType) -> Vec<Shard> {
    let shard_filter = Some(ShardFilter { r#type: filter, ..Default::default() });
    let input = ListShardsInput { stream_name: Some("s".into()), shard_filter, ..Default::default() };
    match world.call(Input::ListShards(input)) {
        Ok(Output::ListShards(output)) => output.shards.unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

/// Checks that the open shards, and those at the horizon, tile the hash key space, and that every child begins where its
/// parents end. Gives the number of open shards.
fn check_shards(world: &World) -> usize {
    for filter in [ShardFilterType::AtLatest, ShardFilterType::AtTrimHorizon] {
        let mut ranges: Vec<(u128, u128)> = list(world, filter)
            .iter()
            .map(|shard| &shard.hash_key_range)
            .map(|range| (range.starting_hash_key.parse().unwrap(), range.ending_hash_key.parse().unwrap()))
            .collect();
        ranges.sort_unstable();
        assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, u128::MAX));
        assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{ranges:?}");
    }
    let all = list(world, ShardFilterType::FromTrimHorizon);
    for child in &all {
        for parent in [&child.parent_shard_id, &child.adjacent_parent_shard_id].into_iter().flatten() {
            // It may have expired.
            let Some(parent) = all.iter().find(|shard| shard.shard_id == *parent) else { continue };
            let end = parent.sequence_number_range.ending_sequence_number.as_ref().expect("closed");
            assert!(*end < child.sequence_number_range.starting_sequence_number);
        }
    }
    let open = list(world, ShardFilterType::AtLatest).len();
    assert_eq!(world.summary("s").open_shard_count, open as i32);
    open
}

fn stream(world: &World) -> Arc<Stream> {
    Arc::clone(world.kinesis.streams().get("000000000000", "eu-central-1", "s").expect("there"))
}

fn saved(world: &World) -> Vec<History> {
    let read = world.kinesis.catalog.transact(|tx| tx.scan::<History>(&millstream_catalog::Key::all()));
    let read: Result<_, millstream_catalog::CatalogError> = world.machine.block_on(read).expect("ends");
    read.expect("read")
}

#[test]
fn an_on_demand_stream_grows_with_its_load_and_shrinks_a_month_later() {
    let world = world();
    world.call(create_on_demand("s")).expect("created");
    world.tick();
    assert_eq!(load(&world, 180, 18_000), 0);
    assert_eq!(check_shards(&world), 4, "half of what four shards take");
    align(&world);
    // 36,000 bytes fit into four shards; twice as much would not.
    assert_eq!(load(&world, 60, 36_000), 0);
    assert_eq!(check_shards(&world), 8);
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
    // More than double within 15 minutes is too much for the shards, and then no more.
    assert!(load(&world, 60, 160_000) > 0);
    assert_eq!(check_shards(&world), 8);
    world.pass(15 * MINUTE);
    assert_eq!(check_shards(&world), 16);
    assert_eq!(load(&world, 60, 160_000), 0);
    world.pass(15 * MINUTE);
    assert_eq!(check_shards(&world), 20, "and grows up to the ceiling");

    // The peak outlives a restart.
    world.pass(10 * MINUTE);
    let mut world = world.reopen();
    for day in 0..29 {
        world.pass(DAY);
        assert_eq!(check_shards(&world), 20, "day {day}");
        if day % 10 == 0 {
            world = world.reopen();
        }
    }
    for _ in 0..8 {
        world.pass(DAY);
        check_shards(&world);
    }
    assert_eq!(check_shards(&world), 4);
}

#[test]
fn shards_tile_at_every_moment_of_scaling() {
    let world = world();
    world.call(create_on_demand("s")).expect("created");
    world.tick();
    align(&world);
    load(&world, 59, 36_000);
    world.machine.clock.advance(1_000);
    let mut tick = Box::pin(world.kinesis.tick());
    let mut statuses = Vec::new();
    let ended = world.machine.block_on(poll_fn(|context| {
        let stream = stream(&world);
        let record = &stream.view_owned().record;
        let mut ranges: Vec<_> = record.open_shards().map(|shard| shard.range).collect();
        ranges.sort_by_key(|range| range.start);
        assert!(ranges.windows(2).all(|pair| pair[0].is_followed_by(&pair[1])));
        assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, u128::MAX));
        statuses.push(record.status.as_str());
        match tick.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }));
    assert!(ended.is_some());
    statuses.dedup();
    assert_eq!(check_shards(&world), 8);
    assert_eq!(statuses, ["ACTIVE", "UPDATING", "ACTIVE"]);
}

#[test]
fn provisioned_streams_and_streams_without_limits_are_left_alone() {
    let world = world();
    world.create("s", 4);
    world.tick();
    load(&world, 120, 36_000);
    assert_eq!(check_shards(&world), 4);
    let world = World::new(KinesisConfig { limits: Limits::none(), ..at_once() });
    world.call(create_on_demand("s")).expect("created");
    world.tick();
    load(&world, 120, 100_000);
    assert_eq!(check_shards(&world), 4);
}

#[test]
fn a_switch_keeps_the_shards_in_both_directions() {
    let world = world();
    world.create("s", 3);
    world.call(switch("s", StreamMode::OnDemand)).expect("switched");
    world.tick();
    assert_eq!(check_shards(&world), 3);
    world.refused(
        scale("s", 6),
        ErrorCode::ValidationException,
        "Request is invalid. Stream s under account 000000000000 is in On-Demand mode.",
    );
    align(&world);
    load(&world, 60, 28_000);
    assert_eq!(check_shards(&world), 6);
    world.call(switch("s", StreamMode::Provisioned)).expect("switched");
    world.pass(60 * DAY);
    assert_eq!(check_shards(&world), 6);
    world.call(scale("s", 3)).expect("provisioned again");
}

#[test]
fn peaks_go_with_the_stream_and_with_the_mode() {
    let world = world();
    world.call(create_on_demand("s")).expect("created");
    world.tick();
    load(&world, 60, 10_000);
    world.pass(11 * MINUTE);
    assert_eq!(saved(&world).len(), 1);
    world.call(switch("s", StreamMode::Provisioned)).expect("switched");
    world.pass(11 * MINUTE);
    assert_eq!(saved(&world), []);
    world.call(switch("s", StreamMode::OnDemand)).expect("switched");
    world.tick();
    load(&world, 60, 10_000);
    world.pass(11 * MINUTE);
    assert_eq!(saved(&world).len(), 1);
    world.call(delete("s")).expect("deleted");
    world.pass(11 * MINUTE);
    assert_eq!(saved(&world), []);
}

#[test]
fn a_stream_that_goes_while_its_peaks_are_saved_leaves_none() {
    // The machine draws which of both is done first.
    for seed in 0..8 {
        let world = World::on_disk(machine(seed), at_once()).unwrap_or_else(|_| panic!("starts"));
        world.call(create_on_demand("s")).expect("created");
        world.tick();
        let turn = Arc::clone(&world.kinesis.changing).try_lock_owned().expect("free");
        let gone = [stream(&world)];
        let mut removal = Box::pin(world.kinesis.remove(&gone));
        let mut saving = Box::pin(world.kinesis.save_loads(true));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(removal.as_mut().poll(&mut context).is_pending());
        assert!(saving.as_mut().poll(&mut context).is_pending());
        drop(turn);
        world.machine.block_on(removal).expect("ends").expect("removed");
        world.machine.block_on(saving).expect("ends");
        assert_eq!(saved(&world), []);
    }
}

#[test]
fn a_clean_stop_saves_the_peaks() {
    let world = world();
    world.call(create_on_demand("s")).expect("created");
    world.tick();
    load(&world, 61, 10_000);
    let before = saved(&world);
    world.machine.block_on(world.kinesis.close()).expect("closes");
    assert_ne!(saved(&world), before);
}
