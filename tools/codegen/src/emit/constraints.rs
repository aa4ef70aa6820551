//! Constraints and the walks that check them.

use std::collections::{BTreeMap, BTreeSet};

use super::{with_lifetime, words};
use crate::names;
use crate::shapes::{Constraints, Result, Service, element};

/// The longest list or map that a model may allow: of more, `Decode` in `crates/api` keeps no more than shows it.
const LONGEST: i64 = 10_000;

/// The rules of all shapes that requests hold.
pub fn rules(service: &Service) -> Result<String> {
    let mut rules = BTreeMap::new();
    let mut patterns = BTreeMap::new();
    for (structure, shape) in service.input_structures() {
        for member in service.members(shape) {
            let path = format!("{structure}.{}", member.name);
            let Some(name) = rule_name(service, member.shape, &path)? else { continue };
            let (kind, value) = rule(service, member.shape, Some(&path), &mut patterns)?;
            let about = match service.overlay.members.get(&path) {
                Some(amendment) => format!("`{path}`: {}.", amendment.why),
                None => format!("`{}`", member.shape),
            };
            rules.insert(name, (kind, value, about));
        }
    }
    let kinds: BTreeSet<&str> =
        ["AnyRule", "BlobRule", "EnumRule", "IntegerRule", "ListRule", "MapRule", "StringRule", "StructureListRule"]
            .into_iter()
            .filter(|kind| rules.values().any(|(_, value, _)| value.contains(&format!("{kind} {{")) || value == kind))
            .chain(rules.values().any(|(kind, _, _)| kind.contains("<EnumRule>")).then_some("EnumRule"))
            .chain((!patterns.is_empty()).then_some("Pattern"))
            .collect();
    let mut code = format!(
        "//! The constraints of what requests hold.\n\nuse crate::validate::{{{}}};\n",
        kinds.into_iter().collect::<Vec<_>>().join(", ")
    );
    for (name, (kind, value, about)) in &rules {
        code += &format!("\n{}pub static {name}: {kind} = {value};\n", words::doc("", about));
    }
    for (name, (pattern, shown)) in &patterns {
        let value = if shown == pattern {
            format!("Pattern::new(r\"{pattern}\")")
        } else {
            format!("Pattern::shown_as(r\"{pattern}\", r\"{shown}\")")
        };
        code += &format!("\nstatic {name}: Pattern = {value};\n");
    }
    code += "\n/// Every pattern, for the test that they compile.\n#[cfg(test)]\n";
    code += &format!("pub static PATTERNS: [&Pattern; {}] = [\n", patterns.len());
    for name in patterns.keys() {
        code += &format!("&{name},\n");
    }
    code += "];\n";
    Ok(code)
}

/// The walks through the members of what requests hold.
pub fn walks(service: &Service) -> Result<String> {
    let mut code = "//! Validation of requests.\n\n\
                    use super::*;\n\
                    use crate::validate::{AnyRule, EnumRule, Path, Report, StructureRule, Validate};\n"
        .to_owned();
    for (structure, shape) in service.input_structures() {
        let mut checks = String::new();
        for member in service.members(shape) {
            let path = format!("{structure}.{}", member.name);
            let rule = match rule_name(service, member.shape, &path)? {
                Some(name) => format!("constraints::{name}"),
                None => match bare_rule(service, member.shape)? {
                    "AnyRule" if member.required.is_none() => continue,
                    rule => rule.to_owned(),
                },
            };
            let (step, field) = (names::path_step(member.name), names::field(member.name));
            checks += &match member.required {
                Some(index) => format!(
                    "report.required(path.member(\"{step}\"), self.missing.sent({index}, &self.{field}), &{rule});\n"
                ),
                None => format!("report.optional(path.member(\"{step}\"), &self.{field}, &{rule});\n"),
            };
        }
        let parameters =
            if checks.is_empty() { "_: Path<'_>, _: &mut Report" } else { "path: Path<'_>, report: &mut Report" };
        code += &format!(
            "\nimpl Validate for {} {{\nfn validate(&self, {parameters}) {{\n{checks}}}\n}}\n",
            with_lifetime(service, structure, "'_")?
        );
    }
    Ok(code)
}

/// The name of a member's rule; `None` if it needs no static of its own.
fn rule_name(service: &Service, shape: &str, path: &str) -> Result<Option<String>> {
    let facts = service.shape(shape)?;
    let listed = matches!(facts.kind.as_str(), "list" | "map");
    if service.constraints(shape, Some(path))?.is_empty() && !listed {
        return Ok(None);
    }
    let own = service.overlay.members.contains_key(path);
    let name = if own { path.replace('.', "") } else { shape.to_owned() };
    Ok(Some(names::screaming_snake_case(&name)))
}

fn bare_rule(service: &Service, shape: &str) -> Result<&'static str> {
    let facts = service.shape(shape)?;
    Ok(match facts.kind.as_str() {
        "structure" => "StructureRule",
        "string" if !facts.values.is_empty() => "EnumRule",
        _ => "AnyRule",
    })
}

type Patterns = BTreeMap<String, (String, String)>;

/// A rule's type and value.
fn rule(service: &Service, name: &str, path: Option<&str>, patterns: &mut Patterns) -> Result<(String, String)> {
    let shape = service.shape(name)?;
    let constraints = service.constraints(name, path)?;
    if matches!(shape.kind.as_str(), "list" | "map") && constraints.max.is_some_and(|max| max > LONGEST) {
        return Err(format!("{name} may be longer than {LONGEST}"));
    }
    let limits = format!("min: {:?}, max: {:?}", constraints.min, constraints.max);
    Ok(match shape.kind.as_str() {
        "string" if !shape.values.is_empty() => ("EnumRule".to_owned(), "EnumRule".to_owned()),
        "string" if constraints.is_empty() => ("AnyRule".to_owned(), "AnyRule".to_owned()),
        "string" => {
            let pattern = pattern(name, &constraints, patterns);
            ("StringRule".to_owned(), format!("StringRule {{ {limits}, pattern: {pattern} }}"))
        }
        "integer" | "long" => ("IntegerRule".to_owned(), format!("IntegerRule {{ {limits} }}")),
        "blob" => ("BlobRule".to_owned(), format!("BlobRule {{ {limits} }}")),
        "list" => {
            let of = element(name, shape)?;
            if service.shape(of)?.kind == "structure" {
                ("StructureListRule".to_owned(), format!("StructureListRule {{ {limits} }}"))
            } else {
                let (kind, value) = rule(service, of, None, patterns)?;
                (format!("ListRule<{kind}>"), format!("ListRule {{ {limits}, element: {value} }}"))
            }
        }
        "map" => {
            let mut part = |reference: &Option<crate::model::Reference>| {
                let reference = reference.as_ref().ok_or_else(|| format!("the map {name} lacks a key or a value"))?;
                rule(service, &reference.shape, None, patterns)
            };
            let (key_kind, key) = part(&shape.key)?;
            let (value_kind, value) = part(&shape.value)?;
            (
                format!("MapRule<{key_kind}, {value_kind}>"),
                format!("MapRule {{ {limits}, key: {key}, value: {value} }}"),
            )
        }
        kind => return Err(format!("no rule for {name}, a {kind}")),
    })
}

fn pattern(name: &str, constraints: &Constraints, patterns: &mut Patterns) -> String {
    match &constraints.pattern {
        Some(pattern) => {
            let name = format!("{}_PATTERN", names::screaming_snake_case(name));
            patterns.insert(name.clone(), pattern.clone());
            format!("Some(&{name})")
        }
        None => "None".to_owned(),
    }
}
