//! The syntax tree.

use std::fmt;

/// A parsed and type-checked expression. `Display` prints it as Prometheus formats it.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    number: f64,
}

impl Expr {
    pub(crate) fn number(number: f64) -> Self {
        Self { number }
    }

    pub(crate) fn as_number(&self) -> f64 {
        self.number
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)
    }
}
