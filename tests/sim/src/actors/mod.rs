//! The clients.

pub mod controller;
pub mod producer;
pub mod reader;

use std::cell::RefCell;
use std::time::Duration;

use millstream_api::{Error, ErrorCode};

use crate::model::Model;
use crate::node::Node;

/// What clients share.
#[derive(Clone, Copy)]
pub struct Clients<'a> {
    /// The service.
    pub node: &'a Node,
    /// What they know.
    pub model: &'a RefCell<Model>,
    /// Whether the disk has been made to fail in this life, which then excuses internal errors.
    pub faulty: bool,
}

impl Clients<'_> {
    /// Whether an error leaves the outcome open. Anything else but what `expected` names is a problem.
    fn is_open(&self, what: &str, error: &Error, expected: &[ErrorCode]) -> bool {
        use ErrorCode::{InternalFailure, InternalFailureException, ServiceUnavailable};
        let internal = matches!(error.code, InternalFailure | InternalFailureException | ServiceUnavailable);
        if !(expected.contains(&error.code) || (internal && self.faulty)) {
            self.model.borrow_mut().problem(format!("{what}: {error}"));
        }
        internal
    }

    /// Waits for up to `ms`, or not at all.
    pub async fn pause(&self, ms: u64) {
        if self.node.below(2) == 0 {
            self.node.machine.env().timer.sleep(Duration::from_millis(1 + self.node.below(ms))).await;
        }
    }
}
