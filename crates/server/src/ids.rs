//! Request ids.

use std::sync::atomic::{AtomicU64, Ordering};

use base64_simd::STANDARD;
use millstream_env::{Random, RandomExt};

/// Makes ids that do not repeat. They are names, not secrets, so a fast generator with a random seed is enough.
pub(crate) struct Ids {
    state: AtomicU64,
    salt: u64,
}

/// SplitMix64's increment.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Ids {
    pub(crate) fn new(random: &dyn Random) -> Ids {
        Ids { state: AtomicU64::new(random.u64()), salt: random.u64() }
    }

    fn next(&self) -> u64 {
        mix(self.state.fetch_add(STEP, Ordering::Relaxed))
    }

    /// A UUID: lower-case hexadecimal digits in groups of 8, 4, 4, 4 and 12.
    pub(crate) fn request_id(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let position = self.state.fetch_add(STEP, Ordering::Relaxed);
        // Version 4, variant 1.
        let high = mix(position) & !0xf000 | 0x4000;
        let low = mix(position ^ self.salt) & !(3 << 62) | (2 << 62);
        let mut id = String::with_capacity(36);
        let bytes = high.to_be_bytes().into_iter().chain(low.to_be_bytes());
        for (place, byte) in bytes.enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                id.push('-');
            }
            id.push(char::from(DIGITS[usize::from(byte >> 4)]));
            id.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        id
    }

    /// The value of `x-amz-id-2`: 64 bytes in base64.
    pub(crate) fn extended_id(&self) -> String {
        let mut bytes = [0; 64];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes());
        }
        STANDARD.encode_to_string(bytes)
    }
}

/// SplitMix64's output function.
fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    struct Fixed;

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn request_ids_look_like_uuids_and_differ() {
        let ids = Ids::new(&Fixed);
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let id = ids.request_id();
            let groups: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
            assert!(id.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c)), "{id}");
            assert_eq!(id.as_bytes()[14], b'4', "{id}");
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn extended_ids_are_64_bytes_in_base64() {
        let ids = Ids::new(&Fixed);
        let id = ids.extended_id();
        assert_eq!(STANDARD.decode_to_vec(&id).unwrap().len(), 64);
        assert_ne!(id, ids.extended_id());
    }
}
