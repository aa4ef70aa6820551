//! Hash keys: where a record goes. A partition key's MD5, or the explicit hash key, is a point in `0..2^128`; the open
//! shards of a stream tile that space.

use md5::{Digest, Md5};
use millstream_log::ShardIndex;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in the hash key space `0..2^128`.
pub type HashKey = u128;

/// The hash key of a partition key: the MD5 of its UTF-8 bytes, read as a big-endian number.
pub fn md5_hash(partition_key: &str) -> HashKey {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// Reads a decimal hash key. `None` for anything but digits, and for 2^128 and above.
pub fn parse_hash_key(text: &str) -> Option<HashKey> {
    // `u128::from_str` also takes a leading plus.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A shard's part of the hash key space, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashRange {
    /// First hash key.
    #[serde(with = "decimal")]
    pub start: HashKey,
    /// Last hash key.
    #[serde(with = "decimal")]
    pub end: HashKey,
}

impl HashRange {
    /// The whole space.
    pub const ALL: HashRange = HashRange { start: 0, end: HashKey::MAX };

    /// Whether the key lies in the range.
    pub fn contains(&self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }

    /// Whether `next` begins right after this range ends.
    pub fn is_followed_by(&self, next: &HashRange) -> bool {
        self.end.checked_add(1) == Some(next.start)
    }

    /// Whether a split at `at` (the upper child's first key) is allowed: AWS wants it strictly above one plus the start
    /// and strictly below the end.
    pub fn allows_split_at(&self, at: HashKey) -> bool {
        at > self.start.saturating_add(1) && at < self.end
    }
}

/// Hash keys are stored as decimal text, as the API shows them: not every serde format carries 128-bit numbers.
mod decimal {
    use super::*;

    pub(super) fn serialize<S: Serializer>(key: &HashKey, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashKey, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_hash_key(&text).ok_or_else(|| D::Error::custom("not a hash key"))
    }
}

/// The ranges of a new stream's `n` shards: steps of floor(2^128 / n), the last one taking the rest.
pub fn initial_ranges(n: u32) -> Vec<HashRange> {
    let Some((step, _)) = divide_space(n) else {
        return if n == 1 { vec![HashRange::ALL] } else { Vec::new() };
    };
    let start = |i: u32| u128::from(i) * step;
    (0..n)
        .map(|i| HashRange { start: start(i), end: if i + 1 == n { HashKey::MAX } else { start(i + 1) - 1 } })
        .collect()
}

/// floor(2^128 · k / n), for k below n: where the k-th of n equal ranges starts. 0 when `n` is 0.
pub fn even_start(k: u32, n: u32) -> HashKey {
    match divide_space(n) {
        Some((quotient, rest)) => u128::from(k) * quotient + u128::from(k) * rest / u128::from(n),
        None => 0,
    }
}

/// 2^128 divided by n, with rest; `None` for 0 and 1, whose quotient does not fit.
fn divide_space(n: u32) -> Option<(u128, u128)> {
    if n < 2 {
        return None;
    }
    let n = u128::from(n);
    // 2^128 = (2^128 - n) + n, and 2^128 - n fits.
    let below = HashKey::MAX - n + 1;
    Some((below / n + 1, below % n))
}

/// A stream's routing table: its open shards by hash key. Immutable; a reshard makes a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    starts: Vec<HashKey>,
    shards: Vec<ShardIndex>,
}

impl Routes {
    /// The table of the given open shards, which tile the hash key space. Their order does not matter.
    pub fn new(open: impl IntoIterator<Item = (HashRange, ShardIndex)>) -> Routes {
        let mut open: Vec<(HashKey, ShardIndex)> =
            open.into_iter().map(|(range, shard)| (range.start, shard)).collect();
        open.sort_unstable();
        let (starts, shards) = open.into_iter().unzip();
        Routes { starts, shards }
    }

    /// The open shard that holds `key`; `None` only if no shard is open.
    pub fn route(&self, key: HashKey) -> Option<ShardIndex> {
        self.place(key).map(|place| self.shards[place])
    }

    /// Where among the open shards the one is that holds `key`; `None` only if no shard is open.
    pub fn place(&self, key: HashKey) -> Option<usize> {
        // The first range starts at 0.
        self.starts.partition_point(|start| *start <= key).checked_sub(1)
    }

    /// The open shards, in the order of their hash ranges.
    pub fn shards(&self) -> &[ShardIndex] {
        &self.shards
    }
}

#[cfg(test)]
mod tests;
