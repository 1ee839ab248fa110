//! Go's text/template, as far as alert annotations and notifications use it.
//!
//! In: the text of a template, data as [`Value`]s, functions. Out: text, or an [`enum@Error`] in the words of Go, since that
//! is what people find when they search for it. Never: HTML escaping, a file, reflection on Rust types, more than a
//! bounded number of steps and bytes.
//!
//! `lex` cuts the text into tokens, `tree` holds the syntax tree that `parse` makes of them, `exec` walks it. `builtin`
//! has the functions that every template knows, `alert` those of Prometheus' rules.

mod alert;
mod builtin;
mod exec;
mod format;
mod functions;
mod html;
mod humanize;
mod lex;
mod notice;
mod number;
mod parse;
mod time;
mod tree;
mod value;

use std::sync::Arc;

use thiserror::Error;

pub use alert::{AlertData, AlertTemplate, Point, Query, graph_link, table_link};
pub use exec::{Library, Output, Template};
pub use format::go_quote as quote;
pub use functions::{CallError, Functions};
pub use notice::{ALERT, NoticeFunctions};
pub use value::{Map, MapKind, Object, Value};

/// Why a template gave no text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// It is not a template: `template: NAME:LINE: MESSAGE`.
    #[error("template: {name}:{line}: {message}")]
    Parse {
        /// The template's name.
        name: Arc<str>,
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It could not be executed: `template: NAME:LINE:COLUMN: executing "NAME" at <CODE>: MESSAGE`.
    #[error("template: {name}:{line}:{column}: executing {executing:?} at <{code}>: {message}")]
    Execute {
        /// The name of the text as a whole.
        name: Arc<str>,
        /// From 1.
        line: usize,
        /// From 0, in bytes.
        column: usize,
        /// The template that was executed, which the text may have defined.
        executing: String,
        /// The piece of code.
        code: String,
        /// What went wrong.
        message: String,
    },
    /// An error with what was being done put before it.
    #[error("{doing}: {source}")]
    While {
        /// What was being done.
        doing: String,
        /// What went wrong.
        source: Box<Error>,
    },
}
