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

impl CallError {
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Failed(message) | Self::Count(message) => message.clone(),
            Self::Type { wanted, .. } => format!("wrong type for value; expected {wanted}"),
        }
    }
}

/// The functions a template knows beside the built-in ones.
pub trait Functions {
    /// Whether there is a function of this name.
    fn has(&self, name: &str) -> bool;

    /// Calls a function.
    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, CallError>;

    /// Calls a method of a value; `None` if it has none of this name.
    fn method(&self, _receiver: &Value, _name: &str, _arguments: &[Value]) -> Option<Result<Value, CallError>> {
        None
    }
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
