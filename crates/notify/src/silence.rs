//! Silences: what people do not want to hear of for a while. They outlive the process.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Change, KeyValue, Labels, MatchOp, Matcher, StorageError, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The space of the key-value store.
const SPACE: &str = "silences";

/// Silences that are kept; people make some dozens, and a loop that makes more is stopped.
const SILENCES_MAX: usize = 10_000;

/// A silence's texts together; a comment is a sentence or two.
const BYTES_MAX: usize = 64 << 10;

/// A silence that ended is shown for this long, so that it can be renewed. Alertmanager's value.
const RETENTION_MILLIS: i64 = 120 * 3_600_000;

/// A matcher as the store and the API write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceMatcher {
    /// The label.
    pub name: String,
    /// What it is compared with.
    pub value: String,
    /// Whether the value is a regular expression.
    #[serde(rename = "isRegex")]
    pub is_regex: bool,
    /// False turns the match round.
    #[serde(rename = "isEqual", default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

/// Nobody is told of alerts that fit all matchers, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its name for programs; empty for one that is new.
    pub id: String,
    /// All must hold.
    pub matchers: Vec<SilenceMatcher>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// When it was written last.
    pub updated_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// What programs keep with it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a silence is at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SilenceState {
    /// It silences.
    Active,
    /// It will.
    Pending,
    /// It is over.
    Expired,
}

impl SilenceState {
    /// The API's word.
    pub fn text(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    /// What it is now.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if now < self.starts_at {
            SilenceState::Pending
        } else if now >= self.ends_at {
            SilenceState::Expired
        } else {
            SilenceState::Active
        }
    }

    fn compile(&self) -> Result<Vec<Matcher>, SilenceError> {
        let matchers = self.matchers.iter().map(|matcher| {
            let op = match (matcher.is_regex, matcher.is_equal) {
                (false, true) => MatchOp::Equal,
                (false, false) => MatchOp::NotEqual,
                (true, true) => MatchOp::Match,
                (true, false) => MatchOp::NotMatch,
            };
            Matcher::new(op, &matcher.name, &matcher.value).map_err(|e| SilenceError::Invalid(e.to_string()))
        });
        matchers.collect()
    }

    fn check(&self) -> Result<Vec<Matcher>, SilenceError> {
        let invalid = |message: &str| Err(SilenceError::Invalid(message.to_owned()));
        let matchers = self.compile()?;
        let texts = self.matchers.iter().map(|matcher| matcher.name.len() + matcher.value.len()).sum::<usize>();
        if matchers.is_empty() {
            return invalid("at least one matcher required");
        }
        if matchers.iter().any(|matcher| matcher.name().is_empty()) {
            return invalid("invalid label matcher 0: invalid label name \"\"");
        }
        if matchers.iter().all(Matcher::matches_empty) {
            return invalid("matcher set 0: at least one matcher must not match the empty string");
        }
        let annotations = self.annotations.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if texts + annotations + self.comment.len() + self.created_by.len() > BYTES_MAX {
            return invalid("the silence is too large");
        }
        Ok(matchers)
    }

    /// Whether another state of it may take its place. Else the old one ends and a new one begins: people must be able to see
    /// what was silenced when.
    fn can_become(&self, new: &Self, now: Timestamp) -> bool {
        self.matchers == new.matchers
            && match self.state(now) {
                SilenceState::Active => self.starts_at == new.starts_at && new.ends_at >= now,
                SilenceState::Pending => new.starts_at >= now,
                SilenceState::Expired => false,
            }
    }
}

/// Why a silence was not taken.
#[derive(Clone, Debug, Error)]
pub enum SilenceError {
    /// It says nothing that can be kept.
    #[error("invalid silence: {0}")]
    Invalid(String),
    /// There is none of this id.
    #[error("silence not found")]
    NotFound,
    /// There are too many.
    #[error("exceeded maximum number of silences: {SILENCES_MAX}; expire those that nobody needs")]
    TooMany,
    /// The disk refused; nothing changed.
    #[error("the silence could not be kept: {0}")]
    Storage(#[from] StorageError),
}

/// A silence with its matchers ready.
struct Entry {
    silence: Silence,
    matchers: Vec<Matcher>,
}

/// All silences. What a call has changed is on the disk when it returns. Share it by `Arc`.
pub(crate) struct Silences {
    store: Arc<dyn KeyValue>,
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl Silences {
    /// Reads the silences. One that another version wrote is left where it is.
    pub(crate) fn open(store: Arc<dyn KeyValue>) -> Self {
        let mut entries = BTreeMap::new();
        for (key, bytes) in store.entries(SPACE) {
            let read = serde_json::from_slice::<Silence>(&bytes).map_err(|e| e.to_string());
            match read.and_then(|s| s.compile().map(|m| (s, m)).map_err(|e| e.to_string())) {
                Ok((silence, matchers)) => drop(entries.insert(key, Entry { silence, matchers })),
                Err(error) => tracing::error!(key, error, "a silence cannot be read; its alerts are told"),
            }
        }
        Self { store, entries: Mutex::new(entries) }
    }

    /// The ids of the silences that hold for an alert.
    pub(crate) fn silencing(&self, labels: &Labels, now: Timestamp) -> Vec<String> {
        let entries = self.lock();
        let active = entries.values().filter(|entry| entry.silence.state(now) == SilenceState::Active);
        let holding = active.filter(|entry| entry.matchers.iter().all(|matcher| matcher.matches_labels(labels)));
        holding.map(|entry| entry.silence.id.clone()).collect()
    }

    /// All silences; expired ones for as long as they are kept.
    pub(crate) fn all(&self, now: Timestamp) -> Vec<Silence> {
        let entries = self.lock();
        let silences = entries.values().map(|entry| &entry.silence);
        silences.filter(|silence| is_kept(silence, now)).cloned().collect()
    }

    /// Adds a silence, or puts it in the place of the one with its id. Gives its id, which is a new one where the old silence
    /// could not become this one. It blocks.
    pub(crate) fn set(&self, mut silence: Silence, now: Timestamp) -> Result<String, SilenceError> {
        let matchers = silence.check()?;
        let mut entries = self.lock();
        let mut changes = BTreeMap::new();
        if silence.id.is_empty() {
            self.begin(&entries, &mut silence, now)?;
        } else {
            let old = &entries.get(&silence.id).ok_or(SilenceError::NotFound)?.silence;
            if !old.can_become(&silence, now) {
                if old.state(now) != SilenceState::Expired {
                    changes.insert(old.id.clone(), expired(old, now));
                }
                self.begin(&entries, &mut silence, now)?;
            }
        }
        silence.updated_at = now;
        let id = silence.id.clone();
        changes.insert(id.clone(), silence);
        let gone = entries.values().map(|entry| &entry.silence).filter(|silence| !is_kept(silence, now));
        let gone: Vec<String> = gone.map(|silence| silence.id.clone()).filter(|id| !changes.contains_key(id)).collect();
        self.write(&changes, &gone)?;
        for key in &gone {
            entries.remove(key);
        }
        for (key, changed) in changes {
            let matchers = if key == id { matchers.clone() } else { changed.compile()? };
            entries.insert(key, Entry { silence: changed, matchers });
        }
        Ok(id)
    }

    /// Gives a silence that is new its id; it cannot begin before now.
    fn begin(
        &self,
        entries: &BTreeMap<String, Entry>,
        silence: &mut Silence,
        now: Timestamp,
    ) -> Result<(), SilenceError> {
        if entries.len() >= SILENCES_MAX {
            return Err(SilenceError::TooMany);
        }
        silence.id = new_id();
        silence.starts_at = silence.starts_at.max(now);
        Ok(())
    }

    /// Ends a silence now; one that is over stays as it is. It blocks.
    pub(crate) fn expire(&self, id: &str, now: Timestamp) -> Result<(), SilenceError> {
        let mut entries = self.lock();
        let entry = entries.get_mut(id).ok_or(SilenceError::NotFound)?;
        if entry.silence.state(now) == SilenceState::Expired {
            return Ok(());
        }
        let ended = expired(&entry.silence, now);
        self.write(&BTreeMap::from([(id.to_owned(), ended.clone())]), &[])?;
        entry.silence = ended;
        Ok(())
    }

    fn write(&self, changed: &BTreeMap<String, Silence>, gone: &[String]) -> Result<(), SilenceError> {
        let mut changes: Vec<Change> = Vec::with_capacity(changed.len() + gone.len());
        for (id, silence) in changed {
            let bytes = serde_json::to_vec(silence).map_err(|e| SilenceError::Invalid(e.to_string()))?;
            changes.push((id.clone(), Some(bytes)));
        }
        changes.extend(gone.iter().map(|id| (id.clone(), None)));
        Ok(self.store.write(SPACE, &changes)?)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_kept(silence: &Silence, now: Timestamp) -> bool {
    silence.ends_at.saturating_add(RETENTION_MILLIS) > now
}

fn expired(silence: &Silence, now: Timestamp) -> Silence {
    let starts_at = silence.starts_at.min(now);
    Silence { starts_at, ends_at: now, updated_at: now, ..silence.clone() }
}

/// A random UUID, version 4. It names; it keeps no secret.
pub(crate) fn new_id() -> String {
    let random = |salt: u8| RandomState::new().hash_one(salt);
    let (high, low) = (random(0), random(1));
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xffff);
    format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use catalog::Catalog;

    use super::*;

    const MINUTE: i64 = 60_000;

    fn silence(from: i64, to: i64) -> Silence {
        let is = |name: &str, value: &str, is_regex| SilenceMatcher {
            name: name.to_owned(),
            value: value.to_owned(),
            is_regex,
            is_equal: true,
        };
        Silence {
            id: String::new(),
            matchers: vec![is("a", "1|2", true), is("b", "x", false)],
            starts_at: from * MINUTE,
            ends_at: to * MINUTE,
            updated_at: 0,
            created_by: "me".to_owned(),
            comment: "why".to_owned(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn silences_between_start_and_end_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn KeyValue> = Arc::new(Catalog::open(folder.path()).unwrap());
        let silences = Silences::open(store.clone());
        let id = silences.set(silence(5, 10), 0).unwrap();
        assert_eq!(id.len(), 36);
        let check = |silences: &Silences, labels: [(&str, &str); 2], minute: i64, expected: bool| {
            let holding = silences.silencing(&Labels::from_pairs(labels), minute * MINUTE);
            assert_eq!(!holding.is_empty(), expected, "{labels:?} {minute}");
        };
        for silences in [&silences, &Silences::open(store.clone())] {
            check(silences, [("a", "1"), ("b", "x")], 5, true);
            check(silences, [("a", "12"), ("b", "x")], 5, false);
            check(silences, [("a", "1"), ("b", "y")], 5, false);
            check(silences, [("a", "1"), ("b", "x")], 4, false);
            check(silences, [("a", "1"), ("b", "x")], 10, false);
        }
        silences.expire(&id, 6 * MINUTE).unwrap();
        check(&silences, [("a", "1"), ("b", "x")], 6, false);
        check(&Silences::open(store.clone()), [("a", "1"), ("b", "x")], 6, false);
        assert!(matches!(silences.expire("?", 0), Err(SilenceError::NotFound)));
        // Five days later it leaves the disk with the next write.
        let later = 6 * MINUTE + RETENTION_MILLIS;
        assert!(silences.all(later).is_empty());
        let new = silences.set(Silence { starts_at: later, ends_at: later + MINUTE, ..silence(0, 0) }, later).unwrap();
        assert_eq!(store.entries(SPACE).into_iter().map(|(key, _)| key).collect::<Vec<_>>(), [new]);
    }

    #[test]
    fn changes_in_place_or_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let silences = Silences::open(Arc::new(Catalog::open(folder.path()).unwrap()));
        let id = silences.set(silence(0, 10), MINUTE).unwrap();
        let kept = silences.all(MINUTE).remove(0);
        assert_eq!(kept.starts_at, MINUTE);
        // Its end may change, its beginning and its matchers not.
        let longer = Silence { ends_at: 20 * MINUTE, ..kept.clone() };
        assert_eq!(silences.set(longer.clone(), 2 * MINUTE).unwrap(), id);
        let wider = Silence { matchers: vec![longer.matchers[0].clone()], ..longer };
        let other = silences.set(wider.clone(), 3 * MINUTE).unwrap();
        assert_ne!(other, id);
        let states: Vec<_> = silences.all(4 * MINUTE).iter().map(|s| (s.id == id, s.state(4 * MINUTE))).collect();
        assert!(states.contains(&(true, SilenceState::Expired)) && states.contains(&(false, SilenceState::Active)));
        // One that is over comes back as a new one.
        assert_ne!(silences.set(Silence { ends_at: 90 * MINUTE, ..wider }, 30 * MINUTE).unwrap(), other);
        let check = |silence: Silence, expected: &str| {
            assert_eq!(silences.set(silence, 0).unwrap_err().to_string(), expected);
        };
        check(Silence { matchers: Vec::new(), ..silence(0, 1) }, "invalid silence: at least one matcher required");
        let empty = SilenceMatcher { value: ".*".to_owned(), ..silence(0, 1).matchers[0].clone() };
        check(
            Silence { matchers: vec![empty], ..silence(0, 1) },
            "invalid silence: matcher set 0: at least one matcher must not match the empty string",
        );
        check(Silence { id: "?".to_owned(), ..silence(0, 1) }, "silence not found");
    }
}
