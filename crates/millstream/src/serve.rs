//! `millstream serve`: opens what there is, wires it, serves, and closes in order.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, PrometheusHandle};
use millstream_api::kinesis::Service;
use millstream_controls::Controls;
use millstream_env::{Env, runtime};
use millstream_kinesis::{AllowAll, Hooks, Kinesis, KinesisConfig};
use millstream_log::segment::{self, SegmentConfig};
use millstream_server::{BindError, HealthSource, RunError, Server, ServerConfig};
use tokio::sync::Semaphore;

use crate::config::{Config, Durability, Storage};
use crate::controls::Routes;
use crate::data_dir::{self, DataDir, DataDirError};
use crate::meter::Metrics;
use crate::provision::{self, ProvisionError};
use crate::signals::Stops;
use crate::snapshots::Snapshots;
use crate::storage::{self, StorageError};
use crate::tls::{Certificate, TlsFilesError};
use crate::{banner, logging, metrics};

/// How often the log's periodic work is done, and what is due in the service is looked at, at least.
const TICK: Duration = Duration::from_millis(250);
/// How often the log's periodic work is done, at most.
const TICK_LEAST: Duration = Duration::from_millis(1);
/// Ticks of the service that may be under way at once: a slow plan must not hold up others.
const TICKS_AT_ONCE: usize = 4;
/// How often samples of histograms are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);
/// Open files that are no connections: the log keeps 512, and opens some beside them.
const FILES_OF_OURS: usize = 1024;
/// Exit code of a stop that was not waited for.
const INTERRUPTED: i32 = 130;

/// Why the server did not start, or did not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ServeError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("metrics cannot be recorded: {0}")]
    Metrics(#[from] BuildError),
    #[error("the runtime cannot be started: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Tls(#[from] TlsFilesError),
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Serves until a signal stops it.
pub fn run(config: Config, env: Env) -> Result<(), ServeError> {
    logging::start(config.log_level, config.log_format);
    let files = raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let certificate = config.tls.as_ref().map(|files| Certificate::open(&*env.disk, files)).transpose()?;
    let temporary = match &config.storage {
        Storage::Directory { .. } => None,
        Storage::Ephemeral { .. } => Some(Temporary { path: data_dir::temporary(&env), env: env.clone() }),
    };
    let path = match (&config.storage, &temporary) {
        (Storage::Directory { path, .. }, _) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        (Storage::Ephemeral { .. }, temporary) => temporary.as_ref().map(|t| t.path.clone()).unwrap_or_default(),
    };
    let data = DataDir::create(&env, &path)?;
    let recorder = metrics::install()?;
    let kinesis = open(&config, &env, &data, files)?;
    let service = Opened { kinesis, recorder, certificate, files };
    let result = runtime.block_on(serve(&config, env, &data, service, temporary.as_ref()));
    // Jobs that are left on the pool have nothing more to do; the process ends them.
    runtime.shutdown_background();
    drop(data);
    drop(temporary);
    result
}

/// What is there before anything is served.
struct Opened {
    kinesis: Arc<Kinesis>,
    recorder: PrometheusHandle,
    certificate: Option<Certificate>,
    /// As many may be open at once.
    files: usize,
}

/// Opens the log, the catalog and the service over them.
fn open(config: &Config, env: &Env, data: &DataDir, files: usize) -> Result<Arc<Kinesis>, ServeError> {
    let mut engine = SegmentConfig::new(data.log());
    engine.open_files = segments_within(files, engine.open_files);
    engine.min_free = config.min_free;
    match &config.storage {
        Storage::Directory { durability, .. } => {
            engine.durability = match durability {
                Durability::Fsync => segment::Durability::Fsync,
                Durability::Relaxed(every) => segment::Durability::Relaxed(*every),
            };
        }
        Storage::Ephemeral { max } => {
            engine.durability = segment::Durability::None;
            engine.max_bytes = *max;
            // Space is taken a segment at a time: a small cap wants small segments.
            engine.segment_max = engine.segment_max.min(*max / 8).max(engine.segment_min);
            engine.reserve = 0;
        }
    }
    let mut settings = KinesisConfig::new(data.keys());
    settings.limits = config.limits.limits();
    settings.stream_limits = config.limits.streams().to_vec();
    settings.transition_delay = config.transition_delay;
    settings.virtual_clock = config.test_controls;
    let hooks = Hooks { authorizer: Arc::new(AllowAll), meter: Arc::new(Metrics::new()) };
    Ok(storage::open(env, data, engine, settings, hooks)?)
}

async fn serve(
    config: &Config,
    env: Env,
    data: &DataDir,
    opened: Opened,
    temporary: Option<&Temporary>,
) -> Result<(), ServeError> {
    let Opened { kinesis, recorder, certificate, files } = opened;
    let mut stops = Stops::take().map_err(ServeError::Runtime)?;
    let health = {
        let (asked, scraped, recorder) = (Arc::clone(&kinesis), Arc::clone(&kinesis), recorder.clone());
        let metrics = move || {
            metrics::show_problems(scraped.problems().len());
            recorder.render()
        };
        HealthSource { problems: Arc::new(move || asked.problems()), metrics: Arc::new(metrics) }
    };
    let controls = config.test_controls.then(|| Arc::new(Controls::new(env.clone(), Arc::clone(&kinesis))));
    let service: Arc<dyn Service> = match &controls {
        Some(controls) => Arc::clone(controls) as Arc<_>,
        None => Arc::clone(&kinesis) as Arc<_>,
    };
    let mut settings = server_config(config);
    settings.max_connections = settings.max_connections.min(connections_within(files));
    settings.tls = certificate.as_ref().map(Certificate::tls);
    let server = match Server::bind(settings, env.clone(), service, health) {
        Ok(server) => server,
        Err(error) => {
            kinesis.close().await;
            return Err(error.into());
        }
    };
    let server = match controls {
        Some(controls) => server.with_test_controls(Arc::new(Routes(controls))),
        None => server,
    };
    let server = match &config.snapshots {
        Some(dir) => server.with_snapshots(Arc::new(Snapshots::new(Arc::clone(&kinesis), dir))),
        None => server,
    };
    runtime::spawn(drive_log(Arc::clone(&kinesis), tick(config)));
    runtime::spawn(drive(Arc::clone(&kinesis)));
    runtime::spawn(upkeep(recorder));
    if let Some(certificate) = certificate {
        runtime::spawn(certificate.follow(env.clone()));
    }
    crate::say(&banner::greeting(config, server.addresses(), data.path()));
    // The listeners are open already: who connects meanwhile waits for an answer instead of being turned away.
    let provisioned = tokio::select! {
        provisioned = provision(config, &kinesis, &env) => provisioned,
        name = stops.next() => {
            tracing::info!(signal = name, "stopped before it was ready");
            kinesis.close().await;
            return Ok(());
        }
    };
    if let Err(error) = provisioned {
        kinesis.close().await;
        return Err(error.into());
    }
    crate::say(&banner::ready(config, server.addresses()));

    let (stop, stopped) = tokio::sync::oneshot::channel();
    let work = async {
        let drained = server.run(async { drop(stopped.await) }).await;
        kinesis.close().await;
        drained
    };
    let signals = async {
        let name = stops.next().await;
        tracing::info!(signal = name, "stopping: requests in flight are finished, no others are taken");
        // The server is there until `work` has ended.
        let _ = stop.send(());
        stops.next().await
    };
    tokio::select! {
        drained = work => {
            let drained = drained?;
            if drained.cut > 0 {
                tracing::warn!(connections = drained.cut, "requests took longer than the drain and were cut");
            }
            tracing::info!("stopped");
            Ok(())
        }
        name = signals => {
            tracing::warn!(signal = name, "stopped at once");
            if let Some(temporary) = temporary {
                temporary.remove();
            }
            std::process::exit(INTERRUPTED);
        }
    }
}

/// Makes the configuration's streams.
async fn provision(config: &Config, kinesis: &Arc<Kinesis>, env: &Env) -> Result<(), ProvisionError> {
    // There is nobody yet who could go too fast: many streams must not take as long as a client would need for them.
    let _unpaced = kinesis.unpaced();
    provision::apply(&**kinesis, &env.clock, config.transition_delay, &config.streams).await
}

fn server_config(config: &Config) -> ServerConfig {
    let mut server = ServerConfig::new(config.region.as_str(), config.account.as_str());
    server.listen.clone_from(&config.listen);
    server.allow_hosts.clone_from(&config.allow_host);
    server.cors_origins.clone_from(&config.cors_origin);
    server.drain = config.drain;
    // A page of records as they are stored, what is kept of each beside that, and the piece that is being sent.
    let page = config.limits.largest_page();
    server.large_answer = page + page / 4 + (1 << 20);
    server
}

/// How often the log has something to do: relaxed mode syncs as often as it promises.
fn tick(config: &Config) -> Duration {
    match &config.storage {
        Storage::Directory { durability: Durability::Relaxed(every), .. } => TICK.min(*every).max(TICK_LEAST),
        _ => TICK,
    }
}

/// Has the log do its periodic work every `tick`. Waits for nothing else: what relaxed mode promises must not depend on
/// how long a plan takes.
async fn drive_log(kinesis: Arc<Kinesis>, tick: Duration) {
    loop {
        kinesis.tick_log();
        runtime::sleep(tick).await;
    }
}

/// Has the service do what is due: when it says so, and at least every [`TICK`].
async fn drive(kinesis: Arc<Kinesis>) {
    let wake = kinesis.wake();
    let places = Arc::new(Semaphore::new(TICKS_AT_ONCE));
    loop {
        if let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let kinesis = Arc::clone(&kinesis);
            runtime::spawn(async move {
                kinesis.tick().await;
                drop(place);
            });
        }
        // A plan that is overdue is being worked on; it needs no tick of its own.
        let pause = kinesis.until_next_due().filter(|due| !due.is_zero()).unwrap_or(TICK).min(TICK);
        tokio::select! {
            () = wake.notified() => {}
            () = runtime::sleep(pause) => {}
        }
    }
}

/// Keeps the recorder's memory bounded between scrapes.
async fn upkeep(recorder: PrometheusHandle) {
    loop {
        runtime::sleep(UPKEEP).await;
        recorder.run_upkeep();
    }
}

/// Lets the process open as many files as it may: the usual soft limit is meant for programs that use `select`.
fn raise_file_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let mut files = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files }) {
        tracing::debug!(%error, "the limit on open files stays as it is");
        files = limit.current;
    }
    files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// The most connections when the process may have `files` open: the log's segments must never lack one. Of few files the
/// connections get a quarter.
fn connections_within(files: usize) -> usize {
    files.saturating_sub(FILES_OF_OURS).max(files / 4)
}

/// The most segments that the log keeps open, at most `wanted`, when the process may have `files` open. Of few files they
/// get a quarter as well: what is opened for a moment, by all threads at once, needs the rest.
fn segments_within(files: usize, wanted: usize) -> usize {
    wanted.min(files / 4)
}

/// A private directory that goes when it is dropped.
struct Temporary {
    path: PathBuf,
    env: Env,
}

impl Temporary {
    fn remove(&self) {
        match self.env.disk.remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "the temporary directory could not be removed");
            }
            _ => {}
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_the_log() {
        for (files, connections) in [(1 << 20, (1 << 20) - 1024), (4096, 3072), (1500, 476), (1024, 256)] {
            assert_eq!(connections_within(files), connections);
        }
    }

    #[test]
    fn the_log_gets_on_with_few_files() {
        for (files, segments) in [(1 << 20, 512), (2048, 512), (1024, 256), (128, 32)] {
            assert_eq!(segments_within(files, 512), segments);
        }
    }
}
