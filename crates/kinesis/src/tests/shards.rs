use super::*;

#[test]
fn a_split_closes_the_parent_and_opens_two_children_at_once() {
    let world = World::new(config());
    world.create("s", 1);
    world.pass(500);
    world.call(split("s", "shardId-000000000000", HALF)).expect("accepted");
    let during = world.describe("s");
    assert_eq!(during.stream_status, StreamStatus::Updating);
    assert_eq!(during.shards.len(), 1);
    assert_eq!(during.shards[0].sequence_number_range.ending_sequence_number, None);
    world.refused(
        split("s", "0", HALF),
        ErrorCode::ResourceInUseException,
        "Stream s under account 000000000000 not ACTIVE, instead in state UPDATING",
    );
    world.pass(500);
    let after = world.describe("s");
    assert_eq!(after.stream_status, StreamStatus::Active);
    let [parent, lower, upper] = after.shards.as_slice() else { panic!("{after:?}") };
    let end = parent.sequence_number_range.ending_sequence_number.as_ref().expect("closed");
    for child in [lower, upper] {
        assert_eq!(child.parent_shard_id.as_deref(), Some("shardId-000000000000"));
        assert_eq!(child.adjacent_parent_shard_id, None);
        assert!(child.sequence_number_range.starting_sequence_number > *end);
    }
    assert_eq!(lower.shard_id, "shardId-000000000001");
    assert_eq!(lower.hash_key_range.ending_hash_key, "170141183460469231731687303715884105727");
    assert_eq!(upper.hash_key_range.starting_hash_key, HALF);
    assert_eq!(world.summary("s").open_shard_count, 2);
}

#[test]
fn a_merge_has_two_parents() {
    let world = World::new(at_once());
    world.create("s", 2);
    world.call(merge("s", "shardId-000000000000", "shardId-000000000001")).expect("merged");
    let shards = world.describe("s").shards;
    let child = &shards[2];
    assert_eq!(child.parent_shard_id.as_deref(), Some("shardId-000000000000"));
    assert_eq!(child.adjacent_parent_shard_id.as_deref(), Some("shardId-000000000001"));
    assert_eq!(child.hash_key_range.ending_hash_key, "340282366920938463463374607431768211455");
}

#[test]
fn checks_come_in_awss_order() {
    let world = World::new(at_once());
    // The shard id's syntax comes before the stream.
    world.refused(
        split("nope", "bad", "5"),
        ErrorCode::ResourceNotFoundException,
        "Could not find shard bad in stream nope under account 000000000000.",
    );
    world.refused(
        split("nope", "0", "5"),
        ErrorCode::ResourceNotFoundException,
        "Stream nope under account 000000000000 not found.",
    );
    world.create("s", 3);
    world.refused(
        split("s", "5", "5"),
        ErrorCode::ResourceNotFoundException,
        "Could not find shard shardId-000000000005 in stream s under account 000000000000.",
    );
    world.refused(
        split("s", "0", "1"),
        ErrorCode::InvalidArgumentException,
        "NewStartingHashKey 1 used in SplitShard() on shard shardId-000000000000 in stream s under account 000000000000 is \
         not both greater than one plus the shard's StartingHashKey 0 and less than the shard's EndingHashKey \
         113427455640312821154458202477256070484.",
    );
    for key in ["113427455640312821154458202477256070484", "999999999999999999999999999999999999999"] {
        assert_eq!(world.error(split("s", "0", key)).code, ErrorCode::InvalidArgumentException);
    }
    for (lower, upper) in [("1", "0"), ("0", "2"), ("0", "0")] {
        let error = world.call(merge("s", lower, upper)).expect_err("not adjacent");
        assert!(error.message.unwrap_or_default().ends_with("are not an adjacent pair of shards eligible for merging"));
    }
    world.call(split("s", "0", "2")).expect("the lowest key that works");
    world.refused(
        merge("s", "0", "1"),
        ErrorCode::InvalidArgumentException,
        "Shard shardId-000000000000 in stream s under account 000000000000 has already been merged or split, and thus is \
         not eligible for merging or splitting.",
    );
}

#[test]
fn scaling_makes_even_shards_in_one_step() {
    for (from, to, total) in [(2, 4, 6), (4, 2, 6), (4, 5, 15), (4, 3, 11), (1, 1, 1)] {
        let world = World::new(config());
        world.create("s", from);
        world.pass(500);
        let Ok(Output::UpdateShardCount(answer)) = world.call(scale("s", to)) else { panic!() };
        assert_eq!((answer.current_shard_count, answer.target_shard_count), (Some(from), Some(to)));
        assert_eq!(world.describe("s").shards.len(), from as usize);
        world.pass(500);
        let shards = world.describe("s").shards;
        assert_eq!(shards.len(), total, "{from} to {to}");
        assert_eq!(world.summary("s").open_shard_count, to);
        for child in &shards {
            let parents = [&child.parent_shard_id, &child.adjacent_parent_shard_id];
            for parent in parents.into_iter().flatten() {
                let parent = shards.iter().find(|s| s.shard_id == *parent).expect("listed");
                let end = parent.sequence_number_range.ending_sequence_number.as_ref().expect("closed");
                assert!(*end < child.sequence_number_range.starting_sequence_number);
            }
        }
    }
}

#[test]
fn scaling_has_its_limits() {
    let world = World::new(at_once());
    world.create("s", 2);
    world.refused(
        scale("s", 5),
        ErrorCode::LimitExceededException,
        "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 2, Target \
         shard count: 5",
    );
    world.call(scale("s", 4)).expect("double");
    world.refused(
        scale("s", 1),
        ErrorCode::LimitExceededException,
        "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: 4, Target \
         shard count: 1",
    );
    for i in 1..10 {
        world.call(scale("s", 4 - i % 2)).expect("ten calls a day");
    }
    assert_eq!(world.error(scale("s", 4)).code, ErrorCode::LimitExceededException);
    world.machine.clock.advance(24 * 60 * 60 * 1000);
    world.call(scale("s", 4)).expect("the next day");
}

#[test]
fn two_hundred_splits_within_a_second_keep_their_order() {
    let world = World::new(at_once());
    world.create("s", 1);
    let mut key: u128 = 1 << 127;
    for i in 0..200u32 {
        // Always the lower child: 0, 1, 3, 5, …
        let shard = if i == 0 { 0 } else { 2 * i - 1 };
        if key <= 1 {
            break;
        }
        world.call(split("s", &shard.to_string(), &key.to_string())).expect("split");
        key /= 2;
    }
    let stream = Arc::clone(world.kinesis.streams().get("000000000000", "eu-central-1", "s").expect("there"));
    let record = &stream.view_owned().record;
    assert!(record.shards.len() > 200);
    for shard in &record.shards {
        for parent in shard.parents() {
            let parent = record.shard(parent).expect("kept");
            let closed = parent.closed.expect("closed");
            assert!(closed.second >= parent.create_second && shard.create_second > closed.second);
            assert!(shard.opened_ms == closed.at_ms);
        }
    }
    let highest = record.shards.iter().map(|s| s.create_second).max();
    assert_eq!(highest, Some(record.latest_second));
    // The clock has not moved, and the next life of the name is still later than all of it.
    world.call(delete("s")).expect("deleted");
    world.create("s", 1);
    let again = Arc::clone(world.kinesis.streams().get("000000000000", "eu-central-1", "s").expect("there"));
    assert!(Some(again.view_owned().record.shards[0].create_second) > highest);
}
