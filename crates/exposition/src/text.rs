//! The text format 0.0.4.

mod write;

pub use write::write;
