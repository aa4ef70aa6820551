use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::hash::initial_ranges;

const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Takes 1 MiB and 1,000 records per second and shard.
fn capacity(most: u32) -> Capacity {
    Capacity { bytes: Some(1 << 20), records: Some(1_000), most }
}

/// An on-demand stream that is told what is written, where, and does what is decided.
struct Model {
    open: Vec<OpenShard>,
    next: ShardIndex,
    history: History,
    recent: Vec<Minute>,
    capacity: Capacity,
    floor_shards: u32,
    now: u64,
    changes: Vec<(u64, usize)>,
}

impl Model {
    fn new(shards: u32, capacity: Capacity) -> Model {
        let open = (0..).zip(initial_ranges(shards)).map(|(index, range)| OpenShard { index, range, made_ms: None });
        Model {
            open: open.collect(),
            next: shards,
            history: History::new(1, DAY),
            recent: Vec::new(),
            capacity,
            floor_shards: 0,
            now: DAY,
            changes: Vec::new(),
        }
    }

    /// A minute in which each shard takes bytes per second by `load`, as far as its throughput allows.
    fn minute(&mut self, load: impl Fn(&HashRange) -> u64) {
        let most = self.capacity.bytes.unwrap_or(u64::MAX);
        let shards: BTreeMap<ShardIndex, Volume> = self
            .open
            .iter()
            .map(|shard| (shard.index, Volume { records: 1, bytes: 60 * load(&shard.range).min(most) }))
            .filter(|(_, volume)| volume.bytes > 0)
            .collect();
        if !shards.is_empty() {
            let minute = Minute { number: self.now / MINUTE, shards };
            self.history.learn(&minute);
            self.recent.push(minute);
        }
        self.now += MINUTE;
        self.act();
    }

    fn act(&mut self) -> Decision {
        let open: BTreeSet<ShardIndex> = self.open.iter().map(|shard| shard.index).collect();
        self.history.retain(|shard| open.contains(&shard));
        let recent: Vec<&Minute> = self.recent.iter().rev().take(RECENT).rev().collect();
        let decision = decide(&Situation {
            open: &self.open,
            history: &self.history,
            recent: &recent,
            capacity: self.capacity,
            floor_shards: self.floor_shards,
            now_ms: self.now,
        });
        let steps = steps(&decision, &self.open, self.next).expect("possible");
        assert_eq!(steps.is_empty(), decision == Decision::Keep);
        for step in &steps {
            self.apply(step);
        }
        self.open.sort_by_key(|shard| shard.range.start);
        if !steps.is_empty() {
            self.changes.push((self.now, self.open.len()));
        }
        self.check_tiling();
        decision
    }

    fn apply(&mut self, step: &Step) {
        let (parents, children) = match step {
            Step::Split { parent, children } => (vec![*parent], children.to_vec()),
            Step::Merge { parents, child } => (parents.to_vec(), vec![*child]),
        };
        for parent in parents {
            let at = self.open.iter().position(|shard| shard.index == parent).expect("an open shard");
            self.open.remove(at);
        }
        for child in children {
            assert_eq!(child.index, self.next);
            self.next += 1;
            self.open.push(OpenShard { index: child.index, range: child.range, made_ms: Some(self.now) });
        }
    }

    fn check_tiling(&self) {
        assert_eq!(self.open.first().map(|shard| shard.range.start), Some(0));
        assert_eq!(self.open.last().map(|shard| shard.range.end), Some(HashKey::MAX));
        assert!(self.open.windows(2).all(|pair| pair[0].range.is_followed_by(&pair[1].range)));
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
    }
}

/// An even load of that many bytes per second on the whole stream.
fn even(total: u64) -> impl Fn(&HashRange) -> u64 {
    move |range| (total as f64 * ((range.end - range.start) as f64 / HashKey::MAX as f64)) as u64
}

#[test]
fn an_idle_or_lightly_used_stream_stays_as_it_is() {
    for load in [0, 100_000, 2_000_000] {
        let mut model = Model::new(4, capacity(200));
        (0..120).for_each(|_| model.minute(even(load)));
        assert_eq!(model.changes, [], "{load}");
    }
}

#[test]
fn there_is_room_for_twice_the_peak() {
    for (load, shards) in [(2_500_000, 8), (4_000_000, 8), (8_000_000, 16), (30_000_000, 64)] {
        let mut model = Model::new(4, capacity(200));
        (0..120).for_each(|_| model.minute(even(load)));
        assert_eq!(model.open.len(), shards, "{load}");
        // After a while nothing changes any more.
        let changes = model.changes.len();
        (0..600).for_each(|_| model.minute(even(load)));
        assert_eq!(model.changes.len(), changes);
    }
}

#[test]
fn capacity_at_most_doubles_within_fifteen_minutes() {
    let mut model = Model::new(4, capacity(200));
    (0..120).for_each(|_| model.minute(even(100_000_000)));
    let counts: Vec<usize> = model.changes.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [8, 16, 32, 64, 128, 200]);
    assert!(model.changes.windows(2).all(|pair| pair[1].0 - pair[0].0 >= OLD_ENOUGH));
}

#[test]
fn a_rising_load_finds_room_minute_by_minute() {
    let mut model = Model::new(4, capacity(200));
    for step in 20..=40 {
        model.minute(even(step * 100_000));
        assert!(model.open.len() as u64 * (1 << 20) >= step * 100_000);
    }
    assert_eq!(model.open.len(), 8);
    assert!(model.changes.len() > 1);
}

#[test]
fn a_hot_shard_is_split_at_its_middle() {
    let mut model = Model::new(4, capacity(200));
    let in_second = |range: &HashRange| if range.start == 1 << 126 { 600_000 } else { 10_000 };
    model.minute(in_second);
    model.minute(in_second);
    assert_eq!(model.changes, [], "it may pass");
    model.minute(in_second);
    assert_eq!(model.open.len(), 5);
    assert_eq!(model.open[1].range, HashRange { start: 1 << 126, end: (1 << 126) + (1 << 125) - 1 });
    assert_eq!(model.open[2].range.start, (1 << 126) + (1 << 125));
}

#[test]
fn a_pause_is_not_sustained_load() {
    let mut model = Model::new(4, capacity(200));
    let hot = |range: &HashRange| if range.start == 0 { 900_000 } else { 0 };
    for _ in 0..20 {
        model.minute(hot);
        model.minute(hot);
        model.minute(|_| 0);
    }
    assert_eq!(model.changes, []);
}

#[test]
fn records_count_as_bytes_do() {
    let mut model = Model::new(4, capacity(200));
    let shards = (0..4).map(|shard| (shard, Volume { records: 60 * 700, bytes: 1 })).collect();
    model.history.learn(&Minute { number: model.now / MINUTE, shards });
    model.pass(MINUTE);
    assert_eq!(model.act(), Decision::Split(vec![0, 1]), "2,800 records per second want six");
}

#[test]
fn a_hot_key_does_not_use_up_the_ceiling() {
    let mut model = Model::new(4, capacity(200));
    let key: HashKey = 12_345 << 100;
    (0..24 * 60).for_each(|_| model.minute(|range| if range.contains(key) { 1 << 20 } else { 0 }));
    assert!(model.open.len() <= 4 + 20, "{}", model.open.len());
}

#[test]
fn shards_are_merged_when_the_peak_is_thirty_days_old() {
    let mut model = Model::new(4, capacity(200));
    (0..60).for_each(|_| model.minute(even(8_000_000)));
    assert_eq!(model.open.len(), 16);
    let grown = model.changes.len();
    // A little traffic every six hours.
    for _ in 0..4 * 29 {
        model.pass(6 * HOUR);
        model.minute(even(1_000_000));
    }
    assert_eq!(model.changes.len(), grown, "nothing shrinks before");
    for _ in 0..4 * 10 {
        model.pass(6 * HOUR);
        model.minute(even(1_000_000));
    }
    assert_eq!(model.open.len(), FEWEST as usize);
    let shrinks = &model.changes[grown..];
    assert!(shrinks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= DAY), "once a day at most");
    let changes = model.changes.len();
    (0..600).for_each(|_| model.minute(even(1_000_000)));
    assert_eq!(model.changes.len(), changes, "what was merged is not split again");
}

#[test]
fn a_stream_that_was_switched_keeps_its_shards_for_thirty_days() {
    for (shards, after) in [(1, 1), (3, 3), (50, 4)] {
        let mut model = Model::new(shards, capacity(200));
        (0..29).for_each(|_| {
            model.pass(DAY);
            model.act();
        });
        assert_eq!(model.open.len(), shards as usize);
        (0..31).for_each(|_| {
            model.pass(DAY);
            model.act();
        });
        assert_eq!(model.open.len(), after);
    }
}

#[test]
fn a_floor_is_made_at_once_and_kept() {
    let mut model = Model::new(4, capacity(200));
    model.floor_shards = 100;
    assert_eq!(model.act(), Decision::Even(100));
    assert_eq!(model.open.len(), 100);
    for _ in 0..60 {
        model.pass(DAY);
        assert_eq!(model.act(), Decision::Keep);
    }
    model.floor_shards = 0;
    (0..10).for_each(|_| {
        model.pass(DAY);
        model.act();
    });
    assert_eq!(model.open.len(), FEWEST as usize);
    model.floor_shards = 5_000;
    model.act();
    assert_eq!(model.open.len(), 200, "the ceiling holds");
}

#[test]
fn without_limits_no_shards_are_needed() {
    let mut model = Model::new(4, Capacity::of(&Limits::none(), "us-east-1"));
    (0..120).for_each(|_| model.minute(even(1 << 30)));
    assert_eq!(model.changes, []);
}

#[test]
fn regions_have_their_ceilings() {
    assert_eq!(Capacity::of(&Limits::aws(), "eu-central-1").most, 200);
    assert_eq!(Capacity::of(&Limits::aws(), "us-east-1").most, 10 * 1024);
    assert_eq!(Capacity::of(&Limits::aws().scaled("x10".parse().unwrap()), "eu-central-1").most, 200);
    assert_eq!(Capacity::of(&Limits::aws(), "eu-central-1"), capacity(200));
    // Tiny shards would be millions otherwise.
    let tiny = Limits { shard_write_bytes_per_second: crate::limits::Limit::of(1 << 10), ..Limits::aws() };
    assert_eq!(Capacity::of(&tiny, "us-east-1").most, 100_000);
}

#[test]
fn shard_numbers_may_run_out() {
    let model = Model::new(4, capacity(200));
    assert_eq!(steps(&Decision::Split(vec![0]), &model.open, i32::MAX as u32), None);
    assert_eq!(steps(&Decision::Merge(vec![[0, 9]]), &model.open, 4), None, "no such shard");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is written: the open shards tile the key space (checked after every change), stay within the ceiling,
    /// capacity at most doubles in a quarter of an hour, and nothing shrinks soon after it has grown.
    #[test]
    fn scaling_keeps_its_bounds(
        shards in 1u32..12,
        most in 4u32..40,
        phases in proptest::collection::vec((1usize..40, 0u64..60_000_000, any::<u128>(), 0u64..40), 1..8),
    ) {
        let mut model = Model::new(shards, capacity(most));
        for (minutes, total, hot_key, idle_days) in phases {
            let even = even(total / 2);
            for _ in 0..minutes {
                model.minute(|range| even(range) + if range.contains(hot_key) { total / 20 } else { 0 });
            }
            model.pass(idle_days * DAY);
            model.act();
        }
        let mut before = (0, shards as usize);
        let mut grown = None;
        for &(at, count) in &model.changes {
            prop_assert!(count <= before.1 || count <= most as usize);
            let earlier = model.changes.iter().rev().find(|change| change.0 + OLD_ENOUGH <= at);
            prop_assert!(count <= 2 * earlier.map_or(shards as usize, |change| change.1));
            if count > before.1 {
                grown = Some(at);
            } else {
                prop_assert!(count >= FEWEST as usize);
                prop_assert!(grown.is_none_or(|grown| at - grown >= PAUSE_BEFORE_MERGE));
                prop_assert!(at >= 31 * DAY);
            }
            before = (at, count);
        }
    }

    /// Under a steady load, however uneven, changes come to an end.
    #[test]
    fn a_steady_load_comes_to_rest(
        shards in 1u32..12,
        weights in proptest::collection::vec(0u64..900_000, 1..32),
    ) {
        let mut model = Model::new(shards, capacity(200));
        let pieces = initial_ranges(weights.len() as u32);
        let load = |range: &HashRange| -> u64 {
            let part = |piece: &HashRange| {
                let (start, end) = (piece.start.max(range.start), piece.end.min(range.end));
                if start > end { 0.0 } else { (end - start) as f64 / (piece.end - piece.start) as f64 }
            };
            pieces.iter().zip(&weights).map(|(piece, weight)| (part(piece) * *weight as f64) as u64).sum()
        };
        (0..6 * 60).for_each(|_| model.minute(load));
        let changes = model.changes.len();
        (0..6 * 60).for_each(|_| model.minute(load));
        prop_assert_eq!(model.changes.len(), changes);
        // Nor is anything merged that would be split again.
        for _ in 0..40 {
            model.pass(DAY - 5 * MINUTE);
            (0..5).for_each(|_| model.minute(load));
        }
        let rested = model.changes.len();
        for _ in 0..40 {
            model.pass(DAY - 5 * MINUTE);
            (0..5).for_each(|_| model.minute(load));
        }
        prop_assert_eq!(model.changes.len(), rested);
    }
}
