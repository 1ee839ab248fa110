//! Dashboards: a page that is whole without scripts, and the pictures of its panels, ready to be drawn.
//!
//! - `view` is what an address asks for: time, zone, variables and the places of panels; page and data share it.
//! - `vars` asks for the values of variables, `fetch` for what panels show: each different query once, `bands`
//!   what lies between the points.
//! - `canvas` applies transformations and settings of columns; `time`, `values`, `grid` and `heatmap` make pictures of them,
//!   `links` addresses that are safe to follow, `why` the words where there is nothing to draw, `soon` those
//!   of the first minute.
//! - `marks` is what happened meanwhile: alerts, starts, reloads and the dashboard's annotations, once for all panels of a
//!   request; `exemplars` are those of a panel's queries. Both are [`model::Mark`] on the wire.
//! - `model` is the answer, `data` its endpoint; `page` the page, `markup` its texts, `plain` its values where no script runs,
//!   `places` its style sheet.

mod bands;
mod canvas;
mod data;
mod exemplars;
mod fetch;
mod grid;
mod heatmap;
mod links;
mod marks;
mod markup;
mod model;
mod page;
mod places;
mod plain;
mod soon;
mod time;
mod values;
mod vars;
mod view;
mod why;

#[cfg(test)]
mod tests;

pub(crate) use data::answer;
pub(crate) use page::page;
pub(crate) use places::style as places;
