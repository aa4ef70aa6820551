use std::time::Duration;

/// A source of raw time. Components do not read it; they read the [`ServerClock`](crate::ServerClock) over it.
pub trait Clock: Send + Sync + 'static {
    /// The machine's idea of civil time: milliseconds since the Unix epoch. May jump either way.
    fn wall(&self) -> u64;

    /// Time since an arbitrary fixed point of this process. Never goes back.
    fn monotonic(&self) -> Duration;
}
