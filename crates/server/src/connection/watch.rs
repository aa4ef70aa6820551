//! The judge of a connection, which looks at times at what has happened: no request pays for its timers.

use std::time::Duration;

use super::activity::Snapshot;
use super::{FAREWELL, STALLED_SUBSCRIBER};
use crate::config::{Pace, ServerConfig};

/// Why a connection is cut that does not end the head it has begun.
const SLOW_HEAD: &str = "slow_head";
/// Why a connection is cut that does not take its answers.
const SLOW_READER: &str = "slow_reader";
/// Why a connection of HTTP/2 is cut that keeps us busy with what is no request, or with requests it does not want.
const FLOOD: &str = "flood";

/// While draining, a connection is looked at so often.
const DRAIN_STEP: Duration = Duration::from_millis(100);

/// A connection of HTTP/1.1 that was seen to have no request, and has had none for so long or up to twice as long, gives
/// its buffers back.
const REST: Duration = Duration::from_millis(250);

/// The preface of HTTP/2 and the frame that must follow it.
const OPENING: u64 = 24 + 9;

/// What a client of HTTP/2 may send beside bodies: for each request that it begins, in relation to what it is sent
/// (window updates), and otherwise, in a second and at once.
const HEAD: u64 = 4 << 10;
const UPDATES: u64 = 8;
const FRAMES_RATE: i64 = 256 << 10;
const FRAMES_BURST: i64 = 4 << 20;

/// Requests that a client of HTTP/2 may cancel before they have an answer, in a second and at once.
const CANCELS_RATE: i64 = 100;
const CANCELS_BURST: i64 = 2000;

/// What is expected of a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub head: Duration,
    pub idle: Duration,
    pub pace: Pace,
}

impl Rules {
    pub(super) fn new(config: &ServerConfig) -> Rules {
        Rules { head: config.head_timeout, idle: config.idle_timeout, pace: config.pace }
    }
}

/// What flows away at a rate.
#[derive(Default)]
struct Bucket {
    level: i64,
    /// The count at the last look.
    seen: i64,
}

impl Bucket {
    /// Takes in what a count has grown by in `step`; says whether it is too much.
    fn overflows(&mut self, count: i64, step: Duration, rate: i64, burst: i64) -> bool {
        let drained = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).saturating_mul(rate) / 1000;
        self.level = (self.level + count - self.seen).saturating_sub(drained).max(0);
        self.seen = count;
        self.level > burst
    }
}

/// Judges a connection every `step`.
pub(super) struct Watch {
    rules: Rules,
    step: Duration,
    idle: Duration,
    /// How long the head of a request has been incomplete.
    partial: Duration,
    /// Whether a head has begun of which nothing came since the last request: its first bytes came with that.
    pub begun: bool,
    /// How long an answer has been waiting for the peer.
    pub unsent: Duration,
    /// The same, within one window of the pace, and what had been sent when that began.
    window: Duration,
    sent: u64,
    /// How long a subscriber has taken nothing since the stop, and what had been sent when that began.
    stalled: Duration,
    stalled_since: u64,
    frames: Bucket,
    cancels: Bucket,
    finished: u64,
    retired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// Idle for too long: close it in good form.
    Retire,
    /// It has had its time to close.
    End,
    /// The peer breaks a rule.
    Cut(&'static str),
}

impl Watch {
    pub(super) fn new(rules: Rules) -> Watch {
        let shortest = rules.head.min(rules.idle).min(rules.pace.window);
        Watch {
            rules,
            step: (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(5)),
            idle: Duration::ZERO,
            partial: Duration::ZERO,
            begun: false,
            unsent: Duration::ZERO,
            window: Duration::ZERO,
            sent: 0,
            stalled: Duration::ZERO,
            stalled_since: 0,
            frames: Bucket::default(),
            cancels: Bucket::default(),
            finished: 0,
            retired: false,
        }
    }

    /// When to judge next. A connection with a request in flight is not waited for to rest.
    pub(super) fn next_step(&self, draining: bool, may_rest: bool) -> Duration {
        match (draining, may_rest) {
            (true, _) => DRAIN_STEP,
            (false, true) => self.step.min(REST),
            (false, false) => self.step,
        }
    }

    /// Whether it has had no request for longer than a `step`, and none has begun.
    pub(super) fn may_rest(&self, step: Duration) -> bool {
        self.idle > step && self.partial.is_zero()
    }

    pub(super) fn judge(&mut self, now: &Snapshot, step: Duration, draining: bool) -> Verdict {
        if now.http2 && self.is_flooded(now, step) {
            return Verdict::Cut(FLOOD);
        }
        if now.open > 0 {
            (self.idle, self.partial, self.begun) = (Duration::ZERO, Duration::ZERO, false);
            if draining && now.stopped == now.open {
                return self.judge_stopped(now, step);
            }
            return self.judge_answers(now, step);
        }
        if std::mem::replace(&mut self.finished, now.finished) != now.finished {
            (self.idle, self.partial, self.begun) = (Duration::ZERO, Duration::ZERO, false);
        }
        self.start_window(now);
        self.idle += step;
        if (draining || self.retired) && self.idle >= FAREWELL {
            return Verdict::End;
        }
        if self.has_begun(now) {
            self.partial += step;
            return if self.partial >= self.rules.head { Verdict::Cut(SLOW_HEAD) } else { Verdict::Keep };
        }
        if self.idle >= self.rules.idle && !self.retired {
            (self.retired, self.idle) = (true, Duration::ZERO);
            return Verdict::Retire;
        }
        Verdict::Keep
    }

    /// Whether the peer owes us the rest of something: of a head, or of HTTP/2's first frames. What else comes by HTTP/2
    /// without a request does not say whether one has begun; such a connection is idle.
    fn has_begun(&self, now: &Snapshot) -> bool {
        if now.http2 { now.received < OPENING } else { now.received > now.received_at_finish || self.begun }
    }

    /// Whether more has come than requests need: frames that mean nothing, or requests that are cancelled at once.
    fn is_flooded(&mut self, now: &Snapshot, step: Duration) -> bool {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let begun = now.finished + now.open as u64;
        let due = now.taken.saturating_add(begun.saturating_mul(HEAD)).saturating_add(now.sent / UPDATES);
        let frames = signed(now.received).saturating_sub(signed(due));
        // Both are to be told of what has come.
        let frames = self.frames.overflows(frames, step, FRAMES_RATE, FRAMES_BURST);
        let cancels = self.cancels.overflows(signed(now.cancelled), step, CANCELS_RATE, CANCELS_BURST);
        frames || cancels
    }

    /// Nobody but subscribers is left, whose subscriptions have ended: one that has stalled must not hold up the stop.
    fn judge_stopped(&mut self, now: &Snapshot, step: Duration) -> Verdict {
        if now.sent != self.stalled_since {
            (self.stalled, self.stalled_since) = (Duration::ZERO, now.sent);
            return Verdict::Keep;
        }
        self.stalled += step;
        if self.stalled >= FAREWELL { Verdict::Cut(STALLED_SUBSCRIBER) } else { Verdict::Keep }
    }

    /// While an answer waits to leave, bytes must: those of any answer, for they share the line.
    fn judge_answers(&mut self, now: &Snapshot, step: Duration) -> Verdict {
        if now.overdue == 0 {
            self.start_window(now);
            return Verdict::Keep;
        }
        self.unsent += step;
        self.window += step;
        if self.window < self.rules.pace.window {
            return Verdict::Keep;
        }
        if now.sent - self.sent < self.rules.pace.bytes {
            return Verdict::Cut(SLOW_READER);
        }
        (self.window, self.sent) = (Duration::ZERO, now.sent);
        Verdict::Keep
    }

    fn start_window(&mut self, now: &Snapshot) {
        (self.unsent, self.window, self.sent) = (Duration::ZERO, Duration::ZERO, now.sent);
    }
}

#[cfg(test)]
mod tests;
