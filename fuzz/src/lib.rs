//! What is fuzzed: every parser of ours that meets bytes from outside, each with its oracle.
//!
//! A *target* is a function of bytes. It panics if an oracle is violated; the parsers themselves must not panic at all.
//! Beside its own oracle each has two that all share: memory, bounded by the length of the input, and time, which the
//! engine watches. `README.md` lists targets, families and how to run them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how an oracle says that it was violated

mod cbor;
mod memory;
mod targets;

pub use targets::TARGETS;

/// The most memory that an input may make a target hold.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// For any input, bytes.
    pub fixed: usize,
    /// For each byte of the input, bytes.
    pub per_byte: usize,
}

/// A parser, or several that belong together, and what must be true of them.
#[derive(Debug)]
pub struct Target {
    /// Its name: that of its directory in `corpus` and `crashes`.
    pub name: &'static str,
    /// The parsers that it belongs to; see the README.
    pub family: &'static str,
    /// The longest input that is worth trying, bytes.
    pub longest: usize,
    /// The most memory that it may hold.
    pub memory: Memory,
    /// Tries an input.
    pub body: fn(&[u8]),
}

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Tries an input.
    ///
    /// # Panics
    /// If an oracle is violated, memory's included.
    pub fn run(&self, input: &[u8]) {
        let most = self.memory.fixed + self.memory.per_byte * input.len();
        let held = memory::held_by(|| (self.body)(input));
        if held > most {
            // What is made once and kept, as a compiled pattern, was perhaps made just now.
            let held = memory::held_by(|| (self.body)(input));
            assert!(held <= most, "{} holds {held} bytes for {} of input, more than {most}", self.name, input.len());
        }
    }
}
