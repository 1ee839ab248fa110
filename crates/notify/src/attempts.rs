//! The log of attempts: when who was told what, and how that went, in a journal that outlives the process.
//!
//! A record is the JSON of an [`Attempt`].

use std::sync::Arc;

use model::{Journal, Labels, StorageError, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::group::Told;

/// Problems are a sentence; the answer of a server can be a page.
const PROBLEM_CHARS_MAX: usize = 1000;

/// A key of a group is its routes' matchers and its labels; a journal's records have a limit.
const GROUP_CHARS_MAX: usize = 2000;

/// Labels of a group, names and values together; of more the first ones are kept.
const LABELS_BYTES_MAX: usize = 4000;

/// Alerts that are named; the rest are counted.
const ALERTS_MAX: usize = 20;

/// A name of an alert; it is a word.
const NAME_CHARS_MAX: usize = 200;

/// One attempt to tell a receiver something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// What its alerts have in common, as far as it is kept.
    pub labels: Vec<(String, String)>,
    /// The first of its alerts: fingerprint and name.
    pub alerts: Vec<(u64, String)>,
    /// Why it was told, in the words of the payload.
    pub reason: String,
    /// How many alerts of it fired.
    pub firing: usize,
    /// How many had ended.
    pub resolved: usize,
    /// Which attempt of the same notification it was, from 1.
    pub count: u32,
    /// Whether the receiver took it.
    pub taken: bool,
    /// Why not, or what was wrong with its templates; empty if nothing was.
    pub problem: String,
    /// How long it took.
    pub millis: u64,
    /// When it was to be tried again.
    pub next: Option<Timestamp>,
    /// Whether that is the next look at its group, because this notification was given up.
    pub given_up: bool,
}

impl Attempt {
    /// Keeps of what it was about what is enough to recognize it.
    pub(crate) fn about(mut self, labels: &Labels, told: &[Told]) -> Self {
        let mut bytes = 0;
        let fits = |(name, value): &(&str, &str)| {
            bytes += name.len() + value.len();
            bytes <= LABELS_BYTES_MAX
        };
        let kept = labels.iter().take_while(fits);
        self.labels = kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        // Those that fire stand first, as in what was told.
        let (ended, firing): (Vec<&Told>, Vec<&Told>) = told.iter().partition(|told| told.resolved);
        let first = firing.iter().chain(&ended).take(ALERTS_MAX);
        self.alerts = first.map(|told| (told.fingerprint, name(told))).collect();
        (self.firing, self.resolved) = (firing.len(), ended.len());
        self
    }
}

fn name(told: &Told) -> String {
    told.alert.labels.get("alertname").unwrap_or_default().chars().take(NAME_CHARS_MAX).collect()
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

    /// The newest attempts since `from` that fit, the newest first. It blocks.
    pub(crate) fn newest(
        &self,
        from: Timestamp,
        limit: usize,
        fits: &mut dyn FnMut(&Attempt) -> bool,
    ) -> Result<Vec<Attempt>, StorageError> {
        let mut attempts = Vec::new();
        let Some(journal) = self.0.as_ref().filter(|_| limit > 0) else { return Ok(attempts) };
        journal.newest_first(from, &mut |at, bytes| {
            let read = serde_json::from_slice(bytes).ok().map(|attempt| Attempt { at, ..attempt });
            attempts.extend(read.filter(|attempt| fits(attempt)));
            attempts.len() < limit
        })?;
        Ok(attempts)
    }
}

fn cut(text: &mut String, chars: usize) {
    if let Some((at, _)) = text.char_indices().nth(chars) {
        text.truncate(at);
    }
}
