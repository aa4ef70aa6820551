//! Structures.

use super::{with_lifetime, words};
use crate::names;
use crate::shapes::{Result, Service, Usage};

/// What requests hold, and answers don't.
pub fn inputs(service: &Service) -> Result<String> {
    structures(service, Usage::Input, "What requests hold.")
}

/// What both requests and answers hold.
pub fn shared(service: &Service) -> Result<String> {
    structures(service, Usage::Both, "What requests and answers hold. Answers hold it with the lifetime `'static`.")
}

/// What answers hold, and requests don't.
pub fn outputs(service: &Service) -> Result<String> {
    structures(service, Usage::Output, "What answers hold.")
}

fn structures(service: &Service, usage: Usage, title: &str) -> Result<String> {
    let mut body = String::new();
    for (name, shape, _) in service.structures().filter(|(_, _, used)| *used == usage) {
        let members = service.members(shape);
        let streams = members.iter().any(|member| service.shape(member.shape).is_ok_and(|shape| shape.eventstream));
        let derived = if streams { "Debug" } else { "Clone, Debug, Default, PartialEq, Eq" };
        body += "\n";
        body += &words::doc("", &about(service, name));
        let declared = with_lifetime(service, name, "'a")?;
        if members.is_empty() {
            body += &format!("#[derive({derived})]\npub struct {declared} {{}}\n");
            continue;
        }
        body += &format!("#[derive({derived})]\npub struct {declared} {{\n");
        for member in &members {
            body += &words::doc("    ", &words::member(service, name, member)?);
            let rust = service.rust_type(member.shape, usage)?;
            let rust = if member.required.is_some() { rust } else { format!("Option<{rust}>") };
            body += &format!("pub {}: {rust},\n", names::field(member.name));
        }
        if usage != Usage::Output && members.iter().any(|member| member.required.is_some()) {
            body += "/// The required members that were not sent.\npub missing: Missing,\n";
        }
        body += "}\n";
    }
    let events = if usage == Usage::Output { unions(service)? } else { String::new() };
    Ok(format!("//! {title}\n\n{}{body}{events}", imports(&format!("{body}{events}"))))
}

/// The unions of events, which streaming answers consist of.
fn unions(service: &Service) -> Result<String> {
    let mut code = String::new();
    for (name, shape) in service.model.shapes.iter().filter(|(_, shape)| shape.eventstream) {
        code += &format!(
            "\n/// An event of a streaming answer (`{name}`).\n#[derive(Clone, Debug, PartialEq, Eq)]\npub enum {name} {{\n"
        );
        for (member, reference) in &shape.members.0 {
            if !service.shape(&reference.shape)?.exception {
                code += &format!("/// The event `{member}`.\n{}({}),\n", names::variant(member), reference.shape);
            }
        }
        code += "/// An error, which ends the answer.\nException(Error),\n}\n";
    }
    Ok(code)
}

fn about(service: &Service, name: &str) -> String {
    for (operation, facts) in &service.model.operations {
        if facts.input.as_ref().is_some_and(|input| input.shape == name) {
            return format!("The input of [`{operation}`](super::Operation::{operation}).");
        }
    }
    let outputs: Vec<String> = service
        .model
        .operations
        .iter()
        .filter(|(_, facts)| facts.output.as_ref().is_some_and(|output| output.shape == name))
        .map(|(operation, _)| format!("[`{operation}`](super::Operation::{operation})"))
        .collect();
    if outputs.is_empty() {
        format!("The structure `{name}`.")
    } else {
        format!("The output of {}.", outputs.join(" and of "))
    }
}

/// The imports that the code needs: of those that a module of structures may need, the ones it names.
fn imports(code: &str) -> String {
    let mut lines = String::new();
    let has = |name: &str| code.contains(name);
    if has("Cow<") {
        lines += "use std::borrow::Cow;\n";
    }
    if has("BTreeMap<") {
        lines += "use std::collections::BTreeMap;\n";
    }
    if has(": Bytes") {
        lines += "\nuse bytes::Bytes;\n";
    }
    lines += "\nuse super::*;\n";
    let ours: Vec<&str> =
        [("Blob<", "Blob"), ("(Error)", "Error"), ("EventStream<", "EventStream"), (": Missing", "Missing")]
            .into_iter()
            .filter(|(sign, _)| has(sign))
            .map(|(_, name)| name)
            .chain((has(": Timestamp") || has("<Timestamp>")).then_some("Timestamp"))
            .collect();
    lines += &format!("use crate::{{{}}};\n", ours.join(", "));
    lines
}
