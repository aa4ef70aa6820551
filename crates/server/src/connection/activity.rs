//! What happens on a connection, counted where it happens, for those who judge it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use millstream_api::HangUp;
use tokio::sync::{Notify, watch};

use super::{HANG_UP, Phase};
use crate::crowd::Seat;
use crate::known::Known;

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
    pub(super) seat: Seat,
    pub(super) http2: AtomicBool,
    /// Whether bytes wait for the peer to take some.
    pub(super) blocked: AtomicBool,
    pub(super) received: AtomicU64,
    /// Those of them that were the bodies of requests.
    taken: AtomicU64,
    pub(super) sent: AtomicU64,
    /// Requests begun and not yet answered to the last byte.
    pub(super) open: AtomicUsize,
    /// Those of them whose answer is made, in two generations: see [`Activity::look`].
    unsent: [AtomicUsize; 2],
    /// The one that new answers belong to.
    generation: AtomicUsize,
    /// Those of them that are subscriptions which the server's stop has ended.
    stopped: AtomicUsize,
    pub(super) finished: AtomicU64,
    /// Requests that the peer has cancelled before they had an answer, or before their end.
    cancelled: AtomicU64,
    /// `received` when the last request was finished: what came since is the head of the next one.
    received_at_finish: AtomicU64,
    hang_up: HangUp,
    pub(super) hung_up: Notify,
    /// Why it is to end.
    reason: OnceLock<&'static str>,
    phase: watch::Receiver<Phase>,
}

/// [`Activity`] at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Snapshot {
    pub http2: bool,
    pub received: u64,
    pub taken: u64,
    pub sent: u64,
    pub open: usize,
    /// Answers that wait to leave since the last look or longer.
    pub overdue: usize,
    pub stopped: usize,
    pub finished: u64,
    pub cancelled: u64,
    pub received_at_finish: u64,
}

impl Activity {
    pub(crate) fn new(local: Local, phase: watch::Receiver<Phase>, seat: Seat) -> Activity {
        Activity {
            local,
            known: Known::default(),
            seat,
            http2: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            received: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            unsent: [AtomicUsize::new(0), AtomicUsize::new(0)],
            generation: AtomicUsize::new(0),
            stopped: AtomicUsize::new(0),
            finished: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            received_at_finish: AtomicU64::new(0),
            hang_up: HangUp::default(),
            hung_up: Notify::new(),
            reason: OnceLock::new(),
            phase,
        }
    }

    /// That of the only connection, from nowhere.
    #[cfg(test)]
    pub(crate) fn alone() -> Arc<Activity> {
        let local = Local { ip: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), is_tls: false };
        let seat = Arc::new(crate::crowd::Crowd::default()).seat();
        Arc::new(Activity::new(local, watch::channel(Phase::Serving).1, seat))
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
        self.seat.work();
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenRequest { activity: Arc::clone(self), generation: None, stopped: AtomicBool::new(false) }
    }

    /// So many bytes of a body have come.
    pub(crate) fn took(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A request was broken off before its end: it has an answer, which nobody waits for.
    pub(crate) fn broken_off(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers that are made and have not left.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.iter().map(|generation| generation.load(Ordering::Relaxed)).sum()
    }

    /// What has happened so far. When no answer of the older generation is left, the younger one becomes the older, and
    /// answers made from then on are the younger: those who look at times see how long the oldest has been waiting,
    /// whatever comes and goes beside it.
    pub(super) fn look(&self) -> Snapshot {
        let generation = self.generation.load(Ordering::Relaxed);
        let overdue = self.unsent[1 - generation].load(Ordering::Relaxed);
        if overdue == 0 {
            self.generation.store(1 - generation, Ordering::Relaxed);
        }
        Snapshot {
            http2: self.http2.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            taken: self.taken.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            open: self.open.load(Ordering::Relaxed),
            overdue,
            stopped: self.stopped.load(Ordering::Relaxed),
            finished: self.finished.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
            received_at_finish: self.received_at_finish.load(Ordering::Relaxed),
        }
    }
}

/// A request in flight, until the last byte of its answer has left.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    activity: Arc<Activity>,
    /// That of its answer, if that is made.
    generation: Option<usize>,
    stopped: AtomicBool,
}

impl OpenRequest {
    /// The answer is made: from here on it is the peer's pace that counts.
    pub(crate) fn answered(&mut self) {
        if self.generation.is_none() {
            let generation = self.activity.generation.load(Ordering::Relaxed);
            self.generation = Some(generation);
            self.activity.unsent[generation].fetch_add(1, Ordering::Relaxed);
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
        match self.generation {
            Some(generation) => activity.unsent[generation].fetch_sub(1, Ordering::Relaxed),
            None => activity.cancelled.fetch_add(1, Ordering::Relaxed) as usize,
        };
        if self.stopped.load(Ordering::Relaxed) {
            activity.stopped.fetch_sub(1, Ordering::Relaxed);
        }
        activity.received_at_finish.store(activity.received.load(Ordering::Relaxed), Ordering::Relaxed);
        activity.finished.fetch_add(1, Ordering::Relaxed);
        activity.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_waits_is_seen_beside_others_that_leave() {
        let activity = Activity::alone();
        let mut stuck = activity.begin();
        stuck.answered();
        assert_eq!(activity.look().overdue, 0, "it is new");
        for _ in 0..5 {
            let mut other = activity.begin();
            other.answered();
            assert_eq!(activity.look().overdue, 1, "it has been there at the last look");
            assert_eq!(activity.unsent(), 2);
        }
        drop(stuck);
        assert_eq!((activity.look().overdue, activity.unsent()), (0, 0));
    }

    #[test]
    fn a_request_without_an_answer_was_cancelled() {
        let activity = Activity::alone();
        let mut answered = activity.begin();
        answered.answered();
        drop((answered, activity.begin()));
        let seen = activity.look();
        assert_eq!((seen.finished, seen.cancelled, seen.open), (2, 1, 0));
    }
}
