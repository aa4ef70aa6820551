//! What keeps web pages away from a server without authentication: foreign `Host` and `Origin` headers are refused.
//!
//! A page that a user happens to visit can make the browser send requests to the user's own machine. Such a request
//! carries the page's `Origin`; a page that has its own name resolve to a loopback address (DNS rebinding) sends that
//! name as `Host`.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};

use crate::connection::Local;
use crate::known::Known;

const EXPOSED: &str = "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date";
/// Seconds for which a browser may remember the answer to a preflight.
const MAX_AGE: &str = "172800";

/// The names and origins that are not foreign.
pub(crate) struct Guard {
    hosts: Vec<String>,
    listeners: Vec<IpAddr>,
    origins: Vec<String>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    Host(String),
    Origin(String),
    /// It is not said, or more than once, for which host it is.
    Ambiguous,
}

impl Foreign {
    /// A short name for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Foreign::Host(_) => "foreign_host",
            Foreign::Origin(_) => "foreign_origin",
            Foreign::Ambiguous => "ambiguous_host",
        }
    }
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Foreign::Host(host) => write!(f, "Host {host} is not allowed without authentication; see --allow-host."),
            Foreign::Origin(origin) => {
                write!(f, "Origin {origin} is not allowed without authentication; see --cors-origin.")
            }
            Foreign::Ambiguous => f.write_str("A request must have one Host header."),
        }
    }
}

impl Guard {
    pub(crate) fn new(hosts: &[String], origins: &[String], listeners: &[SocketAddr]) -> Guard {
        Guard {
            hosts: hosts.iter().map(|host| normal(host)).collect(),
            listeners: listeners.iter().map(SocketAddr::ip).collect(),
            origins: origins.to_vec(),
        }
    }

    /// Checks a request that came in at `local`. Gives the origin that may see the answer, if a page asks.
    pub(crate) fn check(&self, head: &Parts, local: Local, known: &Known) -> Result<Option<HeaderValue>, Foreign> {
        let mut hosts = head.headers.get_all(HOST).iter();
        let host = hosts.next();
        // HTTP/2 has a field of its own for it, HTTP/1.0 need not say it.
        if hosts.next().is_some() || host.is_none() && head.version == Version::HTTP_11 {
            return Err(Foreign::Ambiguous);
        }
        let header = host.map(|value| match value.to_str() {
            Ok(plain) => Cow::Borrowed(plain),
            Err(_) => String::from_utf8_lossy(value.as_bytes()),
        });
        let target = head.uri.authority().map(|authority| authority.as_str());
        // An absolute target counts before the header, but neither may be foreign.
        for host in [header.as_deref(), target].into_iter().flatten() {
            if !known.allows_host(host, || self.allows_host(host, local.ip)) {
                return Err(Foreign::Host(shown(host)));
            }
        }
        let mut origins = head.headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(None) };
        let text = String::from_utf8_lossy(origin.as_bytes());
        let scheme = if local.is_tls { "https://" } else { "http://" };
        let own = target.or(header.as_deref()).is_some_and(|host| text.strip_prefix(scheme) == Some(host));
        if origins.next().is_none() && (own || self.origins.iter().any(|allowed| *allowed == text)) {
            return Ok(Some(origin.clone()));
        }
        Err(Foreign::Origin(shown(&text)))
    }

    fn allows_host(&self, host: &str, local: IpAddr) -> bool {
        let name = without_port(host);
        let name = name.strip_suffix('.').unwrap_or(name);
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        if let Ok(address) = bare.parse::<IpAddr>() {
            // A name can be made to resolve to any address; an address is what it says.
            return address.is_loopback() || address == local || self.listeners.contains(&address);
        }
        let name = name.to_ascii_lowercase();
        name == "localhost" || name.ends_with(".localhost") || self.hosts.contains(&name)
    }
}

/// The answer's headers for a page that may see it.
pub(crate) fn expose(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}

/// The headers of the answer to a preflight request.
pub(crate) fn preflight(asked: &HeaderMap, headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    for (request, response) in [
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
    ] {
        if let Some(value) = asked.get(request) {
            headers.insert(response, value.clone());
        }
    }
}

/// Whether the text is an origin as browsers send it: scheme, host and, if it is not the scheme's own, port.
pub fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    host.is_some_and(|host| {
        let name_like = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'[' | b']');
        !host.is_empty() && host.bytes().all(name_like)
    })
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // In `::1` the last colon precedes no port.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
        }
        _ => host,
    }
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// A header's text for an error message: printable and short.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const LOCAL: Local = Local { ip: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5)), is_tls: false };

    fn guard() -> Guard {
        let listeners = ["10.9.9.9:4567".parse().unwrap(), "0.0.0.0:1".parse().unwrap()];
        Guard::new(&["Stream.Example".to_owned()], &["http://localhost:3000".to_owned()], &listeners)
    }

    fn check(uri: &str, headers: &[(&str, &str)]) -> Result<Option<HeaderValue>, Foreign> {
        check_at(LOCAL, uri, headers)
    }

    fn check_at(local: Local, uri: &str, headers: &[(&str, &str)]) -> Result<Option<HeaderValue>, Foreign> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard().check(&request.body(()).unwrap().into_parts().0, local, &Known::default())
    }

    #[test]
    fn loopback_listeners_and_allowed_names_are_not_foreign() {
        let hosts = [
            "localhost",
            "LOCALHOST:4567",
            "localhost.:80",
            "a.localhost:1",
            "127.0.0.1:4567",
            "127.8.8.8",
            "[::1]:4567",
            "[::1]",
            "10.0.0.5:4567",
            "10.9.9.9",
            "0.0.0.0:4567",
            "stream.example:99",
        ];
        for host in hosts {
            assert_eq!(check("/", &[("host", host)]), Ok(None), "{host}");
        }
        assert_eq!(check("http://127.0.0.1:4567/", &[("host", "localhost")]), Ok(None));
    }

    #[test]
    fn one_host_is_named() {
        for host in ["localhost", "evil.example"] {
            assert_eq!(check("/", &[("host", "localhost"), ("host", host)]), Err(Foreign::Ambiguous));
        }
        let unnamed = |version| {
            let request = Request::builder().version(version).body(()).unwrap();
            guard().check(&request.into_parts().0, LOCAL, &Known::default())
        };
        assert_eq!(unnamed(Version::HTTP_11), Err(Foreign::Ambiguous));
        assert_eq!((unnamed(Version::HTTP_10), unnamed(Version::HTTP_2)), (Ok(None), Ok(None)));
    }

    #[test]
    fn other_names_are_foreign() {
        for host in [
            "example.com",
            "localhost.example.com",
            "127.0.0.1.nip.io:4567",
            "10.0.0.6",
            "localhost:x",
            "",
            "xlocalhost",
            "[::1",
            "stream.example.com",
        ] {
            assert_eq!(check("/", &[("host", host)]), Err(Foreign::Host(host.to_owned())), "{host}");
        }
        let rebound = check("http://evil.example/", &[("host", "localhost")]);
        assert_eq!(rebound, Err(Foreign::Host("evil.example".to_owned())));
    }

    #[test]
    fn origins_must_be_the_servers_own_or_allowed() {
        let host = ("host", "localhost:4567");
        let own = HeaderValue::from_static("http://localhost:4567");
        assert_eq!(check("/", &[host, ("origin", "http://localhost:4567")]), Ok(Some(own)));
        let allowed = HeaderValue::from_static("http://localhost:3000");
        assert_eq!(check("/", &[host, ("origin", "http://localhost:3000")]), Ok(Some(allowed)));
        for origin in ["https://localhost:3000", "http://localhost", "null", "http://evil.example", "file://"] {
            let refused = check("/", &[host, ("origin", origin)]);
            assert_eq!(refused, Err(Foreign::Origin(origin.to_owned())), "{origin}");
        }
        let twice = check("/", &[host, ("origin", "http://localhost:3000"), ("origin", "http://localhost:3000")]);
        assert!(twice.is_err());
    }

    #[test]
    fn a_page_that_came_by_tls_has_its_own_origin() {
        let tls = Local { is_tls: true, ..LOCAL };
        let host = ("host", "localhost:4567");
        let own = HeaderValue::from_static("https://localhost:4567");
        assert_eq!(check_at(tls, "/", &[host, ("origin", "https://localhost:4567")]), Ok(Some(own)));
        assert!(check_at(tls, "/", &[host, ("origin", "http://localhost:4567")]).is_err());
        assert!(check_at(LOCAL, "/", &[host, ("origin", "https://localhost:4567")]).is_err());
    }

    #[test]
    fn origins_have_a_form() {
        assert!(is_origin("http://localhost:3000") && is_origin("https://a.example") && is_origin("http://[::1]:1"));
        for text in ["*", "localhost", "http://", "http://a/", "ftp://a", "http://a b"] {
            assert!(!is_origin(text), "{text}");
        }
    }
}
