use super::*;

const STEP: Duration = Duration::from_secs(1);

fn watch() -> Watch {
    let pace = Pace { window: Duration::from_secs(4), bytes: 100 };
    Watch::new(Rules { head: Duration::from_secs(5), idle: Duration::from_secs(10), pace })
}

/// The first verdict that is not to keep the connection, and after how many steps.
fn fate(mut at: impl FnMut(u64) -> Snapshot, draining: bool) -> Option<(u64, Verdict)> {
    let mut watch = watch();
    (1..100).map(|step| (step, watch.judge(&at(step), STEP, draining))).find(|(_, verdict)| *verdict != Verdict::Keep)
}

#[test]
fn an_idle_connection_is_retired_and_then_ended() {
    let quiet = Snapshot { received: 50, received_at_finish: 50, finished: 3, ..Snapshot::default() };
    let mut watch = watch();
    let verdicts: Vec<Verdict> = (0..12).map(|_| watch.judge(&quiet, STEP, false)).collect();
    assert_eq!(verdicts[9], Verdict::Retire);
    assert_eq!(verdicts[10], Verdict::End);
}

#[test]
fn a_connection_that_is_used_is_kept() {
    let busy = |step| Snapshot { finished: step, received: step, received_at_finish: step, ..Snapshot::default() };
    assert_eq!(fate(busy, false), None);
    let working = |_| Snapshot { open: 1, received: 10, ..Snapshot::default() };
    assert_eq!(fate(working, false), None);
}

#[test]
fn half_a_head_is_given_its_time() {
    let half = |_| Snapshot { received: 10, ..Snapshot::default() };
    assert_eq!(fate(half, false), Some((5, Verdict::Cut("slow_head"))));
    let http2 = |received| move |_| Snapshot { received, http2: true, ..Snapshot::default() };
    assert_eq!(fate(http2(24), false), Some((5, Verdict::Cut("slow_head"))), "the preface is one");
    assert_eq!(fate(http2(100), false), Some((10, Verdict::Retire)));
    // It came with the request before.
    let quiet = Snapshot { received: 50, received_at_finish: 50, finished: 3, ..Snapshot::default() };
    let mut watch = watch();
    assert_eq!(watch.judge(&quiet, STEP, false), Verdict::Keep);
    watch.begun = true;
    let verdicts: Vec<Verdict> = (0..5).map(|_| watch.judge(&quiet, STEP, false)).collect();
    assert_eq!(verdicts[3..], [Verdict::Keep, Verdict::Cut("slow_head")]);
    // The rest of it has come, and nothing of a next one.
    watch.judge(&Snapshot { finished: 4, ..quiet }, STEP, false);
    assert!(!watch.begun);
}

#[test]
fn a_reader_below_the_pace_is_cut() {
    let stalled = |_| Snapshot { open: 1, overdue: 1, ..Snapshot::default() };
    assert_eq!(fate(stalled, false), Some((4, Verdict::Cut("slow_reader"))));
    let slow = |step| Snapshot { open: 1, overdue: 1, sent: step * 24, ..Snapshot::default() };
    assert_eq!(fate(slow, false), Some((4, Verdict::Cut("slow_reader"))));
    let steady = |step| Snapshot { open: 1, overdue: 1, sent: step * 26, ..Snapshot::default() };
    assert_eq!(fate(steady, false), None);
    let small = |step| Snapshot { open: 1, sent: step, finished: step, ..Snapshot::default() };
    assert_eq!(fate(small, false), None);
    let beside_one_that_stalls = |step| Snapshot { overdue: 1, ..small(step) };
    assert_eq!(fate(beside_one_that_stalls, false), Some((4, Verdict::Cut("slow_reader"))));
}

#[test]
fn a_flood_of_frames_is_cut_and_a_client_at_work_is_not() {
    const MIB: u64 = 1 << 20;
    let pings = |step| Snapshot { http2: true, received: step * MIB, ..Snapshot::default() };
    assert_eq!(fate(pings, false), Some((6, Verdict::Cut("flood"))));
    let with_requests = |step| Snapshot { finished: step * 10, ..pings(step) };
    assert_eq!(fate(with_requests, false), Some((6, Verdict::Cut("flood"))));
    // Uploads, many small requests, and the window updates of one that reads much.
    let uploads = |step| Snapshot { taken: step * MIB, finished: step, ..pings(step) };
    assert_eq!(fate(uploads, false), None);
    let puts = |step| Snapshot { finished: step * 1000, ..pings(step) };
    assert_eq!(fate(puts, false), None);
    let reads =
        |step| Snapshot { http2: true, received: step * MIB, sent: step * 100 * MIB, finished: step, ..pings(step) };
    assert_eq!(fate(reads, false), None);
    let now_and_then = |step| Snapshot { received: step * 100_000, finished: step / 8, ..pings(step) };
    assert_eq!(fate(now_and_then, false), None);
    let http1 = |step| Snapshot { http2: false, open: 1, ..pings(step) };
    assert_eq!(fate(http1, false), None, "it has no frames");
}

#[test]
fn requests_that_are_cancelled_are_a_flood_when_they_are_many() {
    let cancelled =
        |step, each| Snapshot { http2: true, finished: step * each, cancelled: step * each, ..Snapshot::default() };
    assert_eq!(fate(|step| cancelled(step, 1000), false), Some((3, Verdict::Cut("flood"))));
    assert_eq!(fate(|step| cancelled(step, 90), false), None);
}

#[test]
fn draining_ends_what_has_no_request() {
    let half = |_| Snapshot { received: 10, ..Snapshot::default() };
    assert_eq!(fate(half, true), Some((1, Verdict::End)));
    let working = |_| Snapshot { open: 1, ..Snapshot::default() };
    assert_eq!(fate(working, true), None);
}

#[test]
fn draining_does_not_wait_for_subscribers_who_stall() {
    let stalled = |_| Snapshot { open: 2, stopped: 2, sent: 7, ..Snapshot::default() };
    assert_eq!(fate(stalled, true), Some((2, Verdict::Cut(STALLED_SUBSCRIBER))));
    let reading = |step| Snapshot { open: 1, stopped: 1, sent: step, ..Snapshot::default() };
    assert_eq!(fate(reading, true), None);
    let with_another = |_| Snapshot { open: 2, stopped: 1, ..Snapshot::default() };
    assert_eq!(fate(with_another, true), None);
}

#[test]
fn only_what_may_rest_is_looked_at_often() {
    let watch = watch();
    assert_eq!(watch.next_step(false, false), STEP);
    assert_eq!(watch.next_step(false, true), REST);
    assert_eq!(watch.next_step(true, true), DRAIN_STEP);
}
