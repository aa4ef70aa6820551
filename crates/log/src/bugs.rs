//! Mistakes that the log can be told to make, so that a test of its tests can see them noticed. Only with the feature `bugs`,
//! which the product never has: without it [`is`] is a constant.

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// Commits are taken for durable without a sync.
    SkipSync = 1,
    /// Appends are acknowledged when they are written, before the sync.
    AcknowledgeBeforeSync,
    /// Recovery cuts the tail one commit too early.
    CutTooMuch,
    /// Recovery forgets that shards were closed.
    DropClose,
    /// Blocks are taken for sound whatever their checksum says.
    IgnoreCrc,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 5] =
        [Bug::SkipSync, Bug::AcknowledgeBeforeSync, Bug::CutTooMuch, Bug::DropClose, Bug::IgnoreCrc];
}

#[cfg(feature = "bugs")]
static MADE: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Has all logs of this process make a mistake from now on, or none.
#[cfg(feature = "bugs")]
pub fn make(bug: Option<Bug>) {
    MADE.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::Relaxed);
}

#[cfg(feature = "bugs")]
pub(crate) fn is(bug: Bug) -> bool {
    MADE.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

#[cfg(not(feature = "bugs"))]
pub(crate) const fn is(_: Bug) -> bool {
    false
}
