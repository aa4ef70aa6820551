//! The configuration: flags over environment over a TOML file over defaults.

mod layers;
mod limits;
mod streams;
mod values;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

pub(crate) use layers::printable;
pub use layers::{ConfigError, Key, Layer, Raw, from_environment, from_file};
use layers::{Layers, Source};
pub use limits::LimitsChoice;
pub use streams::{Capacity, StreamEntry};
use streams::{Written, streams};

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Where everything is kept, and how safely.
    pub storage: Storage,
    /// Quotas and throughput limits.
    pub limits: LimitsChoice,
    /// How long streams stay in CREATING, UPDATING and DELETING.
    pub transition_delay: Duration,
    /// Other machines are let in without authentication.
    pub allow_anonymous: bool,
    /// Tests may ask for faults, move the clock and reset the server.
    pub test_controls: bool,
    /// Further names that requests may give as `Host`.
    pub allow_host: Vec<String>,
    /// Origins of web pages that may use the server.
    pub cors_origin: Vec<String>,
    /// The region of requests whose credential names none.
    pub region: String,
    /// The account of access keys that are no account number.
    pub account: String,
    /// How long requests in flight may go on at shutdown.
    pub drain: Duration,
    /// Free space on the disk below which puts are refused, bytes.
    pub min_free: u64,
    /// Where snapshots are written; none are taken without it.
    pub snapshots: Option<PathBuf>,
    /// Least severe lines that are logged.
    pub log_level: LogLevel,
    /// Form of the log.
    pub log_format: LogFormat,
    /// The files for TLS, which is not spoken without them.
    pub tls: Option<TlsFiles>,
    /// Streams that are there when the server is ready.
    pub streams: Vec<StreamEntry>,
}

/// The files for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain of certificates, PEM.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
    /// Nothing but TLS is spoken.
    pub only: bool,
}

/// Where everything is kept, and how safely.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// A data directory.
    Directory {
        /// Its path.
        path: PathBuf,
        /// When a record is acknowledged.
        durability: Durability,
    },
    /// A private temporary directory, never synced and removed on exit.
    Ephemeral {
        /// The most it may hold, bytes.
        max: u64,
    },
}

/// When a record is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it is on disk.
    Fsync,
    /// When it is written; it is on disk at most this much later.
    Relaxed(Duration),
}

/// Least severe lines that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text for people.
    Text,
    /// A JSON object per line.
    Json,
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4567);
const DEFAULT_DATA_DIR: &str = "millstream-data";
const DEFAULT_EPHEMERAL_MAX: u64 = 1 << 30;
const DEFAULT_TRANSITION_DELAY: Duration = Duration::from_millis(500);
const DEFAULT_DRAIN: Duration = Duration::from_secs(10);
const DEFAULT_MIN_FREE: u64 = 64 << 20;

impl Config {
    /// The configuration of `flags` over the variables of `environment` over `file` (over MILLSTREAM_CONFIG's file).
    ///
    /// # Errors
    /// [`ConfigError`] names the setting, where it was set, and what it may be.
    pub fn load(
        flags: Layer,
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        read: impl Fn(&Path) -> Result<String, ConfigError>,
    ) -> Result<Config, ConfigError> {
        Config::of(flags, file, environment, read).map_err(|ConfigError(line)| ConfigError(printable(&line)))
    }

    fn of(
        flags: Layer,
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        read: impl Fn(&Path) -> Result<String, ConfigError>,
    ) -> Result<Config, ConfigError> {
        let (environment, named_file) = from_environment(environment)?;
        let mut layers = Layers::default();
        if let Some(path) = file.map(Path::to_path_buf).or(named_file) {
            layers.add(Source::File(path.clone()), from_file(&path, &read(&path)?)?);
        }
        layers.add(Source::Environment, environment);
        layers.add(Source::Flag, flags);
        Config::resolve(&layers)
    }

    fn resolve(layers: &Layers) -> Result<Config, ConfigError> {
        layers.text(Key::Auth, values::auth)?;
        let limits = match layers.table(Key::Limits)? {
            Some(table) => LimitsChoice::Table(Box::new(table)),
            None => layers.text(Key::Limits, values::limits)?.unwrap_or(LimitsChoice::Aws),
        };
        let region = layers.text(Key::Region, values::region)?.unwrap_or_else(|| "us-east-1".to_owned());
        let account = layers.text(Key::Account, values::account)?.unwrap_or_else(|| "000000000000".to_owned());
        let config = Config {
            listen: layers.list(Key::Listen, values::address)?.unwrap_or_else(|| vec![DEFAULT_LISTEN]),
            storage: storage(layers)?,
            limits,
            transition_delay: layers.text(Key::TransitionDelay, values::duration)?.unwrap_or(DEFAULT_TRANSITION_DELAY),
            allow_anonymous: layers.switch(Key::AllowAnonymous)?,
            test_controls: layers.switch(Key::TestControls)?,
            allow_host: layers.list(Key::AllowHost, values::host)?.unwrap_or_default(),
            cors_origin: layers.list(Key::CorsOrigin, values::origin)?.unwrap_or_default(),
            drain: layers.text(Key::Drain, values::duration)?.unwrap_or(DEFAULT_DRAIN),
            min_free: layers.text(Key::MinFree, values::size)?.unwrap_or(DEFAULT_MIN_FREE),
            snapshots: layers.text(Key::Snapshots, values::path)?,
            log_level: layers.text(Key::LogLevel, values::log_level)?.unwrap_or(LogLevel::Info),
            log_format: layers.text(Key::LogFormat, values::log_format)?.unwrap_or(LogFormat::Text),
            tls: tls(layers)?,
            streams: streams(layers, &account, &region)?,
            region,
            account,
        };
        if let (Some(snapshots), Storage::Directory { path, .. }) = (&config.snapshots, &config.storage)
            && absolute(snapshots).starts_with(absolute(path))
        {
            return Err(
                layers.wrong(Key::Snapshots, "snapshots cannot be kept in the data directory: name another one")
            );
        }
        let open = config.listen.iter().find(|address| !address.ip().to_canonical().is_loopback());
        if let Some(address) = open.filter(|_| !config.allow_anonymous) {
            let what = format!(
                "{address} lets other machines in, and there is no authentication: listen on 127.0.0.1, or say \
                 --allow-anonymous"
            );
            return Err(layers.wrong(Key::Listen, &what));
        }
        Ok(config)
    }

    /// The configuration as a TOML file, defaults included.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut shown = Shown {
            listen: self.listen.iter().map(SocketAddr::to_string).collect(),
            data_dir: None,
            durability: None,
            ephemeral: false,
            ephemeral_max: None,
            transition_delay: values::show_duration(self.transition_delay),
            auth: "anonymous",
            allow_anonymous: self.allow_anonymous,
            test_controls: self.test_controls,
            allow_host: &self.allow_host,
            cors_origin: &self.cors_origin,
            region: &self.region,
            account: &self.account,
            drain: values::show_duration(self.drain),
            min_free: values::show_size(self.min_free),
            snapshots: self.snapshots.as_ref().map(|path| path.display().to_string()),
            log_level: self.log_level,
            log_format: self.log_format,
            tls_cert: self.tls.as_ref().map(|tls| tls.cert.display().to_string()),
            tls_key: self.tls.as_ref().map(|tls| tls.key.display().to_string()),
            tls_only: self.tls.as_ref().is_some_and(|tls| tls.only),
            limits: &self.limits,
            streams: self.streams.iter().map(Written::from).collect(),
        };
        match &self.storage {
            Storage::Directory { path, durability } => {
                shown.data_dir = Some(path.display().to_string());
                shown.durability = Some(durability.to_string());
            }
            Storage::Ephemeral { max } => {
                shown.ephemeral = true;
                shown.ephemeral_max = Some(values::show_size(*max));
            }
        }
        toml::to_string(&shown)
    }
}

impl std::fmt::Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Durability::Fsync => f.write_str("fsync"),
            Durability::Relaxed(every) => write!(f, "relaxed={}", every.as_millis()),
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Where everything is kept: settings of the one kind make no sense with the other.
fn storage(layers: &Layers) -> Result<Storage, ConfigError> {
    if layers.switch(Key::Ephemeral)? {
        for key in [Key::DataDir, Key::Durability] {
            if layers.has(key) {
                return Err(layers.wrong(key, "nothing is kept with ephemeral = true: set one or the other"));
            }
        }
        let max = layers.text(Key::EphemeralMax, values::size)?.unwrap_or(DEFAULT_EPHEMERAL_MAX);
        return Ok(Storage::Ephemeral { max });
    }
    if layers.has(Key::EphemeralMax) {
        return Err(layers.wrong(Key::EphemeralMax, "counts only with --ephemeral (ephemeral = true)"));
    }
    let path = layers.text(Key::DataDir, values::path)?.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR));
    let durability = layers.text(Key::Durability, values::durability)?.unwrap_or(Durability::Fsync);
    Ok(Storage::Directory { path, durability })
}

/// The files for TLS: both or none.
fn tls(layers: &Layers) -> Result<Option<TlsFiles>, ConfigError> {
    let only = layers.switch(Key::TlsOnly)?;
    let cert = layers.text(Key::TlsCert, values::file)?;
    let key = layers.text(Key::TlsKey, values::file)?;
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key, only })),
        (Some(_), None) => Err(layers.wrong(Key::TlsCert, "needs its private key as well: set --tls-key (tls_key)")),
        (None, Some(_)) => Err(layers.wrong(Key::TlsKey, "needs its certificate as well: set --tls-cert (tls_cert)")),
        (None, None) if only => {
            let what = "counts only with a certificate: set --tls-cert and --tls-key; millstream certs makes both";
            Err(layers.wrong(Key::TlsOnly, what))
        }
        (None, None) => Ok(None),
    }
}

/// The form in which the configuration is printed.
#[derive(Serialize)]
struct Shown<'a> {
    listen: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<String>,
    ephemeral: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ephemeral_max: Option<String>,
    transition_delay: String,
    auth: &'a str,
    allow_anonymous: bool,
    test_controls: bool,
    allow_host: &'a [String],
    cors_origin: &'a [String],
    region: &'a str,
    account: &'a str,
    drain: String,
    min_free: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshots: Option<String>,
    log_level: LogLevel,
    log_format: LogFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<String>,
    tls_only: bool,
    // Last: a table ends the keys before it.
    limits: &'a LimitsChoice,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    streams: Vec<Written>,
}
