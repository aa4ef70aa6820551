//! One connection: HTTP/1.1 or HTTP/2 by its first bytes, and a watch over its peer's pace.

mod line;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use millstream_api::HangUp;
use millstream_env::runtime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};

use self::line::{Line, Turn};
use crate::config::{Pace, ServerConfig};
use crate::front::Front;
use crate::known::Known;

/// How far the server is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Requests in flight are finished, no others are taken.
    Draining,
    /// Everything ends at once.
    Cut,
}

/// How connections are served.
#[derive(Clone)]
pub(crate) struct Protocol {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    rules: Rules,
}

/// What is expected of a peer.
#[derive(Clone, Copy, Debug)]
struct Rules {
    head: Duration,
    idle: Duration,
    pace: Pace,
}

/// Requests of one HTTP/2 connection at once. Clients of AWS send as many as they have.
const STREAMS: u32 = 1000;
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// While draining, a connection without requests is given this long to say goodbye, and one with nothing but ended
/// subscriptions to take what is on its way.
const FAREWELL: Duration = Duration::from_secs(1);
const DRAIN_STEP: Duration = Duration::from_millis(100);

/// A connection of HTTP/1.1 that was seen to have no request, and has had none for so long or up to twice as long, gives
/// its buffers back.
const REST: Duration = Duration::from_millis(250);

/// What a connection of HTTP/1.1 reads at once, if that much comes, and keeps of an answer until the socket takes it.
pub(crate) const BUFFER: usize = 256 << 10;

/// Why a connection is cut whose subscriber does not read.
pub(crate) const STALLED_SUBSCRIBER: &str = "stalled_subscriber";
/// Why a connection is cut of which an operation has asked for that.
const HANG_UP: &str = "hang_up";
/// Why a connection is cut that does not end the head it has begun.
const SLOW_HEAD: &str = "slow_head";

impl Protocol {
    pub(crate) fn new(config: &ServerConfig) -> Protocol {
        let mut http1 = http1::Builder::new();
        // hyper's own timeout for heads runs on idle connections too; `Watch` tells them apart.
        http1
            .half_close(true)
            .max_header_size(config.max_head)
            .max_buf_size(BUFFER.max(config.max_head))
            .header_read_timeout(None);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(config.max_head).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let rules = Rules { head: config.head_timeout, idle: config.idle_timeout, pace: config.pace };
        Protocol { http1, http2, rules }
    }

    /// Serves one connection to its end. `stream` is a socket, or what decrypts one.
    pub(crate) async fn serve<S>(&self, stream: S, local: Local, front: Arc<Front>, mut phase: watch::Receiver<Phase>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::new(local, phase.clone()));
        let service = {
            let (front, activity) = (Arc::clone(&front), Arc::clone(&activity));
            service_fn(move |request| {
                let (front, activity) = (Arc::clone(&front), Arc::clone(&activity));
                async move { Ok::<_, Infallible>(front.answer(request, &activity).await) }
            })
        };
        let mut line = Line::new(self, stream, service, Arc::clone(&activity));
        let mut watch = Watch::new(self.rules);
        let mut now = *phase.borrow_and_update();
        if now == Phase::Draining {
            line.close();
        }
        while now != Phase::Cut {
            let may_rest = line.may_rest() && activity.open.load(Ordering::Relaxed) == 0;
            let step = watch.next_step(now == Phase::Draining, may_rest);
            tokio::select! {
                biased;
                // Before the connection: an answer that goes out after the stop has begun says that it is the last.
                changed = phase.changed() => {
                    now = if changed.is_ok() { *phase.borrow_and_update() } else { Phase::Cut };
                    if now == Phase::Draining {
                        line.close();
                    }
                }
                () = activity.hung_up.notified() => {
                    let reason = activity.reason().unwrap_or(HANG_UP);
                    front.meters.cut(reason);
                    tracing::debug!(reason, "connection cut");
                    return;
                }
                turn = &mut line => if turn == Turn::Over {
                    return;
                },
                () = runtime::sleep(step) => match watch.judge(&activity.snapshot(), step, now == Phase::Draining) {
                    Verdict::Keep if watch.idle > step && watch.partial.is_zero() => watch.begun = line.rest(),
                    Verdict::Keep => {}
                    Verdict::Retire => line.close(),
                    Verdict::End => return,
                    Verdict::Cut(reason) => {
                        front.meters.cut(reason);
                        tracing::debug!(reason, "connection cut");
                        return;
                    }
                },
            }
        }
        if activity.open.load(Ordering::Relaxed) > 0 {
            front.cut.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Our end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    /// The address at which it came in; an IPv4 address is never in the form of IPv6.
    pub ip: IpAddr,
    pub is_tls: bool,
}

/// What happens on a connection.
#[derive(Debug)]
pub(crate) struct Activity {
    local: Local,
    known: Known,
    http2: AtomicBool,
    /// Whether bytes wait for the peer to take some.
    blocked: AtomicBool,
    received: AtomicU64,
    sent: AtomicU64,
    /// Requests begun and not yet answered to the last byte.
    open: AtomicUsize,
    /// Those of them whose answer is made.
    unsent: AtomicUsize,
    /// Those of them that are subscriptions which the server's stop has ended.
    stopped: AtomicUsize,
    finished: AtomicU64,
    /// `received` when the last request was finished: what came since is the head of the next one.
    received_at_finish: AtomicU64,
    hang_up: HangUp,
    hung_up: Notify,
    /// Why it is to end.
    reason: OnceLock<&'static str>,
    phase: watch::Receiver<Phase>,
}

/// [`Activity`] at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Snapshot {
    http2: bool,
    received: u64,
    sent: u64,
    open: usize,
    unsent: usize,
    stopped: usize,
    finished: u64,
    received_at_finish: u64,
}

impl Activity {
    pub(crate) fn new(local: Local, phase: watch::Receiver<Phase>) -> Activity {
        Activity {
            local,
            known: Known::default(),
            http2: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            stopped: AtomicUsize::new(0),
            finished: AtomicU64::new(0),
            received_at_finish: AtomicU64::new(0),
            hang_up: HangUp::default(),
            hung_up: Notify::new(),
            reason: OnceLock::new(),
            phase,
        }
    }

    /// Waits until the server begins to stop.
    pub(crate) async fn stopping(&self) {
        let mut phase = self.phase.clone();
        // An error says that the server is gone.
        let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
    }

    /// Ends the connection, for the first reason that is given.
    pub(crate) fn end(&self, reason: &'static str) {
        self.reason.get_or_init(|| reason);
        self.hung_up.notify_one();
    }

    /// Why the connection is to end, if it is.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.reason.get().copied()
    }

    /// The flag by which an operation asks for the connection's end.
    pub(crate) fn hang_up(&self) -> &HangUp {
        &self.hang_up
    }

    /// Ends the connection and does not return, if an operation has asked for it.
    pub(crate) async fn heed_hang_up(&self) {
        if self.hang_up.is_asked() {
            self.end(HANG_UP);
            std::future::pending().await
        }
    }

    /// Where and how the connection came in.
    pub(crate) fn local(&self) -> Local {
        self.local
    }

    /// What is known of its requests.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// A request begins.
    pub(crate) fn begin(self: &Arc<Self>) -> OpenRequest {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenRequest { activity: Arc::clone(self), answered: false, stopped: AtomicBool::new(false) }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            http2: self.http2.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            open: self.open.load(Ordering::Relaxed),
            unsent: self.unsent.load(Ordering::Relaxed),
            stopped: self.stopped.load(Ordering::Relaxed),
            finished: self.finished.load(Ordering::Relaxed),
            received_at_finish: self.received_at_finish.load(Ordering::Relaxed),
        }
    }
}

/// A request in flight, until the last byte of its answer has left.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    activity: Arc<Activity>,
    answered: bool,
    stopped: AtomicBool,
}

impl OpenRequest {
    /// The answer is made: from here on it is the peer's pace that counts.
    pub(crate) fn answered(&mut self) {
        if !self.answered {
            self.answered = true;
            self.activity.unsent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It is a subscription, and the server's stop has ended it: what has not left of it can be had again elsewhere.
    pub(crate) fn stopped(&self) {
        if !self.stopped.swap(true, Ordering::Relaxed) {
            self.activity.stopped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The connection that it came by.
    pub(crate) fn connection(&self) -> &Arc<Activity> {
        &self.activity
    }

    pub(crate) fn is_http1(&self) -> bool {
        !self.activity.http2.load(Ordering::Relaxed)
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let activity = &self.activity;
        if self.answered {
            activity.unsent.fetch_sub(1, Ordering::Relaxed);
        }
        if self.stopped.load(Ordering::Relaxed) {
            activity.stopped.fetch_sub(1, Ordering::Relaxed);
        }
        activity.received_at_finish.store(activity.received.load(Ordering::Relaxed), Ordering::Relaxed);
        activity.finished.fetch_add(1, Ordering::Relaxed);
        activity.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Judges a connection every `step`.
struct Watch {
    rules: Rules,
    step: Duration,
    idle: Duration,
    /// How long the head of a request has been incomplete.
    partial: Duration,
    /// Whether a head has begun of which nothing came since the last request: its first bytes came with that.
    begun: bool,
    /// How long answers have been waiting for the peer, and what had happened when that began.
    unsent: Duration,
    unsent_since: (u64, u64),
    /// How long a subscriber has taken nothing since the stop, and what had been sent when that began.
    stalled: Duration,
    stalled_since: u64,
    retired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// Idle for too long: close it in good form.
    Retire,
    /// It has had its time to close.
    End,
    /// The peer breaks a rule.
    Cut(&'static str),
}

impl Watch {
    fn new(rules: Rules) -> Watch {
        let shortest = rules.head.min(rules.idle).min(rules.pace.window);
        Watch {
            rules,
            step: (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(5)),
            idle: Duration::ZERO,
            partial: Duration::ZERO,
            begun: false,
            unsent: Duration::ZERO,
            unsent_since: (0, 0),
            stalled: Duration::ZERO,
            stalled_since: 0,
            retired: false,
        }
    }

    /// When to judge next. A connection with a request in flight is not waited for to rest.
    fn next_step(&self, draining: bool, may_rest: bool) -> Duration {
        match (draining, may_rest) {
            (true, _) => DRAIN_STEP,
            (false, true) => self.step.min(REST),
            (false, false) => self.step,
        }
    }

    fn judge(&mut self, now: &Snapshot, step: Duration, draining: bool) -> Verdict {
        if now.open > 0 {
            (self.idle, self.partial, self.begun) = (Duration::ZERO, Duration::ZERO, false);
            if draining && now.stopped == now.open {
                return self.judge_stopped(now, step);
            }
            return self.judge_answers(now, step);
        }
        let moved = now.finished != self.unsent_since.1;
        self.unsent = Duration::ZERO;
        self.unsent_since = (now.sent, now.finished);
        if moved {
            (self.idle, self.partial, self.begun) = (Duration::ZERO, Duration::ZERO, false);
        }
        self.idle += step;
        if (draining || self.retired) && self.idle >= FAREWELL {
            return Verdict::End;
        }
        if !now.http2 && (now.received > now.received_at_finish || self.begun) {
            self.partial += step;
            return if self.partial >= self.rules.head { Verdict::Cut(SLOW_HEAD) } else { Verdict::Keep };
        }
        if self.idle >= self.rules.idle && !self.retired {
            (self.retired, self.idle) = (true, Duration::ZERO);
            return Verdict::Retire;
        }
        Verdict::Keep
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

    fn judge_answers(&mut self, now: &Snapshot, step: Duration) -> Verdict {
        let (sent, finished) = self.unsent_since;
        if now.unsent == 0 || now.finished != finished {
            self.unsent = Duration::ZERO;
            self.unsent_since = (now.sent, now.finished);
            return Verdict::Keep;
        }
        self.unsent += step;
        if self.unsent < self.rules.pace.window {
            return Verdict::Keep;
        }
        if now.sent - sent < self.rules.pace.bytes {
            return Verdict::Cut("slow_reader");
        }
        self.unsent = Duration::ZERO;
        self.unsent_since = (now.sent, now.finished);
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests;
