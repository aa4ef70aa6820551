//! Workers: threads with a runtime each, which serve the connections they are given.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use ::metrics::Gauge;
use millstream_env::runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::connection::Phase;
use crate::front::Front;
use crate::tls::Entrance;

/// A connection on its way to a worker.
pub(crate) struct Accepted {
    pub stream: TcpStream,
    pub local: IpAddr,
    /// Its place among the connections served at once.
    pub place: OwnedSemaphorePermit,
}

/// Where connections go in to a worker.
#[derive(Clone)]
pub(crate) struct Door {
    queue: mpsc::UnboundedSender<(Accepted, Arc<()>)>,
    /// Each of the worker's connections holds a share of it.
    connections: Arc<()>,
}

impl Door {
    /// Hands a connection to the worker.
    ///
    /// # Errors
    /// The connection, if the worker has ended.
    pub(crate) fn enter(&self, accepted: Accepted) -> Result<(), Accepted> {
        let sent = self.queue.send((accepted, Arc::clone(&self.connections)));
        sent.map_err(|mpsc::error::SendError((accepted, _))| accepted)
    }

    /// Grows and shrinks with the number of connections, from the same beginning for each worker.
    fn connections(&self) -> usize {
        Arc::strong_count(&self.connections)
    }
}

/// The worker for the next connection: one that has the fewest, in turn from the one behind the `last` on. In turn alone, the
/// pairs that clients open (one connection for calls, one for a subscription) would leave all of one kind to one worker.
pub(crate) fn next_door(doors: &[Door], last: usize) -> usize {
    let turn = (1..=doors.len()).map(|behind| (last + behind) % doors.len());
    turn.min_by_key(|at| doors[*at].connections()).unwrap_or(last)
}

/// A running worker. It ends when its doors are gone and its connections have ended.
pub(crate) struct Worker {
    pub door: Door,
    pub thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker. `ended` is dropped when it has ended.
    pub(crate) fn start(
        number: usize,
        front: Arc<Front>,
        entrance: Arc<Entrance>,
        phase: watch::Receiver<Phase>,
        ended: mpsc::Sender<()>,
    ) -> io::Result<Worker> {
        let turns = runtime::Turns::new()?;
        let (queue, mut accepted) = mpsc::unbounded_channel::<(Accepted, Arc<()>)>();
        let work = async move {
            let (live, mut all_ended) = mpsc::channel::<()>(1);
            while let Some((next, share)) = accepted.recv().await {
                let (front, entrance, phase) = (Arc::clone(&front), Arc::clone(&entrance), phase.clone());
                let live = live.clone();
                runtime::spawn(async move {
                    let open = Counted::new(front.meters.connections.clone());
                    match tokio::net::TcpStream::from_std(next.stream) {
                        Ok(stream) => entrance.serve(stream, next.local, Arc::clone(&front), phase).await,
                        Err(error) => tracing::warn!(%error, "a connection could not be served"),
                    }
                    drop((open, live, next.place, share));
                });
            }
            drop(live);
            // Never sends: it ends when the last connection has dropped its end.
            let _ = all_ended.recv().await;
            drop(ended);
        };
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || turns.run(work))?;
        Ok(Worker { door: Door { queue, connections: Arc::new(()) }, thread })
    }
}

/// Counts as one in a gauge until it is dropped, also by a panic.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Counted {
        gauge.increment(1.0);
        Counted(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::Mutex;

    use ::metrics::GaugeFn;

    use super::*;

    struct Value(Mutex<f64>);

    impl GaugeFn for Value {
        fn increment(&self, by: f64) {
            *self.0.lock().unwrap() += by;
        }

        fn decrement(&self, by: f64) {
            *self.0.lock().unwrap() -= by;
        }

        fn set(&self, to: f64) {
            *self.0.lock().unwrap() = to;
        }
    }

    #[test]
    fn connections_of_one_kind_do_not_gather_at_one_worker() {
        let doors: Vec<Door> =
            (0..3).map(|_| Door { queue: mpsc::unbounded_channel().0, connections: Arc::default() }).collect();
        let mut last = 0;
        let mut open = || {
            last = next_door(&doors, last);
            Arc::clone(&doors[last].connections)
        };
        // Each client makes a few calls over one connection, opens another one that stays, and ends the first.
        let stay: Vec<Arc<()>> = (0..30)
            .map(|_| {
                let _calls = open();
                open()
            })
            .collect();
        for door in &doors {
            let here = stay.iter().filter(|share| Arc::ptr_eq(share, &door.connections)).count();
            assert!((9..=11).contains(&here), "{here} of 30");
        }
    }

    #[test]
    fn a_panic_does_not_leave_a_connection_counted() {
        let value = Arc::new(Value(Mutex::new(0.0)));
        let open = Counted::new(Gauge::from_arc(Arc::clone(&value)));
        assert_eq!(*value.0.lock().unwrap(), 1.0);
        let ended = catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _open = open;
            panic!("a connection's task fails");
        }));
        assert!(ended.is_err());
        assert_eq!(*value.0.lock().unwrap(), 0.0);
    }
}
