//! Annotations: what a reader of the answer should know, each once, with its place in the query.

use std::sync::{Mutex, PoisonError};

use crate::Position;

/// More notes of a kind than this are counted, not listed, as in Prometheus' API.
const LISTED_MAX: usize = 10;

/// Warnings and infos of one query.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: Mutex<Vec<String>>,
    infos: Mutex<Vec<String>>,
}

impl Notes {
    pub(crate) fn warn(&self, text: &str, position: Position, message: &str) {
        add(&self.warnings, format!("PromQL warning: {message} {}", place(text, position)));
    }

    pub(crate) fn info(&self, text: &str, position: Position, message: &str) {
        add(&self.infos, format!("PromQL info: {message} {}", place(text, position)));
    }

    /// A warning of the store.
    pub(crate) fn pass_on(&self, warning: String) {
        add(&self.warnings, warning);
    }

    /// Warnings and infos, the surplus counted.
    pub(crate) fn finish(self) -> (Vec<String>, Vec<String>) {
        let notes = |kind: Mutex<Vec<String>>| kind.into_inner().unwrap_or_else(PoisonError::into_inner);
        (listed(notes(self.warnings), "warning"), listed(notes(self.infos), "info"))
    }
}

fn place(text: &str, position: Position) -> String {
    let (line, column) = position.line_and_column(text);
    format!("({line}:{column})")
}

fn add(to: &Mutex<Vec<String>>, note: String) {
    let mut notes = to.lock().unwrap_or_else(PoisonError::into_inner);
    if !notes.contains(&note) {
        notes.push(note);
    }
}

fn listed(mut notes: Vec<String>, kind: &str) -> Vec<String> {
    if let Some(surplus) = notes.len().checked_sub(LISTED_MAX).filter(|n| *n > 0) {
        notes.truncate(LISTED_MAX);
        notes.push(format!("{surplus} more {kind} annotations omitted"));
    }
    notes
}
