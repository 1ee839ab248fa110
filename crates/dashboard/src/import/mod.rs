//! Grafana's JSON to a [`Dashboard`] and the report of what is not carried.

mod defaults;
mod field;
mod graph;
mod library;
mod matcher;
mod old_heatmap;
mod old_table;
mod panel;
mod rows;
mod second;
mod settings;
mod singlestat;
mod target;
mod transform;
mod variable;
mod visual;

#[cfg(test)]
mod tests;

pub use target::is_prometheus;
pub(crate) use transform::test_pattern;

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

use crate::board::Dashboard;
use crate::json::{Losses, Node, Object};
use crate::report::Report;

/// Longest text of a dashboard. The largest ones that people publish have half a megabyte; a tree of it takes some
/// ten times its text.
pub const DASHBOARD_BYTES_MAX: usize = 4 << 20;

/// Panels of a dashboard. The largest ones that people publish have some 300; each is a query and a picture.
pub const PANELS_MAX: usize = 1_000;

/// Queries of a panel; past it they are reported.
pub const TARGETS_MAX: usize = 100;

/// The newest version of the format that was looked at.
pub const SCHEMA_MAX: u32 = 42;

/// The oldest version whose panels stand in today's grid; rows of older ones are laid out anew.
pub const SCHEMA_MIN: u32 = 16;

/// Why a text is no dashboard.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ImportError {
    /// It is longer than [`DASHBOARD_BYTES_MAX`].
    #[error("the dashboard has {0} bytes, {DASHBOARD_BYTES_MAX} are read")]
    Length(usize),
    /// It is not JSON, or its lists and objects lie more than 128 deep.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// It is JSON of something else.
    #[error("this is no dashboard: {0}")]
    Shape(String),
    /// It has more panels than [`PANELS_MAX`].
    #[error("the dashboard has more than {PANELS_MAX} panels")]
    Panels,
}

/// A dashboard and what it lost on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The dashboard.
    pub dashboard: Dashboard,
    /// What is not carried.
    pub report: Report,
}

/// Reads a dashboard as Grafana exports it, as its HTTP API answers it and takes it (`{"dashboard": …}`), as grafana.com
/// gives it (`{"json": …}`), or as a resource of either generation (`{"kind": "Dashboard", "spec": …}`).
pub fn import(text: &str) -> Result<Imported, ImportError> {
    if text.len() > DASHBOARD_BYTES_MAX {
        return Err(ImportError::Length(text.len()));
    }
    let mut value: Value =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| json_error(&error))?;
    let path = wrapped(&value)?;
    let inner = if path.is_empty() { &mut value } else { &mut value[path] };
    library::inline(inner);
    let second = second::is_second(inner).then(|| second::classic(inner));
    let inner = second.as_ref().map_or(&*inner, |(classic, _)| classic);
    let losses = Losses::new(sources(inner));
    for (path, value, reason) in second.iter().flat_map(|(_, lost)| lost) {
        losses.push(path, value, *reason);
    }
    let dashboard = {
        let node = Node { value: inner, path: path.to_owned(), losses: &losses };
        let object = node.object().ok_or_else(|| ImportError::Shape("it is not an object".to_owned()))?;
        dashboard(&object)?
    };
    Ok(Imported { dashboard, report: losses.into_report() })
}

fn json_error(error: &serde_json::Error) -> ImportError {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default().to_owned();
    ImportError::Json { line: error.line(), column: error.column(), reason }
}

/// Where the dashboard stands in what was exported around it; empty for the whole.
fn wrapped(value: &Value) -> Result<&'static str, ImportError> {
    let refuse = |reason: String| Err(ImportError::Shape(reason));
    let Value::Object(map) = value else { return refuse("it is not an object".to_owned()) };
    let path = WRAPPINGS.into_iter().find(|key| map.get(*key).is_some_and(Value::is_object));
    let inner = path.and_then(|path| map.get(path)).unwrap_or(value);
    if inner.get("panels").is_some() || inner.get("rows").is_some() || second::is_second(inner) {
        return Ok(path.unwrap_or_default());
    }
    match (map.get("kind").and_then(Value::as_str), map.get("items").and_then(Value::as_array)) {
        (_, Some(items)) => refuse(format!("it is a list of {}; put each into a file of its own", items.len())),
        (Some(kind), _) if kind != "Dashboard" => refuse(format!("it is a resource of the kind {kind}")),
        _ => refuse("it has neither panels nor rows".to_owned()),
    }
}

/// Keys under which a dashboard stands in what is exported around it.
const WRAPPINGS: [&str; 3] = ["dashboard", "spec", "json"];

/// Kinds of data sources by the names that a shared file gives them, as in `DS_PROMETHEUS`, and by its variables of them.
fn sources(dashboard: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let inputs = dashboard.get("__inputs").and_then(Value::as_array).into_iter().flatten();
    let inputs = inputs.filter_map(|input| Some((text(input, "name")?, text(input, "pluginId")?)));
    let variables = dashboard.get("templating").and_then(|templating| templating.get("list")?.as_array());
    let variables = variables.into_iter().flatten().filter(|one| text(one, "type").as_deref() == Some("datasource"));
    inputs.chain(variables.filter_map(|one| Some((text(one, "name")?, text(one, "query")?)))).collect()
}

fn dashboard(object: &Object<'_>) -> Result<Dashboard, ImportError> {
    let schema = object.count("schemaVersion", 10_000).unwrap_or(0);
    let mut dashboard = Dashboard { schema, ..Dashboard::default() };
    if schema > SCHEMA_MAX {
        object.lose("schemaVersion", "is newer than what skep knows, 42; read as if it were that one");
    }
    if schema < SCHEMA_MIN {
        object.lose("schemaVersion", "is older than 16; its rows are laid out anew, old settings may be missing");
    }
    settings::read(object, &mut dashboard);
    dashboard.variables = object.object("templating").map(|templating| variable::read(&templating)).unwrap_or_default();
    dashboard.sections = rows::read(object)?;
    Ok(dashboard)
}
