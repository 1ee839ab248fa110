//! The text format 0.0.4, and 1.0.0 with quoted UTF-8 names.

mod parse;
mod write;

pub use parse::Parser;
pub(crate) use write::push_quoted;
pub use write::write;
