//! What a simulated disk can do to an operation.

use std::io;

/// What happens to one operation that writes, syncs or changes a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and nothing of it happens. A sync that fails leaves what it was to make durable to be seen until the
    /// power goes, and lost then; a later sync succeeds.
    Fail,
    /// It fails in part: of a write any subset of its sectors is there, of a sync any subset became durable. A change of a
    /// name, which is atomic, happens and says that it failed.
    Torn,
    /// There is no space for it.
    Full,
    /// It takes so many milliseconds.
    Slow(u64),
}

/// What happens to one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// It fails.
    Fail,
    /// It gives fewer bytes than were asked for, as any read may.
    Short,
    /// A signal interrupts it before it has given any.
    Interrupted,
    /// One bit of what it gives is wrong, this once.
    Flip,
}

pub(super) fn failed() -> io::Error {
    io::Error::other("the simulated disk failed")
}

pub(super) fn crashed() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}
