//! Reading a request's body: counted as it arrives, against the size limit, the memory budget and the minimum pace.

use std::pin::pin;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use millstream_env::runtime;

use crate::budget::{NoRoom, Permit};
use crate::config::Pace;
use crate::connection::Activity;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Larger than allowed.
    TooLarge,
    /// The peer sends slower than the pace.
    TooSlow,
    /// The memory budget had no room in time.
    NoRoom,
    /// The peer broke off, or broke the protocol.
    Broken,
}

/// What a body has to keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyRules {
    /// Largest size, bytes.
    pub max: usize,
    /// How fast it must come.
    pub pace: Pace,
    /// How often its bytes are in memory at once: as they came, and in what is made of them.
    pub times: u64,
}

/// How much of a body that is too large is read and dropped, as a multiple of the largest size. Many clients look at
/// the answer only after they have sent everything.
const DISCARD: usize = 4;

/// Reads the whole body, which comes by `connection`; what it takes, `rules.times` over, is held by `permit`.
///
/// A body whose announced length is beyond anything that would be dropped is refused before it is read.
pub(crate) async fn read<B>(
    body: B,
    rules: BodyRules,
    connection: &Activity,
    permit: &mut Permit,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
{
    let declared = body.size_hint().lower();
    let mut body = pin!(body);
    let mut gathered = Gathered::default();
    let mut discarding = declared > rules.max as u64;
    if declared > (rules.max * DISCARD) as u64 {
        return Err(BodyError::TooLarge);
    }
    permit.announce(declared.saturating_mul(rules.times));
    let mut total = 0usize;
    loop {
        let mut window = pin!(runtime::sleep(rules.pace.window));
        let mut moved = 0;
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = &mut window => break,
            };
            let data = match frame {
                None if discarding => return Err(BodyError::TooLarge),
                None => return Ok(gathered.whole()),
                Some(Err(_)) => return Err(BodyError::Broken),
                // Trailers mean nothing here.
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            total = total.saturating_add(data.len());
            moved += data.len() as u64;
            connection.took(data.len());
            if total > rules.max && !discarding {
                discarding = true;
                gathered = Gathered::default();
                permit.shrink_to(0);
            }
            if discarding {
                if total > rules.max * DISCARD {
                    return Err(BodyError::TooLarge);
                }
                continue;
            }
            if permit.grow(data.len() as u64 * rules.times).await.map_err(|NoRoom| BodyError::NoRoom)? {
                // The peer was held up by us.
                moved = rules.pace.bytes;
            }
            gathered.add(data, declared);
        }
        if moved < rules.pace.bytes {
            return Err(if discarding { BodyError::TooLarge } else { BodyError::TooSlow });
        }
    }
}

/// What has come so far. A body that came in one piece, as most do, is not copied.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    rest: Vec<u8>,
}

impl Gathered {
    fn add(&mut self, data: Bytes, declared: u64) {
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = data;
            return;
        }
        let needed = self.first.len() + self.rest.len() + data.len();
        if needed > self.rest.capacity() {
            // Memory follows what has come; the declared length only keeps the last step from going too far.
            let ahead = needed.saturating_mul(4).min(usize::try_from(declared).unwrap_or(usize::MAX)).max(needed);
            self.rest.reserve_exact(ahead - self.rest.len());
        }
        self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        self.rest.extend_from_slice(&data);
    }

    fn whole(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.into() }
    }
}

#[cfg(test)]
mod tests;
