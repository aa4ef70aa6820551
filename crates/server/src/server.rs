//! Listeners, and the server's life from bind to drain.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millstream_api::kinesis::Service;
use millstream_env::{Env, runtime};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::admin::HealthSource;
use crate::config::ServerConfig;
use crate::connection::Phase;
use crate::controls::ControlSource;
use crate::crowd::Crowd;
use crate::front::Front;
use crate::guard::Guard;
use crate::tls::Entrance;
use crate::worker::{Accepted, Door, Worker, next_door};

/// After an accept that failed, as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// While there is no place for a connection that has come in, another one is asked to go so often.
const CROWDED_PAUSE: Duration = Duration::from_millis(100);

/// Connections that the system keeps for a listener until they are accepted; those beyond try again in a second.
const BACKLOG: i32 = 1024;

/// A server that is bound to its addresses.
pub struct Server {
    config: ServerConfig,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    front: Arc<Front>,
}

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// The server could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A worker could not be started.
    #[error("cannot start a worker thread: {0}")]
    Worker(io::Error),
    /// A listener could not be used.
    #[error("cannot accept connections: {0}")]
    Listener(io::Error),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut with requests in flight, because these took longer than the drain.
    pub cut: usize,
}

impl Server {
    /// Opens the listeners. Metrics go to the recorder that is installed at this time.
    ///
    /// # Errors
    /// [`BindError`] for the first address that can't be had.
    pub fn bind(
        config: ServerConfig,
        env: Env,
        service: Arc<dyn Service>,
        health: HealthSource,
    ) -> Result<Server, BindError> {
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for &address in &config.listen {
            let listener = TcpListener::bind(address).map_err(|source| BindError { address, source })?;
            let bound = || {
                listener.set_nonblocking(true)?;
                // The standard library asks for a short queue; another call makes it longer.
                rustix::net::listen(&listener, BACKLOG)?;
                listener.local_addr()
            };
            addresses.push(bound().map_err(|source| BindError { address, source })?);
            listeners.push(listener);
        }
        let guard = Guard::new(&config.allow_hosts, &config.cors_origins, &addresses);
        let front = Arc::new(Front::new(&config, env, service, health, guard));
        Ok(Server { config, listeners, addresses, front })
    }

    /// Lets tests ask for what `controls` offers, under `/_millstream/`. Without, such requests are refused.
    #[must_use]
    pub fn with_test_controls(self, controls: Arc<dyn ControlSource>) -> Server {
        // Nothing was set before: only this sets it, and it takes the server.
        let _ = self.front.test_controls.set(controls);
        self
    }

    /// Lets operators ask for snapshots at `/_millstream/snapshot`. Without, such requests are refused.
    #[must_use]
    pub fn with_snapshots(self, snapshots: Arc<dyn ControlSource>) -> Server {
        // As above.
        let _ = self.front.snapshots.set(snapshots);
        self
    }

    /// Where it listens, with the ports that were picked for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until `shutdown` resolves, then drains: no connection is accepted any more, idle ones are closed, requests
    /// in flight are finished within the configured time. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`RunError`] if it can't begin.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Drained, RunError> {
        let (phase, phase_seen) = watch::channel(Phase::Serving);
        let (ended, mut all_ended) = mpsc::channel::<()>(1);
        let entrance = Arc::new(Entrance::new(&self.config));
        let mut workers = Vec::new();
        for number in 0..self.config.workers.max(1) {
            let (front, entrance) = (Arc::clone(&self.front), Arc::clone(&entrance));
            let worker = Worker::start(number, front, entrance, phase_seen.clone(), ended.clone());
            workers.push(worker.map_err(RunError::Worker)?);
        }
        drop(ended);
        let places = Arc::new(Semaphore::new(self.config.max_connections.max(1)));
        for listener in self.listeners {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(RunError::Listener)?;
            let doors: Vec<_> = workers.iter().map(|worker| worker.door.clone()).collect();
            let places = Places { places: Arc::clone(&places), crowd: Arc::clone(&self.front.crowd) };
            runtime::spawn(accept(listener, doors, places, phase_seen.clone()));
        }
        let threads: Vec<_> = workers.into_iter().map(|worker| worker.thread).collect();
        shutdown.await;
        self.front.draining.store(true, Ordering::Relaxed);
        phase.send_replace(Phase::Draining);
        if runtime::timeout(self.config.drain, all_ended.recv()).await.is_none() {
            phase.send_replace(Phase::Cut);
            let _ = all_ended.recv().await;
        }
        for thread in threads {
            // A worker that panicked has said so itself.
            let _ = thread.join();
        }
        Ok(Drained { cut: self.front.cut.load(Ordering::Relaxed) })
    }
}

/// The places for connections.
struct Places {
    places: Arc<Semaphore>,
    crowd: Arc<Crowd>,
}

impl Places {
    /// Takes one. While there is none, idle connections are asked to go; those with requests are waited for.
    async fn take(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        loop {
            let place = Arc::clone(&self.places);
            if let Ok(place) = Arc::clone(&place).try_acquire_owned() {
                return Ok(place);
            }
            self.crowd.thin_out();
            if let Some(place) = runtime::timeout(CROWDED_PAUSE, place.acquire_owned()).await {
                return place;
            }
        }
    }
}

/// Accepts connections and deals each to the worker that has the fewest.
async fn accept(
    listener: tokio::net::TcpListener,
    doors: Vec<Door>,
    places: Places,
    mut phase: watch::Receiver<Phase>,
) {
    let mut last = 0;
    loop {
        let next = async {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let local = stream.local_addr()?.ip();
            let place = places.take().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(Accepted { stream: stream.into_std()?, local, place })
        };
        tokio::select! {
            biased;
            _ = phase.changed() => return,
            accepted = next => match accepted {
                Ok(accepted) => {
                    last = next_door(&doors, last);
                    if doors[last].enter(accepted).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    runtime::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}
