//! Reading and writing of structures.

use super::with_lifetime;
use crate::names;
use crate::shapes::{Result, Service};

/// How requests' structures are read.
pub fn decode(service: &Service) -> Result<String> {
    let mut code = "//! Reading of requests.\n\nuse serde::de::MapAccess;\n\n\
                    use super::*;\n\
                    use crate::decode::{Missing, Structure, skip, value};\n"
        .to_owned();
    for (name, shape) in service.input_structures() {
        let members = service.members(shape);
        let required = members.iter().filter(|member| member.required.is_some()).count();
        code += &format!(
            "\nimpl<'de> Structure<'de> for {} {{\nfn absent() -> Self {{\n",
            with_lifetime(service, name, "'de")?
        );
        code += &match required {
            0 => "Self::default()\n".to_owned(),
            count => format!("Self {{ missing: Missing::all({count}), ..Self::default() }}\n"),
        };
        let parameter = if members.is_empty() { "_" } else { "name" };
        code += &format!(
            "}}\n\nfn member<A: MapAccess<'de>>(&mut self, {parameter}: &str, map: &mut A) -> Result<(), A::Error> {{\n"
        );
        if members.is_empty() {
            code += "skip(map)\n}\n}\n";
            continue;
        }
        code += "match name {\n";
        for member in &members {
            let field = names::field(member.name);
            code += &match member.required {
                Some(index) => {
                    format!("\"{}\" => self.missing.fill({index}, &mut self.{field}, value(map)?),\n", member.name)
                }
                None => format!("\"{}\" => self.{field} = value(map)?,\n", member.name),
            };
        }
        code += "_ => skip(map)?,\n}\nOk(())\n}\n}\n";
    }
    Ok(code)
}

/// How answers' structures are written.
pub fn encode(service: &Service) -> Result<String> {
    let mut code = "//! Writing of answers.\n\n\
                    use super::*;\n\
                    use crate::encode::{Encode, Encoder, optional, required};\n"
        .to_owned();
    for (name, shape) in service.output_structures() {
        code += &format!(
            "\nimpl Encode for {} {{\nfn encode<E: Encoder>(&self, encoder: &mut E) {{\nencoder.begin_structure();\n",
            with_lifetime(service, name, "'_")?
        );
        for member in service.members(shape) {
            if service.shape(member.shape)?.eventstream {
                code += "// The events follow the answer's own structure, each in a frame.\n";
                continue;
            }
            let writer = if member.required.is_some() { "required" } else { "optional" };
            code += &format!("{writer}(encoder, \"{}\", &self.{});\n", member.name, names::field(member.name));
        }
        code += "encoder.end_structure();\n}\n}\n";
    }
    Ok(code)
}
