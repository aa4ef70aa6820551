//! The answers to requests that never reach an operation, as AWS gives them, in AWS's order of checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use bytes::Bytes;
use common::{JSON, Running, SIGNED, call, headers, post};

const DENIED: &str = "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be \
    authorized</Message>\n</AccessDeniedException>\n";
const TARGET: &str = "X-Amz-Target: Kinesis_20131202.ListStreams\r\n";

/// Header lines of a content type.
fn of(content_type: &str) -> String {
    format!("Content-Type: {content_type}\r\n")
}

#[track_caller]
fn expect(server: &Running, request: &str, status: u16, content_type: Option<&str>, body: &str) {
    let answer = server.ask(request);
    assert_eq!((answer.status, answer.text().as_str()), (status, body), "{request}");
    assert_eq!(answer.header("content-type"), content_type, "{request}");
    let id = answer.header("x-amzn-requestid").unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(answer.header("x-amz-id-2").unwrap().len(), 88);
    assert_eq!(answer.header("content-length").unwrap(), answer.body.len().to_string());
    assert!(answer.header("date").is_some());
}

#[test]
fn other_methods() {
    let server = Running::start();
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 2\r\n\r\n{{}}",
            headers("ListStreams")
        );
        expect(&server, &request, 403, None, DENIED);
    }
}

#[test]
fn no_body() {
    let server = Running::start();
    let (unknown, no_structure) =
        ("{\"__type\":\"UnknownOperationException\"}", "{\"__type\":\"SerializationException\"}");
    expect(&server, &post(&(of(JSON) + SIGNED), ""), 400, Some(JSON), unknown);
    expect(&server, &post(&headers("ListStreams"), ""), 400, Some(JSON), no_structure);
    let cbor = Some("application/x-amz-cbor-1.1");
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/json\r\n",
        "Content-Type: application/x-amz-cbor-1.1\r\n",
    ] {
        expect(&server, &post(kind, ""), 400, cbor, "\u{fffd}f__typex\u{19}UnknownOperationException");
        expect(&server, &post(&format!("{kind}{TARGET}"), ""), 400, cbor, "\u{fffd}f__typevSerializationException");
    }
}

#[test]
fn unusable_content_types() {
    let server = Running::start();
    for kind in [String::new(), of("text/plain"), of("application/x-amz-json-1.0")] {
        for target in ["", "X-Amz-Target: Kinesis_20131202\r\n", "X-Amz-Target: .a\r\n", "X-Amz-Target: a.\r\n"] {
            expect(&server, &post(&format!("{kind}{target}{SIGNED}"), "{}"), 403, None, DENIED);
        }
        for target in ["X-Amz-Target: whatever.ListStreams\r\n", "X-Amz-Target: Kinesis_20131202.whatever\r\n", TARGET]
        {
            expect(
                &server,
                &post(&format!("{kind}{target}{SIGNED}"), "{}"),
                404,
                None,
                "<UnknownOperationException/>\n",
            );
        }
    }
    let missing = "<MissingAuthenticationTokenException>\n  <Message>Missing Authentication Token</Message>\n\
                   </MissingAuthenticationTokenException>\n";
    expect(&server, &post(&(of("text/plain") + TARGET), "{}"), 403, None, missing);
    let both = format!(
        "POST /?X-Amz-Algorithm=a HTTP/1.1\r\nHost: localhost\r\n{TARGET}{SIGNED}Content-Length: 2\r\n\r\n{{}}"
    );
    let answer = server.ask(&both);
    assert_eq!(answer.status, 403);
    assert!(answer.text().starts_with("<InvalidSignatureException>\n  <Message>Found both "), "{}", answer.text());
}

#[test]
fn application_json_never_works() {
    let server = Running::start();
    let kind = Some("application/json");
    let request = |body: &str| post(&format!("{}{TARGET}{SIGNED}", of("application/json")), body);
    let output =
        |code: &str| format!("{{\"Output\":{{\"__type\":\"com.amazon.coral.service#{code}\"}},\"Version\":\"1.0\"}}");
    expect(&server, &request("{}"), 404, kind, &output("UnknownOperationException"));
    for body in ["hello", "true", "null", "[]", "{"] {
        expect(&server, &request(body), 400, kind, &output("SerializationException"));
    }
}

#[test]
fn bodies_are_looked_at_before_operations_and_these_before_authentication() {
    let server = Running::start();
    let no_structure = "{\"__type\":\"SerializationException\"}";
    let unknown = "{\"__type\":\"UnknownOperationException\"}";
    let missing = "{\"__type\":\"MissingAuthenticationTokenException\",\"message\":\"Missing Authentication Token\"}";
    for body in ["hello", "true", "null", "[]", "{", "{} {}"] {
        expect(&server, &call("ListStreams", body), 400, Some(JSON), no_structure);
        expect(&server, &post(&(of(JSON) + TARGET), body), 400, Some(JSON), no_structure);
        expect(&server, &call("Nonsense", body), 400, Some(JSON), no_structure);
    }
    for target in ["", "X-Amz-Target: Kinesis_20131202.x\r\n", "X-Amz-Target: x.ListStreams\r\n", "X-Amz-Target: x\r\n"]
    {
        expect(&server, &post(&format!("{}{target}", of(JSON)), "{}"), 400, Some(JSON), unknown);
        expect(&server, &post(&format!("{}{target}{SIGNED}", of(JSON)), "{}"), 400, Some(JSON), unknown);
    }
    expect(&server, &post(&(of(JSON) + TARGET), "{}"), 400, Some(JSON), missing);
    expect(&server, &post(&(of(JSON) + TARGET), "{\"Limit\":\"x\"}"), 400, Some(JSON), missing);
    let wrong_type = "{\"__type\":\"SerializationException\",\"Message\":\"class java.lang.String can not be converted \
                      to an Integer\"}";
    expect(&server, &call("ListStreams", "{\"Limit\":\"x\"}"), 400, Some(JSON), wrong_type);
}

#[test]
fn authentication_has_a_form() {
    let server = Running::start();
    let incomplete =
        |message: &str| format!("{{\"__type\":\"IncompleteSignatureException\",\"message\":\"{message}\"}}");
    let all = "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' \
               parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires \
               existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=X";
    expect(
        &server,
        &post(&format!("{}{TARGET}Authorization: X\r\n", of(JSON)), "{}"),
        400,
        Some(JSON),
        &incomplete(all),
    );
    let query = |query: &str| {
        format!("POST /?{query} HTTP/1.1\r\nHost: localhost\r\n{}{TARGET}Content-Length: 2\r\n\r\n{{}}", of(JSON))
    };
    let missing = "AWS query-string parameters must include 'X-Amz-Signature'. Re-examine the query-string parameters.";
    let partly = query("X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-SignedHeaders=c&X-Amz-Date=d");
    expect(&server, &partly, 400, Some(JSON), &incomplete(missing));
    let region = format!(
        "{}{TARGET}X-Amz-Date: a\r\nAuthorization: A Credential=a/b/../c,Signature=x,SignedHeaders=y\r\n",
        of(JSON)
    );
    let invalid =
        "{\"__type\":\"InvalidSignatureException\",\"message\":\"Credential should be scoped to a valid region.\"}";
    expect(&server, &post(&region, "{}"), 400, Some(JSON), invalid);
    let whole = query(
        "X-Amz-Algorithm=a&X-Amz-Credential=123456789012%2Fd%2Fap-south-1&X-Amz-Signature=x&X-Amz-SignedHeaders=c&X-Amz-Date=d",
    );
    assert!(server.ask(&whole).text().contains("[\"123456789012\",\"ap-south-1\",\"123456789012\"]"));
}

#[test]
fn cbor_is_answered_in_cbor() {
    let server = Running::start();
    let cbor = "application/x-amz-cbor-1.1";
    let request = |target: &str, authentication: &str, body: &str| {
        post(&format!("{}X-Amz-Target: {target}\r\n{authentication}", of(cbor)), body)
    };
    let (known, unknown) = ("Kinesis_20131202.ListStreams", "Kinesis_20131202.x");
    // As for JSON: the form of the body, the operation, authentication, the types of members.
    let no_structure = "\u{fffd}f__typevSerializationException";
    for body in ["\u{1}", "a", "{}"] {
        expect(&server, &request(known, SIGNED, body), 400, Some(cbor), no_structure);
        expect(&server, &request(known, "", body), 400, Some(cbor), no_structure);
        expect(&server, &request(unknown, "", body), 400, Some(cbor), no_structure);
    }
    let wrong_type = Bytes::from_static(b"\xa1\x65Limit\x61x");
    for (target, authentication, body, name) in [
        (unknown, SIGNED, &wrong_type, "\u{19}UnknownOperationException"),
        (unknown, "", &wrong_type, "\u{19}UnknownOperationException"),
        (
            known,
            "",
            &wrong_type,
            "x\u{23}MissingAuthenticationTokenExceptiongmessagex\u{1c}Missing Authentication Token",
        ),
        (
            known,
            SIGNED,
            &wrong_type,
            "SerializationExceptiongMessagex9class java.lang.String can not be converted to an Integer",
        ),
    ] {
        let mut connection = server.connect();
        let head = request(target, authentication, "");
        connection.send(head.replace("Content-Length: 0", &format!("Content-Length: {}", body.len())));
        connection.send(body);
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (400, Some(cbor)));
        assert!(answer.text().ends_with(name), "{target}: {}", answer.text());
    }
    let mut connection = server.connect();
    connection.send(request(known, SIGNED, "").replace("Content-Length: 0", "Content-Length: 1"));
    connection.send(b"\xa0");
    let answer = connection.answer().unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(cbor)));
    assert_eq!(answer.body, b"\xa2\x6bStreamNames\x83\x6c000000000000\x69eu-west-1\x64AKID\x6eHasMoreStreams\xf4");
}

#[test]
fn what_the_service_says_is_passed_on() {
    let server = Running::start();
    let names = "{\"StreamNames\":[\"000000000000\",\"eu-west-1\",\"AKID\"],\"HasMoreStreams\":false}";
    expect(&server, &call("ListStreams", "{}"), 200, Some(JSON), names);
    expect(&server, &call("CreateStream", "{}"), 200, Some(JSON), "");
    let not_found = "{\"__type\":\"ResourceNotFoundException\",\"message\":\"DeleteStream\"}";
    expect(&server, &call("DeleteStream", "{}"), 400, Some(JSON), not_found);
    expect(&server, &call("DescribeLimits", "{}"), 500, Some(JSON), "{\"__type\":\"InternalFailure\"}");
    let answer = server.ask(&call("ListStreams", "{}"));
    let requests = server.fake.requests.lock().unwrap();
    assert_eq!(requests.last().map(String::as_str), answer.header("x-amzn-requestid"));
}
