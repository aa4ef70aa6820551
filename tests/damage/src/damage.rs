//! What may happen to a file at rest.

use std::fmt;

/// One damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Some bits of one byte are flipped.
    Flip {
        /// Which byte.
        at: usize,
        /// Which bits.
        mask: u8,
    },
    /// The file ends early.
    Cut {
        /// Its new length.
        length: usize,
    },
    /// A sector or a page reads as zeros.
    Zeros {
        /// Where it begins.
        at: usize,
        /// How many bytes.
        length: usize,
    },
    /// The file is gone.
    Gone,
}

impl Damage {
    /// What is left of a file; `None` if it is gone.
    #[must_use]
    pub fn done_to(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = bytes.to_vec();
        match *self {
            Damage::Flip { at, mask } => bytes[at] ^= mask,
            Damage::Cut { length } => bytes.truncate(length),
            Damage::Zeros { at, length } => {
                let end = (at + length).min(bytes.len());
                bytes[at..end].fill(0);
            }
            Damage::Gone => return None,
        }
        Some(bytes)
    }

    /// Whether it changes a byte from `position` on and leaves the length as it is.
    #[must_use]
    pub fn changes_from(&self, position: usize) -> bool {
        match *self {
            Damage::Flip { at, .. } => at >= position,
            Damage::Zeros { at, length } => at + length > position,
            Damage::Cut { .. } | Damage::Gone => false,
        }
    }

    /// The kind's name, for counting.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Damage::Flip { .. } => "flipped",
            Damage::Cut { .. } => "cut",
            Damage::Zeros { .. } => "zeroed",
            Damage::Gone => "gone",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Flip { at, mask } => write!(f, "byte {at} flipped by {mask:#04x}"),
            Damage::Cut { length } => write!(f, "cut to {length} bytes"),
            Damage::Zeros { at, length } => write!(f, "{length} bytes from {at} on zeroed"),
            Damage::Gone => f.write_str("gone"),
        }
    }
}
