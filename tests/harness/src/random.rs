//! Seeded pseudo-randomness, the same on every machine.

/// A SplitMix64 generator. It is not for secrets.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator whose whole sequence follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator for one part of a seeded run, independent of how much the other parts draw.
    #[must_use]
    pub fn part(seed: u64, part: u64) -> Self {
        let mut mixed = Self::new(seed ^ part.wrapping_mul(0xD134_2543_DE82_EF95));
        Self::new(mixed.u64())
    }

    /// The next 64 bits.
    pub fn u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `low..high`; `low` when the range is empty.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.u64() % high.saturating_sub(low).max(1)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.u64() % 100 < percent
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.u64().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_ranges_hold() {
        let (mut a, mut b) = (Random::new(7), Random::new(7));
        let mut bytes = [0; 13];
        a.fill(&mut bytes);
        b.fill(&mut bytes);
        for _ in 0..1000 {
            assert_eq!(a.u64(), b.u64());
            assert!((3..9).contains(&a.range(3, 9)));
            b.range(3, 9);
        }
        assert_ne!(Random::part(7, 1).u64(), Random::part(7, 2).u64());
    }
}
