//! Record distribution as a setting. What it does with records is tested beside the data plane.

use super::*;

const ARN: &str = "arn:aws:kinesis:eu-central-1:000000000000:stream/s";

fn distribute(strategy: RecordDistributionStrategy) -> Input<'static> {
    Input::UpdateStreamRecordDistributionStrategy(UpdateStreamRecordDistributionStrategyInput {
        stream_arn: ARN.into(),
        record_distribution_strategy: strategy,
        ..Default::default()
    })
}

fn create_auto(stream_mode: StreamMode, shard_count: Option<i32>) -> Input<'static> {
    Input::CreateStream(CreateStreamInput {
        stream_name: "s".into(),
        shard_count,
        stream_mode_details: Some(StreamModeDetails { stream_mode, ..Default::default() }),
        record_distribution_strategy: Some(RecordDistributionStrategy::Auto),
        ..Default::default()
    })
}

#[test]
fn distribution_is_a_setting_of_on_demand_streams() {
    let world = World::new(config());
    let text =
        "RecordDistributionStrategy=AUTO is only supported for on-demand streams. Stream s is using PROVISIONED mode.";
    world.refused(create_auto(StreamMode::Provisioned, Some(1)), ErrorCode::InvalidArgumentException, text);
    world.call(create_auto(StreamMode::OnDemand, None)).expect("created");
    assert_eq!(
        world.error(distribute(RecordDistributionStrategy::Auto)).code,
        ErrorCode::ResourceInUseException,
        "it is being created"
    );
    world.pass(500);
    let shown = |world: &World| world.summary("s").record_distribution_strategy;
    assert_eq!(shown(&world), Some(RecordDistributionStrategy::Auto));
    world.call(distribute(RecordDistributionStrategy::UserPartitionKey)).expect("changed");
    assert_eq!(world.describe("s").stream_status, StreamStatus::Active, "at once");
    assert_eq!(shown(&world), Some(RecordDistributionStrategy::UserPartitionKey));
    world.call(distribute(RecordDistributionStrategy::Auto)).expect("changed back");
    world.call(distribute(RecordDistributionStrategy::Auto)).expect("no change");
    let world = world.reopen();
    assert_eq!(shown(&world), Some(RecordDistributionStrategy::Auto));
    // A provisioned stream has none, and none is left over.
    world.call(switch("s", StreamMode::Provisioned)).expect("accepted");
    world.pass(500);
    assert_eq!(shown(&world), None);
    world.refused(distribute(RecordDistributionStrategy::Auto), ErrorCode::InvalidArgumentException, text);
    world.call(distribute(RecordDistributionStrategy::UserPartitionKey)).expect("no change");
    world.call(switch("s", StreamMode::OnDemand)).expect("accepted");
    world.pass(500);
    assert_eq!(shown(&world), Some(RecordDistributionStrategy::UserPartitionKey));
}
