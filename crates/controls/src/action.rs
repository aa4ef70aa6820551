//! The kinds of faults. Those that AWS's Fault Injection Service has are named as it names them and answer as its guide for
//! Kinesis says; ours begin with `millstream:`.

use millstream_api::kinesis::Operation;

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// ProvisionedThroughputExceededException.
    Throughput,
    /// ExpiredIteratorException.
    ExpiredIterator,
    /// InternalFailure, HTTP 500.
    Internal,
    /// ThrottlingException.
    Throttle,
    /// ServiceUnavailable, HTTP 503.
    Unavailable,
    /// LimitExceededException: how Kinesis itself throttles the calls of its control plane.
    LimitExceeded,
    /// The answer comes later.
    Delay,
    /// Single records of a PutRecords fail.
    PutRecords,
    /// The connection is closed without an answer.
    DropConnection,
}

impl Action {
    const ALL: [Action; 9] = [
        Action::Throughput,
        Action::ExpiredIterator,
        Action::Internal,
        Action::Throttle,
        Action::Unavailable,
        Action::LimitExceeded,
        Action::Delay,
        Action::PutRecords,
        Action::DropConnection,
    ];

    /// The action's name.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Action::Throughput => "aws:kinesis:inject-api-provisioned-throughput-exception",
            Action::ExpiredIterator => "aws:kinesis:inject-api-expired-iterator-exception",
            Action::Internal => "aws:fis:inject-api-internal-error",
            Action::Throttle => "aws:fis:inject-api-throttle-error",
            Action::Unavailable => "aws:fis:inject-api-unavailable-error",
            Action::LimitExceeded => "millstream:inject-api-limit-exceeded-exception",
            Action::Delay => "millstream:inject-api-delay",
            Action::PutRecords => "millstream:inject-put-records-failure",
            Action::DropConnection => "millstream:drop-connection",
        }
    }

    /// The action of that name, or what to write instead.
    pub(crate) fn from_id(id: &str) -> Result<Action, String> {
        Action::ALL.into_iter().find(|action| action.id() == id).ok_or_else(|| {
            let known: Vec<&str> = Action::ALL.into_iter().map(Action::id).collect();
            format!("actionId: there is no \"{id}\"; there are {}", known.join(", "))
        })
    }

    /// The operations that it can be applied to; `None` for all.
    pub(crate) fn operations(self) -> Option<&'static [Operation]> {
        use Operation as O;
        match self {
            Action::Throughput => Some(&[O::PutRecord, O::PutRecords, O::GetRecords, O::GetShardIterator]),
            Action::ExpiredIterator => Some(&[O::GetRecords]),
            Action::PutRecords => Some(&[O::PutRecords]),
            _ => None,
        }
    }
}
