//! Requests' heads: authentication in header and query, the operation's name, content type, Host and Origin.

use http::Request;
use http::request::Parts;
use millstream_api::kinesis::{Operation, TARGET_PREFIX};
use millstream_server::fuzzing::{Wire, head as read};
use millstream_server::is_region;

/// A request line (method and target), and a header a line, with its name's first letters for a name.
pub(super) fn head(input: &[u8]) {
    let Some(parts) = parts(input) else { return };
    let head = read(&parts);
    assert_eq!(read(&parts), head, "the same connection, the same answer");
    let header = |name: &str| parts.headers.get(name).map(|value| value.as_bytes());
    match &head.caller {
        Ok([account, region, access_key]) => {
            assert!(account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()), "{account}");
            assert!(is_region(region), "{region}");
            assert!(!access_key.contains('/'));
        }
        Err(error) => {
            let given = header("authorization").map_or(0, <[u8]>::len);
            let text = error.message.as_deref().unwrap_or_default();
            // What is no UTF-8 takes three bytes for one.
            assert!(text.len() <= 512 + 3 * given, "an error says no more than was asked: {text}");
        }
    }
    if let Some(operation) = head.operation {
        let name = format!("{TARGET_PREFIX}.{}", operation.name());
        assert_eq!(header("x-amz-target"), Some(name.as_bytes()));
        assert_eq!(Operation::from_name(operation.name()), Some(operation));
    }
    if let Some(wire) = head.wire {
        let name = if wire == Wire::Json { "json" } else { "cbor" };
        let value = String::from_utf8_lossy(header("content-type").unwrap_or_default()).to_ascii_lowercase();
        assert!(value.contains(name), "{value}");
    }
    if let Some(foreign) = &head.foreign {
        assert!(foreign.chars().count() <= 200 && !foreign.contains(char::is_control), "{foreign:?}");
    }
}

fn parts(input: &[u8]) -> Option<Parts> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::builder().method(first.next()?).uri(first.next().unwrap_or(b"/"));
    for line in lines.take(20) {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let name: &[u8] = match &line[..at] {
            b"a" => b"authorization",
            b"t" => b"x-amz-target",
            b"c" => b"content-type",
            b"h" => b"host",
            b"o" => b"origin",
            b"d" => b"x-amz-date",
            name => name,
        };
        request = request.header(name, line[at + 1..].trim_ascii_start());
    }
    Some(request.body(()).ok()?.into_parts().0)
}
