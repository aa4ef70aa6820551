use serde_json::json;

use super::*;

const ACTIONS: &[&str] = &["GetRecords", "PutRecord"];

fn statement() -> Value {
    json!({
        "Sid": "1",
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam::123456789012:role/r", "123456789012"]},
        "Action": ["kinesis:GetRecords", "kinesis:putrecord"],
        "Resource": "arn:aws:kinesis:us-east-1:123456789012:stream/s",
    })
}

fn policy(statement: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statement}).to_string()
}

/// The statement with an element set, or left out if the value is null.
fn with(element: &str, value: Value) -> Value {
    let mut statement = statement();
    match (statement.as_object_mut(), value) {
        (Some(members), Value::Null) => drop(members.remove(element)),
        (Some(members), value) => drop(members.insert(element.to_owned(), value)),
        (None, _) => unreachable!("a statement is an object"),
    }
    statement
}

#[test]
fn what_iam_writes_is_taken() {
    let mut other = with("Sid", json!("2"));
    other["Condition"] = json!({
        "StringEquals": {"aws:PrincipalOrgID": "o-1"},
        "ForAnyValue:StringLikeIfExists": {"aws:PrincipalArn": ["a", "b"]},
        "Bool": {"aws:SecureTransport": false},
        "Null": {"aws:x": "true"},
    });
    for good in [
        policy(json!([statement(), other])),
        policy(statement()),
        json!({"Statement": [with("Sid", Value::Null)], "Id": "mine"}).to_string(),
        policy(with("Principal", json!("*"))),
        policy(with("Principal", json!({"AWS": "*", "Service": "lambda.amazonaws.com"}))),
        policy(with("Principal", json!({"AWS": "AROAEXAMPLEID12345678"}))),
        policy(with("Action", json!("kinesis:Get*"))),
        policy(with("Action", json!("*"))),
        policy(with("Action", json!("kinesis:?utRecord"))),
        policy(with("Effect", json!("Deny"))),
    ] {
        assert_eq!(check(&good, ACTIONS), Ok(()), "{good}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let statement_of = |element: &str, value: Value| policy(with(element, value));
    let mut both = statement();
    both["NotAction"] = json!("kinesis:GetRecords");
    for (bad, why) in [
        ("nonsense".to_owned(), "it is not JSON"),
        ("[]".to_owned(), "it is not a JSON object"),
        ("{}".to_owned(), "it has no Statement"),
        (policy(json!([])), "it has no Statement"),
        (policy(json!(["x"])), "statement 1 is not a JSON object"),
        (json!({"Version": "2020-01-01", "Statement": [statement()]}).to_string(), "Version must be 2012-10-17"),
        (json!({"Statements": [statement()]}).to_string(), "the policy has the element Statements"),
        (policy(json!([statement(), statement()])), "two statements have the Sid 1"),
        (policy(both), "statement 1 has both Action and NotAction"),
        (statement_of("Effect", json!("allow")), "the Effect of statement 1"),
        (statement_of("Principal", Value::Null), "statement 1 has no Principal"),
        (statement_of("Principal", json!("123456789012")), "the principal of statement 1 must be *"),
        (statement_of("Principal", json!({"AWS": "nobody"})), "statement 1 names the principal nobody"),
        (statement_of("Principal", json!({"AWS": []})), "the AWS of statement 1"),
        (statement_of("Principal", json!({"Aws": "*"})), "the principal of statement 1 has the element Aws"),
        (statement_of("Action", Value::Null), "statement 1 has no Action"),
        (statement_of("Action", json!("kinesis:DeleteStream")), "statement 1 names the action kinesis:DeleteStream"),
        (statement_of("Action", json!("GetRecords")), "statement 1 names the action GetRecords"),
        (statement_of("Action", json!("s3:*")), "statement 1 names the action s3:*"),
        (statement_of("Action", json!("kinesis:Delete*")), "statement 1 names the action"),
        (statement_of("Action", json!([1])), "the Action of statement 1"),
        (statement_of("Resource", Value::Null), "statement 1 has no Resource"),
        (statement_of("Resource", json!("s")), "the Resource of statement 1"),
        (statement_of("Condition", json!("x")), "the Condition of statement 1"),
        (statement_of("Condition", json!({"Equals": {"a": "b"}})), "statement 1 has the condition operator Equals"),
        (statement_of("Condition", json!({"NullIfExists": {"a": "b"}})), "statement 1 has the condition operator"),
        (statement_of("Condition", json!({"Bool": {"a": {}}})), "the condition Bool of statement 1"),
        (statement_of("Extra", json!(1)), "statement 1 has the element Extra"),
    ] {
        let found = check(&bad, ACTIONS).expect_err(&bad);
        assert!(found.starts_with(why), "{bad}: {found}");
    }
}

#[test]
fn wildcards_cover_what_they_cover() {
    for (pattern, text, covers) in [
        ("a*c", "abbc", true),
        ("a*c", "abbcd", false),
        ("*b*", "abc", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("**", "", true),
        ("", "", true),
        ("a*ab", "aaab", true),
    ] {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), covers, "{pattern} {text}");
    }
}
