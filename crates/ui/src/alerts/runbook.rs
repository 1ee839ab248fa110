//! What a built-in rule means and what to do.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::{Tab, rule_link};
use crate::Ui;
use crate::page::{Shell, respond};
use crate::params::Params;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "alert_runbook.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    runbook: Runbook,
    /// The rule's page; empty where the rule is switched off.
    rule: String,
}

/// A text of paragraphs and lists.
pub(super) struct Runbook(pub(super) Vec<Block>);

pub(super) struct Block {
    /// Whether it is an entry of a list.
    pub(super) item: bool,
    pub(super) parts: Vec<Part>,
}

/// A piece of text; code stood between backquotes.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    pub(super) code: bool,
    pub(super) text: String,
}

impl Runbook {
    pub(super) fn new(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Self(
            lines
                .map(|line| Block { item: line.starts_with("- "), parts: parts(line.trim_start_matches("- ")) })
                .collect(),
        )
    }
}

fn parts(line: &str) -> Vec<Part> {
    let pieces = line.split('`').enumerate().filter(|(_, text)| !text.is_empty());
    pieces.map(|(i, text)| Part { code: i % 2 == 1, text: text.to_owned() }).collect()
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(text) = ui.state.rules.runbook(&name) else {
        let detail = format!("No built-in rule is called {name:?}. Rules of files name a runbook of their own.");
        return Problem::new(StatusCode::NOT_FOUND, "There is no such runbook", detail).respond(&ui, &headers);
    };
    let prefix = &ui.state.config.prefix;
    let rule = ui.state.rules.groups().iter().find_map(|group| {
        let place = group.rules.iter().position(|rule| rule.name == name)?;
        Some(rule_link(prefix, &group.file, &group.name, place, &name))
    });
    let shell = Shell::new(&ui, &Params::default(), "/alerts", &name);
    let page = Page { shell, tab: Tab::None, runbook: Runbook::new(text), rule: rule.unwrap_or_default() };
    respond(StatusCode::OK, &headers, page.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_parts() {
        let runbook = Runbook::new("One `two` three.\n- `x` is it.\n");
        let kinds: Vec<bool> = runbook.0.iter().map(|block| block.item).collect();
        assert_eq!(kinds, [false, true]);
        let texts: Vec<(bool, &str)> = runbook.0[0].parts.iter().map(|p| (p.code, p.text.as_str())).collect();
        assert_eq!(texts, [(false, "One "), (true, "two"), (false, " three.")]);
        assert_eq!(runbook.0[1].parts[0], Part { code: true, text: "x".to_owned() });
    }
}
