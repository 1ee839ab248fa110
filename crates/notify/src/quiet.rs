//! Quiet hours: recurring hours in which a receiver is told of what is urgent alone.
//!
//! They are made on a page and kept beside the silences; the `alertmanager.yml` stays as it is. An alert that they keep back
//! is told when they end, if it still fires then; so is the end of one that was told before they began.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Zoned};
use model::status::QuietHours;
use model::{KeyValue, Labels, StorageError, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::interval::location;
use crate::silence::new_id;

/// The space of the key-value store.
const SPACE: &str = "quiet_hours";

/// Entries that are kept: a few for everybody who is told.
const HOURS_MAX: usize = 200;

/// Texts of an entry together; a comment is a sentence or two.
const BYTES_MAX: usize = 16 << 10;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// Why quiet hours were not taken.
#[derive(Clone, Debug, Error)]
pub enum QuietError {
    /// They say nothing that can be kept.
    #[error("{0}")]
    Invalid(String),
    /// There are none of this id.
    #[error("these quiet hours are gone")]
    NotFound,
    /// There are too many.
    #[error("{HOURS_MAX} quiet hours are the most; remove those that nobody needs")]
    TooMany,
    /// The disk refused; nothing changed.
    #[error("the quiet hours could not be kept: {0}")]
    Storage(#[from] StorageError),
}

/// As they lie in the store, the key being the id: receiver, days from Monday on, minutes of beginning and end, zone,
/// severities that are told anyway, comment.
#[derive(Serialize, Deserialize)]
struct Record(String, [bool; 7], u16, u16, String, Vec<String>, String);

/// Quiet hours with their clock.
struct Entry {
    hours: QuietHours,
    zone: TimeZone,
}

/// All quiet hours. What a call has changed is on the disk when it returns. Share it by `Arc`.
pub(crate) struct Quiet {
    store: Arc<dyn KeyValue>,
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl Quiet {
    /// Reads them. Those that another version wrote are left where they are.
    pub(crate) fn open(store: Arc<dyn KeyValue>) -> Self {
        let mut entries = BTreeMap::new();
        for (id, bytes) in store.entries(SPACE) {
            let read = serde_json::from_slice(&bytes).map_err(|e| e.to_string());
            match read.and_then(|record| Entry::new(hours(&id, record)).map_err(|e| e.to_string())) {
                Ok(entry) => drop(entries.insert(id, entry)),
                Err(error) => tracing::error!(id, error, "quiet hours cannot be read; alerts are told in them"),
            }
        }
        Self { store, entries: Mutex::new(entries) }
    }

    /// When the last of the quiet hours ends that now keep an alert from a receiver; `None` if it may be told.
    pub(crate) fn until(&self, receiver: &str, labels: &Labels, now: Timestamp) -> Option<Timestamp> {
        let severity = labels.get("severity").unwrap_or_default();
        let entries = self.lock();
        let keeping = entries.values().filter(|entry| entry.hours.keep_back(receiver, severity));
        keeping.filter_map(|entry| entry.end(now)).max()
    }

    /// All of them, each with the end of those that it is now, else with the next beginning.
    pub(crate) fn all(&self, now: Timestamp) -> Vec<QuietHours> {
        let shown = |entry: &Entry| {
            let ends_at = entry.end(now);
            let begins_at = if ends_at.is_none() { entry.beginning(now) } else { None };
            QuietHours { ends_at, begins_at, ..entry.hours.clone() }
        };
        self.lock().values().map(shown).collect()
    }

    /// Adds quiet hours, or puts them in the place of those with their id; gives the id. It blocks.
    pub(crate) fn set(&self, mut hours: QuietHours) -> Result<String, QuietError> {
        let mut entries = self.lock();
        if hours.id.is_empty() {
            if entries.len() >= HOURS_MAX {
                return Err(QuietError::TooMany);
            }
            hours.id = new_id();
        } else if !entries.contains_key(&hours.id) {
            return Err(QuietError::NotFound);
        }
        let entry = Entry::new(hours)?;
        let id = entry.hours.id.clone();
        let bytes = serde_json::to_vec(&record(&entry.hours)).map_err(|e| QuietError::Invalid(e.to_string()))?;
        self.store.write(SPACE, &[(id.clone(), Some(bytes))])?;
        entries.insert(id.clone(), entry);
        Ok(id)
    }

    /// Removes some. It blocks.
    pub(crate) fn remove(&self, id: &str) -> Result<(), QuietError> {
        let mut entries = self.lock();
        if !entries.contains_key(id) {
            return Err(QuietError::NotFound);
        }
        self.store.write(SPACE, &[(id.to_owned(), None)])?;
        entries.remove(id);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hours(id: &str, record: Record) -> QuietHours {
    let Record(receiver, days, from, to, zone, heard, comment) = record;
    QuietHours { id: id.to_owned(), receiver, days, from, to, zone, heard, comment, ends_at: None, begins_at: None }
}

fn record(hours: &QuietHours) -> Record {
    let QuietHours { receiver, days, from, to, zone, heard, comment, .. } = hours.clone();
    Record(receiver, days, from, to, zone, heard, comment)
}

impl Entry {
    fn new(hours: QuietHours) -> Result<Self, QuietError> {
        let invalid = |message: &str| Err(QuietError::Invalid(message.to_owned()));
        if !hours.days.contains(&true) {
            return invalid("choose at least one day on which they begin");
        }
        if hours.from >= DAY_MINUTES || hours.to >= DAY_MINUTES {
            return invalid("a time lies between 00:00 and 23:59");
        }
        let texts = hours.heard.iter().map(String::len).sum::<usize>() + hours.receiver.len() + hours.comment.len();
        if texts > BYTES_MAX {
            return invalid("the texts are too long");
        }
        let zone = location(&hours.zone).map_err(QuietError::Invalid)?;
        Ok(Self { hours, zone })
    }

    /// When those end that it is now.
    fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let here = self.here(now)?;
        let days = [Some(here.date()), here.date().yesterday().ok()];
        let spans = days.into_iter().flatten().filter_map(|day| self.span(day));
        spans.filter(|(from, to)| (*from..*to).contains(&now)).map(|(_, to)| to).max()
    }

    /// When the next ones begin.
    fn beginning(&self, now: Timestamp) -> Option<Timestamp> {
        let today = self.here(now)?.date();
        let days = (0..=7).filter_map(|ahead| today.checked_add(Span::new().days(ahead)).ok());
        days.filter_map(|day| self.span(day)).map(|(from, _)| from).find(|from| *from > now)
    }

    fn here(&self, at: Timestamp) -> Option<Zoned> {
        Some(jiff::Timestamp::from_millisecond(at).ok()?.to_zoned(self.zone.clone()))
    }

    /// Beginning and end of those that begin on a day, if any do. Where a clock that is set forward skips a time, it is the
    /// first one behind the gap.
    fn span(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        let QuietHours { days, from, to, .. } = &self.hours;
        let begins = days.get(usize::from(day.weekday().to_monday_zero_offset().unsigned_abs()));
        if begins != Some(&true) {
            return None;
        }
        let last = if to > from { day } else { day.tomorrow().ok()? };
        Some((self.at(day, *from)?, self.at(last, *to)?))
    }

    fn at(&self, day: Date, minute: u16) -> Option<Timestamp> {
        let time = Time::new(i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?, 0, 0).ok()?;
        Some(day.to_datetime(time).to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use catalog::Catalog;

    use super::*;

    const EVERY_DAY: [bool; 7] = [true; 7];
    const WORKING_DAYS: [bool; 7] = [true, true, true, true, true, false, false];

    fn nights(days: [bool; 7], from: u16, to: u16, zone: &str) -> QuietHours {
        let heard = vec!["critical".to_owned()];
        QuietHours { days, from: from * 60, to: to * 60, zone: zone.to_owned(), heard, ..QuietHours::default() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn they_know_their_times() {
        let check = |hours: &QuietHours, now: &str, end: Option<&str>, beginning: &str| {
            let entry = Entry::new(hours.clone()).unwrap();
            assert_eq!(entry.end(at(now)), end.map(at), "end at {now}");
            assert_eq!(entry.beginning(at(now)), Some(at(beginning)), "beginning at {now}");
        };
        // 2026-11-20 is a Friday.
        let night = nights(EVERY_DAY, 22, 7, "UTC");
        check(&night, "2026-11-20T21:59:59Z", None, "2026-11-20T22:00:00Z");
        check(&night, "2026-11-20T22:00:00Z", Some("2026-11-21T07:00:00Z"), "2026-11-21T22:00:00Z");
        check(&night, "2026-11-21T06:59:59Z", Some("2026-11-21T07:00:00Z"), "2026-11-21T22:00:00Z");
        check(&night, "2026-11-21T07:00:00Z", None, "2026-11-21T22:00:00Z");
        let working = nights(WORKING_DAYS, 22, 7, "UTC");
        check(&working, "2026-11-21T06:00:00Z", Some("2026-11-21T07:00:00Z"), "2026-11-23T22:00:00Z");
        check(&working, "2026-11-21T23:00:00Z", None, "2026-11-23T22:00:00Z");
        check(&working, "2026-11-23T06:00:00Z", None, "2026-11-23T22:00:00Z");
        let lunch = nights(EVERY_DAY, 12, 13, "Europe/Berlin");
        check(&lunch, "2026-11-20T11:30:00Z", Some("2026-11-20T12:00:00Z"), "2026-11-21T11:00:00Z");
        check(&lunch, "2026-07-20T10:30:00Z", Some("2026-07-20T11:00:00Z"), "2026-07-21T10:00:00Z");
        let whole = nights([false, false, false, false, false, true, false], 0, 0, "UTC");
        check(&whole, "2026-11-21T00:00:00Z", Some("2026-11-22T00:00:00Z"), "2026-11-28T00:00:00Z");
        // The night in which the clock is set forward has no 02:00 in Berlin; the one in which it is set back has it twice.
        let early = nights(EVERY_DAY, 2, 7, "Europe/Berlin");
        check(&early, "2026-03-29T01:30:00Z", Some("2026-03-29T05:00:00Z"), "2026-03-30T00:00:00Z");
        check(&early, "2026-10-25T00:30:00Z", Some("2026-10-25T06:00:00Z"), "2026-10-26T01:00:00Z");
    }

    #[test]
    fn they_keep_back_what_is_not_urgent_and_outlive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn KeyValue> = Arc::new(Catalog::open(folder.path()).unwrap());
        let quiet = Quiet::open(store.clone());
        let id = quiet.set(QuietHours { receiver: "mail".to_owned(), ..nights(EVERY_DAY, 22, 7, "UTC") }).unwrap();
        let check = |quiet: &Quiet, receiver: &str, severity: &str, now: &str, expected: bool| {
            let labels = Labels::from_pairs([("alertname", "A"), ("severity", severity)]);
            assert_eq!(quiet.until(receiver, &labels, at(now)).is_some(), expected, "{receiver} {severity} {now}");
        };
        let (night, day) = ("2026-11-20T23:00:00Z", "2026-11-20T12:00:00Z");
        for quiet in [&quiet, &Quiet::open(store.clone())] {
            check(quiet, "mail", "warning", night, true);
            check(quiet, "mail", "", night, true);
            check(quiet, "mail", "Critical", night, false);
            check(quiet, "mail", "none", night, false);
            check(quiet, "mail", "warning", day, false);
            check(quiet, "chat", "warning", night, false);
        }
        // Everybody, from now on.
        let everybody = QuietHours { id: id.clone(), ..nights(EVERY_DAY, 22, 7, "UTC") };
        assert_eq!(quiet.set(everybody).unwrap(), id);
        check(&quiet, "chat", "warning", night, true);
        quiet.remove(&id).unwrap();
        check(&quiet, "chat", "warning", night, false);
        assert!(Quiet::open(store).all(0).is_empty());
        assert!(matches!(quiet.remove(&id), Err(QuietError::NotFound)));
        assert!(matches!(quiet.set(QuietHours { id, ..nights(EVERY_DAY, 1, 2, "") }), Err(QuietError::NotFound)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let quiet = Quiet::open(Arc::new(Catalog::open(folder.path()).unwrap()));
        let check = |hours: QuietHours, expected: &str| {
            assert_eq!(quiet.set(hours).unwrap_err().to_string(), expected);
        };
        check(nights([false; 7], 22, 7, "UTC"), "choose at least one day on which they begin");
        check(nights(EVERY_DAY, 24, 7, "UTC"), "a time lies between 00:00 and 23:59");
        check(nights(EVERY_DAY, 22, 7, "Nowhere/City"), "unknown time zone Nowhere/City");
        check(QuietHours { comment: "x".repeat(BYTES_MAX), ..nights(EVERY_DAY, 22, 7, "") }, "the texts are too long");
        for _ in 0..HOURS_MAX {
            quiet.set(nights(EVERY_DAY, 22, 7, "UTC")).unwrap();
        }
        check(nights(EVERY_DAY, 22, 7, "UTC"), "200 quiet hours are the most; remove those that nobody needs");
    }
}
