//! Documentation made of facts.

use crate::shapes::{Constraints, Member, Result, Service, element};

/// A doc comment of the text, wrapped.
pub fn doc(indent: &str, text: &str) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && indent.len() + 4 + line.len() + 1 + word.len() > 118 {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.into_iter().map(|line| format!("{indent}/// {line}\n")).collect()
}

/// What a member is: its name on the wire, its type and its constraints.
pub fn member(service: &Service, structure: &str, member: &Member<'_>) -> Result<String> {
    let path = format!("{structure}.{}", member.name);
    let what = value(service, member.shape, Some(&path))?;
    let required = match member.required {
        Some(_) => "; required",
        None if service.overlay.members.get(&path).is_some_and(|amendment| amendment.optional) => {
            "; required by the model, but left out at times"
        }
        None => "",
    };
    Ok(format!("`{}`: {what}{required}.", member.name))
}

fn value(service: &Service, name: &str, path: Option<&str>) -> Result<String> {
    let shape = service.shape(name)?;
    let constraints = service.constraints(name, path)?;
    Ok(match shape.kind.as_str() {
        "string" if !shape.values.is_empty() => format!("one of [`{name}`](super::{name})"),
        "string" => format!("a string{}{}", range(&constraints, " of", " characters"), matching(&constraints)),
        "integer" | "long" => format!("an integer{}", range(&constraints, ",", "")),
        "boolean" => "a boolean".to_owned(),
        "timestamp" => "an instant".to_owned(),
        "blob" => format!("a blob{}", range(&constraints, " of", " bytes")),
        "list" => {
            let element = value(service, element(name, shape)?, None)?;
            format!("a list{}; each is {element}", range(&constraints, " of", " elements"))
        }
        "map" => format!("a map{}", range(&constraints, " of", " entries")),
        "structure" if shape.eventstream => "a stream of events".to_owned(),
        _ => format!("[`{name}`](super::{name})"),
    })
}

fn range(constraints: &Constraints, before: &str, after: &str) -> String {
    match (constraints.min, constraints.max) {
        (Some(min), Some(max)) if min == max => format!("{before} exactly {min}{after}"),
        (Some(min), Some(max)) => format!("{before} {min} to {max}{after}"),
        (Some(min), None) => format!("{before} at least {min}{after}"),
        (None, Some(max)) => format!("{before} at most {max}{after}"),
        (None, None) => String::new(),
    }
}

fn matching(constraints: &Constraints) -> String {
    match &constraints.pattern {
        Some((pattern, _)) => format!(" matching `{pattern}`"),
        None => String::new(),
    }
}
