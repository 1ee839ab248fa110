//! From text to a typed syntax tree and back.

mod check;
mod display;
mod escape;
mod fixed;
mod lexer;
mod modifier;
mod number;
mod parser;
mod pretty;
mod selector;
mod token;
mod tree;

pub use parser::{parse, parse_selector};
pub use tree::{
    Aggregation, AtTime, BinaryOp, Expr, Grouping, Kind, Matching, Modifiers, Node, NodeId, Sides, Type, VectorSelector,
};

pub(crate) use display::{Grouped, format_labels};
pub use escape::quote;
pub(crate) use fixed::children;
