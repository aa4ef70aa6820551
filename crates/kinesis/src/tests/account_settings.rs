//! The billing commitment, and warm throughput, which it unlocks.

use super::*;
use crate::limits::Limit;

const HOUR: u64 = 60 * 60 * 1000;
const ARN: &str = "arn:aws:kinesis:eu-central-1:000000000000:stream/s";

fn commit(is_on: bool) -> Input<'static> {
    use MinimumThroughputBillingCommitmentInputStatus as Status;
    let status = if is_on { Status::Enabled } else { Status::Disabled };
    Input::UpdateAccountSettings(UpdateAccountSettingsInput {
        minimum_throughput_billing_commitment: MinimumThroughputBillingCommitmentInput { status, ..Default::default() },
        ..Default::default()
    })
}

fn shown(answer: Result<Output, Error>) -> (String, [Option<i64>; 3]) {
    let commitment = match answer {
        Ok(Output::UpdateAccountSettings(output)) => output.minimum_throughput_billing_commitment,
        Ok(Output::DescribeAccountSettings(output)) => output.minimum_throughput_billing_commitment,
        other => panic!("{other:?}"),
    };
    let commitment = commitment.expect("always there");
    let times = [commitment.started_at, commitment.ended_at, commitment.earliest_allowed_end_at];
    (commitment.status.as_str().to_owned(), times.map(|time| time.map(|time| time.0)))
}

fn described(world: &World) -> (String, [Option<i64>; 3]) {
    shown(world.call(Input::DescribeAccountSettings(Default::default())))
}

#[test]
fn a_commitment_lasts_a_day_at_least() {
    let world = World::new(at_once());
    assert_eq!(described(&world), ("DISABLED".to_owned(), [None; 3]));
    assert_eq!(shown(world.call(commit(false))), ("DISABLED".to_owned(), [None; 3]));
    let start = world.kinesis.now() as i64;
    let end = start + (24 * HOUR) as i64;
    let enabled = ("ENABLED".to_owned(), [Some(start), None, Some(end)]);
    assert_eq!(shown(world.call(commit(true))), enabled);
    world.pass(HOUR);
    assert_eq!(shown(world.call(commit(true))), enabled, "it goes on");
    let pending = ("ENABLED_UNTIL_EARLIEST_ALLOWED_END".to_owned(), [Some(start), None, Some(end)]);
    assert_eq!(shown(world.call(commit(false))), pending);
    assert!(world.kinesis.commitment_enabled("000000000000", "eu-central-1"));
    assert!(!world.kinesis.commitment_enabled("000000000000", "us-east-1"), "each region has its own");
    let world = world.reopen();
    assert_eq!(described(&world), pending);
    assert_eq!(shown(world.call(commit(true))), enabled, "the end is called off");
    assert_eq!(shown(world.call(commit(false))), pending);
    world.pass(23 * HOUR);
    let ended = ("DISABLED".to_owned(), [Some(start), Some(end), Some(end)]);
    assert_eq!(described(&world), ended);
    assert_eq!(shown(world.call(commit(false))), ended);
    assert!(!world.kinesis.commitment_enabled("000000000000", "eu-central-1"));
    let again = world.kinesis.now() as i64;
    let (status, times) = shown(world.call(commit(true)));
    assert_eq!((status.as_str(), times[0]), ("ENABLED", Some(again)));
    world.pass(30 * HOUR);
    let now = world.kinesis.now() as i64;
    assert_eq!(shown(world.call(commit(false))).1[1], Some(now), "after a day it ends at once");
}

fn warm(mibps: i32) -> Input<'static> {
    Input::UpdateStreamWarmThroughput(UpdateStreamWarmThroughputInput {
        stream_arn: Some(ARN.into()),
        warm_throughput_mibps: mibps,
        ..Default::default()
    })
}

fn create_warm(mibps: i32) -> CreateStreamInput<'static> {
    CreateStreamInput { stream_name: "s".into(), warm_throughput_mibps: Some(mibps), ..Default::default() }
}

/// Target, current, and open shards as DescribeStreamSummary shows them.
fn warmth(world: &World) -> (Option<(i32, i32)>, i32) {
    let summary = world.summary("s");
    let shown = summary.warm_throughput.map(|w| (w.target_mibps.expect("set"), w.current_mibps.expect("set")));
    (shown, summary.open_shard_count)
}

#[test]
fn warm_throughput_is_shards_that_are_there() {
    let world = World::new(config());
    world.call(create_on_demand("s")).expect("created");
    world.pass(500);
    let text =
        "WarmThroughputMiBps requires MinimumThroughputBillingCommitment to be enabled for the account 000000000000.";
    world.refused(warm(7), ErrorCode::ValidationException, text);
    assert_eq!(warmth(&world), (None, 4));
    world.call(commit(true)).expect("enabled");
    assert_eq!(warmth(&world), (Some((4, 4)), 4));
    let Ok(Output::UpdateStreamWarmThroughput(answer)) = world.call(warm(7)) else { panic!() };
    assert_eq!((answer.stream_name.as_deref(), answer.stream_arn.as_deref()), (Some("s"), Some(ARN)));
    let expected = WarmThroughputObject { target_mibps: Some(7), current_mibps: Some(4) };
    assert_eq!(answer.warm_throughput, Some(expected));
    assert_eq!(world.describe("s").stream_status, StreamStatus::Updating);
    assert_eq!(warmth(&world), (Some((7, 4)), 4));
    assert_eq!(world.error(warm(8)).code, ErrorCode::ResourceInUseException);
    world.pass(500);
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
    assert_eq!(warmth(&world), (Some((7, 7)), 7));
    assert!(world.describe("s").shards.iter().all(|shard| shard.adjacent_parent_shard_id.is_none()), "splits only");
    // Without a change of the shards there are the same transitions.
    world.call(warm(7)).expect("accepted");
    assert_eq!(world.describe("s").stream_status, StreamStatus::Updating);
    world.pass(500);
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
    // Less gives up shards, but not those that every on-demand stream has.
    world.call(warm(1)).expect("accepted");
    world.pass(500);
    assert_eq!(warmth(&world), (Some((1, 4)), 4));
    let streams = world.kinesis.streams();
    let record = &streams.get("000000000000", "eu-central-1", "s").expect("there").view_owned().record;
    assert_eq!(world.kinesis.warm_throughput(record), Some(1));
    world.call(commit(false)).expect("to end");
    world.pass(24 * HOUR);
    assert_eq!((warmth(&world).0, world.kinesis.warm_throughput(record)), (None, None));
}

#[test]
fn streams_are_created_and_switched_warm() {
    assert_eq!(Limits::aws().warm_throughput("us-east-1"), 10_240);
    assert_eq!(Limits::aws().warm_throughput("eu-central-1"), 200, "no more than a stream there grows to");
    assert_eq!(Limits::none().warm_throughput("us-east-1"), 100_000, "each is a shard");
    let limits = Limits { warm_throughput_mibps: Limit::of(100), ..config().limits };
    let world = World::new(KinesisConfig { limits, ..at_once() });
    assert_eq!(world.error(Input::CreateStream(create_warm(9))).code, ErrorCode::ValidationException);
    world.call(commit(true)).expect("enabled");
    let text = "WarmThroughputMiBps cannot be greater than 100. Requested: 101.";
    world.refused(Input::CreateStream(create_warm(101)), ErrorCode::LimitExceededException, text);
    let provisioned = CreateStreamInput { shard_count: Some(1), ..create_warm(9) };
    world.refused(
        Input::CreateStream(provisioned),
        ErrorCode::ValidationException,
        "Request is invalid. Stream s under account 000000000000 is in Provisioned mode.",
    );
    world.call(Input::CreateStream(create_warm(9))).expect("created");
    assert_eq!(warmth(&world), (Some((9, 9)), 9));
    world.call(switch("s", StreamMode::Provisioned)).expect("switched");
    assert_eq!(warmth(&world), (None, 9));
    assert_eq!(world.error(warm(9)).code, ErrorCode::ValidationException);
    let to = |mode| {
        Input::UpdateStreamMode(UpdateStreamModeInput {
            stream_arn: ARN.into(),
            stream_mode_details: StreamModeDetails { stream_mode: mode, ..Default::default() },
            warm_throughput_mibps: Some(20),
            ..Default::default()
        })
    };
    assert_eq!(world.error(to(StreamMode::Provisioned)).code, ErrorCode::ValidationException);
    world.call(to(StreamMode::OnDemand)).expect("switched");
    // The answer came when both were done: the switch, and the shards.
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
    assert_eq!(warmth(&world), (Some((20, 20)), 20));
    assert_eq!(world.kinesis.problems(), Vec::<String>::new());
}

#[test]
fn the_largest_warm_throughput_is_made() {
    let mut world = World::new(at_once());
    world.context = context("000000000000", "us-east-1");
    world.call(commit(true)).expect("enabled");
    world.call(create_on_demand("s")).expect("created");
    world
        .call(Input::UpdateStreamWarmThroughput(UpdateStreamWarmThroughputInput {
            stream_name: Some("s".into()),
            warm_throughput_mibps: 10_240,
            ..Default::default()
        }))
        .expect("accepted");
    assert_eq!(warmth(&world), (Some((10_240, 10_240)), 10_240));
}

/// Lets minutes pass one by one: on-demand streams are looked at in each.
fn pass_minutes(world: &World, minutes: u64) {
    for _ in 0..minutes {
        world.pass(60_000);
    }
}

#[test]
fn what_traffic_needs_is_not_given_up() {
    let world = World::new(at_once());
    world.call(commit(true)).expect("enabled");
    world.call(Input::CreateStream(create_warm(20))).expect("created");
    // Some 5 MiB/s over a minute of the clock: twice that takes ten shards.
    world.pass(60_000 - world.kinesis.now() % 60_000);
    let data = vec![0; 60 << 10];
    for second in 0..60 {
        let keys: Vec<String> = (0..85).map(|n| format!("{second} {n}")).collect();
        let entry = |key| PutRecordsRequestEntry {
            data: millstream_api::Blob::from_bytes(&data),
            partition_key: Some(std::borrow::Cow::Borrowed(key)),
            ..Default::default()
        };
        let records = keys.iter().map(|key| entry(key.as_str())).collect();
        let input = PutRecordsInput { stream_name: Some("s".into()), records, ..Default::default() };
        world.call(Input::PutRecords(input)).expect("put");
        world.pass(1_000);
    }
    pass_minutes(&world, 2);
    assert_eq!(warmth(&world), (Some((20, 20)), 20));
    world.call(warm(1)).expect("accepted");
    let (shown, open) = warmth(&world);
    assert_eq!((shown, open), (Some((1, 10)), 10));
    pass_minutes(&world, 30);
    assert_eq!(warmth(&world).1, open, "the scaler sees it the same way");
}

#[test]
fn the_scaler_keeps_a_stream_warm() {
    let world = World::new(at_once());
    world.call(commit(true)).expect("enabled");
    world.call(Input::CreateStream(create_warm(12))).expect("created");
    for _ in 0..33 {
        world.pass(24 * HOUR);
        pass_minutes(&world, 2);
    }
    assert_eq!(warmth(&world).1, 12);
    world.call(commit(false)).expect("accepted");
    for _ in 0..10 {
        world.pass(24 * HOUR);
        pass_minutes(&world, 2);
    }
    assert_eq!(warmth(&world).1, 4, "nothing keeps it warm any more");
}

#[test]
fn a_reset_takes_the_settings_with_it() {
    let world = World::new(at_once());
    world.call(commit(true)).expect("enabled");
    let elsewhere = crate::reset::Worlds { region: Some("us-east-1".to_owned()), account: None };
    world.machine.block_on(world.kinesis.reset(&elsewhere)).expect("an answer").expect("reset");
    assert!(world.kinesis.commitment_enabled("000000000000", "eu-central-1"));
    world.machine.block_on(world.kinesis.reset(&Default::default())).expect("an answer").expect("reset");
    assert_eq!(described(&world), ("DISABLED".to_owned(), [None; 3]));
    assert_eq!(described(&world.reopen()), ("DISABLED".to_owned(), [None; 3]));
}
