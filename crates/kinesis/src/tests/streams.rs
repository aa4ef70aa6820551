use super::*;

#[test]
fn a_stream_is_created_described_and_deleted() {
    let world = World::new(config());
    world.create("s", 2);
    let creating = world.describe("s");
    assert_eq!(creating.stream_status, StreamStatus::Creating);
    assert_eq!(creating.shards, []);
    assert!(!creating.has_more_shards);
    assert_eq!(creating.stream_arn, "arn:aws:kinesis:eu-central-1:000000000000:stream/s");
    world.refused(
        create("s", 1),
        ErrorCode::ResourceInUseException,
        "Stream s under account 000000000000 already exists.",
    );
    world.pass(499);
    assert_eq!(world.describe("s").stream_status, StreamStatus::Creating);
    world.pass(1);
    let active = world.describe("s");
    assert_eq!(active.stream_status, StreamStatus::Active);
    assert_eq!(active.retention_period_hours, 24);
    assert_eq!(active.encryption_type, Some(EncryptionType::None));
    assert_eq!(active.enhanced_monitoring, [EnhancedMetrics { shard_level_metrics: Some(vec![]) }]);
    let ranges: Vec<(&str, &str)> = active
        .shards
        .iter()
        .map(|s| (s.hash_key_range.starting_hash_key.as_str(), s.hash_key_range.ending_hash_key.as_str()))
        .collect();
    assert_eq!(
        ranges,
        [("0", "170141183460469231731687303715884105727"), (HALF, "340282366920938463463374607431768211455")]
    );
    assert_eq!(active.shards[0].sequence_number_range.ending_sequence_number, None);
    world.call(delete("s")).expect("accepted");
    assert_eq!(world.describe("s").stream_status, StreamStatus::Deleting);
    world.refused(
        delete("s"),
        ErrorCode::ResourceInUseException,
        "Stream s under account 000000000000 not ACTIVE, instead in state DELETING",
    );
    world.pass(500);
    world.refused(
        describe("s"),
        ErrorCode::ResourceNotFoundException,
        "Stream s under account 000000000000 not found.",
    );
    assert_eq!(world.log.list(), []);
    assert_eq!(world.kinesis.problems(), Vec::<String>::new());
}

#[test]
fn without_a_delay_a_stream_is_there_when_the_call_returns() {
    let world = World::new(at_once());
    world.create("s", 1);
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active);
    world.call(delete("s")).expect("deleted");
    assert!(world.call(describe("s")).is_err());
}

#[test]
fn what_is_under_way_goes_on_after_a_restart() {
    let world = World::new(config());
    world.create("a", 1);
    world.pass(500);
    world.create("b", 1);
    world.call(delete("a")).expect("accepted");
    let world = world.reopen();
    world.pass(500);
    assert_eq!(world.describe("b").stream_status, StreamStatus::Active);
    assert!(world.call(describe("a")).is_err());
    assert_eq!(world.log.list().len(), 1);
}

#[test]
fn a_stream_deleted_while_creating_leaves_nothing() {
    let world = World::new(config());
    world.create("s", 1);
    world.call(delete("s")).expect("accepted");
    assert_eq!(world.describe("s").stream_status, StreamStatus::Deleting);
    world.pass(500);
    assert!(world.call(describe("s")).is_err());
    assert_eq!(world.log.list(), []);
}

#[test]
fn worlds_do_not_see_each_other() {
    let mut world = World::new(at_once());
    world.create("s", 1);
    world.context = context("111111111111", "eu-central-1");
    assert!(world.call(describe("s")).is_err());
    let arn = "arn:aws:kinesis:eu-central-1:000000000000:stream/s";
    let foreign = DescribeStreamInput { stream_arn: Some(arn.into()), ..Default::default() };
    let error = world.call(Input::DescribeStream(foreign)).expect_err("another account's");
    assert_eq!(error.code, ErrorCode::AccessDeniedException);
    world.context = context("000000000000", "us-east-1");
    assert!(world.call(describe("s")).is_err());
    // A region knows nothing of the others, however the stream is named.
    let other_region = DescribeStreamInput { stream_arn: Some(arn.into()), ..Default::default() };
    world.refused(
        Input::DescribeStream(other_region),
        ErrorCode::InvalidArgumentException,
        "arn:aws:kinesis:eu-central-1:000000000000:stream/s is not in the region us-east-1.",
    );
    world.create("s", 3);
    assert_eq!(world.describe("s").shards.len(), 3);
}

#[test]
fn name_and_arn_must_agree_and_one_must_be_there() {
    let world = World::new(at_once());
    world.create("s", 1);
    let both = |name: &'static str| {
        Input::DescribeStream(DescribeStreamInput {
            stream_name: Some(name.into()),
            stream_arn: Some("arn:aws:kinesis:eu-central-1:000000000000:stream/s".into()),
            ..Default::default()
        })
    };
    assert!(world.call(both("s")).is_ok());
    assert_eq!(world.error(both("t")).code, ErrorCode::InvalidArgumentException);
    let neither = Input::DescribeStream(DescribeStreamInput::default());
    assert_eq!(world.error(neither).code, ErrorCode::InvalidArgumentException);
}

#[test]
fn on_demand_streams_have_four_shards_and_report_their_distribution() {
    let world = World::new(at_once());
    world.call(create_on_demand("d")).expect("created");
    let summary = world.summary("d");
    assert_eq!(summary.open_shard_count, 4);
    assert_eq!(summary.record_distribution_strategy, Some(RecordDistributionStrategy::UserPartitionKey));
    assert_eq!(summary.max_record_size_in_kib, Some(1024));
    world.create("p", 1);
    assert_eq!(world.summary("p").record_distribution_strategy, None);
    let message = "Request is invalid. Stream d under account 000000000000 is in On-Demand mode.";
    world.refused(scale("d", 8), ErrorCode::ValidationException, message);
    world.refused(split("d", "0", "5"), ErrorCode::ValidationException, message);
    let Input::CreateStream(input) = create_on_demand("x") else { unreachable!() };
    let with_count = Input::CreateStream(CreateStreamInput { shard_count: Some(1), ..input.clone() });
    assert_eq!(world.error(with_count).code, ErrorCode::InvalidArgumentException);
    let warm = Input::CreateStream(CreateStreamInput { warm_throughput_mibps: Some(1), ..input });
    assert_eq!(world.error(warm).code, ErrorCode::ValidationException);
}

#[test]
fn quotas_are_enforced() {
    let mut config = config();
    config.limits = Limits { call_rates: false, shards_in_region: crate::limits::Limit::of(10), ..Limits::aws() };
    let world = World::new(config);
    world.create("s", 8);
    let error = world.call(create("t", 3)).expect_err("one too many");
    assert_eq!(error.code, ErrorCode::LimitExceededException);
    assert!(error.message.unwrap_or_default().contains("Current shard count for the account: 8. Limit: 10."));
    for i in 0..4 {
        world.call(create_on_demand(&format!("d{i}"))).expect("five at once are allowed");
    }
    let error = world.call(create_on_demand("d4")).expect_err("a sixth is not");
    assert!(error.message.unwrap_or_default().contains("simultaneously be in CREATING or DELETING"));
    world.pass(500);
    world.call(create_on_demand("d4")).expect("there is room again");
    let Ok(Output::DescribeLimits(limits)) = world.call(Input::DescribeLimits(Default::default())) else { panic!() };
    assert_eq!((limits.shard_limit, limits.open_shard_count), (10, 8));
    assert_eq!((limits.on_demand_stream_count, limits.on_demand_stream_count_limit), (5, 50));
}

#[test]
fn calls_are_throttled_at_awss_rates() {
    let world = World::new(KinesisConfig::new(PathBuf::from("/data/tokens")));
    for _ in 0..10 {
        assert_eq!(world.error(describe("s")).code, ErrorCode::ResourceNotFoundException);
    }
    let message = "Rate exceeded for stream s under account 000000000000.";
    world.refused(describe("s"), ErrorCode::LimitExceededException, message);
    world.pass(1000);
    assert_eq!(world.error(describe("s")).code, ErrorCode::ResourceNotFoundException);
}

#[test]
fn operations_to_come_say_so() {
    let world = World::new(at_once());
    let input = Input::ListQueues(Default::default());
    world.refused(input, ErrorCode::UnsupportedOperationException, "Millstream does not support ListQueues yet.");
}

#[test]
fn a_name_that_is_created_again_is_another_stream() {
    let world = World::new(at_once());
    let mut starts = Vec::new();
    for _ in 0..50 {
        world.create("s", 2);
        starts.push(world.describe("s").shards[1].sequence_number_range.starting_sequence_number.clone());
        world.call(delete("s")).expect("deleted");
    }
    let mut sorted = starts.clone();
    sorted.sort();
    sorted.dedup();
    // Within one second of the clock, each one is later than all before.
    assert_eq!(sorted, starts);
}

#[test]
fn a_lost_catalog_is_made_again_from_the_logs() {
    let world = World::new(at_once());
    world.create("s", 2);
    world.call(split("s", "shardId-000000000001", "255211775190703847597530955573826158592")).expect("split");
    let before = world.describe("s");
    let World { machine, kinesis, log, context, config } = world;
    drop(kinesis);
    let env = machine.env();
    env.disk.remove_file(Path::new("/data/catalog")).expect("removed");
    let catalog = Catalog::open(&env, Path::new("/data/catalog")).expect("opens");
    let complaints = crate::rebuild::compare(&*log, &catalog).expect("readable");
    assert!(matches!(complaints.as_slice(), [one] if one.contains("belongs to no stream")), "{complaints:?}");
    let report = machine.block_on(crate::rebuild::rebuild(&log, &catalog)).expect("ends").expect("rebuilt");
    assert!(matches!(report.as_slice(), [crate::rebuild::Rebuilt::Stream { .. }]), "{report:?}");
    assert_eq!(crate::rebuild::compare(&*log, &catalog), Ok(vec![]));
    drop(catalog);
    let kinesis = start(&machine, &log, &config).expect("starts");
    let world = World { machine, kinesis, log, context, config };
    let after = world.describe("s");
    let moments = |d: &StreamDescription| d.shards.clone();
    assert_eq!(moments(&after), moments(&before));
    assert_eq!(world.kinesis.problems(), Vec::<String>::new());
}

#[test]
fn logs_of_no_stream_are_reported_and_kept() {
    let world = World::new(at_once());
    let id = millstream_log::LogId { account: "000000000000".into(), region: "r".into(), incarnation: 7 };
    world.machine.block_on(world.log.create(&id, bytes::Bytes::new())).expect("ends").expect("made");
    let world = world.reopen();
    assert_eq!(world.log.list(), [id]);
    let problems = world.kinesis.problems();
    assert!(problems.iter().any(|p| p.contains("0000000000000007")), "{problems:?}");
}
