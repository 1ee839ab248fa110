//! YAML as a tree that keeps positions, and the strict decoder that every room's configuration goes through.
//!
//! In: a file, or its text and name. Out: a [`Node`] tree; a [`Report`] with every error and warning of the file
//! at once, each with file, line, column, key path and a hint. Never: stopping at the first error,
//! deciding what an error means for the process.

mod decode;
mod file;
mod report;
mod resolve;
mod shape;
mod tree;

pub use decode::{Place, Section, closest};
pub use file::read;
pub use report::{Problem, Report, Severity};
pub use shape::Shape;
pub use tree::{Node, Pair, Position, Value, parse, parse_first};
