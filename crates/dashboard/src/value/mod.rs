//! Numbers as people read them.

mod date;
mod duration;
mod number;
mod recipe;
mod scale;
mod unit;

pub use date::format_time;
pub(crate) use date::{iso, zoned};
pub(crate) use number::javascript;
pub use number::{decimals_of, to_fixed};
pub use recipe::{Recipe, Rung};
pub use unit::{Clock, Unit};

/// A number in its three parts, which pages set in different sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formatted {
    /// Before the number: a sign of currency.
    pub prefix: String,
    /// The number.
    pub text: String,
    /// Behind it, with the space before it: the unit.
    pub suffix: String,
}

impl Formatted {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(crate) fn with_suffix(text: String, suffix: impl Into<String>) -> Self {
        Self { text, suffix: suffix.into(), ..Self::default() }
    }
}

impl std::fmt::Display for Formatted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{}", self.prefix, self.text, self.suffix)
    }
}
