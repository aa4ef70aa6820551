use proptest::prelude::*;

use super::*;

const DAY: u64 = 24 * 60 * MINUTE;

fn volume(bytes: u64) -> Volume {
    Volume { records: bytes / 100, bytes }
}

fn minute(number: u64, shards: &[(ShardIndex, u64)]) -> Minute {
    Minute { number, shards: shards.iter().map(|(shard, bytes)| (*shard, volume(*bytes))).collect() }
}

fn learn(load: &Load, now: u64) -> (History, Vec<Minute>) {
    load.learn(7, now, |history, recent| (history.clone(), recent.iter().cloned().collect()))
}

#[test]
fn puts_count_in_the_minute_in_which_they_come() {
    let load = Load::default();
    let start = 1_000 * MINUTE;
    load.add(start, [(0, volume(100)), (1, volume(200))].into_iter());
    load.add(start + MINUTE - 1, [(0, volume(300))].into_iter());
    assert_eq!(learn(&load, start + MINUTE - 1).1, [], "the minute goes on");
    load.add(start + MINUTE, [(1, volume(1_000))].into_iter());
    let (history, recent) = learn(&load, start + MINUTE);
    assert_eq!(recent, [minute(1_000, &[(0, 400), (1, 200)])]);
    assert_eq!(history.peak(start + MINUTE), volume(600));
    let (history, recent) = learn(&load, start + 10 * MINUTE);
    assert_eq!(recent.len(), 2);
    assert_eq!(history.peak(start + 10 * MINUTE), volume(1_000));
    assert_eq!(history.shard_peak(0, start), volume(400));
    assert_eq!(history.shard_peak(5, start), volume(0));
}

#[test]
fn a_peak_is_forgotten_after_thirty_days() {
    let mut history = History::new(1, 0);
    history.learn(&minute(0, &[(0, 5_000)]));
    history.learn(&minute(DAY / MINUTE, &[(0, 1_000)]));
    assert_eq!(history.peak(29 * DAY), volume(5_000));
    assert_eq!(history.shard_peak(0, 29 * DAY), volume(5_000));
    assert_eq!(history.peak(30 * DAY), volume(1_000));
    assert_eq!(history.shard_peak(0, 30 * DAY), volume(0));
    history.learn(&minute(30 * DAY / MINUTE, &[(0, 10)]));
    assert_eq!(history.shard_peak(0, 30 * DAY), volume(10));
    assert_eq!(history.peak(61 * DAY), volume(0));
    assert!(!history.is_full(30 * DAY - 1) && history.is_full(30 * DAY));
}

#[test]
fn what_has_not_changed_is_not_saved_again() {
    let load = Load::default();
    learn(&load, 0);
    assert!(matches!(load.take_unsaved(), Some(Some(_))), "that it is watched from now on");
    load.add(0, [(0, volume(100))].into_iter());
    learn(&load, MINUTE);
    assert!(load.take_unsaved().is_some());
    load.add(MINUTE, [(0, volume(50))].into_iter());
    learn(&load, 2 * MINUTE);
    assert!(load.take_unsaved().is_none(), "no new peak");
    load.keep_unsaved();
    assert!(load.take_unsaved().is_some(), "tried again");
    load.forget();
    assert_eq!(load.take_unsaved(), Some(None), "removed");
    load.forget();
    assert_eq!(load.take_unsaved(), None);
}

#[test]
fn while_nobody_looks_the_newest_minutes_are_kept() {
    let load = Load::default();
    for number in 0..100 {
        load.add(number * MINUTE, [(0, volume(number))].into_iter());
    }
    let (_, recent) = learn(&load, 100 * MINUTE);
    assert_eq!(recent.iter().map(|minute| minute.number).collect::<Vec<_>>(), [97, 98, 99]);
}

#[test]
fn a_history_is_small_and_is_read_as_written() {
    let mut history = History::new(u64::MAX, 1_700_000_000_000);
    for hour in 0..24 * 90 {
        history.learn(&minute(hour * 60, &[(0, 1_000_000 + hour), (1, 2_000_000)]));
    }
    assert!(history.peaks.len() <= SLOTS as usize);
    let text = serde_json::to_string(&history).unwrap();
    assert!(text.len() < 10_000, "{}", text.len());
    assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
}

proptest! {
    /// The peak is never below what 30 days less one span have seen, and never above what 30 days have.
    #[test]
    fn the_peak_is_that_of_thirty_days(minutes in proptest::collection::vec((1u64..3_000, 0u64..1_000), 1..200)) {
        let (mut history, mut number, mut seen) = (History::new(1, 0), 0, Vec::new());
        for (pause, bytes) in minutes {
            number += pause;
            history.learn(&minute(number, &[(0, bytes)]));
            seen.push((number, bytes));
        }
        let now = number * MINUTE;
        let most = |since: u64| seen.iter().filter(|(n, _)| n * MINUTE >= since).map(|(_, bytes)| *bytes).max().unwrap_or(0);
        let peak = history.peak(now).bytes;
        prop_assert!(peak >= most((now + SLOT).saturating_sub(SLOTS * SLOT)));
        prop_assert!(peak <= most(now.saturating_sub(SLOTS * SLOT)));
    }
}
