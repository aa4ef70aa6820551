//! The mark around what `make bench-instructions` counts.

use std::hint::black_box;

/// Runs `work` and lets go of what it gives. Under callgrind only what is done within this function is counted
/// (`bench/instructions.py` names it); elsewhere it does nothing of its own.
#[inline(never)]
pub fn counted<T>(work: impl FnOnce() -> T) {
    drop(black_box(work()));
}
