//! Start: streams from the catalog, their logs beside them, what does not fit together reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use arc_swap::ArcSwap;
use millstream_catalog::{Catalog, CatalogError, Key};
use millstream_env::Env;
use millstream_log::Log;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::account_settings::{AccountSettings, Accounts};
use crate::clock::{Stamped, start_clock};
use crate::driver::{Troubles, first_trim_after_start};
use crate::hooks::Hooks;
use crate::limits::LimitTable;
use crate::load::load_histories;
use crate::rebuild::{Mismatch, keys_missing, mismatches};
use crate::service::{Kinesis, KinesisConfig};
use crate::state::StreamRecord;
use crate::stream::{Stream, Streams};
use crate::throttle::CallRates;
use crate::token::{KeysError, TokenKeys};

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The streams could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The keys of iterators and tokens could not be read or made.
    #[error(transparent)]
    Tokens(#[from] KeysError),
    /// Tests have moved the clock of this data directory, and this server does not let them.
    #[error(
        "tests have moved the clock of this data directory {ahead_seconds} s ahead: serve it with --test-controls, or another \
         one"
    )]
    VirtualClock {
        /// How far, rounded up.
        ahead_seconds: u64,
    },
}

impl Kinesis {
    /// Starts the service. Blocks. Plans that a crash has interrupted go on with the first [`Kinesis::tick`].
    ///
    /// Logs that no stream has are left alone and reported by [`Kinesis::problems`].
    pub fn open(
        env: Env,
        log: Arc<dyn Log>,
        catalog: Arc<Catalog>,
        config: KinesisConfig,
        hooks: Hooks,
    ) -> Result<Arc<Kinesis>, OpenError> {
        start_clock(&env, &catalog, config.virtual_clock)?;
        let had_keys = env.disk.exists(&config.token_keys);
        let tokens = TokenKeys::load(&env, &config.token_keys)?;
        let (records, accounts) = catalog.transact_blocking(|tx| {
            Ok::<_, CatalogError>((tx.scan::<StreamRecord>(&Key::all())?, tx.scan::<AccountSettings>(&Key::all())?))
        })?;
        let mut histories = load_histories(&catalog, &records)?;
        let limits = LimitTable { all: Arc::new(config.limits.clone()), streams: config.stream_limits.clone() };
        let started = env.clock.now();
        let mut found = mismatches(&*log, &records);
        if !had_keys && !records.is_empty() {
            found.push(Mismatch { stream: None, line: keys_missing(&config.token_keys) });
        }
        let mut streams = Vec::with_capacity(records.len());
        for record in records {
            let first_trim = first_trim_after_start(started, record.incarnation, config.retention_interval);
            let stream = Stream::new(record, &limits, first_trim);
            if let Some(history) = histories.remove(&stream.incarnation) {
                stream.load.remember(history);
            }
            if let Some(log) = log.open(&stream.log_id()) {
                stream.attach(log);
            }
            streams.push(Arc::new(stream));
        }
        for problem in &found {
            tracing::warn!("{}", problem.line);
        }
        Ok(Arc::new(Kinesis {
            call_rates: CallRates::default(),
            paced: AtomicBool::new(true),
            stamped: Stamped::default(),
            loads_saved: AtomicU64::new(started),
            streams: Arc::new(ArcSwap::from_pointee(Streams::new(streams))),
            accounts: Arc::new(ArcSwap::from_pointee(Accounts::new(accounts))),
            changing: Arc::default(),
            snapshotting: tokio::sync::Mutex::default(),
            wake: Arc::new(Notify::new()),
            troubles: Mutex::new(Troubles { found, ..Troubles::default() }),
            env,
            log,
            catalog,
            config,
            limits,
            hooks,
            tokens,
        }))
    }
}
