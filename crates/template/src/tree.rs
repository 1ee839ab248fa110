//! The syntax tree.

use std::collections::BTreeMap;

/// Where a piece of code stands and how it is spelled in messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    /// Byte offset.
    pub(crate) position: usize,
    /// Spelled as Go prints the tree again.
    pub(crate) code: String,
}

/// The bodies of all templates of a text, the main one under the empty name.
pub(crate) type Bodies = BTreeMap<String, Vec<Node>>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { span: Span, name: String, data: Option<Pipe> },
    Break,
    Continue,
}

/// What `if`, `with` and `range` share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) then: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pipe {
    pub(crate) span: Span,
    /// Names with their dollar sign.
    pub(crate) variables: Vec<String>,
    /// `=` rather than `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    pub(crate) span: Span,
    /// At least one.
    pub(crate) operands: Vec<Operand>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operand {
    pub(crate) span: Span,
    pub(crate) kind: OperandKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`, the name with its dollar sign.
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Box<Pipe>),
    /// `(...).A.B`
    Chain(Box<Operand>, Vec<String>),
}
