use millstream_api::Timestamp;

use super::*;

fn list(world: &World, input: ListShardsInput<'_>) -> (Vec<u32>, Option<String>) {
    match world.call(Input::ListShards(input)) {
        Ok(Output::ListShards(output)) => {
            let shards = output.shards.unwrap_or_default();
            (shards.iter().filter_map(|s| crate::state::parse_shard_id(&s.shard_id)).collect(), output.next_token)
        }
        other => panic!("{other:?}"),
    }
}

fn filtered(world: &World, kind: ShardFilterType, ms: Option<u64>) -> Vec<u32> {
    let timestamp = ms.map(|ms| Timestamp(ms as i64));
    let shard_filter = Some(ShardFilter { r#type: kind, timestamp, ..Default::default() });
    list(world, ListShardsInput { stream_name: Some("s".into()), shard_filter, ..Default::default() }).0
}

#[test]
fn filters_pick_the_shards_of_a_moment() {
    let world = World::new(at_once());
    let now = || millstream_env::Clock::wall(&*world.machine.clock);
    let before = now() - 5_000;
    world.create("s", 2);
    let first = now();
    world.machine.clock.advance(10_000);
    world.call(split("s", "1", "255211775190703847597530955573826158592")).expect("split");
    let second = now();
    world.machine.clock.advance(10_000);
    world.call(scale("s", 4)).expect("scaled");
    let open = filtered(&world, ShardFilterType::AtLatest, None);
    assert_eq!(filtered(&world, ShardFilterType::AtTrimHorizon, None), [0, 1]);
    assert_eq!(filtered(&world, ShardFilterType::AtTimestamp, Some(before)), [0, 1]);
    assert_eq!(filtered(&world, ShardFilterType::AtTimestamp, Some(first)), [0, 1]);
    assert_eq!(filtered(&world, ShardFilterType::AtTimestamp, Some(second - 1)), [0, 1]);
    assert_eq!(filtered(&world, ShardFilterType::AtTimestamp, Some(second)), [0, 2, 3]);
    assert_eq!(filtered(&world, ShardFilterType::AtTimestamp, Some(now() + 60_000)), open);
    let all = filtered(&world, ShardFilterType::FromTrimHorizon, None);
    assert_eq!(all.len(), world.describe("s").shards.len());
    let from = filtered(&world, ShardFilterType::FromTimestamp, Some(second + 1));
    assert!(!from.contains(&1) && from.contains(&0));
    let shard_filter =
        Some(ShardFilter { r#type: ShardFilterType::AfterShardId, shard_id: Some("1".into()), ..Default::default() });
    let after = list(&world, ListShardsInput { stream_name: Some("s".into()), shard_filter, ..Default::default() }).0;
    assert_eq!(after, all[2..]);
}

#[test]
fn pages_go_on_where_they_ended() {
    let world = World::new(at_once());
    world.create("s", 7);
    let mut seen = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let input = ListShardsInput {
            stream_name: token.is_none().then(|| "s".into()),
            next_token: token.as_deref().map(Into::into),
            max_results: Some(3),
            ..Default::default()
        };
        let (page, next) = list(&world, input);
        assert!(page.len() <= 3);
        seen.extend(page);
        match next {
            Some(next) => token = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    let token = token.expect("there were pages");
    world.machine.clock.advance(300_001);
    let late = ListShardsInput { next_token: Some(token.into()), ..Default::default() };
    let error = world.call(Input::ListShards(late)).expect_err("too late");
    assert_eq!(error.code, ErrorCode::ExpiredNextTokenException);
}

#[test]
fn members_that_do_not_go_together_are_refused() {
    let world = World::new(at_once());
    world.create("s", 1);
    let refused = |input: ListShardsInput<'_>, message: &str| {
        world.refused(Input::ListShards(input), ErrorCode::InvalidArgumentException, message);
    };
    refused(ListShardsInput::default(), "Either NextToken or StreamName should be provided.");
    let token = || ListShardsInput { next_token: Some("x".into()), ..Default::default() };
    refused(
        ListShardsInput { stream_name: Some("s".into()), ..token() },
        "NextToken and StreamName cannot be provided together.",
    );
    refused(
        ListShardsInput { exclusive_start_shard_id: Some("0".into()), ..token() },
        "NextToken and ExclusiveStartShardId cannot be provided together.",
    );
    refused(token(), "Invalid NextToken.");
    let filter = |kind| ListShardsInput {
        stream_name: Some("s".into()),
        shard_filter: Some(ShardFilter { r#type: kind, ..Default::default() }),
        ..Default::default()
    };
    for kind in [ShardFilterType::AtTimestamp, ShardFilterType::FromTimestamp, ShardFilterType::AfterShardId] {
        let error = world.call(Input::ListShards(filter(kind))).expect_err("a member is missing");
        assert_eq!(error.code, ErrorCode::InvalidArgumentException);
    }
}

#[test]
fn streams_are_listed_by_name_in_pages() {
    let world = World::new(at_once());
    for name in ["b", "a", "C", "d_1"] {
        world.create(name, 1);
    }
    let list = |input: ListStreamsInput<'_>| match world.call(Input::ListStreams(input)) {
        Ok(Output::ListStreams(output)) => output,
        other => panic!("{other:?}"),
    };
    let all = list(ListStreamsInput::default());
    assert_eq!(all.stream_names, ["C", "a", "b", "d_1"]);
    assert_eq!((all.has_more_streams, all.next_token), (false, None));
    assert_eq!(all.stream_summaries.map(|s| s.len()), Some(4));
    let first = list(ListStreamsInput { limit: Some(2), ..Default::default() });
    assert_eq!(first.stream_names, ["C", "a"]);
    let rest = list(ListStreamsInput { next_token: first.next_token.map(Into::into), ..Default::default() });
    assert_eq!(rest.stream_names, ["b", "d_1"]);
    let after = list(ListStreamsInput { exclusive_start_stream_name: Some("aa".into()), ..Default::default() });
    assert_eq!(after.stream_names, ["b", "d_1"]);
}

#[test]
fn a_description_gives_a_hundred_shards_at_most() {
    let world = World::new(at_once());
    world.create("s", 150);
    let first = world.describe("s");
    assert_eq!((first.shards.len(), first.has_more_shards), (100, true));
    let last = first.shards.last().map(|s| s.shard_id.clone()).expect("shards");
    let input = DescribeStreamInput {
        stream_name: Some("s".into()),
        exclusive_start_shard_id: Some(last.into()),
        limit: Some(10_000),
        ..Default::default()
    };
    let Ok(Output::DescribeStream(rest)) = world.call(Input::DescribeStream(input)) else { panic!() };
    assert_eq!((rest.stream_description.shards.len(), rest.stream_description.has_more_shards), (50, false));
}

#[test]
fn tokens_are_good_in_the_region_they_were_made_in() {
    let world = World::new(at_once());
    for name in ["s", "t"] {
        world.create(name, 2);
    }
    let there = context("000000000000", "us-east-1");
    let call_there = |input| world.machine.block_on(world.kinesis.call(&there, input)).expect("an answer");
    let first = ListShardsInput { stream_name: Some("s".into()), max_results: Some(1), ..Default::default() };
    let token = list(&world, first).1.expect("a token");
    let next = |token: String| ListShardsInput { next_token: Some(token.into()), ..Default::default() };
    let error = call_there(Input::ListShards(next(token))).expect_err("another region's");
    assert_eq!(error.code, ErrorCode::InvalidArgumentException);
    let arn = "arn:aws:kinesis:eu-central-1:000000000000:stream/s";
    let first = ListShardsInput { stream_arn: Some(arn.into()), max_results: Some(1), ..Default::default() };
    let token = list(&world, first).1.expect("a token");
    assert!(world.call(Input::ListShards(next(token))).is_ok());
    let first = ListStreamsInput { limit: Some(1), ..Default::default() };
    let Ok(Output::ListStreams(page)) = world.call(Input::ListStreams(first)) else { panic!() };
    let next = ListStreamsInput { next_token: page.next_token.map(Into::into), ..Default::default() };
    let error = call_there(Input::ListStreams(next)).expect_err("another region's");
    assert_eq!(error.code, ErrorCode::InvalidArgumentException);
}
