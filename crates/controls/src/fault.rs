//! One fault: what it does, to which calls, how often and for how long.

use std::time::Duration;

use millstream_api::kinesis::Operation;
use millstream_env::sim::SimRandom;
use millstream_env::{Random, RandomExt};
use millstream_kinesis::{Address, ShardIndex, parse_shard_id, shard_id};
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::call::Call;
use crate::duration;

/// The longest delay, ms: clients have given up long before.
const LONGEST_DELAY: u64 = 600_000;

/// A fault as it is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Wanted {
    action_id: String,
    percentage: Option<Number>,
    duration: Option<String>,
    count: Option<u64>,
    service: Option<String>,
    operations: Option<Names>,
    stream: Option<String>,
    shard: Option<String>,
    account: Option<String>,
    seed: Option<u64>,
    delay: Option<String>,
    jitter: Option<String>,
    error_code: Option<String>,
}

/// A number, or its digits in quotes as in AWS's templates.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

/// Names in a list, or with commas between them as in AWS's templates.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Text(String),
}

/// A fault as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    id: String,
    action_id: &'static str,
    /// `running`, or `completed` once its count or its time is used up.
    state: &'static str,
    percentage: u64,
    /// The operations it is applied to; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<u64>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    /// Domain time, ms since the epoch.
    start_time: u64,
    /// The same; absent if it has no duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<u64>,
    applied: u64,
    /// How often it will still be applied; absent without a count.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
}

/// Which streams.
#[derive(Clone, Debug)]
enum StreamScope {
    Named(String),
    One(Address),
}

/// What a failing record of a PutRecords says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordFailure {
    Internal,
    Throughput,
}

impl RecordFailure {
    pub(crate) fn code(self) -> &'static str {
        match self {
            RecordFailure::Internal => "InternalFailure",
            RecordFailure::Throughput => "ProvisionedThroughputExceededException",
        }
    }
}

/// A fault that was set.
pub(crate) struct Fault {
    pub(crate) id: String,
    pub(crate) action: Action,
    percentage: u64,
    /// None: all.
    operations: Option<Vec<Operation>>,
    stream: Option<StreamScope>,
    shard: Option<ShardIndex>,
    account: Option<String>,
    seed: Option<u64>,
    /// Draws what happens, if the fault has a seed.
    seeded: Option<SimRandom>,
    delay: Duration,
    jitter: Duration,
    pub(crate) record_failure: RecordFailure,
    started: u64,
    ends: Option<u64>,
    applied: u64,
    remaining: Option<u64>,
}

impl Fault {
    /// The fault that is wanted, from `now` on (domain time, ms).
    ///
    /// # Errors
    /// The member that is wrong, and what would be right.
    pub(crate) fn new(id: String, wanted: Wanted, now: u64) -> Result<Fault, String> {
        let action = Action::from_id(&wanted.action_id)?;
        if let Some(service) = wanted.service.filter(|service| service != "kinesis") {
            return Err(format!("service: \"{service}\" is not here; there is kinesis"));
        }
        let operations = operations(action, wanted.operations)?;
        let percentage = percentage(wanted.percentage)?;
        let ms = |member: &str, text: Option<&str>| text.map(|text| duration::parse(member, text)).transpose();
        let duration = ms("duration", wanted.duration.as_deref())?;
        let (delay, jitter) = (ms("delay", wanted.delay.as_deref())?, ms("jitter", wanted.jitter.as_deref())?);
        match (action, delay) {
            (Action::Delay, None) => return Err(format!("delay: {} needs one, e.g. 200ms", action.id())),
            (Action::Delay, Some(delay)) if delay + jitter.unwrap_or(0) > LONGEST_DELAY => {
                return Err("delay: together with jitter it can be 10 minutes at most".to_owned());
            }
            (Action::Delay, _) => {}
            (_, None) if jitter.is_none() => {}
            _ => return Err(format!("delay and jitter: only {} has them", Action::Delay.id())),
        }
        let record_failure = match (action, wanted.error_code.as_deref()) {
            (_, None) | (Action::PutRecords, Some("InternalFailure")) => RecordFailure::Internal,
            (Action::PutRecords, Some("ProvisionedThroughputExceededException")) => RecordFailure::Throughput,
            (Action::PutRecords, Some(code)) => {
                return Err(format!(
                    "errorCode: \"{code}\" is not one; records fail with InternalFailure or \
                     ProvisionedThroughputExceededException"
                ));
            }
            (_, Some(_)) => return Err(format!("errorCode: only {} has it", Action::PutRecords.id())),
        };
        if wanted.count == Some(0) {
            return Err("count: 0 is never; write at least 1, or leave it out".to_owned());
        }
        let account = wanted.account.map(account).transpose()?;
        Ok(Fault {
            id,
            action,
            percentage,
            operations,
            stream: wanted.stream.map(stream).transpose()?,
            shard: wanted.shard.map(|id| shard(&id)).transpose()?,
            account,
            seed: wanted.seed,
            seeded: wanted.seed.map(SimRandom::new),
            delay: Duration::from_millis(delay.unwrap_or(0)),
            jitter: Duration::from_millis(jitter.unwrap_or(0)),
            record_failure,
            started: now,
            ends: duration.map(|duration| now.saturating_add(duration)),
            applied: 0,
            remaining: wanted.count,
        })
    }

    /// Whether it may still be applied.
    pub(crate) fn is_running(&self, now: u64) -> bool {
        self.remaining != Some(0) && self.ends.is_none_or(|ends| now < ends)
    }

    /// Whether the call is one of those that it is for. Faults that speak of a shard or an iterator are only for calls
    /// that have one.
    pub(crate) fn is_for(&self, call: &Call<'_>) -> bool {
        let operation = match &self.operations {
            Some(operations) => operations.contains(&call.operation),
            None => self.action.operations().is_none_or(|operations| operations.contains(&call.operation)),
        };
        let stream = match (&self.stream, &call.stream) {
            (None, _) => true,
            (Some(StreamScope::Named(name)), Some(stream)) => **name == *stream.name,
            (Some(StreamScope::One(one)), Some(stream)) => one == stream,
            (Some(_), None) => false,
        };
        let has_what_it_needs = match self.action {
            Action::Throughput => call.stream.is_some() && !call.shards.is_empty(),
            Action::ExpiredIterator => call.iterator_issued.is_some(),
            Action::PutRecords => call.placed.is_some(),
            _ => true,
        };
        operation
            && stream
            && has_what_it_needs
            && self.shard.is_none_or(|shard| call.shards.contains(&shard))
            && self.account.as_deref().is_none_or(|account| *account == *call.context.account)
    }

    /// Whether it was limited to that account, as the caller's or as the stream's.
    pub(crate) fn is_of(&self, account: &str) -> bool {
        let of_stream = match &self.stream {
            Some(StreamScope::One(one)) => *one.account == *account,
            _ => false,
        };
        of_stream || self.account.as_deref() == Some(account)
    }

    /// The shard that it names, or the first of the call's.
    pub(crate) fn shard_in(&self, call: &Call<'_>) -> Option<ShardIndex> {
        self.shard.or_else(|| call.shards.first().copied())
    }

    /// Whether it is for a record on that shard.
    pub(crate) fn is_for_shard(&self, shard: ShardIndex) -> bool {
        self.shard.is_none_or(|only| only == shard)
    }

    /// Draws whether it is applied this time; if so, it counts.
    pub(crate) fn strikes(&mut self, random: &dyn Random) -> bool {
        if self.remaining == Some(0) || self.draw(random, 100) >= self.percentage {
            return false;
        }
        self.applied += 1;
        self.remaining = self.remaining.map(|remaining| remaining - 1);
        true
    }

    /// The delay of this time.
    pub(crate) fn draw_delay(&self, random: &dyn Random) -> Duration {
        let jitter = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        self.delay + Duration::from_millis(self.draw(random, jitter))
    }

    fn draw(&self, random: &dyn Random, below: u64) -> u64 {
        let drawn = match &self.seeded {
            Some(seeded) => seeded.u64(),
            None => random.u64(),
        };
        drawn % below.max(1)
    }

    pub(crate) fn show(&self, now: u64) -> Shown {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).ok();
        let is_delay = self.action == Action::Delay;
        let operations = self.operations.as_deref().or(self.action.operations());
        Shown {
            id: self.id.clone(),
            action_id: self.action.id(),
            state: if self.is_running(now) { "running" } else { "completed" },
            percentage: self.percentage,
            operations: operations.map(|all| all.iter().map(|operation| operation.name()).collect()),
            stream: self.stream.as_ref().map(|stream| match stream {
                StreamScope::Named(name) => name.clone(),
                StreamScope::One(address) => address.arn(),
            }),
            shard: self.shard.map(shard_id),
            account: self.account.clone(),
            seed: self.seed,
            delay: ms(self.delay).filter(|_| is_delay),
            jitter: ms(self.jitter).filter(|_| is_delay),
            error_code: (self.action == Action::PutRecords).then(|| self.record_failure.code()),
            start_time: self.started,
            end_time: self.ends,
            applied: self.applied,
            remaining: self.remaining,
        }
    }
}

fn operations(action: Action, wanted: Option<Names>) -> Result<Option<Vec<Operation>>, String> {
    let names: Vec<String> = match wanted {
        None => return Ok(None),
        Some(Names::List(names)) => names,
        Some(Names::Text(text)) => text.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    if names.is_empty() {
        return Err("operations: an empty list is no operation; leave it out for all".to_owned());
    }
    let mut operations = Vec::with_capacity(names.len());
    for name in names {
        let operation = Operation::from_name(&name).ok_or_else(|| format!("operations: there is no \"{name}\""))?;
        if let Some(possible) = action.operations().filter(|possible| !possible.contains(&operation)) {
            let possible: Vec<&str> = possible.iter().map(|operation| operation.name()).collect();
            return Err(format!("operations: {} is for {} only", action.id(), possible.join(", ")));
        }
        operations.push(operation);
    }
    Ok(Some(operations))
}

fn percentage(wanted: Option<Number>) -> Result<u64, String> {
    let number = match &wanted {
        None => Some(100),
        Some(Number::Number(number)) => Some(*number),
        Some(Number::Text(text)) => text.parse().ok(),
    };
    number.filter(|number| (1..=100).contains(number)).ok_or_else(|| "percentage: write 1 to 100".to_owned())
}

fn stream(text: String) -> Result<StreamScope, String> {
    if text.starts_with("arn:") {
        return Address::from_arn(&text)
            .map(StreamScope::One)
            .ok_or_else(|| format!("stream: \"{text}\" is not the ARN of a stream"));
    }
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if is_name { Ok(StreamScope::Named(text)) } else { Err(format!("stream: \"{text}\" is neither a name nor an ARN")) }
}

fn shard(text: &str) -> Result<ShardIndex, String> {
    parse_shard_id(text).ok_or_else(|| format!("shard: \"{text}\" is not a shard: write e.g. shardId-000000000000"))
}

/// Twelve digits.
pub(crate) fn account(text: String) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text)
    } else {
        Err(format!("account: \"{text}\" is not an account: write 12 digits"))
    }
}
