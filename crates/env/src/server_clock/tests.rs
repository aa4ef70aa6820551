use super::*;
use crate::sim::SimClock;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn server(clock: &Arc<SimClock>) -> ServerClock {
    ServerClock::new(Arc::clone(clock) as Arc<dyn Clock>)
}

fn run(clock: &SimClock, server: &ServerClock, ms: u64) {
    let mut left = ms;
    while left > 0 {
        let step = left.min(60_000);
        clock.advance(step);
        server.tick();
        left -= step;
    }
}

#[test]
fn follows_small_drift_without_going_back() {
    let clock = Arc::new(SimClock::new(1_000 * DAY));
    let server = server(&clock);
    let before = server.now();
    clock.step_wall(-1_000);
    server.tick();
    assert!(server.now() >= before);
    run(&clock, &server, 120_000);
    assert_eq!(server.now(), crate::Clock::wall(&*clock));
    assert_eq!(server.state(), ClockState::Trusted);
}

#[test]
fn a_wall_step_pauses_retention_until_it_was_steady_for_as_long() {
    let clock = Arc::new(SimClock::new(1_000 * DAY));
    let server = server(&clock);
    let before = server.now();
    clock.step_wall(400 * DAY as i64);
    server.tick();
    assert!(matches!(server.state(), ClockState::Suspect(_)));
    run(&clock, &server, DAY - 60_000);
    assert!(server.retention_now() <= before + DAY);
    run(&clock, &server, 120_000);
    assert_eq!(server.state(), ClockState::Trusted);
    assert!(server.retention_now() > before + 400 * DAY);
}

#[test]
fn a_step_that_is_undone_costs_nothing() {
    let clock = Arc::new(SimClock::new(1_000 * DAY));
    let server = server(&clock);
    let says = |what: &str| assert_eq!(server.state(), ClockState::Suspect(format!("the wall clock stepped{what}")));
    clock.step_wall(400 * DAY as i64);
    server.tick();
    says(" forwards by 400 days");
    run(&clock, &server, 60_000);
    clock.step_wall(-401 * DAY as i64);
    server.tick();
    says(" back by 24 h");
    clock.step_wall(DAY as i64);
    server.tick();
    says(", and is back where it was");
    run(&clock, &server, STEADY_MIN as u64 + 60_000);
    assert_eq!(server.state(), ClockState::Trusted);
    assert!(server.now().abs_diff(crate::Clock::wall(&*clock)) < 1_000);
}

#[test]
fn a_clock_that_was_far_ahead_goes_slowly_and_never_stands_still() {
    let clock = Arc::new(SimClock::new(1_000 * DAY));
    let server = server(&clock);
    server.start_after(1_030 * DAY, Doubt::default());
    server.confirm();
    for _ in 0..90 {
        let before = server.now();
        run(&clock, &server, DAY);
        assert!(server.now() >= before + DAY / 2);
    }
    assert!(server.now().abs_diff(crate::Clock::wall(&*clock)) < STEP as u64);
    assert_eq!(server.state(), ClockState::Trusted);
}

#[test]
fn never_starts_before_the_newest_stamp() {
    let clock = Arc::new(SimClock::new(1_000 * DAY));
    let server = server(&clock);
    server.start_after(1_001 * DAY, Doubt::default());
    assert!(server.now() >= 1_001 * DAY);
    assert!(matches!(server.state(), ClockState::Suspect(_)));
}

#[test]
fn a_start_long_after_the_newest_stamp_pauses_retention() {
    let clock = Arc::new(SimClock::new(1_000 * DAY));
    let server = server(&clock);
    server.start_after(600 * DAY, Doubt::default());
    assert_eq!(server.now(), 1_000 * DAY);
    assert_eq!(server.retention_now(), 600 * DAY);
    server.confirm();
    assert_eq!(server.retention_now(), 1_000 * DAY);
}

/// The clock of the next start, from what the last one left on disk.
fn restarted(clock: &Arc<SimClock>, last: &ServerClock) -> ServerClock {
    let next = server(clock);
    next.start_after(last.now(), last.doubt());
    next
}

#[test]
fn a_doubt_outlives_restarts() {
    let clock = Arc::new(SimClock::new(1_000 * DAY));
    let first = server(&clock);
    first.start_after(600 * DAY, Doubt::default());
    run(&clock, &first, 60_000);
    let mut last = first;
    for restarts in 1..4 {
        let (stamp, doubt) = (last.now(), last.doubt());
        clock.advance(1_000);
        last = server(&clock);
        last.start_after(stamp, doubt);
        assert!(matches!(last.state(), ClockState::Suspect(_)));
        // Only what a running server measured is believed.
        run(&clock, &last, 60_000);
        assert_eq!(last.retention_now(), 600 * DAY + 60_000 * (restarts + 1));
        assert!(last.horizon(DAY) < 599 * DAY + 600_000);
    }
    run(&clock, &last, DAY);
    assert_eq!(last.state(), ClockState::Trusted);
    assert_eq!((last.retention_now(), last.doubt().lag), (last.now(), 0));
}

#[test]
fn a_wall_clock_put_right_does_not_make_the_leap_true() {
    let clock = Arc::new(SimClock::new(600 * DAY));
    let right = server(&clock);
    clock.step_wall(400 * DAY as i64);
    let wrong = restarted(&clock, &right);
    run(&clock, &wrong, 60_000);
    assert!(wrong.now() >= 1_000 * DAY);
    clock.step_wall(-400 * DAY as i64);
    let mut server = restarted(&clock, &wrong);
    let mut true_time = 600 * DAY + 60_000;
    for days in 0..40 {
        assert!(server.now() >= 1_000 * DAY, "time does not go back");
        assert!(server.retention_now() <= true_time, "after {days} days");
        assert!(true_time - server.retention_now() < DAY, "after {days} days");
        if days == 20 {
            server = restarted(&clock, &server);
        }
        run(&clock, &server, DAY);
        true_time += DAY;
    }
    assert_eq!(server.state(), ClockState::Trusted);
    assert!(server.now() < 1_025 * DAY, "it goes slowly until it is caught up with");
}

#[test]
fn what_came_after_a_leap_expires_by_the_clock_that_stamped_it() {
    let clock = Arc::new(SimClock::new(600 * DAY));
    let right = server(&clock);
    clock.step_wall(400 * DAY as i64);
    let wrong = restarted(&clock, &right);
    let stamped = wrong.now();
    run(&clock, &wrong, 60_000);
    clock.step_wall(-400 * DAY as i64);
    let server = restarted(&clock, &wrong);
    run(&clock, &server, DAY - 120_000);
    assert!(server.horizon(DAY) < 600 * DAY, "what is from before the leap is not due yet");
    run(&clock, &server, DAY);
    let horizon = server.horizon(DAY);
    assert!(horizon > stamped && horizon < server.now(), "what is from after it does not wait for 400 days");
    assert!(server.horizon(7 * DAY) < 595 * DAY, "of a longer retention nothing is due");
}

#[test]
fn a_virtual_step_is_no_wrong_clock() {
    let clock = Arc::new(SimClock::new(1_000 * DAY));
    let server = server(&clock);
    server.move_ahead(400 * DAY);
    run(&clock, &server, 120_000);
    assert_eq!(server.state(), ClockState::Trusted);
    assert_eq!(server.now(), 1_400 * DAY + 120_000);
    assert_eq!(server.retention_now(), server.now());
    assert_eq!(server.ahead(), 400 * DAY);
}

#[test]
fn a_rate_scales_what_passes_and_keeps_what_it_has_gained() {
    let clock = Arc::new(SimClock::new(1_000 * DAY));
    let server = server(&clock);
    let rate = Rate::from_thousandths(60_000).unwrap();
    server.set_rate(rate);
    assert_eq!(server.now(), 1_000 * DAY);
    run(&clock, &server, 60_000);
    assert_eq!(server.now(), 1_000 * DAY + 3_600_000);
    assert_eq!(server.until(server.now() + 60_000), Duration::from_secs(1));
    server.move_ahead(DAY);
    server.set_rate(Rate::REAL);
    let before = server.now();
    assert_eq!(before, 1_001 * DAY + 3_600_000);
    run(&clock, &server, 1_000);
    assert_eq!(server.now(), before + 1_000);
    assert_eq!(server.until(server.now() + 60_000), Duration::from_secs(60));
    assert_eq!(server.until(0), Duration::ZERO);
    assert_eq!(server.state(), ClockState::Trusted);
}

#[test]
fn slewing_goes_by_the_machines_time_at_any_rate() {
    let clock = Arc::new(SimClock::new(1_000 * DAY));
    let server = server(&clock);
    server.set_rate(Rate::MAX);
    clock.step_wall(-1_000);
    let mut before = server.now();
    for _ in 0..100 {
        run(&clock, &server, 1_000);
        assert!(server.now() > before);
        before = server.now();
    }
    assert_eq!(server.now() - server.ahead(), crate::Clock::wall(&*clock));
}

#[test]
fn rates_are_bounded() {
    assert_eq!(Rate::from_thousandths(999), None);
    assert_eq!(Rate::from_thousandths(1_000), Some(Rate::REAL));
    assert_eq!(Rate::from_thousandths(86_400_000), Some(Rate::MAX));
    assert_eq!(Rate::from_thousandths(86_400_001), None);
}
