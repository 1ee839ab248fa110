//! The syntax tree: an arena in which children stand before their parents, so that no walk needs recursion.

use std::fmt;
use std::sync::Arc;

use model::{Matcher, Timestamp};

use crate::error::{ParseError, Position};
use crate::function::Function;

/// A parsed and type-checked expression. `Display` prints it as Prometheus formats it; equality ignores positions.
#[derive(Clone, Debug)]
pub struct Expr {
    nodes: Arc<[Node]>,
    types: Arc<[Type]>,
    text: Arc<str>,
}

/// Names a node of one expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

/// A node with its place in the text.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub position: Position,
}

/// PromQL's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number.
    Scalar,
    /// A text.
    String,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `1.5`, or `5m` as seconds.
    Number {
        /// The number.
        value: f64,
        /// Whether it was written as a duration.
        duration: bool,
    },
    /// `"text"`, as bytes: PromQL's strings need not be UTF-8.
    Text(Vec<u8>),
    /// `up{job="a"} offset 5m`
    Vector(VectorSelector),
    /// `up[5m]`; its modifiers stand in the selector.
    Matrix {
        /// The selector, a [`Kind::Vector`].
        selector: NodeId,
        /// Milliseconds.
        range: i64,
    },
    /// `expr[30m:1m]`
    Subquery {
        /// What is evaluated.
        expr: NodeId,
        /// Milliseconds.
        range: i64,
        /// Milliseconds; `None` for the engine's default.
        step: Option<i64>,
        /// Offset and `@`.
        modifiers: Modifiers,
    },
    /// `rate(x)`
    Call {
        /// The function.
        function: &'static Function,
        /// Its arguments.
        args: Vec<NodeId>,
    },
    /// `sum by (job) (x)`
    Aggregate {
        /// The operator.
        op: Aggregation,
        /// What is aggregated.
        expr: NodeId,
        /// `k` of topk and the like.
        param: Option<NodeId>,
        /// Groups.
        grouping: Grouping,
    },
    /// `-x`
    Unary {
        /// `-` rather than `+`.
        negative: bool,
        /// The operand.
        expr: NodeId,
    },
    /// `a + b`
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        lhs: NodeId,
        /// Right operand.
        rhs: NodeId,
        /// `bool` was given.
        returns_bool: bool,
        /// How series are matched; `None` where an operand is a scalar.
        matching: Option<Matching>,
    },
    /// `(x)`
    Paren(NodeId),
}

/// A selector of series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorSelector {
    /// The metric name written before the braces, or empty.
    pub name: String,
    /// All conditions, the one for `name` last.
    pub matchers: Vec<Matcher>,
    /// Offset and `@`.
    pub modifiers: Modifiers,
}

/// `offset` and `@`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modifiers {
    /// Milliseconds, positive into the past.
    pub offset: i64,
    /// A fixed evaluation time.
    pub at: Option<AtTime>,
}

/// The time of `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtTime {
    /// `@ 1609746000`
    Fixed(Timestamp),
    /// `@ start()`
    Start,
    /// `@ end()`
    End,
}

/// `by (...)` or `without (...)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// The labels listed.
    pub labels: Vec<String>,
    /// `without` rather than `by`.
    pub without: bool,
}

/// Which side of a binary operation may have several series of one match group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Neither.
    OneToOne,
    /// `group_left`: the left one.
    ManyToOne,
    /// `group_right`: the right one.
    OneToMany,
    /// Both: set operators.
    ManyToMany,
}

/// `on (...) group_left (...)` and the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// Which side may have several.
    pub sides: Sides,
    /// `on` rather than `ignoring`.
    pub on: bool,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Labels copied from the side of one.
    pub include: Vec<String>,
}

/// Aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are PromQL's")]
pub enum Aggregation {
    Avg,
    Bottomk,
    Count,
    CountValues,
    Group,
    LimitRatio,
    Limitk,
    Max,
    Min,
    Quantile,
    Stddev,
    Stdvar,
    Sum,
    Topk,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Unless,
}

impl Expr {
    /// An expression of these nodes; the last is the root. There is at least one.
    pub(super) fn new(nodes: Vec<Node>, types: Vec<Type>, text: &str) -> Self {
        Self { nodes: nodes.into(), types: types.into(), text: text.into() }
    }

    /// The outermost node.
    pub fn root(&self) -> NodeId {
        NodeId((self.nodes.len() - 1) as u32)
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// All nodes, children before parents.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeId(i as u32), node))
    }

    /// What was parsed, byte for byte.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The selectors of series in it, in the order of the text.
    pub fn selectors(&self) -> impl Iterator<Item = &VectorSelector> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Vector(selector) => Some(selector),
            _ => None,
        })
    }

    /// The type of the value.
    pub fn value_type(&self) -> Type {
        self.type_of(self.root())
    }

    /// The node without parentheses around it.
    pub(crate) fn unwrapped(&self, mut id: NodeId) -> NodeId {
        while let Kind::Paren(inner) = self.node(id).kind {
            id = inner;
        }
        id
    }

    pub(crate) fn kind(&self, id: NodeId) -> &Kind {
        &self.node(id).kind
    }

    pub(crate) fn position(&self, id: NodeId) -> Position {
        self.node(id).position
    }

    /// The type of a node's value.
    pub fn type_of(&self, id: NodeId) -> Type {
        self.types[id.0 as usize]
    }

    /// Tells the first function or aggregation that Prometheus calls experimental, in its words.
    pub fn refuse_experimental(&self) -> Result<(), ParseError> {
        for node in self.nodes.iter() {
            let message = match &node.kind {
                Kind::Call { function, .. } if function.experimental => {
                    format!("function \"{}\" is not enabled", function.name)
                }
                Kind::Aggregate { op, .. } if op.is_experimental() => format!(
                    "{op}() is experimental and must be enabled with --enable-feature=promql-experimental-functions"
                ),
                _ => continue,
            };
            return Err(ParseError::new(&self.text, node.position, message));
        }
        Ok(())
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Node, &Node)| same_kind(&a.kind, &b.kind);
        self.nodes.len() == other.nodes.len() && self.nodes.iter().zip(other.nodes.iter()).all(same)
    }
}

/// Equal trees have equal arenas, because the order of the nodes follows from the shape; `NaN` equals itself here.
fn same_kind(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::Number { value: x, duration: p }, Kind::Number { value: y, duration: q }) => {
            p == q && (x == y || x.is_nan() && y.is_nan())
        }
        _ => a == b,
    }
}

impl Type {
    /// The name in the documentation: `instant vector`.
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }

    /// The name in the API: `vector`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
        }
    }
}

impl Default for Matching {
    fn default() -> Self {
        Self { sides: Sides::OneToOne, on: false, labels: Vec::new(), include: Vec::new() }
    }
}

impl Aggregation {
    const NAMES: [(Self, &'static str); 14] = [
        (Self::Avg, "avg"),
        (Self::Bottomk, "bottomk"),
        (Self::Count, "count"),
        (Self::CountValues, "count_values"),
        (Self::Group, "group"),
        (Self::LimitRatio, "limit_ratio"),
        (Self::Limitk, "limitk"),
        (Self::Max, "max"),
        (Self::Min, "min"),
        (Self::Quantile, "quantile"),
        (Self::Stddev, "stddev"),
        (Self::Stdvar, "stdvar"),
        (Self::Sum, "sum"),
        (Self::Topk, "topk"),
    ];

    /// The operator of a name in lower case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(op, _)| *op)
    }

    /// The name: `count_values`.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(op, _)| *op == self).map_or("", |(_, name)| name)
    }

    /// Whether it takes a parameter before the vector.
    pub fn takes_param(self) -> bool {
        matches!(
            self,
            Self::Topk | Self::Bottomk | Self::CountValues | Self::Quantile | Self::Limitk | Self::LimitRatio
        )
    }

    /// Whether Prometheus calls it experimental.
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

impl BinaryOp {
    /// Binds tighter the higher it is.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            op if op.is_comparison() => 3,
            Self::Add | Self::Sub => 4,
            Self::Pow => 6,
            _ => 5,
        }
    }

    /// `==` and the like.
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual | Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual)
    }

    /// `+`, `-`, `*`, `/`, `%`, `^`.
    pub(crate) fn is_arithmetic(self) -> bool {
        matches!(self, Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Mod | Self::Pow)
    }

    /// `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }
}

impl fmt::Display for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
