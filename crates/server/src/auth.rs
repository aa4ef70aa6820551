//! Who asks: the form of authentication, and what the credential says. The signature is not looked at here.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{AUTHORIZATION, DATE, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use millstream_api::{Error, ErrorCode};

use crate::known::Known;

/// What a request's credential says, completed by the server's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub access_key: Arc<str>,
    pub account: Arc<str>,
    pub region: Arc<str>,
}

/// What counts where a credential says nothing.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub account: Arc<str>,
    pub region: Arc<str>,
}

static X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// The parameters of the query form, in the order in which AWS misses them.
const QUERY_PARAMETERS: [&str; 5] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];

/// Reads the authentication of a request, from its header or from its query.
///
/// # Errors
/// AWS's, for authentication that is missing, given twice, or lacks parts, and for a region that can't be one.
pub(crate) fn caller(head: &Parts, defaults: &Defaults, known: &Known) -> Result<Caller, Error> {
    let header = head.headers.get(AUTHORIZATION).map(text).filter(|value| !value.is_empty());
    let query = Query::of(head.uri.query().unwrap_or_default());
    match (header, query.algorithm_given) {
        (Some(_), true) => Err(Error::new(
            ErrorCode::InvalidSignatureException,
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
        )),
        (Some(header), false) => {
            let credential = from_header(&header, &head.headers)?;
            known.caller(credential, || from_credential(credential, defaults))
        }
        (None, true) => query.caller(defaults),
        (None, false) => {
            Err(Error::new(ErrorCode::MissingAuthenticationTokenException, "Missing Authentication Token"))
        }
    }
}

/// A header's value as text: nearly always plain ASCII, which is only borrowed.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    value.to_str().map_or_else(|_| String::from_utf8_lossy(value.as_bytes()), Cow::Borrowed)
}

/// The credential of a header that lacks nothing.
fn from_header<'a>(header: &'a str, headers: &HeaderMap) -> Result<&'a str, Error> {
    let (mut credential, mut signature, mut signed_headers) = (None, None, None);
    // By bytes: the separators are ASCII, and this is done for every request.
    for token in header.as_bytes().split(|byte| matches!(byte, b',' | b' ' | b'\t')).skip(1) {
        let (place, name) = match token.first() {
            Some(b'C') => (&mut credential, "Credential="),
            Some(b'S') if token.starts_with(b"Signature=") => (&mut signature, "Signature="),
            Some(b'S') => (&mut signed_headers, "SignedHeaders="),
            _ => continue,
        };
        if let Some(value) = token.strip_prefix(name.as_bytes()) {
            *place = std::str::from_utf8(value).ok().filter(|value| !value.is_empty());
        }
    }
    let mut missing = String::new();
    for (name, value) in [("Credential", credential), ("Signature", signature), ("SignedHeaders", signed_headers)] {
        if value.is_none() {
            missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
        }
    }
    if !headers.contains_key(&X_AMZ_DATE) && !headers.contains_key(DATE) {
        missing.push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
    }
    match credential {
        Some(credential) if missing.is_empty() => Ok(credential),
        _ => Err(Error::new(ErrorCode::IncompleteSignatureException, format!("{missing}Authorization={header}"))),
    }
}

/// The query form's parameters; an empty one counts as missing.
struct Query<'a> {
    algorithm_given: bool,
    values: [Option<Cow<'a, str>>; 5],
}

impl<'a> Query<'a> {
    fn of(query: &'a str) -> Query<'a> {
        let mut found = Query { algorithm_given: false, values: [const { None }; 5] };
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decoded(name);
            let Some(index) = QUERY_PARAMETERS.iter().position(|parameter| *parameter == name) else { continue };
            found.algorithm_given |= index == 0;
            found.values[index] = Some(percent_decoded(value)).filter(|value| !value.is_empty());
        }
        found
    }

    fn caller(&self, defaults: &Defaults) -> Result<Caller, Error> {
        let mut missing = String::new();
        for (name, value) in QUERY_PARAMETERS.iter().zip(&self.values) {
            if value.is_none() {
                missing.push_str(&format!("AWS query-string parameters must include '{name}'. "));
            }
        }
        match &self.values[1] {
            Some(credential) if missing.is_empty() => from_credential(credential, defaults),
            _ => Err(Error::new(
                ErrorCode::IncompleteSignatureException,
                format!("{missing}Re-examine the query-string parameters."),
            )),
        }
    }
}

/// A credential is `access-key/date/region/service/aws4_request`.
fn from_credential(credential: &str, defaults: &Defaults) -> Result<Caller, Error> {
    let mut parts = credential.split('/');
    let access_key = parts.next().unwrap_or_default();
    let region = match parts.nth(1).filter(|region| !region.is_empty()) {
        None => Arc::clone(&defaults.region),
        Some(region) if *region == *defaults.region => Arc::clone(&defaults.region),
        Some(region) if is_region(region) => Arc::from(region),
        Some(_) => {
            let text = "Credential should be scoped to a valid region.";
            return Err(Error::new(ErrorCode::InvalidSignatureException, text));
        }
    };
    let is_account = access_key.len() == 12 && access_key.bytes().all(|byte| byte.is_ascii_digit());
    let account = if is_account { Arc::from(access_key) } else { Arc::clone(&defaults.account) };
    Ok(Caller { access_key: Arc::from(access_key), account, region })
}

/// Whether the text may name a region: 1 to 64 of `a-z`, `0-9` and `-`. Regions name directories.
pub fn is_region(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Undoes percent-encoding; what is no escape stays as it is.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match after {
            [high, low, tail @ ..] if *first == b'%' => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => {
                    bytes.push((high * 16 + low) as u8);
                    rest = tail;
                }
                _ => {
                    bytes.push(*first);
                    rest = after;
                }
            },
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
