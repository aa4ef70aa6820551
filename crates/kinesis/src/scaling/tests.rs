use proptest::prelude::*;

use super::*;
use crate::hash::initial_ranges;

fn numbered(ranges: Vec<HashRange>) -> Vec<(ShardIndex, HashRange)> {
    ranges.into_iter().enumerate().map(|(i, range)| (i as ShardIndex, range)).collect()
}

/// Applies the steps one by one, checking each, and gives the open shards and the number of all shards ever.
fn apply(open: &[(ShardIndex, HashRange)], steps: &[Step]) -> (Vec<(ShardIndex, HashRange)>, usize) {
    let mut open = open.to_vec();
    let mut total = open.len();
    let mut next = open.iter().map(|(index, _)| index + 1).max().unwrap();
    let mut add = |open: &mut Vec<(ShardIndex, HashRange)>, shard: &Planned| {
        assert_eq!(shard.index, next);
        next += 1;
        total += 1;
        open.push((shard.index, shard.range));
    };
    fn close(open: &mut Vec<(ShardIndex, HashRange)>, index: ShardIndex) -> HashRange {
        let at = open.iter().position(|(i, _)| *i == index).expect("an open shard");
        open.remove(at).1
    }
    for step in steps {
        match step {
            Step::Split { parent, children: [lower, upper] } => {
                let range = close(&mut open, *parent);
                assert!(range.allows_split_at(upper.range.start));
                assert_eq!((lower.range.start, upper.range.end), (range.start, range.end));
                assert!(lower.range.is_followed_by(&upper.range));
                add(&mut open, lower);
                add(&mut open, upper);
            }
            Step::Merge { parents: [lower, upper], child } => {
                let (lower, upper) = (close(&mut open, *lower), close(&mut open, *upper));
                assert!(lower.is_followed_by(&upper));
                assert_eq!((child.range.start, child.range.end), (lower.start, upper.end));
                add(&mut open, child);
            }
        }
    }
    open.sort_by_key(|(_, range)| range.start);
    (open, total)
}

fn assert_even(open: &[(ShardIndex, HashRange)], target: u32) {
    assert_eq!(open.len(), target as usize);
    assert_eq!((open[0].1.start, open[open.len() - 1].1.end), (0, HashKey::MAX));
    assert!(open.windows(2).all(|pair| pair[0].1.is_followed_by(&pair[1].1)));
    for (k, (_, range)) in open.iter().enumerate().skip(1) {
        assert!(range.start.abs_diff(even_start(k as u32, target)) <= NEAR);
    }
}

#[test]
fn totals_are_those_seen_on_aws() {
    for (from, to, total) in [(2, 4, 6), (4, 2, 6), (4, 5, 15), (4, 3, 11)] {
        let open = numbered(initial_ranges(from));
        let (after, all) = apply(&open, &plan(&open, to, from).unwrap());
        assert_eq!(all, total, "{from} to {to}");
        assert_even(&after, to);
        if (from, to) == (4, 3) {
            assert_eq!(after.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [6, 9, 10]);
        }
    }
}

#[test]
fn the_same_count_of_even_shards_needs_no_step() {
    for n in [1, 2, 3, 7, 100, 1000] {
        assert_eq!(plan(&numbered(initial_ranges(n)), n, n), Some(vec![]));
    }
}

#[test]
fn doubling_splits_and_halving_merges_whatever_the_rounding() {
    for n in [1, 3, 7, 13, 999] {
        let open = numbered(initial_ranges(n));
        let doubled = plan(&open, 2 * n, n).unwrap();
        assert_eq!(doubled.len(), n as usize);
        assert!(doubled.iter().all(|step| matches!(step, Step::Split { .. })));
        let open = numbered(initial_ranges(2 * n));
        let halved = plan(&open, n, 2 * n).unwrap();
        assert_eq!(halved.len(), n as usize);
        assert!(halved.iter().all(|step| matches!(step, Step::Merge { .. })));
    }
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let open = numbered(initial_ranges(2));
    assert_eq!(plan(&open, 0, 2), None);
    assert_eq!(plan(&open[1..], 2, 2), None);
    assert_eq!(plan(&[], 2, 0), None);
    assert_eq!(plan(&open, 4, i32::MAX as u32 - 1), None);
}

#[test]
fn slivers_at_the_ends_are_merged_away() {
    let cut = HashKey::MAX - 4;
    let open = numbered(vec![HashRange { start: 0, end: cut - 1 }, HashRange { start: cut, end: HashKey::MAX }]);
    let (after, _) = apply(&open, &plan(&open, 2, 2).unwrap());
    assert_even(&after, 2);
}

proptest! {
    #[test]
    fn the_result_is_even(cuts in proptest::collection::btree_set(2u128..u128::MAX - 1, 0..12), target in 1u32..40) {
        let mut starts = vec![0];
        starts.extend(cuts);
        let ranges = starts
            .iter()
            .enumerate()
            .map(|(i, start)| HashRange { start: *start, end: starts.get(i + 1).map_or(u128::MAX, |next| next - 1) })
            .collect();
        let open = numbered(ranges);
        let steps = plan(&open, target, open.len() as u32).unwrap();
        let (after, _) = apply(&open, &steps);
        assert_even(&after, target);
    }
}

#[test]
fn growing_splits_the_widest_in_half() {
    let open = numbered(initial_ranges(4));
    assert_eq!(grow(&open, 4, 4), Some(Vec::new()));
    for target in [5, 7, 8, 100] {
        let steps = grow(&open, target, 4).unwrap();
        assert!(steps.iter().all(|step| matches!(step, Step::Split { .. })));
        let (after, all) = apply(&open, &steps);
        assert_eq!((after.len(), all), (target as usize, 4 + 2 * (target as usize - 4)));
        let widths = || after.iter().map(|(_, range)| range.end - range.start);
        assert!(widths().max().unwrap() / 2 <= widths().min().unwrap(), "no shard is more than twice another");
    }
    let steps = grow(&open, 8, 4).unwrap();
    assert_even(&apply(&open, &steps).0, 8);
    assert_eq!(grow(&[], 1, 0), None);
    assert_eq!(grow(&open, 5, i32::MAX as u32), None);
    let lower = HashRange { start: 0, end: 2 };
    assert_eq!(grow(&[(0, lower)], 2, 1), None, "too narrow");
}
