//! What values must look like, for sections that are read to be judged and not to be used.

use crate::Section;

/// The kind of a value.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Any scalar.
    Text,
    /// True or false.
    Flag,
    /// A whole number of any sign.
    Integer,
    /// A whole number, not negative.
    Unsigned,
    /// A number.
    Float,
    /// A duration such as `15s`.
    Duration,
    /// A list of scalars.
    Texts,
    /// A mapping to scalars.
    TextMap,
}

impl Section<'_> {
    /// Judges the values of keys, and makes the keys known. A key without a value has its zero value.
    pub fn judge(&self, keys: &[(&'static str, Shape)]) {
        for (key, shape) in keys {
            let Some(place) = self.get(key).filter(|place| !place.node().is_absent()) else { continue };
            match shape {
                Shape::Duration => drop(place.duration()),
                _ if place.node().is_null() => {}
                Shape::Text => drop(place.string()),
                Shape::Flag => drop(place.boolean()),
                Shape::Integer => drop(place.integer()),
                Shape::Unsigned => drop(place.unsigned()),
                Shape::Float => drop(place.float()),
                Shape::Texts => place.list().iter().for_each(|place| drop(place.string())),
                Shape::TextMap => place.entries().iter().for_each(|(_, value)| drop(value.string())),
            }
        }
    }
}
