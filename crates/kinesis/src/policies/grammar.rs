//! The grammar of resource policies: IAM's, narrowed to the actions that a policy of the resource may name.

use serde_json::{Map, Value};

/// The versions of the policy language.
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];

/// What begins a condition operator that compares sets.
const SET_PREFIXES: [&str; 2] = ["ForAllValues:", "ForAnyValue:"];

/// Condition operators. Each but the first may end in `IfExists`.
const OPERATORS: [&str; 27] = [
    "Null",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "BinaryEquals",
    "Bool",
    "DateEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateNotEquals",
    "IpAddress",
    "NotIpAddress",
    "NumericEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericNotEquals",
    "StringEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "StringNotLike",
];

/// Checks a policy that may name `actions` (without their service). The error says what is wrong, without a full stop.
pub(super) fn check(policy: &str, actions: &[&str]) -> Result<(), String> {
    let policy: Value = serde_json::from_str(policy).map_err(|error| format!("it is not JSON ({error})"))?;
    let Value::Object(policy) = policy else { return Err("it is not a JSON object".to_owned()) };
    known_only("the policy", &policy, &["Version", "Id", "Statement"])?;
    match policy.get("Version") {
        None => {}
        Some(Value::String(version)) if VERSIONS.contains(&version.as_str()) => {}
        Some(_) => return Err(format!("Version must be {} or {}", VERSIONS[0], VERSIONS[1])),
    }
    if policy.get("Id").is_some_and(|id| !id.is_string()) {
        return Err("Id must be a string".to_owned());
    }
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(statement @ Value::Object(_)) => std::slice::from_ref(statement),
        _ => return Err("it has no Statement".to_owned()),
    };
    let mut sids = Vec::new();
    for (place, statement) in statements.iter().enumerate() {
        let name = format!("statement {}", place + 1);
        let Value::Object(statement) = statement else { return Err(format!("{name} is not a JSON object")) };
        check_statement(&name, statement, actions)?;
        if let Some(sid) = statement.get("Sid").and_then(Value::as_str).filter(|sid| !sid.is_empty()) {
            if sids.contains(&sid) {
                return Err(format!("two statements have the Sid {sid}"));
            }
            sids.push(sid);
        }
    }
    Ok(())
}

fn check_statement(name: &str, statement: &Map<String, Value>, actions: &[&str]) -> Result<(), String> {
    let known =
        ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];
    known_only(name, statement, &known)?;
    if statement.get("Sid").is_some_and(|sid| !sid.is_string()) {
        return Err(format!("the Sid of {name} must be a string"));
    }
    match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow" | "Deny") => {}
        _ => return Err(format!("the Effect of {name} must be Allow or Deny")),
    }
    check_principal(name, one_of(name, statement, "Principal", "NotPrincipal")?.1)?;
    let (element, value) = one_of(name, statement, "Action", "NotAction")?;
    for action in texts_of(name, element, value)? {
        if !is_action(action, actions) {
            return Err(format!("{name} names the action {action}, which a policy of this resource cannot"));
        }
    }
    let (element, value) = one_of(name, statement, "Resource", "NotResource")?;
    if texts_of(name, element, value)?.iter().any(|resource| *resource != "*" && !resource.starts_with("arn:")) {
        return Err(format!("the {element} of {name} must be ARNs or *"));
    }
    match statement.get("Condition") {
        None => Ok(()),
        Some(Value::Object(condition)) => check_condition(name, condition),
        Some(_) => Err(format!("the Condition of {name} is not a JSON object")),
    }
}

fn check_principal(name: &str, principal: &Value) -> Result<(), String> {
    let kinds = match principal {
        Value::String(all) if all == "*" => return Ok(()),
        Value::Object(kinds) if !kinds.is_empty() => kinds,
        _ => return Err(format!("the principal of {name} must be * or a JSON object")),
    };
    known_only(&format!("the principal of {name}"), kinds, &["AWS", "Service", "Federated", "CanonicalUser"])?;
    for (kind, value) in kinds {
        for principal in texts_of(name, kind, value)? {
            if kind == "AWS" && !is_aws_principal(principal) {
                return Err(format!("{name} names the principal {principal}, which is none"));
            }
        }
    }
    Ok(())
}

/// `*`, an account's number, the ARN of an account, user or role, or the unique id that IAM gave one of them.
fn is_aws_principal(principal: &str) -> bool {
    let is_number = |account: &str| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if principal == "*" || is_number(principal) {
        return true;
    }
    let parts: Vec<&str> = principal.splitn(6, ':').collect();
    if let ["arn", partition, "iam" | "sts", "", account, who] = parts[..] {
        return partition.starts_with("aws") && is_number(account) && !who.is_empty();
    }
    principal.len() >= 16 && principal.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Whether `action` is one of `allowed`, or has wildcards and stands for one of them at least. Case does not count.
fn is_action(action: &str, allowed: &[&str]) -> bool {
    let action = action.to_ascii_lowercase();
    allowed.iter().any(|name| matches(action.as_bytes(), format!("kinesis:{}", name.to_ascii_lowercase()).as_bytes()))
}

/// Whether a pattern of `*` (any bytes) and `?` (any one) covers the text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut reached) = (0, 0);
    // The last star, and what of the text it has not taken yet.
    let mut star: Option<(usize, usize)> = None;
    while reached < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, reached));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[reached] => {
                at += 1;
                reached += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, reached) = (place + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

fn check_condition(name: &str, condition: &Map<String, Value>) -> Result<(), String> {
    for (operator, keys) in condition {
        let base = SET_PREFIXES.iter().find_map(|prefix| operator.strip_prefix(prefix)).unwrap_or(operator);
        let plain = base.strip_suffix("IfExists").unwrap_or(base);
        if !OPERATORS.contains(&plain) || (plain == "Null" && plain != base) {
            return Err(format!("{name} has the condition operator {operator}, which is none"));
        }
        let Value::Object(keys) = keys else {
            return Err(format!("the condition {operator} of {name} is not a JSON object"));
        };
        for (key, value) in keys {
            let is_value = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
            let is_good = match value {
                Value::Array(values) => values.iter().all(is_value),
                value => is_value(value),
            };
            if key.is_empty() || !is_good {
                return Err(format!("the condition {operator} of {name} has a key without values"));
            }
        }
    }
    Ok(())
}

/// The one of two elements that a statement has: exactly one of them.
fn one_of<'a>(
    name: &str,
    statement: &'a Map<String, Value>,
    element: &'static str,
    not_element: &'static str,
) -> Result<(&'static str, &'a Value), String> {
    match (statement.get(element), statement.get(not_element)) {
        (Some(value), None) => Ok((element, value)),
        (None, Some(value)) => Ok((not_element, value)),
        (None, None) => Err(format!("{name} has no {element}")),
        (Some(_), Some(_)) => Err(format!("{name} has both {element} and {not_element}")),
    }
}

/// The strings of an element that takes one or several.
fn texts_of<'a>(name: &str, element: &str, value: &'a Value) -> Result<Vec<&'a str>, String> {
    let texts: Option<Vec<&str>> = match value {
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        value => value.as_str().map(|text| vec![text]),
    };
    match texts {
        Some(texts) if !texts.is_empty() && texts.iter().all(|text| !text.is_empty()) => Ok(texts),
        _ => Err(format!("the {element} of {name} must be a string or a list of strings")),
    }
}

fn known_only(name: &str, of: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match of.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("{name} has the element {key}, which is none")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
