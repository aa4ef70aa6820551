//! What the black-box programs (`millstream-crash`, `millstream-bench`) share: they start the real binary as a process,
//! talk to it over the network, and know nothing of its inside.

// These programs are tests: they run on the real clock, the real disk and real processes, and nothing replays them.
#![allow(clippy::disallowed_methods)]

mod connection;
mod kinesis;
mod random;
mod server;
mod subscription;
mod usage;

pub use connection::{Connection, Endpoint, Response, SIGNED_AT};
pub use kinesis::{CallError, Kinesis, ShardDescription};
pub use random::Random;
pub use server::{Ready, Server, ServerCommand, StartError};
pub use subscription::{Event, Subscription};
pub use usage::Usage;
