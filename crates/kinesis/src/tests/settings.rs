use super::*;
use crate::limits::Limit;

const HOUR: u64 = 60 * 60 * 1000;

fn monitoring<'a>(metrics: &[MetricsName]) -> (Input<'a>, Input<'a>) {
    let enable = EnableEnhancedMonitoringInput {
        stream_name: Some("s".into()),
        shard_level_metrics: metrics.to_vec(),
        ..Default::default()
    };
    let disable = DisableEnhancedMonitoringInput {
        stream_name: Some("s".into()),
        shard_level_metrics: metrics.to_vec(),
        ..Default::default()
    };
    (Input::EnableEnhancedMonitoring(enable), Input::DisableEnhancedMonitoring(disable))
}

#[test]
fn retention_goes_up_and_down_within_its_range() {
    let world = World::new(config());
    world.create("s", 1);
    world.pass(500);
    world.refused(
        retain_longer("s", 23),
        ErrorCode::InvalidArgumentException,
        "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.",
    );
    world.refused(
        retain_longer("s", 8761),
        ErrorCode::InvalidArgumentException,
        "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.",
    );
    world.refused(
        retain_shorter("s", 48),
        ErrorCode::InvalidArgumentException,
        "Requested retention period (48 hours) for stream s can not be longer than existing retention period (24 hours). \
         Use IncreaseRetentionPeriod API.",
    );
    assert_eq!(world.error(retain_longer("s", 0)).code, ErrorCode::ValidationException);
    world.call(retain_longer("s", 24)).expect("no change");
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
    world.call(retain_longer("s", 48)).expect("accepted");
    assert_eq!(world.describe("s").stream_status, StreamStatus::Updating);
    world.pass(500);
    assert_eq!(world.describe("s").retention_period_hours, 48);
    world.refused(
        retain_longer("s", 24),
        ErrorCode::InvalidArgumentException,
        "Requested retention period (24 hours) for stream s can not be shorter than existing retention period (48 hours). \
         Use DecreaseRetentionPeriod API.",
    );
    world.call(retain_shorter("s", 24)).expect("accepted");
    assert_eq!(world.describe("s").retention_period_hours, 24);
    world.pass(500);
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
}

#[test]
fn closed_shards_expire_and_do_not_come_back() {
    let world = World::new(at_once());
    world.create("s", 1);
    world.call(split("s", "0", HALF)).expect("split");
    world.pass(23 * HOUR);
    assert_eq!(world.describe("s").shards.len(), 3);
    world.pass(2 * HOUR);
    let left = world.describe("s").shards;
    assert_eq!(left.len(), 2);
    assert_eq!(left[0].parent_shard_id.as_deref(), Some("shardId-000000000000"));
    world.call(retain_longer("s", 100)).expect("longer");
    assert_eq!(world.describe("s").shards.len(), 2);
    // The earliest moment there is moves with what is gone, so that the shards of that moment still tile the space.
    let input = ListShardsInput {
        stream_name: Some("s".into()),
        shard_filter: Some(ShardFilter { r#type: ShardFilterType::AtTrimHorizon, ..Default::default() }),
        ..Default::default()
    };
    let Ok(Output::ListShards(output)) = world.call(Input::ListShards(input)) else { panic!() };
    assert_eq!(output.shards.map(|s| s.len()), Some(2));
    world.tick();
    assert_eq!(world.kinesis.problems(), Vec::<String>::new());
}

#[test]
fn a_longer_retention_is_in_force_before_its_plan_has_ended() {
    let world = World::new(config());
    world.create("s", 1);
    world.pass(500);
    world.call(split("s", "shardId-000000000000", HALF)).expect("accepted");
    world.pass(500);
    world.call(retain_longer("s", 48)).expect("accepted");
    assert_eq!(world.describe("s").retention_period_hours, 48);
    // As over a restart that takes its time.
    world.pass(25 * HOUR);
    assert_eq!(
        world.describe("s").shards.len(),
        3,
        "the closed shard is not due under the retention that was promised"
    );
}

#[test]
fn monitoring_is_switched_by_name() {
    let world = World::new(at_once());
    world.create("s", 1);
    let named = [MetricsName::OutgoingBytes, MetricsName::IncomingBytes, MetricsName::IncomingBytes];
    let Ok(Output::EnableEnhancedMonitoring(answer)) = world.call(monitoring(&named).0) else { panic!() };
    assert_eq!(answer.stream_name.as_deref(), Some("s"));
    assert_eq!(answer.current_shard_level_metrics, Some(vec![]));
    let both = vec![MetricsName::IncomingBytes, MetricsName::OutgoingBytes];
    assert_eq!(answer.desired_shard_level_metrics, Some(both.clone()));
    assert_eq!(world.describe("s").enhanced_monitoring, [EnhancedMetrics { shard_level_metrics: Some(both) }]);
    let all = [MetricsName::All];
    let Ok(Output::EnableEnhancedMonitoring(answer)) = world.call(monitoring(&all).0) else { panic!() };
    let desired = answer.desired_shard_level_metrics.expect("named");
    assert_eq!(desired.len(), 7);
    assert!(!desired.contains(&MetricsName::All));
    let Ok(Output::DisableEnhancedMonitoring(answer)) = world.call(monitoring(&all).1) else { panic!() };
    assert_eq!(answer.desired_shard_level_metrics, Some(vec![]));
}

#[test]
fn the_mode_is_switched_twice_a_day() {
    let world = World::new(at_once());
    world.create("s", 3);
    world.call(switch("s", StreamMode::Provisioned)).expect("no change");
    world.call(switch("s", StreamMode::OnDemand)).expect("first");
    let description = world.describe("s");
    assert_eq!(description.stream_mode_details.map(|d| d.stream_mode), Some(StreamMode::OnDemand));
    assert_eq!(description.shards.len(), 3);
    world.call(switch("s", StreamMode::Provisioned)).expect("second");
    world.refused(
        switch("s", StreamMode::OnDemand),
        ErrorCode::LimitExceededException,
        "Rate exceeded for stream s under account 000000000000.",
    );
    world.machine.clock.advance(24 * HOUR);
    world.call(switch("s", StreamMode::OnDemand)).expect("the next day");
}

#[test]
fn a_pending_switch_counts_in_both_modes() {
    let limits = Limits { on_demand_streams: Limit::of(1), shards_in_region: Limit::of(4), ..config().limits };
    let world = World::new(KinesisConfig { limits, ..config() });
    world.create("s", 2);
    world.create("t", 1);
    world.pass(500);
    world.call(switch("s", StreamMode::OnDemand)).expect("accepted");
    assert_eq!(world.error(switch("t", StreamMode::OnDemand)).code, ErrorCode::LimitExceededException);
    // Until it has switched, its shards count too.
    assert_eq!(world.error(create("u", 2)).code, ErrorCode::LimitExceededException);
    world.pass(500);
    world.create("u", 2);
    world.pass(500);
    assert_eq!(world.error(switch("s", StreamMode::Provisioned)).code, ErrorCode::LimitExceededException);
    world.call(delete("u")).expect("accepted");
    world.pass(500);
    world.call(switch("s", StreamMode::Provisioned)).expect("accepted");
    assert_eq!(world.error(create("v", 2)).code, ErrorCode::LimitExceededException);
    assert_eq!(world.error(create_on_demand("w")).code, ErrorCode::LimitExceededException);
}

#[test]
fn without_quotas_calls_leave_no_trace() {
    let world = World::new(KinesisConfig { limits: Limits::none(), ..at_once() });
    world.create("s", 1);
    for i in 0..20 {
        world.call(scale("s", 1 + i % 2)).expect("scaled");
        world.call(switch("s", StreamMode::OnDemand)).expect("switched");
        world.call(switch("s", StreamMode::Provisioned)).expect("switched");
    }
    let streams = world.kinesis.streams();
    let record = &streams.get("000000000000", "eu-central-1", "s").expect("there").view_owned().record;
    assert!(record.scaling_calls.is_empty() && record.mode_switches.is_empty());
}

#[test]
fn the_record_size_goes_up_and_down() {
    let world = World::new(config());
    world.create("s", 1);
    let resize = |kib| UpdateMaxRecordSizeInput {
        stream_arn: Some("arn:aws:kinesis:eu-central-1:000000000000:stream/s".into()),
        max_record_size_in_kib: kib,
        ..Default::default()
    };
    let put = |bytes: usize| {
        let data = vec![0; bytes];
        world.machine.clock.advance(20_000);
        let input = PutRecordInput {
            stream_name: Some("s".into()),
            data: millstream_api::Blob::from_bytes(&data),
            partition_key: Some("k".into()),
            ..Default::default()
        };
        world.call(Input::PutRecord(input)).map(drop)
    };
    let update = |kib| Input::UpdateMaxRecordSize(resize(kib));
    assert_eq!(world.error(update(2048)).code, ErrorCode::ResourceInUseException, "it is being created");
    world.pass(500);
    let without = UpdateMaxRecordSizeInput { stream_arn: None, ..resize(2048) };
    let text = "StreamARN must be provided.";
    world.refused(Input::UpdateMaxRecordSize(without), ErrorCode::InvalidArgumentException, text);
    for kib in [1023, 10_241] {
        assert_eq!(world.error(update(kib)).code, ErrorCode::ValidationException);
    }
    world.call(update(1024)).expect("no change");
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
    world.call(update(2048)).expect("accepted");
    assert_eq!(world.describe("s").stream_status, StreamStatus::Updating);
    assert_eq!(world.summary("s").max_record_size_in_kib, Some(1024));
    world.pass(500);
    assert_eq!(world.summary("s").max_record_size_in_kib, Some(2048));
    put((2 << 20) - 1).expect("the key counts too");
    let error = put(2 << 20).expect_err("too large");
    assert!(error.message.unwrap_or_default().ends_with("less than or equal to 2097152"));
    world.call(update(1024)).expect("accepted");
    world.pass(500);
    assert_eq!(put(1 << 20).expect_err("too large").code, ErrorCode::ValidationException);
}
