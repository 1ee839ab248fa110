//! Functions that a template may call.

use crate::Value;

/// Why a function gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// It ran and failed; the template says `error calling NAME: ...`.
    Failed(String),
    /// It cannot be called with so many arguments.
    Count(String),
    /// An argument is of another type than the one that is wanted.
    Type {
        /// Which argument, from 0.
        index: usize,
        /// Go's name of the type.
        wanted: &'static str,
    },
}

/// The functions a template knows beside the built-in ones.
pub trait Functions {
    /// Whether there is a function of this name.
    fn has(&self, name: &str) -> bool;

    /// Calls a function.
    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, CallError>;
}

/// Exactly so many arguments, or the complaint about their number.
pub(crate) fn exactly<'a, const N: usize>(name: &str, arguments: &'a [Value]) -> Result<&'a [Value; N], CallError> {
    arguments
        .try_into()
        .map_err(|_| CallError::Count(format!("wrong number of args for {name}: want {N} got {}", arguments.len())))
}

/// The text of an argument that must be one.
pub(crate) fn text(arguments: &[Value], index: usize) -> Result<&str, CallError> {
    match arguments.get(index) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(CallError::Type { index, wanted: "string" }),
    }
}
