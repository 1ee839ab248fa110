//! PromQL as Prometheus 3.5 speaks it: text in, numbers out, equal to the last bit.
//!
//! In: an expression, a time or a range of times, and a [`model::Queryable`] to read from. Out: an [`Answer`] with
//! value and annotations, or a [`QueryError`] in Prometheus' words. Never: a thread that outlives its query, async, a clock other than
//! for time limits, the store's types.
//!
//! The way of a query: `syntax` makes a typed [`Expr`] (an arena of nodes, children before parents, so that a chain of any
//! length is dropped, copied and checked without recursion), and `engine` evaluates it over all steps at once: every node
//! yields series whose values stand in one column, a slot for each step. What equal nodes share is computed once
//! (`eval/shared`), an answer that is asked for again is continued (`kept`), what an instant query reads that comes again is kept by
//! the store (`asked`), and on demand the evaluation tells what each
//! node took (`eval/trace`, as a [`Plan`]).

mod asked;
mod engine;
mod error;
mod eval;
mod function;
mod hash;
mod kept;
mod plan;
pub mod script;
mod syntax;
mod value;

pub use engine::{Engine, EngineOptions};
pub use error::{ParseError, Position, QueryError};
pub use function::{FUNCTIONS, Function, Variadic};
pub use plan::{Explained, Plan, PlanNode, Selected};
pub use syntax::{
    Aggregation, AtTime, BinaryOp, Expr, Grouping, Kind, Matching, Modifiers, Node, NodeId, Sides, Type,
    VectorSelector, parse, parse_selector, quote,
};
pub use value::{Answer, Cancel, Held, MatrixSeries, QueryLimits, QueryStats, Range, Value, VectorPoint};
