//! The operations and what goes in and out of them.

use super::with_lifetime;
use crate::shapes::{Result, Service};

/// The module's root.
pub fn module(service: &Service) -> String {
    let metadata = &service.model.metadata;
    format!(
        "//! {} {}, from {}.\n//!\n//! {} operations, {} shapes.\n\n\
         mod constraints;\nmod decode;\nmod encode;\nmod enums;\nmod inputs;\nmod messages;\nmod operations;\n\
         mod outputs;\nmod shared;\n#[cfg(test)]\nmod tests;\nmod validate;\n\n\
         pub use enums::*;\npub use inputs::*;\npub use messages::{{Input, Output}};\npub use operations::Operation;\n\
         pub use outputs::*;\npub use shared::*;\n\n\
         use crate::{{BoxFuture, Context, Error}};\n\n\
         /// The version of the API.\npub const API_VERSION: &str = {:?};\n\
         /// What precedes `.` and the operation's name in `X-Amz-Target`.\npub const TARGET_PREFIX: &str = {:?};\n\
         /// The service's name in a credential scope.\npub const SIGNING_NAME: &str = {:?};\n\n\
         /// An implementation of the service.\n\
         pub trait Service: Send + Sync + 'static {{\n\
         /// Answers one request, whose input has passed [`Input::validate`].\n\
         fn call<'a>(&'a self, context: &'a Context, input: Input<'a>) -> BoxFuture<'a, Result<Output, Error>>;\n}}\n",
        metadata.service_full_name,
        metadata.api_version,
        service.model.source,
        service.model.operations.len(),
        service.model.shapes.len(),
        metadata.api_version,
        metadata.target_prefix,
        metadata.endpoint_prefix,
    )
}

/// The enumeration of the operations.
pub fn operations(service: &Service) -> String {
    let operations = &service.model.operations;
    let mut code = format!(
        "//! The operations.\n\nuse crate::ErrorCode;\n\n/// The {} operations.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\npub enum Operation {{\n",
        operations.len()
    );
    for name in operations.keys() {
        code += &format!("/// `{name}`\n{name},\n");
    }
    code += &format!(
        "}}\n\nimpl Operation {{\n/// All operations, by name.\npub const ALL: [Operation; {}] = [\n",
        operations.len()
    );
    for name in operations.keys() {
        code += &format!("Operation::{name},\n");
    }
    code += "];\n\n/// The operation of this name, if there is one.\n\
             pub fn from_name(name: &str) -> Option<Operation> {\nSome(match name {\n";
    for name in operations.keys() {
        code += &format!("\"{name}\" => Operation::{name},\n");
    }
    code +=
        "_ => return None,\n})\n}\n\n/// The operation's name.\npub fn name(self) -> &'static str {\nmatch self {\n";
    for name in operations.keys() {
        code += &format!("Operation::{name} => \"{name}\",\n");
    }
    code += "}\n}\n\n/// The errors that the model lists for the operation. Any operation may answer with others,\n\
             /// such as those of serialization, authentication and validation.\n\
             pub fn errors(self) -> &'static [ErrorCode] {\nmatch self {\n";
    for (name, operation) in operations {
        code += &format!("Operation::{name} => &[\n");
        for error in &operation.errors {
            code += &format!("ErrorCode::{},\n", error.shape);
        }
        code += "],\n";
    }
    code += "}\n}\n}\n";
    code
}

/// The enumerations of inputs and outputs.
pub fn messages(service: &Service) -> Result<String> {
    let mut code = "//! Requests and answers of every operation.\n\nuse serde::de::Deserializer;\n\n\
                    use super::*;\n\
                    use crate::decode::Decode;\nuse crate::encode::{Encode, Encoder};\n\
                    use crate::validate::{Path, Report, Validate};\n\n\
                    /// A decoded request.\n\
                    #[derive(Clone, Debug, PartialEq, Eq)]\n\
                    #[allow(clippy::large_enum_variant, reason = \"moved a few times per request, never stored\")]\n\
                    pub enum Input<'a> {\n"
        .to_owned();
    let mut inputs = Vec::new();
    let mut outputs = Vec::new();
    for (name, operation) in &service.model.operations {
        let input = operation.input.as_ref().ok_or_else(|| format!("{name} has no input"))?;
        inputs.push((name, input.shape.as_str()));
        outputs.push((name, operation.output.as_ref().map(|output| output.shape.as_str())));
    }
    for (name, shape) in &inputs {
        code += &format!("/// A request for `{name}`.\n{name}({}),\n", with_lifetime(service, shape, "'a")?);
    }
    code += "}\n\nimpl<'a> Input<'a> {\n\
             /// Reads a request for `operation`; `None` for a null.\n///\n/// # Errors\n/// As [`Decode::decode`].\n\
             pub fn decode<D: Deserializer<'a>>(operation: Operation, deserializer: D) -> Result<Option<Self>, D::Error> {\n\
             Ok(match operation {\n";
    for (name, _) in &inputs {
        code += &format!("Operation::{name} => Decode::decode(deserializer)?.map(Input::{name}),\n");
    }
    code += "})\n}\n\n/// The operation that is asked for.\npub fn operation(&self) -> Operation {\nmatch self {\n";
    for (name, _) in &inputs {
        code += &format!("Input::{name}(_) => Operation::{name},\n");
    }
    code += "}\n}\n\n/// Checks the request against the model's constraints.\n///\n/// # Errors\n\
             /// A `ValidationException` that lists the violations.\n\
             pub fn validate(&self) -> Result<(), Error> {\nlet mut report = Report::default();\nmatch self {\n";
    for (name, _) in &inputs {
        code += &format!("Input::{name}(input) => input.validate(Path::ROOT, &mut report),\n");
    }
    code += "}\nreport.finish()\n}\n}\n\n/// An answer. Operations whose answer has no body have a variant that holds nothing.\n\
             #[derive(Debug)]\n\
             #[allow(clippy::large_enum_variant, reason = \"moved a few times per answer, never stored\")]\n\
             pub enum Output {\n";
    for (name, shape) in &outputs {
        code += &format!("/// The answer to `{name}`.\n{name}");
        code += &match shape {
            Some(shape) => format!("({}),\n", with_lifetime(service, shape, "'static")?),
            None => ",\n".to_owned(),
        };
    }
    code += "}\n\nimpl Output {\n/// The operation that is answered.\n\
             pub fn operation(&self) -> Operation {\nmatch self {\n";
    for (name, shape) in &outputs {
        let holds = if shape.is_some() { "(_)" } else { "" };
        code += &format!("Output::{name}{holds} => Operation::{name},\n");
    }
    code += "}\n}\n\n/// Writes the answer's body; nothing if it has none.\n\
             pub fn encode<E: Encoder>(&self, encoder: &mut E) {\nmatch self {\n";
    for (name, shape) in &outputs {
        code += &match shape {
            Some(_) => format!("Output::{name}(output) => output.encode(encoder),\n"),
            None => format!("Output::{name} => {{}}\n"),
        };
    }
    code += "}\n}\n}\n";
    Ok(code)
}
