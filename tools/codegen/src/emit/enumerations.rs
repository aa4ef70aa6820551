//! Enumerations.

use crate::names;
use crate::shapes::Service;

pub fn enumerations(service: &Service) -> String {
    let mut code = "//! Strings of which the model lists the values.\n\nuse serde::de::Deserializer;\n\n\
         use crate::decode::{Decode, text};\nuse crate::encode::{Encode, Encoder};\n\
         use crate::validate::Enumeration;\n"
        .to_owned();
    for (name, shape) in service.enumerations() {
        let order = match service.overlay.shapes.get(name) {
            Some(amendment) if !amendment.values.is_empty() => &amendment.values,
            _ => &shape.values,
        };
        let pairs: Vec<(&str, String)> =
            shape.values.iter().map(|value| (value.as_str(), names::variant(value))).collect();

        code += &format!(
            "\n/// The values of `{name}`.\n#[derive(Clone, Debug, PartialEq, Eq, Hash)]\npub enum {name} {{\n"
        );
        for (value, variant) in &pairs {
            code += &format!("/// `{value}`\n{variant},\n");
        }
        code += "/// Any other text. Validation refuses it in a request.\nUnrecognized(Box<str>),\n}\n";

        code += &format!(
            "\nimpl {name} {{\n/// The value of this text.\npub fn from_text(text: &str) -> {name} {{\nmatch text {{\n"
        );
        for (value, variant) in &pairs {
            code += &format!("\"{value}\" => {name}::{variant},\n");
        }
        code += &format!(
            "other => {name}::Unrecognized(other.into()),\n}}\n}}\n\n\
             /// The value on the wire.\npub fn as_str(&self) -> &str {{\nmatch self {{\n"
        );
        for (value, variant) in &pairs {
            code += &format!("{name}::{variant} => \"{value}\",\n");
        }
        code += &format!("{name}::Unrecognized(other) => other,\n}}\n}}\n}}\n");

        code += &format!(
            "\nimpl Default for {name} {{\nfn default() -> Self {{\n{name}::Unrecognized(\"\".into())\n}}\n}}\n\n\
             impl Enumeration for {name} {{\nconst SET: &'static [&'static str] = &{order:?};\n\n\
             fn as_str(&self) -> &str {{\nself.as_str()\n}}\n\n\
             fn is_recognized(&self) -> bool {{\n!matches!(self, {name}::Unrecognized(_))\n}}\n}}\n\n\
             impl<'de> Decode<'de> for {name} {{\n\
             fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {{\n\
             Ok(text(deserializer)?.map(|text| {name}::from_text(&text)))\n}}\n}}\n\n\
             impl Encode for {name} {{\n\
             fn encode<E: Encoder>(&self, encoder: &mut E) {{\nencoder.string(self.as_str());\n}}\n}}\n"
        );
    }
    code
}
