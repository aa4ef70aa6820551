//! Where records are: shards and sequence numbers, small enough to be kept by the million.

use std::fmt;

/// A sequence number. It compares as a number does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence {
    /// All digits but the last ones.
    high: u128,
    /// The last [`LOW`] digits.
    low: u64,
}

/// Digits in [`Sequence::low`].
const LOW: usize = 18;

impl Sequence {
    /// Reads the 56 digits that the service writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 56 || !text.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let (high, low) = text.split_at(text.len() - LOW);
        Some(Self { high: high.parse().ok()?, low: low.parse().ok()? })
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:038}{:018}", self.high, self.low)
    }
}

/// The number of a shard, from its id.
#[must_use]
pub fn shard_number(id: &str) -> Option<u32> {
    id.strip_prefix("shardId-")?.parse().ok()
}

/// A record's shard and sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The shard's number.
    pub shard: u32,
    /// The sequence number.
    pub sequence: Sequence,
}

impl Place {
    /// From what the service wrote; `None` if it is not as the service writes it.
    #[must_use]
    pub fn parse(shard: &str, sequence: &str) -> Option<Self> {
        Some(Self { shard: shard_number(shard)?, sequence: Sequence::parse(sequence)? })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} {}", self.shard, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_keep_their_digits_and_their_order() {
        let texts = ["0".repeat(56), format!("{:056}", 1), format!("49{:054}", 7), format!("49{}", "9".repeat(54))];
        let numbers: Vec<Sequence> = texts.iter().filter_map(|text| Sequence::parse(text)).collect();
        assert_eq!(numbers.iter().map(Sequence::to_string).collect::<Vec<_>>(), texts);
        assert!(numbers.is_sorted());
        assert_eq!(Sequence::parse("49"), None);
        assert_eq!(Sequence::parse(&"x".repeat(56)), None);
        assert_eq!(Place::parse("shardId-000000000012", &texts[1]).map(|place| place.shard), Some(12));
    }
}
