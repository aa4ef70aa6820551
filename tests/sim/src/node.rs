//! The service on the simulated machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_api::kinesis::{Input, Output, Service};
use millstream_api::{Context, Error, HangUp, RequestId};
use millstream_catalog::Catalog;
use millstream_env::sim::{Actors, Crash, DiskImage, SimEnv};
use millstream_env::{Clock, ClockState, Disk, RandomExt};
use millstream_kinesis::{AllowAll, Hooks, Kinesis, KinesisConfig, Limits, NoMeter};
use millstream_log::Log;
use millstream_log::segment::{Durability, SegmentConfig, SegmentEngine};

/// The account that all clients use.
pub const ACCOUNT: &str = "000000000000";
/// Their region.
pub const REGION: &str = "eu-central-1";

/// When machines are made, ms since the epoch.
pub const BIRTH: u64 = 1_750_000_000_000;

/// How the service is set up; the same over all lives of a machine.
#[derive(Clone, Debug)]
pub struct Setup {
    /// When appends are acknowledged.
    pub durability: Durability,
    /// Size of a log's first segment, bytes; four times as much is the largest.
    pub segment: u64,
    /// Bytes of newest records kept in memory.
    pub tail_cache: usize,
    /// How long streams stay in CREATING, UPDATING and DELETING.
    pub transition: Duration,
    /// Free bytes below which puts are refused, and the size of the reserve.
    pub spare_space: u64,
}

impl Setup {
    /// What a seed says.
    #[must_use]
    pub fn draw(random: &dyn Fn(u64) -> u64) -> Setup {
        let relaxed = random(5) == 0;
        Setup {
            durability: if relaxed { Durability::Relaxed(Duration::from_millis(700)) } else { Durability::Fsync },
            segment: 4096 << random(3),
            tail_cache: [0, 6 << 10, 1 << 20][random(3) as usize],
            transition: Duration::from_millis([0, 0, 50, 500][random(4) as usize]),
            spare_space: [0, 8 << 10][random(2) as usize],
        }
    }

    fn segments(&self) -> SegmentConfig {
        SegmentConfig {
            durability: self.durability,
            segment_min: self.segment,
            segment_max: self.segment * 4,
            tail_cache: self.tail_cache,
            index_cache: 1 << 10,
            open_files: 3,
            min_free: self.spare_space,
            reserve: self.spare_space,
            seal_age: Duration::from_secs(60),
            ..SegmentConfig::new(PathBuf::from("/data/log"))
        }
    }

    fn kinesis(&self) -> KinesisConfig {
        KinesisConfig {
            limits: Limits::none(),
            transition_delay: self.transition,
            retention_interval: Duration::from_secs(60),
            ..KinesisConfig::new(PathBuf::from("/data/keys"))
        }
    }
}

/// A machine on which the service runs.
pub struct Node {
    /// The machine.
    pub machine: SimEnv,
    /// The service.
    pub kinesis: Arc<Kinesis>,
    log: Arc<dyn Log>,
    context: Context,
}

/// A machine with an empty data directory.
///
/// # Panics
/// Never: the disk of a new machine does not fail.
#[must_use]
pub fn new_machine(seed: u64) -> SimEnv {
    let machine = SimEnv::new(seed);
    let made = machine.disk.create_dir_all(Path::new("/data")).and_then(|()| machine.disk.sync_dir(Path::new("/")));
    debug_assert!(made.is_ok());
    machine
}

impl Node {
    /// Starts the service. The machine comes back with the reason if it does not start.
    ///
    /// # Errors
    /// What the start says.
    pub fn start(machine: SimEnv, setup: &Setup) -> Result<Node, Box<(SimEnv, String)>> {
        let opened = SegmentEngine::open(machine.env(), setup.segments()).map_err(|e| e.to_string()).and_then(|log| {
            let log: Arc<dyn Log> = log;
            let catalog = Catalog::open(&machine.env(), Path::new("/data/catalog")).map_err(|e| e.to_string())?;
            let hooks = Hooks { authorizer: Arc::new(AllowAll), meter: Arc::new(NoMeter) };
            let kinesis = Kinesis::open(machine.env(), Arc::clone(&log), catalog, setup.kinesis(), hooks);
            kinesis.map(|kinesis| (log, kinesis)).map_err(|e| e.to_string())
        });
        match opened {
            Ok((log, kinesis)) => {
                machine.trace.note(|| "the service has started".to_owned());
                Ok(Node { machine, kinesis, log, context: context() })
            }
            Err(why) => Err(Box::new((machine, why))),
        }
    }

    /// One call.
    ///
    /// # Errors
    /// The service's.
    pub async fn call(&self, input: Input<'_>) -> Result<Output, Error> {
        let operation = input.operation();
        let answer = self.kinesis.call(&self.context, input).await;
        self.machine.trace.digest(operation.name().as_bytes());
        if let Err(error) = &answer {
            self.machine.trace.digest(error.to_string().as_bytes());
            self.machine.trace.note(|| format!("{}: {error}", operation.name()));
        }
        answer
    }

    /// One call, with nothing else going on but the machine's jobs. `None` if it never ends.
    pub fn call_alone(&self, input: Input<'_>) -> Option<Result<Output, Error>> {
        self.machine.block_on(self.call(input))
    }

    /// Lets `ms` pass and does what is due then, alone.
    pub fn pass(&self, ms: u64) {
        self.machine.clock.advance(ms);
        self.kinesis.tick_log();
        self.machine.block_on(self.kinesis.tick());
    }

    /// Lets `ms` pass and begins what is due then.
    pub fn pass_beside<'a>(&'a self, ms: u64, actors: &mut Actors<'a>) {
        self.machine.clock.advance(ms);
        self.kinesis.tick_log();
        actors.add(self.kinesis.tick());
    }

    /// Stops the service cleanly. False if that never ends.
    pub fn stop(&self) -> bool {
        let stopped = self.machine.block_on(self.kinesis.close()).is_some();
        self.machine.settle();
        stopped
    }

    /// Ends the process, and starts the machine anew without the service.
    #[must_use]
    pub fn end(self, how: Crash) -> SimEnv {
        let Node { machine, kinesis, log, .. } = self;
        // What is dropped does nothing to the disk any more: the process is gone.
        machine.disk.crash_now();
        drop((kinesis, log));
        machine.restart(how)
    }

    /// Domain time, ms since the epoch.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.machine.env().clock.now()
    }

    /// Whether retention is paused, since the clock is not trusted.
    #[must_use]
    pub fn is_retention_paused(&self) -> bool {
        self.machine.env().clock.state() != ClockState::Trusted
    }

    /// The machine's idea of civil time, ms since the epoch.
    #[must_use]
    pub fn wall(&self) -> u64 {
        self.machine.clock.wall()
    }

    /// Draws a number below `limit`.
    #[must_use]
    pub fn below(&self, limit: u64) -> u64 {
        self.machine.below(limit)
    }
}

/// A machine that boots on what a crash leaves of an image.
#[must_use]
pub fn machine_on(image: &DiskImage, how: Crash, seed: u64, wall: u64) -> SimEnv {
    SimEnv::on_image(image, how, seed, wall)
}

/// A random number generator's draw below a limit.
pub fn draw(machine: &SimEnv) -> impl Fn(u64) -> u64 + '_ {
    |limit| machine.random.u64() % limit.max(1)
}

/// The ARN of a stream.
#[must_use]
pub fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}")
}

fn context() -> Context {
    Context {
        account: ACCOUNT.into(),
        region: REGION.into(),
        access_key: "k".into(),
        request_id: RequestId::default(),
        hang_up: HangUp::default(),
    }
}
