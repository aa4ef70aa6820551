//! Domain time as this program knows it: the machine's clock, and how far it has moved the server's ahead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_harness::Connection;
use parking_lot::Mutex;
use serde_json::{Value, json};

use std::io;
use std::net::SocketAddr;

/// How far the server's clock and this one may lie apart, ms: it is slewed, and answers take their time.
pub const MARGIN: u64 = 10_000;

/// The bounds of what domain time can be at a moment, ms since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// It is not before this.
    pub earliest: u64,
    /// It is not after this.
    pub latest: u64,
}

/// How far the server is ahead. While a step is under way, or its outcome is unknown, it may have been taken or not.
#[derive(Debug, Default)]
pub struct Time {
    ahead: Mutex<(u64, u64)>,
}

impl Time {
    /// What domain time can be now.
    #[must_use]
    pub fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let wall = u64::try_from(wall).unwrap_or_default();
        let (least, most) = *self.ahead.lock();
        Moment { earliest: (wall + least).saturating_sub(MARGIN), latest: wall + most + MARGIN }
    }

    /// A step is about to be asked for.
    pub fn steps_by(&self, step: Duration) {
        self.ahead.lock().1 += u64::try_from(step.as_millis()).unwrap_or_default();
    }

    /// The server says how far it is ahead; whether that is one of the possible.
    pub fn is_ahead_by(&self, ms: u64) -> bool {
        let mut ahead = self.ahead.lock();
        let possible = ms == ahead.0 || ms == ahead.1;
        *ahead = (ms, ms);
        possible
    }
}

/// Moves the server's clock, and gives how far it is ahead then, ms.
///
/// # Errors
/// When the connection breaks or the answer is not what the test controls answer.
pub async fn advance(address: SocketAddr, step: Duration) -> io::Result<u64> {
    let body = json!({ "advance": format!("{}ms", step.as_millis()) }).to_string();
    let head = format!(
        "POST /_millstream/clock HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    ahead(address, &(head + &body)).await
}

/// How far the server's clock is ahead, ms.
///
/// # Errors
/// As [`advance`].
pub async fn reading(address: SocketAddr) -> io::Result<u64> {
    ahead(address, &format!("GET /_millstream/clock HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
}

async fn ahead(address: SocketAddr, request: &str) -> io::Result<u64> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.send(request.as_bytes()).await?;
    let value: Value = serde_json::from_slice(answer.body).unwrap_or_default();
    let said = || io::Error::other(format!("the clock answered {} {value}", answer.status));
    value["ahead"].as_u64().filter(|_| answer.status == 200).ok_or_else(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_unknown_outcome_widens_the_bounds() {
        let time = Time::default();
        let before = time.now();
        time.steps_by(Duration::from_secs(3600));
        let during = time.now();
        assert!(during.earliest < before.earliest + 3_600_000 && during.latest >= before.latest + 3_600_000);
        assert!(!time.is_ahead_by(1));
        time.steps_by(Duration::from_secs(1));
        assert!(time.is_ahead_by(1_001));
        assert!(time.now().earliest + 2 * MARGIN >= time.now().latest);
    }
}
