//! What takes longer than a request. A plan is part of the stream's record, so it survives a crash; each kind is one
//! page of code that can be run again from the start at any time.
//!
//! The order between the stores is the same for all: *the catalog intends* (the record gets its plan, in the
//! transaction of the request), *the log decides* (one durable commit or directory change that cannot be half done),
//! *the catalog records* (the record gets its new state and loses the plan).

mod create;
mod delete;
mod drive;
mod reshard;
mod settings;

pub(crate) use drive::PlanError;
pub use reshard::{Child, Closings, Reshard};
use serde::{Deserialize, Serialize};
pub use settings::Setting;

use crate::state::{Mode, Status};

/// Something under way on a stream. A stream has at most one plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// When to act, ms since the epoch: the transition delay after the request.
    pub due_ms: u64,
    /// What to do.
    pub work: Work,
}

/// The kinds of plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Make the log exist, then become ACTIVE.
    Create,
    /// Delete the log, then the record.
    Delete,
    /// Close shards, then open their children.
    Reshard(Reshard),
    /// Change a setting.
    Settings(Setting),
}

impl Plan {
    /// How many more shards will be open when the plan has ended; 0 if fewer.
    pub fn growth(&self) -> u64 {
        match &self.work {
            Work::Reshard(reshard) => u64::try_from(reshard.growth()).unwrap_or(0),
            Work::Create | Work::Delete | Work::Settings(_) => 0,
        }
    }

    /// The capacity mode that the plan leads to; `None` if it does not change it.
    pub fn mode(&self) -> Option<Mode> {
        match &self.work {
            Work::Settings(Setting::Mode(mode)) => Some(*mode),
            _ => None,
        }
    }
}

impl Work {
    /// The status of a stream while the plan is under way.
    pub fn status(&self) -> Status {
        match self {
            Work::Create => Status::Creating,
            Work::Delete => Status::Deleting,
            Work::Reshard(_) | Work::Settings(_) => Status::Updating,
        }
    }
}
