//! The way in for those who set faults, move the clock and ask for a reset: paths below `/_millstream`, JSON both ways.

use millstream_env::Rate;
use millstream_kinesis::{ClockReading, Worlds};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::fault::{Shown, Wanted, account};
use crate::{Controls, duration};

/// How far ahead the clock can be moved in all, ms: fifty years.
const FARTHEST: u64 = 5 * duration::LONGEST;

/// What is done with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Nothing changes.
    Get,
    /// Something may.
    Post,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// One line of JSON.
    pub body: Vec<u8>,
    /// The methods that the path takes, with a refusal of another one.
    pub allow: Option<&'static str>,
}

/// Why nothing was done.
enum Refused {
    /// The request is wrong.
    Wrong(String),
    /// There is no such path.
    NoPath,
    /// The path takes other methods.
    Method(&'static str),
    /// It could not be done.
    Failed(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removal {
    id: Option<String>,
    all: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    advance: Option<String>,
    rate: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetRequest {
    account: Option<String>,
    region: Option<String>,
}

#[derive(Serialize)]
struct FaultList {
    faults: Vec<Shown>,
}

/// The clock as it is shown. Times in ms.
#[derive(Serialize)]
struct ShownClock {
    now: u64,
    ahead: u64,
    rate: f64,
}

impl From<ClockReading> for ShownClock {
    fn from(clock: ClockReading) -> ShownClock {
        let ClockReading { now_ms, ahead_ms, rate } = clock;
        ShownClock { now: now_ms, ahead: ahead_ms, rate: rate.thousandths() as f64 / 1000.0 }
    }
}

impl Controls {
    /// Answers a request for `path`, which is what follows `/_millstream`.
    pub async fn answer(&self, verb: Verb, path: &str, query: Option<&str>, body: &[u8]) -> Answer {
        let answered = match (path, verb) {
            ("/faults", Verb::Get) => json_of(&FaultList { faults: self.faults.list() }),
            ("/faults", Verb::Post) => self.set_fault(body),
            ("/faults/remove", Verb::Post) => self.remove_faults(body),
            ("/faults/journal", Verb::Get) => self.show_journal(query),
            ("/clock", Verb::Get) => json_of(&ShownClock::from(self.kinesis.clock())),
            ("/clock", Verb::Post) => self.change_clock(body).await,
            ("/reset", Verb::Post) => self.reset(body).await,
            ("/faults/remove" | "/reset", Verb::Get) => Err(Refused::Method("POST")),
            ("/faults/journal", Verb::Post) => Err(Refused::Method("GET, HEAD")),
            _ => Err(Refused::NoPath),
        };
        let (status, allow, error) = match answered {
            Ok(mut body) => {
                body.push(b'\n');
                return Answer { status: 200, body, allow: None };
            }
            Err(Refused::Wrong(error)) => (400, None, error),
            Err(Refused::NoPath) => {
                (404, None, "there are faults, faults/remove, faults/journal, clock and reset".into())
            }
            Err(Refused::Method(allow)) => (405, Some(allow), format!("this path takes {allow}")),
            Err(Refused::Failed(error)) => (500, None, error),
        };
        Answer { status, body: format!("{}\n", json!({ "error": error })).into_bytes(), allow }
    }

    fn set_fault(&self, body: &[u8]) -> Result<Vec<u8>, Refused> {
        let shown = self.faults.add(read::<Wanted>(body)?).map_err(Refused::Wrong)?;
        json_of(&shown)
    }

    fn remove_faults(&self, body: &[u8]) -> Result<Vec<u8>, Refused> {
        let removed = match read(body)? {
            Removal { id: Some(id), all: None } => match self.faults.remove(|fault| fault.id == id) {
                0 => return Err(Refused::Wrong(format!("id: there is no fault \"{id}\""))),
                removed => removed,
            },
            Removal { id: None, all: Some(true) } => self.faults.remove(|_| true),
            _ => return Err(Refused::Wrong("write {\"id\": \"fault-1\"} or {\"all\": true}".to_owned())),
        };
        json_of(&json!({ "removed": removed }))
    }

    fn show_journal(&self, query: Option<&str>) -> Result<Vec<u8>, Refused> {
        let after = match query.filter(|query| !query.is_empty()) {
            None => Some(0),
            Some(query) => query.strip_prefix("after=").and_then(|number| number.parse().ok()),
        };
        let after = after.ok_or_else(|| Refused::Wrong("the query can be after=N, N being a sequence".to_owned()))?;
        json_of(&self.faults.journal(after))
    }

    async fn change_clock(&self, body: &[u8]) -> Result<Vec<u8>, Refused> {
        let ClockChange { advance, rate } = read(body)?;
        if advance.is_none() && rate.is_none() {
            return Err(Refused::Wrong("write {\"advance\": \"25h\"}, {\"rate\": 60}, or both".to_owned()));
        }
        let step = advance.map_or(Ok(0), |text| duration::parse("advance", &text)).map_err(Refused::Wrong)?;
        let rate = match rate {
            None => None,
            Some(number) => Some(rate_of(number).ok_or_else(|| {
                Refused::Wrong(
                    "rate: time only goes forwards, and a day in a second at most: write 1 to 86400".to_owned(),
                )
            })?),
        };
        let _changing = self.changing.lock().await;
        if self.kinesis.clock().ahead_ms.saturating_add(step) > FARTHEST {
            return Err(Refused::Wrong("advance: the clock would be more than fifty years ahead".to_owned()));
        }
        let moved = self.kinesis.move_clock(step, rate).await;
        let clock = moved.map_err(|error| Refused::Failed(format!("the clock was not moved: {error}")))?;
        tracing::info!(advance_ms = step, rate = clock.rate.thousandths() as f64 / 1000.0, "a test moved the clock");
        json_of(&ShownClock::from(clock))
    }

    async fn reset(&self, body: &[u8]) -> Result<Vec<u8>, Refused> {
        let ResetRequest { account: only, region } = read(body)?;
        let worlds = Worlds { account: only.map(account).transpose().map_err(Refused::Wrong)?, region };
        let _changing = self.changing.lock().await;
        match &worlds {
            Worlds { account: None, region: None } => self.faults.clear(),
            Worlds { account: Some(account), .. } => {
                self.faults.remove(|fault| fault.is_of(account));
            }
            Worlds { .. } => {}
        }
        let removed = self.kinesis.reset(&worlds).await.map_err(|error| Refused::Failed(error.to_string()))?;
        if worlds == Worlds::default() && self.kinesis.clock().rate != Rate::REAL {
            let slowed = self.kinesis.move_clock(0, Some(Rate::REAL)).await;
            slowed.map_err(|error| Refused::Failed(format!("the clock's rate was not changed: {error}")))?;
        }
        tracing::info!(streams = removed, "a test reset the server");
        json_of(&json!({ "streams": removed }))
    }
}

/// The rate of a number, to three decimals.
fn rate_of(number: f64) -> Option<Rate> {
    let thousandths = (number * 1000.0).round();
    if (0.0..=1e12).contains(&thousandths) { Rate::from_thousandths(thousandths as u64) } else { None }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::Wrong(format!("the body is not what is wanted: {error}")))
}

fn json_of(value: &impl Serialize) -> Result<Vec<u8>, Refused> {
    serde_json::to_vec(value).map_err(|error| Refused::Failed(error.to_string()))
}
