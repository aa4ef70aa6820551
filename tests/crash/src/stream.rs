//! The streams under test: what each is for, what was put into it, and what is known of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use millstream_harness::{CallError, Kinesis};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use crate::facts::{ABSENT, Facts};
use crate::history::History;
use crate::ledger::Ledger;
use crate::place::Sequence;
use crate::time::{Moment, Time};

/// What is done to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Keeps everything, whatever the clock does: each record is accounted for. It is resharded and changed.
    Steady,
    /// Its retention goes up and down between one day and three, and its records become due.
    Aging,
    /// Deleted under load, and made again under the same name.
    Reborn,
}

/// Retention of a steady stream, hours: a year.
pub const YEAR: u64 = 8760;
/// Retention of a new stream, hours.
pub const DAY: u64 = 24;
const HOUR_MS: u64 = 3_600_000;
/// The setting of [`Facts`] that retention is.
pub const RETENTION: &str = "retention";
/// The setting that the capacity mode is.
pub const MODE: &str = "mode";
/// The setting that the largest record's size is, KiB.
pub const RECORD_SIZE: &str = "record size";

/// Whether a stream that is deleted and made again exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// It does.
    Live,
    /// DeleteStream was sent; whether it was acknowledged.
    Deleting(bool),
    /// It does not.
    Gone,
    /// CreateStream was sent; whether it was acknowledged.
    Creating(bool),
}

/// What belongs to one stream between its creation and its deletion.
#[derive(Debug, Clone)]
pub struct Life {
    /// What was put.
    pub ledger: Arc<Mutex<Ledger>>,
    /// What was seen, and when.
    pub history: Arc<Mutex<History>>,
    /// When it began.
    pub born: Moment,
}

/// One stream under test.
#[derive(Debug)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// What is done to it.
    pub role: Role,
    /// The present one of that name. Who puts holds it for reading; who makes the stream anew waits for them, so that no
    /// record of one is sent to the next.
    pub life: RwLock<Life>,
    /// Whether it exists.
    pub existence: Mutex<Existence>,
    /// Its settings.
    pub facts: Mutex<Facts>,
    seed: u64,
    writers: u64,
}

impl Stream {
    /// Creates the stream and waits until it is ACTIVE.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn create(
        kinesis: &mut Kinesis,
        (name, role): (String, Role),
        (seed, writers): (u64, u64),
        time: &Time,
    ) -> Result<Self, CallError> {
        kinesis.create_stream(&name, 2).await?;
        let mut facts = Facts::default();
        facts.is(RETENTION, &DAY.to_string());
        facts.is(MODE, "PROVISIONED");
        facts.is(RECORD_SIZE, "1024");
        if role == Role::Steady {
            let input = json!({ "StreamName": name, "RetentionPeriodHours": YEAR });
            kinesis.call("IncreaseStreamRetentionPeriod", &input).await?;
            kinesis.wait_active(&name).await?;
            facts.is(RETENTION, &YEAR.to_string());
        }
        let life = RwLock::new(life(seed, writers, HashMap::new(), time));
        let existence = Mutex::new(Existence::Live);
        Ok(Self { name, role, life, existence, facts: Mutex::new(facts), seed, writers })
    }

    /// Begins a new life under the same name: with other records, and with higher sequence numbers.
    pub async fn is_reborn(&self, time: &Time) {
        let mut present = self.life.write().await;
        let (older, seed) = {
            let ledger = present.ledger.lock();
            (ledger.highest(), ledger.seed().wrapping_add(self.seed | 1))
        };
        *present = life(seed, self.writers, older, time);
    }

    /// Whether its records can become due.
    #[must_use]
    pub fn expires(&self) -> bool {
        self.role != Role::Steady
    }

    /// Tells the ledger what retention can be at this moment. To be called before each change of it, and before a judgement.
    pub fn note_retention(&self, ledger: &mut Ledger, time: &Time) {
        let facts = self.facts.lock();
        let hours = || facts.of(RETENTION).iter().filter_map(|hours| hours.parse::<u64>().ok());
        let (shortest, longest) = (hours().min().unwrap_or(DAY), hours().max().unwrap_or(DAY));
        ledger.retained(time.now(), shortest * HOUR_MS, longest * HOUR_MS);
    }

    /// Its settings as the service tells them.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn settings(&self, kinesis: &mut Kinesis) -> Result<BTreeMap<String, String>, CallError> {
        let by_name = json!({ "StreamName": self.name });
        let summary = kinesis.call("DescribeStreamSummary", &by_name).await?["StreamDescriptionSummary"].take();
        let mut there = BTreeMap::new();
        there.insert(RETENTION.to_owned(), summary["RetentionPeriodHours"].to_string());
        there.insert(MODE.to_owned(), text(&summary["StreamModeDetails"]["StreamMode"]));
        there.insert(RECORD_SIZE.to_owned(), summary["MaxRecordSizeInKiB"].to_string());
        let tags = kinesis.call("ListTagsForStream", &by_name).await?;
        for tag in tags["Tags"].as_array().into_iter().flatten() {
            there.insert(format!("tag {}", text(&tag["Key"])), text(&tag["Value"]));
        }
        let consumers = kinesis.call("ListStreamConsumers", &json!({ "StreamARN": summary["StreamARN"] })).await?;
        for consumer in consumers["Consumers"].as_array().into_iter().flatten() {
            let registered = if consumer["ConsumerStatus"] == "DELETING" { ABSENT } else { "registered" };
            there.insert(format!("consumer {}", text(&consumer["ConsumerName"])), registered.to_owned());
        }
        Ok(there)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn life(seed: u64, writers: u64, older: HashMap<u32, Sequence>, time: &Time) -> Life {
    Life { ledger: Arc::new(Mutex::new(Ledger::new(seed, writers, older))), history: Arc::default(), born: time.now() }
}
