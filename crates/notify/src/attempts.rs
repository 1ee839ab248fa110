//! The log of attempts: when who was told what, and how that went, in a journal that outlives the process.
//!
//! A record is the JSON of an [`Attempt`].

use std::sync::Arc;

use model::{Journal, StorageError, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

/// Problems are a sentence; the answer of a server can be a page.
const PROBLEM_CHARS_MAX: usize = 1000;

/// A key of a group is its routes' matchers and its labels; a journal's records have a limit.
const GROUP_CHARS_MAX: usize = 2000;

/// One attempt to tell a receiver something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began, in milliseconds since 1970.
    #[serde(skip)]
    pub at: Timestamp,
    /// Who was told.
    pub receiver: String,
    /// In which way: `email[0]`.
    pub integration: String,
    /// The key of the group of alerts.
    pub group: String,
    /// Why it was told, in the words of the payload.
    pub reason: String,
    /// How many alerts of it fired.
    pub firing: usize,
    /// How many had ended.
    pub resolved: usize,
    /// Whether the receiver took it.
    pub taken: bool,
    /// Why not, or what was wrong with its templates; empty if nothing was.
    pub problem: String,
    /// How long it took.
    pub millis: u64,
}

/// The log; without a journal nothing is kept.
#[derive(Clone, Default)]
pub(crate) struct Attempts(Option<Arc<dyn Journal>>);

impl Attempts {
    pub(crate) fn new(journal: Option<Arc<dyn Journal>>) -> Self {
        Self(journal)
    }

    /// Keeps an attempt. A journal that refuses costs the record and is told in the program's log: notifications go on.
    pub(crate) async fn record(&self, mut attempt: Attempt) {
        let Some(journal) = self.0.clone() else { return };
        cut(&mut attempt.problem, PROBLEM_CHARS_MAX);
        cut(&mut attempt.group, GROUP_CHARS_MAX);
        let bytes = serde_json::to_vec(&attempt).unwrap_or_default();
        let written = spawn_blocking(move || journal.append(&[(attempt.at, bytes)])).await;
        if let Ok(Err(error)) = written {
            tracing::error!(%error, "an attempt of a notification was not kept");
        }
    }

    /// The newest attempts since `from`, the newest first. It blocks.
    pub(crate) fn newest(&self, from: Timestamp, limit: usize) -> Result<Vec<Attempt>, StorageError> {
        let mut attempts = Vec::new();
        let Some(journal) = &self.0 else { return Ok(attempts) };
        journal.newest_first(from, &mut |at, bytes| {
            let read = serde_json::from_slice(bytes).ok();
            attempts.extend(read.map(|attempt| Attempt { at, ..attempt }));
            attempts.len() < limit
        })?;
        attempts.truncate(limit);
        Ok(attempts)
    }
}

fn cut(text: &mut String, chars: usize) {
    if let Some((at, _)) = text.char_indices().nth(chars) {
        text.truncate(at);
    }
}
