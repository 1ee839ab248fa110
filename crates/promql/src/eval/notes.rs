//! Annotations: what a reader of the answer should know, each once, with its place in the query.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use model::Timestamp;

use crate::Position;

/// More notes of a kind than this are counted, not listed, as in Prometheus' API.
const LISTED_MAX: usize = 10;

/// Warnings and infos of one query.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: Mutex<Vec<Note>>,
    infos: Mutex<Vec<Note>>,
    /// How many were added, repeated ones too.
    count: AtomicU64,
    raised: Mutex<Raised>,
}

/// At which steps notes were raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raised {
    /// The last one at which each of them was, by its text with its place. Steps alone decide whether it is.
    Last(BTreeMap<String, Timestamp>),
    /// Of some that is not known.
    Unknown,
}

/// What was found, and where; warnings of the store have no place.
#[derive(Debug)]
struct Note {
    message: String,
    place: String,
}

impl Notes {
    pub(crate) fn warn(&self, text: &str, position: Position, message: &str) {
        self.add(&self.warnings, format!("PromQL warning: {message}"), place(text, position));
    }

    pub(crate) fn info(&self, text: &str, position: Position, message: &str) {
        self.add(&self.infos, format!("PromQL info: {message}"), place(text, position));
    }

    /// An info that belongs to some steps, of which this is the last.
    pub(crate) fn info_until(&self, step: Timestamp, text: &str, position: Position, message: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let (message, place) = (format!("PromQL info: {message}"), place(text, position));
        if let Raised::Last(steps) = &mut *self.raised.lock().unwrap_or_else(PoisonError::into_inner) {
            let last = steps.entry(format!("{message}{place}")).or_insert(step);
            *last = step.max(*last);
        }
        add(&self.infos, message, place);
    }

    /// A warning of the store.
    pub(crate) fn pass_on(&self, warning: String) {
        self.add(&self.warnings, warning, String::new());
    }

    /// How many were added until now.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn add(&self, to: &Mutex<Vec<Note>>, message: String, place: String) {
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Raised::Unknown;
        add(to, message, place);
    }

    /// Warnings and infos, the surplus counted, and when they were raised.
    pub(crate) fn finish(self) -> (Vec<String>, Vec<String>, Raised) {
        let notes = |kind: Mutex<Vec<Note>>| kind.into_inner().unwrap_or_else(PoisonError::into_inner);
        let raised = self.raised.into_inner().unwrap_or_else(PoisonError::into_inner);
        (listed(notes(self.warnings), "warning"), listed(notes(self.infos), "info"), raised)
    }
}

impl Default for Raised {
    /// None was.
    fn default() -> Self {
        Self::Last(BTreeMap::new())
    }
}

fn place(text: &str, position: Position) -> String {
    let (line, column) = position.line_and_column(text);
    format!(" ({line}:{column})")
}

/// Of the same message at several places the last one is told, as in Prometheus.
fn add(to: &Mutex<Vec<Note>>, message: String, place: String) {
    let mut notes = to.lock().unwrap_or_else(PoisonError::into_inner);
    match notes.iter_mut().find(|note| note.message == message) {
        Some(known) => known.place = place,
        None => notes.push(Note { message, place }),
    }
}

fn listed(notes: Vec<Note>, kind: &str) -> Vec<String> {
    let surplus = notes.len().saturating_sub(LISTED_MAX);
    let mut texts: Vec<String> = notes.into_iter().take(LISTED_MAX).map(|note| note.message + &note.place).collect();
    if surplus > 0 {
        texts.push(format!("{surplus} more {kind} annotations omitted"));
    }
    texts
}
