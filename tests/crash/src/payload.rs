//! Numbered records: which bytes and which partition key a record has follows from its number, so that what is read back
//! can be compared without having been kept.

use millstream_harness::Random;

/// Which record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId {
    /// The connection that put it.
    pub writer: u64,
    /// The number it has on that connection; each attempt to put has its own.
    pub number: u64,
}

/// Partition keys per writer.
pub const KEYS: u64 = 4;
/// Bytes at the start of a record that say which one it is.
const LABEL: usize = 16;

/// The partition key of a record, as a number below [`KEYS`].
#[must_use]
pub fn key(seed: u64, id: RecordId) -> u64 {
    generator(seed, id).u64() % KEYS
}

/// The partition key as it is sent.
#[must_use]
pub fn partition_key(seed: u64, id: RecordId) -> String {
    format!("writer-{}-key-{}", id.writer, key(seed, id))
}

/// The record's bytes: its label, then noise. Most are small, some span disk pages, few are large.
#[must_use]
pub fn bytes(seed: u64, id: RecordId) -> Vec<u8> {
    let mut random = generator(seed, id);
    random.u64(); // the key's
    let noise = match random.range(0, 100) {
        0 => random.range(0, 200_000),
        1..10 => random.range(0, 20_000),
        _ => random.range(0, 600),
    };
    let length = LABEL + usize::try_from(noise).unwrap_or_default();
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes[..8].copy_from_slice(&id.writer.to_le_bytes());
    bytes[8..LABEL].copy_from_slice(&id.number.to_le_bytes());
    bytes
}

/// Which record some bytes claim to be.
#[must_use]
pub fn label(bytes: &[u8]) -> Option<RecordId> {
    let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    Some(RecordId { writer: word(0)?, number: word(8)? })
}

fn generator(seed: u64, id: RecordId) -> Random {
    Random::part(seed ^ id.writer.rotate_left(32), id.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_who_they_are_and_repeat() {
        for number in 0..500 {
            let id = RecordId { writer: 3, number };
            assert_eq!(label(&bytes(1, id)), Some(id));
            assert_eq!(bytes(1, id), bytes(1, id));
            assert!(key(1, id) < KEYS);
        }
        assert_eq!(label(&[0; 15]), None);
    }
}
