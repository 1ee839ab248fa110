//! Functions that a template may call.

use crate::Value;

/// Why a function gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// It ran and failed; the template says `error calling NAME: ...`.
    Failed(String),
    /// It could not be called with these arguments.
    Arguments(String),
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
        .map_err(|_| CallError::Arguments(format!("wrong number of args for {name}: want {N} got {}", arguments.len())))
}

/// The text of an argument that must be one.
pub(crate) fn text(value: &Value) -> Result<&str, CallError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(mismatch("string", other)),
    }
}

/// The complaint about an argument of another type.
pub(crate) fn mismatch(wanted: &str, got: &Value) -> CallError {
    CallError::Arguments(match got {
        Value::Nil => format!("invalid value; expected {wanted}"),
        _ => format!("wrong type for value; expected {wanted}; got {}", got.type_name()),
    })
}
