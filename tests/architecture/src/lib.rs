//! Checks on the workspace itself, run as tests: [`rooms`] holds the table of who may import whom, [`tidy`] says what a
//! source file may look like. Both are pure functions over what they are given; `tests/workspace.rs` gives them the
//! repository.

pub mod rooms;
pub mod tidy;
