//! One connection: HTTP/1.1 or HTTP/2 by its first bytes, and a watch over its peer's pace.

mod activity;
mod line;
mod share;
mod watch;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use millstream_env::runtime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch::Receiver;

pub(crate) use self::activity::{Activity, Local, OpenRequest};
use self::line::{Line, Turn};
pub(crate) use self::share::BUFFER;
use self::share::Share;
use self::watch::{Rules, Verdict, Watch};
use crate::config::ServerConfig;
use crate::crowd::{CROWDED, Seat};
use crate::front::Front;

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
    max_head: usize,
    /// How long an answer may wait to leave while others wait for its memory.
    patience: Duration,
    rules: Rules,
}

/// Largest frame of HTTP/2 that is taken, and the table by which its heads are compressed: as the protocol begins.
const FRAME: u32 = 16 << 10;
const HEAD_TABLE: u32 = 4 << 10;
/// Streams that were cancelled before they were looked at: more at once, and the connection ends.
const CANCELLED_UNSEEN: usize = 20;
/// Streams that are reset for what their peer does wrong: more in a connection's life, and it ends. An upload that is
/// refused before its end may count once for each frame that is on its way.
const BROKEN_STREAMS: usize = 1024;
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// While draining, a connection without requests is given this long to say goodbye, and one with nothing but ended
/// subscriptions to take what is on its way.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a connection is cut whose subscriber does not read.
pub(crate) const STALLED_SUBSCRIBER: &str = "stalled_subscriber";
/// Why a connection is cut of which an operation has asked for that.
const HANG_UP: &str = "hang_up";
/// Why a connection ends whose peer breaks the protocol, or goes beyond its limits.
const PROTOCOL_ERROR: &str = "protocol_error";

impl Protocol {
    pub(crate) fn new(config: &ServerConfig) -> Protocol {
        let mut http1 = http1::Builder::new();
        // hyper's own timeout for heads runs on idle connections too; `Watch` tells them apart.
        http1.half_close(true).max_header_size(config.max_head).header_read_timeout(None);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_frame_size(FRAME)
            .max_header_list_size(u32::try_from(config.max_head).unwrap_or(u32::MAX))
            .header_table_size(HEAD_TABLE)
            .max_pending_accept_reset_streams(CANCELLED_UNSEEN)
            .max_local_error_reset_streams(BROKEN_STREAMS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let (max_head, patience) = (config.max_head, config.memory_wait);
        Protocol { http1, http2, max_head, patience, rules: Rules::new(config) }
    }

    /// For a connection that begins, or begins anew, as one of so many `served`.
    fn http1(&self, served: usize) -> http1::Builder {
        let mut http1 = self.http1.clone();
        http1.max_buf_size(Share::of(served, self.max_head).buffer);
        http1
    }

    /// For a connection that begins as one of so many `served`.
    fn http2(&self, served: usize) -> http2::Builder<TokioExecutor> {
        let share = Share::of(served, self.max_head);
        let mut http2 = self.http2.clone();
        http2
            .max_concurrent_streams(share.streams)
            .initial_stream_window_size(share.stream_window)
            .initial_connection_window_size(share.connection_window);
        http2
    }

    /// Serves one connection to its end. `stream` is a socket, or what decrypts one.
    pub(crate) async fn serve<S>(
        &self,
        stream: S,
        local: Local,
        front: Arc<Front>,
        mut phase: Receiver<Phase>,
        seat: Seat,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::new(local, phase.clone(), seat));
        let service = {
            let (front, activity) = (Arc::clone(&front), Arc::clone(&activity));
            service_fn(move |request| {
                let (front, activity) = (Arc::clone(&front), Arc::clone(&activity));
                async move { Ok::<_, Infallible>(front.answer(request, &activity).await) }
            })
        };
        let cut = |reason: &'static str| {
            front.meters.cut(reason);
            tracing::debug!(reason, "connection cut");
        };
        let mut line = Line::new(self, stream, service, Arc::clone(&activity));
        let mut watch = Watch::new(self.rules);
        let mut overdue = None;
        let mut now = *phase.borrow_and_update();
        if now == Phase::Draining {
            line.close();
        }
        while now != Phase::Cut {
            let is_idle = activity.open.load(Ordering::Relaxed) == 0;
            let step = watch.next_step(now == Phase::Draining, is_idle && line.may_rest());
            tokio::select! {
                biased;
                // Before the connection: an answer that goes out after the stop has begun says that it is the last.
                changed = phase.changed() => {
                    now = if changed.is_ok() { *phase.borrow_and_update() } else { Phase::Cut };
                    if now == Phase::Draining {
                        line.close();
                    }
                }
                () = activity.hung_up.notified() => return cut(activity.reason().unwrap_or(HANG_UP)),
                // Not if a request has come in the meantime.
                () = activity.seat.asked() => if activity.open.load(Ordering::Relaxed) == 0 {
                    line.close_now().await;
                    return cut(CROWDED);
                },
                turn = &mut line => match turn {
                    Turn::Begun => {}
                    Turn::Over => return,
                    Turn::Broken => return cut(PROTOCOL_ERROR),
                },
                () = runtime::sleep(step) => {
                    let seen = activity.look();
                    match watch.judge(&seen, step, now == Phase::Draining) {
                        Verdict::Keep => {}
                        Verdict::Retire => line.close(),
                        Verdict::End => return,
                        Verdict::Cut(reason) => return cut(reason),
                    }
                    if seen.open == 0 {
                        activity.seat.rest();
                        if watch.may_rest(step) {
                            watch.begun = line.rest();
                        }
                    }
                    // Only those who wait for memory mind: see `Budget`.
                    overdue = (watch.unsent >= self.patience)
                        .then(|| overdue.take().unwrap_or_else(|| front.budget.overdue(&activity)));
                }
            }
        }
        if activity.open.load(Ordering::Relaxed) > 0 {
            front.cut.fetch_add(1, Ordering::Relaxed);
        }
    }
}
