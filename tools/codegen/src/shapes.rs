//! What the generated code needs to know of a shape: where it is used, its Rust type, its words.

use std::collections::BTreeSet;

use crate::model::{Amendment, Model, Overlay, Shape};

/// A result whose error is a text for the person who runs the generator.
pub type Result<T> = std::result::Result<T, String>;

/// Where a structure is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// In requests only: it borrows from the body.
    Input,
    /// In answers only: it owns its data.
    Output,
    /// In both: it may borrow, and answers hold it with `'static`.
    Both,
}

/// One member of a structure.
#[derive(Debug)]
pub struct Member<'m> {
    /// Its name on the wire.
    pub name: &'m str,
    /// Its shape's name.
    pub shape: &'m str,
    /// Its position among the structure's required members, if it is one of them.
    pub required: Option<usize>,
}

/// The limits and the pattern of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraints {
    /// The least value or length.
    pub min: Option<i64>,
    /// The greatest value or length.
    pub max: Option<i64>,
    /// A regular expression, and how it is printed.
    pub pattern: Option<(String, String)>,
}

impl Constraints {
    /// Whether everything is allowed.
    pub fn is_empty(&self) -> bool {
        self.min.is_none() && self.max.is_none() && self.pattern.is_none()
    }
}

/// A service, ready to be written down.
#[derive(Debug)]
pub struct Service {
    /// The facts.
    pub model: Model,
    /// What goes beyond them.
    pub overlay: Overlay,
    inputs: BTreeSet<String>,
    outputs: BTreeSet<String>,
}

impl Service {
    /// Finds out where each shape is used, and checks that the overlay speaks of what exists.
    ///
    /// # Errors
    /// If the model or the overlay names what the model does not have.
    pub fn new(model: Model, overlay: Overlay) -> Result<Service> {
        let mut service = Service { model, overlay, inputs: BTreeSet::new(), outputs: BTreeSet::new() };
        let (mut inputs, mut outputs) = (BTreeSet::new(), BTreeSet::new());
        for (name, operation) in &service.model.operations {
            let input = operation.input.as_ref().ok_or_else(|| format!("{name} has no input"))?;
            service.reach(&input.shape, &mut inputs)?;
            if let Some(output) = &operation.output {
                service.reach(&output.shape, &mut outputs)?;
            }
        }
        for (name, amendment) in service.overlay.shapes.iter().chain(&service.overlay.members) {
            if amendment.why.is_empty() {
                return Err(format!("the overlay gives no reason for {name}"));
            }
        }
        for name in service.overlay.shapes.keys() {
            service.shape(name)?;
        }
        for (name, amendment) in &service.overlay.members {
            let (structure, member) = name.split_once('.').ok_or_else(|| format!("{name} is not Structure.Member"))?;
            let shape = service.model.shapes.get_mut(structure);
            let shape = shape.ok_or_else(|| format!("the model has no shape {structure}"))?;
            if !shape.members.0.iter().any(|(known, _)| known == member) {
                return Err(format!("{structure} has no member {member}"));
            }
            if amendment.optional {
                shape.required.retain(|known| known != member);
            }
        }
        service.inputs = inputs;
        service.outputs = outputs;
        Ok(service)
    }

    fn reach(&self, name: &str, reached: &mut BTreeSet<String>) -> Result<()> {
        if !reached.insert(name.to_owned()) {
            return Ok(());
        }
        let shape = self.shape(name)?;
        let members = shape.members.0.iter().map(|(_, reference)| reference);
        for reference in members.chain(&shape.member).chain(&shape.key).chain(&shape.value) {
            self.reach(&reference.shape, reached)?;
        }
        Ok(())
    }

    /// A shape by name.
    ///
    /// # Errors
    /// If there is none.
    pub fn shape(&self, name: &str) -> Result<&Shape> {
        self.model.shapes.get(name).ok_or_else(|| format!("the model has no shape {name}"))
    }

    /// Where a shape is used; `None` if nowhere.
    pub fn usage(&self, name: &str) -> Option<Usage> {
        match (self.inputs.contains(name), self.outputs.contains(name)) {
            (true, false) => Some(Usage::Input),
            (false, true) => Some(Usage::Output),
            (true, true) => Some(Usage::Both),
            (false, false) => None,
        }
    }

    /// The structures that become Rust structs, by name. Errors and unions of events are none of them.
    pub fn structures(&self) -> impl Iterator<Item = (&str, &Shape, Usage)> {
        self.model.shapes.iter().filter_map(|(name, shape)| {
            let plain = shape.kind == "structure" && !shape.exception && !shape.eventstream;
            plain.then(|| self.usage(name).map(|usage| (name.as_str(), shape, usage))).flatten()
        })
    }

    /// The structures that requests hold.
    pub fn input_structures(&self) -> impl Iterator<Item = (&str, &Shape)> {
        self.structures().filter(|(_, _, usage)| *usage != Usage::Output).map(|(name, shape, _)| (name, shape))
    }

    /// The structures that answers hold.
    pub fn output_structures(&self) -> impl Iterator<Item = (&str, &Shape)> {
        self.structures().filter(|(_, _, usage)| *usage != Usage::Input).map(|(name, shape, _)| (name, shape))
    }

    /// The enumerations, by name.
    pub fn enumerations(&self) -> impl Iterator<Item = (&str, &Shape)> {
        self.model
            .shapes
            .iter()
            .filter(|(_, shape)| !shape.values.is_empty())
            .map(|(name, shape)| (name.as_str(), shape))
    }

    /// A structure's members in the model's order.
    pub fn members<'m>(&self, shape: &'m Shape) -> Vec<Member<'m>> {
        let mut required = 0;
        shape
            .members
            .0
            .iter()
            .map(|(name, reference)| {
                let index = shape.required.contains(name).then(|| {
                    required += 1;
                    required - 1
                });
                Member { name, shape: &reference.shape, required: index }
            })
            .collect()
    }

    /// Whether a value of this shape, in a request, borrows from the body.
    ///
    /// # Errors
    /// If the model names what it does not have.
    pub fn borrows(&self, name: &str) -> Result<bool> {
        if self.usage(name) == Some(Usage::Output) {
            return Ok(false);
        }
        let shape = self.shape(name)?;
        Ok(match shape.kind.as_str() {
            "string" => shape.values.is_empty(),
            "blob" | "map" => true,
            "list" => self.borrows(element(name, shape)?)?,
            "structure" => {
                for (_, reference) in &shape.members.0 {
                    if self.borrows(&reference.shape)? {
                        return Ok(true);
                    }
                }
                false
            }
            _ => false,
        })
    }

    /// The Rust type of a value of this shape within a structure of the given usage.
    ///
    /// # Errors
    /// If the shape is of a kind for which the generator has no type.
    pub fn rust_type(&self, name: &str, within: Usage) -> Result<String> {
        let shape = self.shape(name)?;
        let owned = within == Usage::Output;
        Ok(match shape.kind.as_str() {
            "string" if !shape.values.is_empty() => name.to_owned(),
            "string" if owned => "String".to_owned(),
            "string" => "Cow<'a, str>".to_owned(),
            "integer" => "i32".to_owned(),
            "long" => "i64".to_owned(),
            "boolean" => "bool".to_owned(),
            "timestamp" => "Timestamp".to_owned(),
            "blob" if owned => "Bytes".to_owned(),
            "blob" => "Blob<'a>".to_owned(),
            "list" => format!("Vec<{}>", self.rust_type(element(name, shape)?, within)?),
            "map" if !owned => "BTreeMap<Cow<'a, str>, Cow<'a, str>>".to_owned(),
            "structure" if shape.eventstream => format!("EventStream<{name}>"),
            "structure" if !self.borrows(name)? => name.to_owned(),
            "structure" if owned => format!("{name}<'static>"),
            "structure" => format!("{name}<'a>"),
            kind => return Err(format!("no Rust type for {name}, a {kind}")),
        })
    }

    /// The constraints of a member, or of a shape by itself.
    ///
    /// # Errors
    /// If the model has no such shape.
    pub fn constraints(&self, shape: &str, member: Option<&str>) -> Result<Constraints> {
        let facts = self.shape(shape)?;
        let amendments: Vec<&Amendment> = self
            .overlay
            .shapes
            .get(shape)
            .into_iter()
            .chain(member.and_then(|m| self.overlay.members.get(m)))
            .collect();
        let last = |pick: fn(&Amendment) -> Option<i64>| amendments.iter().rev().find_map(|amendment| pick(amendment));
        let shown = amendments.iter().rev().find_map(|amendment| amendment.shown.clone());
        Ok(Constraints {
            min: last(|amendment| amendment.min).or(facts.min),
            max: last(|amendment| amendment.max).or(facts.max),
            pattern: facts.pattern.clone().map(|pattern| (pattern.clone(), shown.unwrap_or(pattern))),
        })
    }
}

/// The name of a list's element.
///
/// # Errors
/// If the list has none.
pub fn element<'s>(name: &str, shape: &'s Shape) -> Result<&'s str> {
    shape.member.as_ref().map(|member| member.shape.as_str()).ok_or_else(|| format!("the list {name} has no member"))
}
