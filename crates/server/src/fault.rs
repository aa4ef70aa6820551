//! How a request that failed is answered: the one place where an error becomes a status and bytes.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use millstream_api::{Error, ErrorCode};

use crate::answer::Reply;
use crate::body::BodyError;
use crate::codec::Format;
use crate::guard::Foreign;

/// How a request's content type has its errors written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A format that operations can be called with.
    Format(Format),
    /// `application/json`, which no operation can be called with.
    PlainJson,
    /// Anything else: XML without a content type.
    Xml,
}

const PLAIN_JSON: &str = "application/json";

impl Dialect {
    /// What the `Content-Type` says; parameters after `;` do not count.
    pub(crate) fn of(headers: &HeaderMap) -> Dialect {
        let value = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        let media_type = value[..end].trim_ascii();
        let is = |known: &str| media_type.eq_ignore_ascii_case(known.as_bytes());
        match [Format::Json, Format::Cbor].into_iter().find(|format| is(format.content_type())) {
            Some(format) => Dialect::Format(format),
            None if is(PLAIN_JSON) => Dialect::PlainJson,
            None => Dialect::Xml,
        }
    }

    fn content_type(self) -> Option<&'static str> {
        match self {
            Dialect::Format(format) => Some(format.content_type()),
            Dialect::PlainJson => Some(PLAIN_JSON),
            Dialect::Xml => None,
        }
    }

    fn status(self, code: ErrorCode) -> u16 {
        match (self, code) {
            (Dialect::PlainJson | Dialect::Xml, ErrorCode::UnknownOperationException) => 404,
            (Dialect::Xml, code) if code.status() == 400 => 403,
            (_, code) => code.status(),
        }
    }

    fn body(self, error: &Error) -> Vec<u8> {
        let name = error.code.name();
        match self {
            Dialect::Format(format) => format.encode_error(error),
            Dialect::PlainJson => {
                format!("{{\"Output\":{{\"__type\":\"com.amazon.coral.service#{name}\"}},\"Version\":\"1.0\"}}")
                    .into_bytes()
            }
            Dialect::Xml => match &error.message {
                None => format!("<{name}/>\n").into_bytes(),
                Some(text) => {
                    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                    format!("<{name}>\n  <Message>{text}</Message>\n</{name}>\n").into_bytes()
                }
            },
        }
    }
}

/// Why a request got no output.
#[derive(Debug)]
pub(crate) enum Fault {
    /// An error of AWS's.
    Error { error: Error, dialect: Dialect },
    /// A guard turned it away.
    Foreign { foreign: Foreign, dialect: Dialect },
    /// Its body could not be had.
    Body { error: BodyError, dialect: Dialect },
    /// There was no memory for its answer.
    Busy { dialect: Dialect },
}

impl Fault {
    pub(crate) fn new(error: Error, dialect: Dialect) -> Fault {
        Fault::Error { error, dialect }
    }

    pub(crate) fn bare(code: ErrorCode, dialect: Dialect) -> Fault {
        Fault::Error { error: Error::bare(code), dialect }
    }

    /// The answer.
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Fault::Error { error, dialect } => {
                let mut reply = Reply::new(status(dialect.status(error.code)), dialect.content_type());
                reply.body = dialect.body(error);
                reply
            }
            Fault::Foreign { foreign, dialect } => {
                let dialect = if *dialect == Dialect::PlainJson { Dialect::Xml } else { *dialect };
                let error = Error::new(ErrorCode::AccessDeniedException, foreign.to_string());
                let is_ambiguous = *foreign == Foreign::Ambiguous;
                let status = if is_ambiguous { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
                let mut reply = Reply::new(status, dialect.content_type());
                reply.body = dialect.body(&error);
                // What comes next may be meant for another host as well.
                reply.close = is_ambiguous;
                reply
            }
            Fault::Body { error: BodyError::NoRoom, dialect } | Fault::Busy { dialect } => {
                let error = Error::new(ErrorCode::ServiceUnavailable, "The server is busy; please try again.");
                let mut reply = Reply::new(StatusCode::SERVICE_UNAVAILABLE, dialect.content_type());
                reply.body = dialect.body(&error);
                reply.retry = true;
                reply.close = matches!(self, Fault::Body { .. });
                reply
            }
            Fault::Body { error, .. } => {
                let mut reply = Reply::new(
                    match error {
                        BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                        BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
                        BodyError::Broken | BodyError::NoRoom => StatusCode::BAD_REQUEST,
                    },
                    None,
                );
                reply.close = true;
                reply
            }
        }
    }

    /// The error's name for metrics and log lines.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Fault::Error { error, .. } => error.code.name(),
            Fault::Foreign { .. } => ErrorCode::AccessDeniedException.name(),
            Fault::Body { error, .. } => match error {
                BodyError::TooLarge => "RequestTooLarge",
                BodyError::TooSlow => "RequestTimeout",
                BodyError::NoRoom => ErrorCode::ServiceUnavailable.name(),
                BodyError::Broken => "RequestBroken",
            },
            Fault::Busy { .. } => ErrorCode::ServiceUnavailable.name(),
        }
    }

    /// The reason to count it under, if it was refused before any operation.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match self {
            Fault::Foreign { foreign, .. } => Some(foreign.reason()),
            Fault::Body { error, .. } => Some(match error {
                BodyError::TooLarge => "too_large",
                BodyError::TooSlow => "too_slow",
                BodyError::NoRoom => "no_memory",
                BodyError::Broken => "broken_off",
            }),
            Fault::Busy { .. } => Some("no_memory"),
            Fault::Error { error, .. } => match error.code {
                code if is_authentication(code) => Some("authentication"),
                ErrorCode::SerializationException => Some("malformed"),
                ErrorCode::UnknownOperationException => Some("unknown_operation"),
                _ => None,
            },
        }
    }

    /// What a log line may say about it: not what a client sent, which can be secret.
    pub(crate) fn detail(&self) -> String {
        match self {
            Fault::Foreign { foreign, .. } => foreign.to_string(),
            Fault::Body { .. } | Fault::Busy { .. } => String::new(),
            Fault::Error { error, .. } => match error.code {
                code if is_authentication(code) => String::new(),
                ErrorCode::SerializationException | ErrorCode::ValidationException => String::new(),
                _ => error.message.clone().unwrap_or_default(),
            },
        }
    }
}

/// Errors of authentication: their messages repeat the `Authorization` header.
fn is_authentication(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::MissingAuthenticationTokenException
            | ErrorCode::IncompleteSignatureException
            | ErrorCode::InvalidSignatureException
            | ErrorCode::UnrecognizedClientException
            | ErrorCode::ExpiredTokenException
    )
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn dialect(content_type: &'static str) -> Dialect {
        Dialect::of(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]))
    }

    #[test]
    fn parameters_and_blanks_do_not_count() {
        assert_eq!(dialect(" application/x-amz-json-1.1 ; charset=utf-8"), Dialect::Format(Format::Json));
        assert_eq!(dialect("application/x-amz-cbor-1.1"), Dialect::Format(Format::Cbor));
        assert_eq!(dialect("application/json;charset=x"), Dialect::PlainJson);
        for other in ["", "application/x-amz-json-1.0", "text/plain", "application/x-amz-json-1.1, a"] {
            assert_eq!(dialect(other), Dialect::Xml, "{other}");
        }
        assert_eq!(Dialect::of(&HeaderMap::new()), Dialect::Xml);
    }

    #[test]
    fn xml_escapes_what_it_repeats() {
        let error = Error::new(ErrorCode::IncompleteSignatureException, "Authorization=<a&b>");
        assert_eq!(
            String::from_utf8(Dialect::Xml.body(&error)).unwrap(),
            "<IncompleteSignatureException>\n  <Message>Authorization=&lt;a&amp;b&gt;</Message>\n\
             </IncompleteSignatureException>\n"
        );
    }

    #[test]
    fn log_lines_do_not_repeat_what_was_sent() {
        for code in [
            ErrorCode::IncompleteSignatureException,
            ErrorCode::InvalidSignatureException,
            ErrorCode::SerializationException,
            ErrorCode::ValidationException,
        ] {
            assert_eq!(
                Fault::new(Error::new(code, "Authorization=secret"), Dialect::Format(Format::Json)).detail(),
                ""
            );
        }
        let error = Error::new(ErrorCode::ResourceNotFoundException, "Stream s not found.");
        assert_eq!(Fault::new(error, Dialect::Format(Format::Json)).detail(), "Stream s not found.");
    }
}
