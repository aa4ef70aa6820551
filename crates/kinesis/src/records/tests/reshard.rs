use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use millstream_api::kinesis::{PutRecordInput, ShardIteratorType as Type, SplitShardInput};
use proptest::prelude::*;

use super::world::{World, iterator_input, put_input};
use crate::limits::Limits;
use crate::sequence::{Parsed, SequenceNumber};
use crate::state::shard_id;

const HALF: u128 = 1 << 127;

#[test]
fn the_end_of_a_closed_shard_names_its_children() {
    let world = World::with_stream(1);
    world.put("a", b"1").unwrap();
    world.put("a", b"2").unwrap();
    let latest = world.iterator(iterator_input("0", Type::Latest)).unwrap();
    let first = world.iterator(iterator_input("0", Type::TrimHorizon)).unwrap();
    world.split("0", HALF).unwrap();
    let page = world.get(&first, Some(1)).unwrap();
    assert!(page.child_shards.is_none(), "there is more to read");
    let page = world.get(&page.next_shard_iterator.unwrap(), None).unwrap();
    assert_eq!((page.records.len(), page.millis_behind_latest), (1, Some(0)));
    assert_eq!(page.next_shard_iterator, None);
    let children = page.child_shards.unwrap();
    let ids: Vec<_> = children.iter().map(|c| (c.shard_id.as_str(), c.parent_shards.join(","))).collect();
    let parent = shard_id(0);
    assert_eq!(ids, [("shardId-000000000001", parent.clone()), ("shardId-000000000002", parent)]);
    assert_eq!(children[0].hash_key_range.starting_hash_key, "0");
    assert_eq!(children[1].hash_key_range.starting_hash_key, HALF.to_string());
    world.sim.clock.advance(1_000);
    let new_latest = world.iterator(iterator_input("0", Type::Latest)).unwrap();
    for iterator in [latest, new_latest] {
        let page = world.get(&iterator, None).unwrap();
        assert!(page.records.is_empty() && page.next_shard_iterator.is_none());
        assert_eq!(page.child_shards.unwrap().len(), 2);
    }
    // The key's MD5 lies in the lower half.
    assert_eq!(world.put("a", b"3").unwrap().shard_id, shard_id(1));
}

/// Seconds inside the numbers run ahead of the clock; order and checks hold all the same.
#[test]
fn many_splits_within_one_second() {
    let world = World::new(1, Limits::none());
    world.create(1);
    let mut last = String::new();
    for shard in (0..400u32).step_by(2) {
        let ordered = PutRecordInput {
            sequence_number_for_ordering: Some(last.clone().into()).filter(|_| shard > 0),
            ..put_input("a", b"x")
        };
        let put = world.run(world.kinesis.put_record(&world.context, ordered)).unwrap();
        assert!(put.sequence_number > last, "a child's numbers are above its parents'");
        last = put.sequence_number;
        // Cuts a sliver off the lower end: the key stays in the upper child, two numbers on.
        world.split(&shard_id(shard), 2 * u128::from(shard) + 4).unwrap();
    }
    let record = world.stream().view().record.clone();
    assert_eq!(record.shards.len(), 401);
    for shard in &record.shards {
        let start = SequenceNumber::start_of(shard.create_second, shard.index);
        for parent in shard.parents() {
            let parent = record.shard(parent).unwrap();
            let closed = parent.closed.unwrap();
            assert!(start > SequenceNumber::end_of(parent.create_second, parent.index, closed.second));
        }
    }
}

type Job<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Polls all futures, in an order drawn from the seed, until all are ready.
async fn all<T>(world: &World, mut futures: Vec<Job<'_, T>>) -> Vec<T> {
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(move |cx| {
        let first = world.sim.below(futures.len() as u64) as usize;
        for i in 0..futures.len() {
            let i = (first + i) % futures.len();
            if results[i].is_none()
                && let Poll::Ready(value) = futures[i].as_mut().poll(cx)
            {
                results[i] = Some(value);
            }
        }
        if results.iter().any(Option::is_none) {
            return Poll::Pending;
        }
        Poll::Ready(results.iter_mut().filter_map(Option::take).collect())
    })
    .await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Puts that race with splits all succeed, each is read back once (after a power loss, too, where there is a disk), and a key's records are in order along its shards.
    #[test]
    fn puts_go_on_while_shards_split(seed: u64, on_disk in proptest::bool::weighted(0.4)) {
        let mut world = if on_disk { World::on_disk(seed, Limits::none()) } else { World::new(seed, Limits::none()) };
        world.create(1);
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for round in 0..3u32 {
            let mut jobs: Vec<Job<'_, Option<(String, String)>>> = Vec::new();
            for i in 0..6 {
                let data = format!("{round}-{i}");
                let (kinesis, context) = (&world.kinesis, &world.context);
                jobs.push(Box::pin(async move {
                    let put = kinesis.put_record(context, put_input("a", data.as_bytes())).await.expect("put");
                    Some((put.sequence_number, data))
                }));
            }
            // "a" hashes to 0x0cc1...: shards 0, 1, 3, ... hold it.
            let shard = if round == 0 { 0 } else { 2 * round - 1 };
            let at = HALF >> round;
            let (kinesis, context) = (&world.kinesis, &world.context);
            jobs.push(Box::pin(async move {
                let input = SplitShardInput {
                    stream_name: Some("s".into()),
                    shard_to_split: shard.to_string().into(),
                    new_starting_hash_key: at.to_string().into(),
                    ..SplitShardInput::default()
                };
                kinesis.split_shard(context, input).await.expect("split");
                None
            }));
            for (number, data) in world.run(all(&world, jobs)).into_iter().flatten() {
                expected.entry(number).or_default().push(data);
            }
        }
        if on_disk {
            world = world.lose_power();
        }
        prop_assert!(expected.values().all(|data| data.len() == 1), "a number names one record");
        let mut read = Vec::new();
        for shard in 0..=6u32 {
            let id = shard_id(shard);
            let mut next = Some(world.iterator(iterator_input(&id, Type::TrimHorizon)).unwrap());
            while let Some(iterator) = next {
                let page = world.get(&iterator, Some(2)).unwrap();
                for record in &page.records {
                    let Ok(Parsed::V2(number)) = SequenceNumber::parse(&record.sequence_number) else { panic!() };
                    prop_assert_eq!(number.shard(), shard);
                    read.push((record.sequence_number.clone(), String::from_utf8_lossy(&record.data).into_owned()));
                }
                prop_assert_eq!(page.next_shard_iterator.is_none(), page.child_shards.is_some());
                next = page.next_shard_iterator.filter(|_| !page.records.is_empty());
            }
        }
        let expected: Vec<(String, String)> =
            expected.into_iter().map(|(number, mut data)| (number, data.remove(0))).collect();
        // Shards with the key, by index, are ordered as their numbers are.
        prop_assert_eq!(read, expected);
    }
}
