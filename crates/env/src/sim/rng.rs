use parking_lot::Mutex;

use crate::Random;

/// A small seeded generator (splitmix64): equal seeds give equal runs.
#[derive(Debug)]
pub struct SimRandom {
    state: Mutex<u64>,
}

impl SimRandom {
    /// A generator for `seed`.
    pub fn new(seed: u64) -> SimRandom {
        SimRandom { state: Mutex::new(seed) }
    }

    fn next(&self) -> u64 {
        let mut state = self.state.lock();
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Random for SimRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self.next().to_le_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
    }
}
