//! Request ids.

use std::sync::atomic::{AtomicU64, Ordering};

use base64_simd::{AsOut, STANDARD};
use millstream_api::RequestId;
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

    /// The id of the next request.
    pub(crate) fn request_id(&self) -> RequestId {
        let position = self.state.fetch_add(STEP, Ordering::Relaxed);
        // Version 4, variant 1.
        let high = mix(position) & !0xf000 | 0x4000;
        let low = mix(position ^ self.salt) & !(3 << 62) | (2 << 62);
        RequestId(high, low)
    }

    /// The value of `x-amz-id-2`: 64 bytes in base64.
    pub(crate) fn extended_id(&self) -> [u8; 88] {
        let mut position = self.state.fetch_add(STEP.wrapping_mul(8), Ordering::Relaxed);
        let mut bytes = [0; 64];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&mix(position).to_le_bytes());
            position = position.wrapping_add(STEP);
        }
        let mut text = [0; 88];
        let _ = STANDARD.encode(&bytes, text.as_mut_slice().as_out());
        text
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
        let id = RequestId(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
        assert_eq!(id.to_string(), "01234567-89ab-cdef-fedc-ba9876543210");
        let ids = Ids::new(&Fixed);
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let id = ids.request_id().to_string();
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
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let bytes = STANDARD.decode_to_vec(ids.extended_id()).unwrap();
            assert_eq!(bytes.len(), 64);
            for part in bytes.chunks(8) {
                assert!(seen.insert(part.to_vec()));
            }
        }
    }
}
