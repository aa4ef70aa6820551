//! When requests are sent: at once when the last was answered, or at a constant rate whatever the answers do.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Mutex;

/// How a load is paced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection sends its next request when it has the answer to the last.
    Closed,
    /// So many requests per second over all connections. Latency counts from the intended moment of sending, so what
    /// waits for a free connection because the server is slow is not left out.
    Open {
        /// Requests per second.
        per_second: f64,
    },
    /// The same for more than the server can take: a request for which no connection is free in its moment is not sent,
    /// and counted as that.
    Flood {
        /// Requests per second.
        per_second: f64,
    },
}

/// How late a request of a flood may be sent.
const FLOOD_SLACK: Duration = Duration::from_millis(2);

/// The intended moments of an open loop, handed out one after the other.
#[derive(Debug)]
pub struct Schedule {
    started: Instant,
    interval: Duration,
    flood: bool,
    next: Cell<u32>,
    unsent: Cell<u64>,
    timer: Timer,
    /// Whoever holds it waits for the next moment; the others wait for their turn, in order.
    turn: Mutex<()>,
}

impl Schedule {
    /// The schedule of a pace from now on; `None` for a closed loop.
    ///
    /// # Errors
    /// When the system gives no timer.
    pub fn new(pace: Pace, started: Instant) -> io::Result<Option<Self>> {
        let (per_second, flood) = match pace {
            Pace::Closed => return Ok(None),
            Pace::Open { per_second } => (per_second, false),
            Pace::Flood { per_second } => (per_second, true),
        };
        Ok(Some(Self {
            started,
            interval: Duration::from_secs_f64(1.0 / per_second),
            flood,
            next: Cell::new(0),
            unsent: Cell::new(0),
            timer: Timer::new()?,
            turn: Mutex::new(()),
        }))
    }

    /// Waits for the next moment and gives it; `None` when it is not before `end`.
    ///
    /// # Errors
    /// When the timer fails.
    pub async fn turn(&self, end: Instant) -> io::Result<Option<Instant>> {
        let _turn = self.turn.lock().await;
        let mut index = self.next.get();
        if self.flood {
            let late = self.started.elapsed().saturating_sub(FLOOD_SLACK);
            let due = u32::try_from(late.as_nanos() / self.interval.as_nanos().max(1)).unwrap_or(u32::MAX);
            if due > index {
                self.unsent.set(self.unsent.get() + u64::from(due - index));
                index = due;
            }
        }
        let due = self.started + self.interval * index;
        if due >= end {
            return Ok(None);
        }
        self.timer.until(due).await?;
        self.next.set(index + 1);
        Ok(Some(due))
    }

    /// How many moments passed without a free connection.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.unsent.get()
    }
}

/// A timer that is exact to some ten microseconds, where tokio's own counts milliseconds.
#[derive(Debug)]
pub struct Timer {
    /// A timerfd. It is read like a pipe, eight bytes for each time that it went off, and tokio's pipe is the one reader
    /// of a foreign descriptor that needs no unsafe code.
    fd: Receiver,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { fd: Receiver::from_owned_fd_unchecked(fd)? })
    }

    /// Waits until `due`.
    ///
    /// # Errors
    /// When the timer cannot be set.
    pub async fn until(&self, due: Instant) -> io::Result<()> {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let it_value = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
        loop {
            self.fd.readable().await?;
            match self.fd.try_read(&mut [0; 8]) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn moments_are_given_in_order_and_end() {
        block_on(async {
            let started = Instant::now();
            let schedule = Schedule::new(Pace::Open { per_second: 1000.0 }, started).unwrap().unwrap();
            let end = started + Duration::from_micros(2500);
            for index in 0..3 {
                let due = schedule.turn(end).await.unwrap().unwrap();
                assert_eq!(due, started + Duration::from_millis(index));
                assert!(Instant::now() >= due);
            }
            assert_eq!(schedule.turn(end).await.unwrap(), None);
        });
    }

    #[test]
    fn what_is_late_keeps_its_intended_moment() {
        block_on(async {
            // The loop was held up for a second: the moments of that second are all still due.
            let started = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
            let schedule = Schedule::new(Pace::Open { per_second: 1000.0 }, started).unwrap().unwrap();
            let end = started + Duration::from_secs(60);
            assert_eq!(schedule.turn(end).await.unwrap(), Some(started));
            assert_eq!(schedule.turn(end).await.unwrap(), Some(started + Duration::from_millis(1)));
            assert_eq!(schedule.unsent(), 0);
        });
    }

    #[test]
    fn a_flood_counts_what_it_could_not_send() {
        block_on(async {
            let started = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
            let schedule = Schedule::new(Pace::Flood { per_second: 1000.0 }, started).unwrap().unwrap();
            let due = schedule.turn(started + Duration::from_secs(60)).await.unwrap().unwrap();
            assert!(due >= started + Duration::from_millis(998));
            assert_eq!(u128::from(schedule.unsent()), due.duration_since(started).as_millis());
        });
    }
}
