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

/// A running worker. It ends when its queue is closed and its connections have ended.
pub(crate) struct Worker {
    pub queue: mpsc::UnboundedSender<Accepted>,
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
        let (queue, mut accepted) = mpsc::unbounded_channel::<Accepted>();
        let work = async move {
            let (live, mut all_ended) = mpsc::channel::<()>(1);
            while let Some(next) = accepted.recv().await {
                let (front, entrance, phase) = (Arc::clone(&front), Arc::clone(&entrance), phase.clone());
                let live = live.clone();
                runtime::spawn(async move {
                    let open = Counted::new(front.meters.connections.clone());
                    match tokio::net::TcpStream::from_std(next.stream) {
                        Ok(stream) => entrance.serve(stream, next.local, Arc::clone(&front), phase).await,
                        Err(error) => tracing::warn!(%error, "a connection could not be served"),
                    }
                    drop((open, live, next.place));
                });
            }
            drop(live);
            // Never sends: it ends when the last connection has dropped its end.
            let _ = all_ended.recv().await;
            drop(ended);
        };
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || turns.run(work))?;
        Ok(Worker { queue, thread })
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
