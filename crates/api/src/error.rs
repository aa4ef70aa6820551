//! The AWS error model: a code, which names the error on the wire, and a message.

use std::fmt;

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind of error; gives the wire name and the HTTP status.
    pub code: ErrorCode,
    /// The text for people. A few errors carry none on AWS.
    pub message: Option<String>,
}

impl Error {
    /// An error with a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Error {
        Error { code, message: Some(message.into()) }
    }

    /// An error without a message.
    pub fn bare(code: ErrorCode) -> Error {
        Error { code, message: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.name())?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Every error code that a service of Millstream answers with. A variant's name is the code's name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The caller may not do this.
    AccessDeniedException,
    /// A dry run came to its end: the real request would have succeeded.
    DryRunOperationException,
    /// The shard iterator is older than it may be.
    ExpiredIteratorException,
    /// The page token is older than it may be.
    ExpiredNextTokenException,
    /// The security token is past its time.
    ExpiredTokenException,
    /// The `Authorization` header or its query form lacks parts.
    IncompleteSignatureException,
    /// Something broke inside the server; the framework's name for it.
    InternalFailure,
    /// Something broke inside the server; the service model's name for it.
    InternalFailureException,
    /// An argument, or a combination of arguments, makes no sense.
    InvalidArgumentException,
    /// The signature does not match, is out of date, or was given twice.
    InvalidSignatureException,
    /// The key's policy forbids its use.
    KMSAccessDeniedException,
    /// The key is disabled.
    KMSDisabledException,
    /// The key is in a state that forbids its use.
    KMSInvalidStateException,
    /// The key does not exist.
    KMSNotFoundException,
    /// The account has no subscription to the key service.
    KMSOptInRequired,
    /// The key service was asked too often.
    KMSThrottlingException,
    /// A limit of the account or of the call rate was reached.
    LimitExceededException,
    /// The request carries no authentication at all.
    MissingAuthenticationTokenException,
    /// A shard's throughput was exceeded.
    ProvisionedThroughputExceededException,
    /// The resource exists already, or is in a state that forbids the operation.
    ResourceInUseException,
    /// The resource does not exist.
    ResourceNotFoundException,
    /// The body does not parse, or a member has the wrong type.
    SerializationException,
    /// The server can't answer now.
    ServiceUnavailable,
    /// The caller goes too fast.
    ThrottlingException,
    /// The target names no operation of the service.
    UnknownOperationException,
    /// The access key or the security token is not known.
    UnrecognizedClientException,
    /// The service has this operation, but this server does not.
    UnsupportedOperationException,
    /// A member breaks one of the model's constraints.
    ValidationException,
}

impl ErrorCode {
    /// The code's name on the wire (`__type` in JSON and CBOR).
    pub fn name(self) -> &'static str {
        match self {
            ErrorCode::AccessDeniedException => "AccessDeniedException",
            ErrorCode::DryRunOperationException => "DryRunOperationException",
            ErrorCode::ExpiredIteratorException => "ExpiredIteratorException",
            ErrorCode::ExpiredNextTokenException => "ExpiredNextTokenException",
            ErrorCode::ExpiredTokenException => "ExpiredTokenException",
            ErrorCode::IncompleteSignatureException => "IncompleteSignatureException",
            ErrorCode::InternalFailure => "InternalFailure",
            ErrorCode::InternalFailureException => "InternalFailureException",
            ErrorCode::InvalidArgumentException => "InvalidArgumentException",
            ErrorCode::InvalidSignatureException => "InvalidSignatureException",
            ErrorCode::KMSAccessDeniedException => "KMSAccessDeniedException",
            ErrorCode::KMSDisabledException => "KMSDisabledException",
            ErrorCode::KMSInvalidStateException => "KMSInvalidStateException",
            ErrorCode::KMSNotFoundException => "KMSNotFoundException",
            ErrorCode::KMSOptInRequired => "KMSOptInRequired",
            ErrorCode::KMSThrottlingException => "KMSThrottlingException",
            ErrorCode::LimitExceededException => "LimitExceededException",
            ErrorCode::MissingAuthenticationTokenException => "MissingAuthenticationTokenException",
            ErrorCode::ProvisionedThroughputExceededException => "ProvisionedThroughputExceededException",
            ErrorCode::ResourceInUseException => "ResourceInUseException",
            ErrorCode::ResourceNotFoundException => "ResourceNotFoundException",
            ErrorCode::SerializationException => "SerializationException",
            ErrorCode::ServiceUnavailable => "ServiceUnavailable",
            ErrorCode::ThrottlingException => "ThrottlingException",
            ErrorCode::UnknownOperationException => "UnknownOperationException",
            ErrorCode::UnrecognizedClientException => "UnrecognizedClientException",
            ErrorCode::UnsupportedOperationException => "UnsupportedOperationException",
            ErrorCode::ValidationException => "ValidationException",
        }
    }

    /// The HTTP status that goes with the code: 500 and 503 for the server's faults, else 400.
    pub fn status(self) -> u16 {
        match self {
            ErrorCode::InternalFailure | ErrorCode::InternalFailureException => 500,
            ErrorCode::ServiceUnavailable => 503,
            _ => 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_follows_the_code() {
        let error = Error::new(ErrorCode::ResourceNotFoundException, "Stream s not found.");
        assert_eq!(error.to_string(), "ResourceNotFoundException: Stream s not found.");
        assert_eq!(Error::bare(ErrorCode::InternalFailure).to_string(), "InternalFailure");
    }

    #[test]
    fn faults_are_the_servers() {
        assert_eq!(ErrorCode::ValidationException.status(), 400);
        assert_eq!(ErrorCode::AccessDeniedException.status(), 400);
        assert_eq!(ErrorCode::InternalFailureException.status(), 500);
        assert_eq!(ErrorCode::ServiceUnavailable.status(), 503);
    }
}
