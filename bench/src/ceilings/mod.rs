//! What the machine gives without Kinesis: an HTTP server that answers the same to everything, and the bare disk.

pub mod constant;
pub mod disk;
