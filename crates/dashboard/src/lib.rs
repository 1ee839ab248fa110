//! Dashboards as Grafana writes them, as skep shows them.
//!
//! In: the text of a dashboard (Grafana's JSON, schema 16 to 42 and v2), what a data source answered to a variable's query,
//! columns of values. Out: a [`Dashboard`] with its [`Report`] of everything that is not carried, the text of a query
//! with its variables filled in, numbers as people read them, columns after their transformations. Never: a file, a
//! socket, a clock, a thread; PromQL (a query is text here, `promql` reads it); markup.
//!
//! The way of a dashboard:
//!
//! - `json` reads a tree and remembers which keys were asked for. What nobody asked for is reported when the object
//!   is dropped, so that a key can be carried, named as meaningless here, or lost aloud, but never lost in silence.
//! - `import` makes the model of it: `board` and `panel` what skep shows, `field` how a column looks, `visual` what
//!   each kind of panel is asked to do. Schema v2 is rewritten as the classic one first, and library panels are put in
//!   their places. The kinds of panels that Grafana gave up (`graph`, `singlestat`, the old table) arrive as the kinds
//!   that replaced them.
//! - `variable` holds the variables: order of evaluation, options from an answer, interpolation, intervals and times.
//! - `frame` is the data: columns with names and labels; `transform` changes them, `style` says which overrides hold
//!   for which column and gives each its name.
//! - `value` writes numbers: units, decimals, mappings, thresholds, colours; and reduces a column to one of them.
//!
//! Grafana's behaviour decides: the words, digits and rounding are those that its users see, where its documents
//! say otherwise, too.

mod ask;
mod board;
mod color;
mod field;
mod frame;
mod import;
mod json;
mod link;
mod mapping;
mod moment;
mod pattern;
mod reduce;
mod repeat;
mod report;
mod style;
mod threshold;
mod transform;
mod value;
mod variable;
mod visual;

pub use ask::{Question, Screen, ask};
pub use board::*;
pub use color::{CLASSIC, ColorMode, Continuous, Rgba, classic, classic_by_name, shade};
pub use field::*;
pub use frame::{CELLS_MAX, Column, Field, Frame, Value, display_name, fill_labels, legend_name};
pub use import::{
    DASHBOARD_BYTES_MAX, ImportError, Imported, PANELS_MAX, SCHEMA_MAX, SCHEMA_MIN, TARGETS_MAX, import, is_prometheus,
};
pub use link::Link;
pub use mapping::{Mapped, Mapping, Rule, Shown, Special, apply as apply_mappings};
pub use moment::{Now, TimeError, panel_range, resolve};
pub use pattern::{Found, PATTERN_BYTES_MAX, Pattern, PatternError, STEPS_MAX as PATTERN_STEPS_MAX};
pub use reduce::Reducer;
pub use repeat::{Part, REPEATED_PANELS_MAX, Shown as ShownPanel, parts};
pub use report::{LOSSES_MAX, Loss, PanelReport, Report};
pub use style::{Display, Style, style};
pub use threshold::{Step as ThresholdStep, Thresholds};
pub use transform::*;
pub use value::{Clock, Formatted, Recipe, Rung, Unit, decimals_of, format_time, to_fixed};
pub use variable::*;
pub use visual::*;
