//! Damage at rest: a small data directory, one byte of it flipped, a file cut, a sector lost, a file gone; and what
//! `millstream check`, the server and `check --repair` then make of it. The shipped code runs on a simulated disk.

#![allow(clippy::expect_used, clippy::panic)] // its users are tests

pub mod damage;
pub mod directory;
pub mod examine;
pub mod image;
pub mod machine;
pub mod sample;
pub mod stack;
