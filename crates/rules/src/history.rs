//! The history of alerts: every change of a state, in a journal that outlives the process.
//!
//! What is written: an alert became pending, began to fire, ended. What is not: that it is still so after a restart. The
//! last state of every alert is known from the journal, and only what differs from it is a change; an alert that ended
//! while nobody looked ends when its rule is looked at again.
//!
//! A record is JSON: `[version, state, file, group, rule, value, active_at, summary, {label: value}]`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::status::{AlertChange, AlertState, HistoryPage, HistoryQuery};
use model::{Journal, Labels, StorageError, Timestamp, fingerprint};
use serde::{Deserialize, Serialize};

/// Of records; another one is passed over.
const VERSION: u8 = 1;

/// A summary is a sentence; what a template made of a whole table is cut.
const SUMMARY_BYTES_MAX: usize = 1024;

/// A record of a larger label set is left out: journals have a limit, and no person reads it.
const LABELS_BYTES_MAX: usize = 32 << 10;

/// Alerts whose last state is known and is not the end. Beyond it changes may be told twice after a restart, no more.
const OPEN_MAX: usize = 100_000;

/// The history. Share it by `Arc`.
pub struct History {
    journal: Arc<dyn Journal>,
    /// By rule and labels.
    open: Mutex<HashMap<Key, AlertState>>,
}

type Key = (RulePlace, Labels);

/// Where a rule stands: file, group, name.
pub(crate) type RulePlace = (String, String, String);

#[derive(Serialize, Deserialize)]
struct Record(u8, State, String, String, String, f64, Timestamp, String, BTreeMap<String, String>);

#[derive(Clone, Copy, Serialize, Deserialize)]
enum State {
    #[serde(rename = "p")]
    Pending,
    #[serde(rename = "f")]
    Firing,
    #[serde(rename = "e")]
    Ended,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History {{ open: {} }}", self.lock().len())
    }
}

impl History {
    /// Reads the journal once. `from` is how far back it is read; older alerts that still fire are told again.
    pub fn open(journal: Arc<dyn Journal>, from: Timestamp) -> Result<Self, StorageError> {
        let mut last: HashMap<Key, AlertState> = HashMap::new();
        journal.newest_first(from, &mut |at, bytes| {
            if let Some(change) = decode(at, bytes) {
                last.entry((change.rule, change.labels)).or_insert(change.state);
            }
            true
        })?;
        last.retain(|_, state| *state != AlertState::Inactive);
        Ok(Self { journal, open: Mutex::new(last) })
    }

    /// Keeps what is news. A journal that refuses costs the record and is told in the log: alerts go on.
    pub(crate) fn record(&self, changes: Vec<AlertChange>) {
        let mut records = Vec::new();
        {
            let mut open = self.lock();
            for change in changes {
                let key = (change.rule.clone(), change.labels.clone());
                if is_news(open.get(&key).copied(), change.state) {
                    records.extend(encode(&change).map(|bytes| (change.at, bytes)));
                    if change.state == AlertState::Inactive {
                        open.remove(&key);
                    } else if open.len() < OPEN_MAX || open.contains_key(&key) {
                        open.insert(key, change.state);
                    }
                }
            }
        }
        if let Err(error) = self.journal.append(&records) {
            tracing::error!(%error, lost = records.len(), "changes of alerts are missing from the history");
        }
    }

    /// Ends the alerts of a rule that are known and are not among these.
    pub(crate) fn settle(&self, rule: &RulePlace, active: &dyn Fn(&Labels) -> bool, at: Timestamp) {
        let gone = |(place, labels): &&Key| place == rule && !active(labels);
        let ended: Vec<Key> = self.lock().keys().filter(gone).cloned().collect();
        let end = |(rule, labels): Key| AlertChange {
            at,
            state: AlertState::Inactive,
            labels,
            summary: String::new(),
            value: f64::NAN,
            active_at: at,
            rule,
        };
        if !ended.is_empty() {
            self.record(ended.into_iter().map(end).collect());
        }
    }

    /// Puts onto the disk what was kept. It blocks.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.journal.sync()
    }

    /// A part of the history. It blocks.
    pub fn page(&self, wanted: &HistoryQuery) -> Result<HistoryPage, StorageError> {
        let words: Vec<String> = wanted.words.iter().map(|word| word.to_lowercase()).collect();
        let mut page = HistoryPage::default();
        self.journal.newest_first(wanted.from, &mut |at, bytes| {
            let change = decode(at, bytes).filter(|change| fits(change, wanted, &words));
            let Some(change) = change else { return true };
            page.more = page.changes.len() >= wanted.limit;
            if !page.more {
                page.changes.push(change);
            }
            !page.more
        })?;
        Ok(page)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, AlertState>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An alert that fires does not become pending without an end: it does so for a while after a restart, until its beginning is
/// restored.
fn is_news(known: Option<AlertState>, new: AlertState) -> bool {
    match known {
        None | Some(AlertState::Inactive) => new != AlertState::Inactive,
        Some(AlertState::Pending) => new != AlertState::Pending,
        Some(AlertState::Firing) => new == AlertState::Inactive,
    }
}

fn fits(change: &AlertChange, wanted: &HistoryQuery, words: &[String]) -> bool {
    let is_rule = wanted.rule.as_ref().is_none_or(|rule| *rule == change.rule.2);
    let is_state = wanted.state.is_none_or(|state| state == change.state);
    let is_alert = || wanted.alert.is_none_or(|alert| alert == fingerprint(&whole(change, &wanted.external_labels)));
    let text = || format!("{} {} {}", change.labels, change.summary, change.rule.1).to_lowercase();
    change.at <= wanted.to
        && is_rule
        && is_state
        && is_alert()
        && (words.is_empty() || {
            let text = text();
            words.iter().all(|word| text.contains(word))
        })
}

/// The labels by which receivers know the alert.
fn whole(change: &AlertChange, external: &Labels) -> Labels {
    if external.is_empty() {
        return change.labels.clone();
    }
    Labels::from_pairs(external.iter().chain(change.labels.iter()))
}

fn encode(change: &AlertChange) -> Option<Vec<u8>> {
    let bytes: usize = change.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > LABELS_BYTES_MAX {
        tracing::warn!(rule = change.rule.2, bytes, "an alert with huge labels is left out of the history");
        return None;
    }
    let (file, group, rule) = change.rule.clone();
    let labels = change.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut summary = change.summary.clone();
    summary.truncate(summary.floor_char_boundary(SUMMARY_BYTES_MAX));
    // JSON has no NaN; an end has no value.
    let value = if change.value.is_finite() { change.value } else { 0.0 };
    let state = match change.state {
        AlertState::Pending => State::Pending,
        AlertState::Firing => State::Firing,
        AlertState::Inactive => State::Ended,
    };
    let record = Record(VERSION, state, file, group, rule, value, change.active_at, summary, labels);
    serde_json::to_vec(&record).ok()
}

fn decode(at: Timestamp, bytes: &[u8]) -> Option<AlertChange> {
    let Record(version, state, file, group, rule, value, active_at, summary, labels) =
        serde_json::from_slice(bytes).ok()?;
    let state = match state {
        State::Pending => AlertState::Pending,
        State::Firing => AlertState::Firing,
        State::Ended => AlertState::Inactive,
    };
    let labels = Labels::from_pairs(&labels);
    (version == VERSION).then_some(AlertChange {
        at,
        state,
        labels,
        summary,
        value,
        active_at,
        rule: (file, group, rule),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal in memory, which refuses when it is told to.
    #[derive(Default)]
    struct Memory(Mutex<Vec<(Timestamp, Vec<u8>)>>);

    impl Journal for Memory {
        fn append(&self, records: &[(Timestamp, Vec<u8>)]) -> Result<(), StorageError> {
            self.0.lock().unwrap().extend_from_slice(records);
            Ok(())
        }

        fn sync(&self) -> Result<(), StorageError> {
            Ok(())
        }

        fn newest_first(&self, from: Timestamp, look: &mut model::Look<'_>) -> Result<(), StorageError> {
            let records = self.0.lock().unwrap();
            let _ = records.iter().rev().filter(|(at, _)| *at >= from).all(|(at, bytes)| look(*at, bytes));
            Ok(())
        }
    }

    fn place() -> RulePlace {
        ("f.yml".to_owned(), "g".to_owned(), "A".to_owned())
    }

    fn change(at: Timestamp, name: &str, state: AlertState) -> AlertChange {
        AlertChange {
            at,
            state,
            labels: Labels::from_pairs([("alertname", "A"), ("host", name)]),
            summary: format!("{name} is Hot"),
            value: 1.5,
            active_at: at,
            rule: place(),
        }
    }

    /// The history in a few letters, the oldest first: `1 x pending`.
    fn told(history: &History, wanted: &HistoryQuery) -> Vec<String> {
        let mut page = history.page(wanted).unwrap().changes;
        page.reverse();
        let line = |c: &AlertChange| format!("{} {} {:?}", c.at, c.labels.get("host").unwrap_or_default(), c.state);
        page.iter().map(line).collect()
    }

    fn all() -> HistoryQuery {
        HistoryQuery { to: 1000, limit: 100, ..HistoryQuery::default() }
    }

    #[test]
    fn a_restart_is_no_change() {
        use AlertState::{Firing, Inactive, Pending};
        let journal = Arc::new(Memory::default());
        let history = History::open(journal.clone(), 0).unwrap();
        history.record(vec![change(1, "x", Pending), change(1, "y", Pending)]);
        history.record(vec![change(2, "x", Firing)]);
        drop(history);
        let history = History::open(journal, 0).unwrap();
        // What the rules find again after the start.
        history.record(vec![change(5, "x", Pending), change(5, "y", Pending)]);
        history.record(vec![change(6, "x", Firing)]);
        assert_eq!(told(&history, &all()), ["1 x Pending", "1 y Pending", "2 x Firing"]);
        // One that ended while the process was away.
        history.settle(&place(), &|labels| labels.get("host") == Some("x"), 7);
        history.record(vec![change(8, "x", Inactive), change(9, "x", Inactive), change(10, "x", Pending)]);
        let expected = ["1 x Pending", "1 y Pending", "2 x Firing", "7 y Inactive", "8 x Inactive", "10 x Pending"];
        assert_eq!(told(&history, &all()), expected);
    }

    #[test]
    fn is_searched() {
        let history = History::open(Arc::new(Memory::default()), 0).unwrap();
        for at in 0..10 {
            let state = if at % 2 == 0 { AlertState::Firing } else { AlertState::Inactive };
            history.record(vec![change(at, "x", state)]);
        }
        let check = |wanted: HistoryQuery, expected: usize, more: bool| {
            let page = history.page(&wanted).unwrap();
            assert_eq!((page.changes.len(), page.more), (expected, more), "{wanted:?}");
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        check(all(), 10, false);
        check(HistoryQuery { limit: 3, ..all() }, 3, true);
        check(HistoryQuery { from: 4, to: 6, ..all() }, 3, false);
        check(HistoryQuery { state: Some(AlertState::Firing), ..all() }, 5, false);
        check(HistoryQuery { words: words("HOT x"), ..all() }, 10, false);
        check(HistoryQuery { words: words("cold"), ..all() }, 0, false);
        check(HistoryQuery { rule: Some("B".to_owned()), ..all() }, 0, false);
        let labels = [("alertname", "A"), ("host", "x"), ("site", "s")];
        let alert = Some(fingerprint(&Labels::from_pairs(labels)));
        check(HistoryQuery { alert, ..all() }, 0, false);
        check(HistoryQuery { alert, external_labels: Labels::from_pairs([("site", "s")]), ..all() }, 10, false);
    }
}
