//! The formats of metrics pages.
//!
//! In: the bytes of a page, a line of history, or metric families. Out: events that borrow from the page, or the text of a page.
//! Never: I/O, a copy of a series' text, a decision about what a sample means.

mod event;
mod fault;
pub mod history;
mod labels;
mod number;
pub mod openmetrics;
pub mod protobuf;
mod protocol;
mod scan;
pub mod text;

pub use event::{Event, ParseError, RawExemplar, Series, unescape, unescape_help};
pub use labels::SeriesLabels;
pub use number::{format_float, format_float_with_point, parse_float};
pub use protobuf::ProtobufError;
pub use protocol::{Escaping, Format, Protocol, accept, format_of};
