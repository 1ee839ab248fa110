//! The notification log: what each receiver was told last of each group. It outlives the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use model::{Alert, Change, KeyValue, Labels, Timestamp};
use serde::{Deserialize, Serialize};

use crate::group::Told;

/// The space of the key-value store.
const SPACE: &str = "notifications";

/// Entries in memory and on disk; more than the groups of any small site. The oldest give way.
const ENTRIES_MAX: usize = 20_000;
/// How long an entry counts after it expired: Alertmanager clears its log that often, and until then what was told holds.
const LINGER_MS: i64 = 15 * 60_000;

/// What a receiver was told last of a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When.
    pub(crate) timestamp: Timestamp,
    /// When it may be forgotten.
    pub(crate) expires: Timestamp,
    /// Alerts that fired: as a whole, so that their end can be told after a restart.
    pub(crate) firing: Vec<Kept>,
    /// Fingerprints of alerts that had ended.
    pub(crate) resolved: Vec<u64>,
}

/// An alert as the log keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    generator_url: String,
}

impl Kept {
    pub(crate) fn new(alert: &Alert) -> Self {
        let map = |labels: &Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Self {
            labels: map(&alert.labels),
            annotations: map(&alert.annotations),
            starts_at: alert.starts_at,
            ends_at: alert.ends_at,
            generator_url: alert.generator_url.clone(),
        }
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        crate::fingerprint(&Labels::from_pairs(&self.labels))
    }

    fn alert(&self) -> Alert {
        Alert {
            labels: Labels::from_pairs(&self.labels),
            annotations: Labels::of_texts(&self.annotations),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            generator_url: self.generator_url.clone(),
        }
    }
}

impl Entry {
    pub(crate) fn new(told: &[Told], timestamp: Timestamp, expires: Timestamp) -> Self {
        Self {
            timestamp,
            expires,
            firing: told.iter().filter(|t| !t.resolved).map(|t| Kept::new(&t.alert)).collect(),
            resolved: told.iter().filter(|t| t.resolved).map(|t| t.fingerprint).collect(),
        }
    }
}

/// The log. Share it by `Arc`.
pub(crate) struct Log {
    store: Arc<dyn KeyValue>,
    entries: Mutex<HashMap<String, Entry>>,
    /// What waits for the next write. Keys that were left out at the start begin it: nobody else would remove them.
    waiting: Mutex<Vec<Change>>,
    /// Held while the store writes. Who waits for it finds most of the time that the one before has written for both: a
    /// thousand notifications at once are a few writes, each of which waits for the disk.
    writing: tokio::sync::Mutex<()>,
}

impl Log {
    /// Reads the log; entries that expired or that another version wrote are left out.
    pub(crate) fn open(store: Arc<dyn KeyValue>, now: Timestamp) -> Self {
        let (mut entries, mut waiting) = (HashMap::new(), Vec::new());
        for (key, bytes) in store.entries(SPACE) {
            match serde_json::from_slice::<Entry>(&bytes) {
                Ok(entry) if entry.expires > now - LINGER_MS => drop(entries.insert(key, entry)),
                _ => waiting.push((key, None)),
            }
        }
        Self {
            store,
            entries: Mutex::new(entries),
            waiting: Mutex::new(waiting),
            writing: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Entry> {
        self.lock().get(key).cloned()
    }

    /// The alerts that somebody was told to fire, each once.
    pub(crate) fn firing(&self) -> Vec<Alert> {
        let entries = self.lock();
        let alerts = entries.values().flat_map(|entry| entry.firing.iter().map(Kept::alert));
        let by_labels: BTreeMap<Labels, Alert> = alerts.map(|alert| (alert.labels.clone(), alert)).collect();
        by_labels.into_values().collect()
    }

    /// Keeps an entry; it is on the disk when this returns. In memory it counts even if the disk refused: better to repeat
    /// after a restart than at every look.
    pub(crate) async fn put(self: &Arc<Self>, key: &str, entry: Entry, now: Timestamp) {
        self.stage(key, entry, now);
        let _writing = self.writing.lock().await;
        let log = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || log.write()).await {
            tracing::error!(%error, "the notification log ended badly");
        }
    }

    /// Keeps an entry in memory, and among what waits for the disk.
    fn stage(&self, key: &str, entry: Entry, now: Timestamp) {
        let mut changes: Vec<Change> = Vec::new();
        match serde_json::to_vec(&entry) {
            Ok(bytes) => changes.push((key.to_owned(), Some(bytes))),
            Err(error) => tracing::error!(key, %error, "a notification could not be written to the log"),
        }
        {
            let mut entries = self.lock();
            entries.insert(key.to_owned(), entry);
            let mut gone: Vec<String> = entries
                .iter()
                .filter(|(_, entry)| entry.expires <= now - LINGER_MS)
                .map(|(key, _)| key.clone())
                .collect();
            if entries.len() - gone.len() > ENTRIES_MAX {
                gone.extend(entries.iter().min_by_key(|(_, entry)| entry.timestamp).map(|(key, _)| key.clone()));
            }
            for key in &gone {
                entries.remove(key);
            }
            changes.extend(gone.into_iter().map(|key| (key, None)));
            // Still under the lock, so that the disk sees the order that the memory has seen.
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).append(&mut changes);
        }
    }

    /// Writes all that waits. It blocks.
    fn write(&self) {
        let changes = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if changes.is_empty() {
            return;
        }
        if let Err(error) = self.store.write(SPACE, &changes) {
            tracing::error!(%error, "the notification log could not be kept: after a restart people may be told again");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use catalog::Catalog;

    use super::*;

    /// Entries that had expired when the log was opened were forgotten in memory and stayed on the disk for ever.
    #[tokio::test]
    async fn what_expired_before_the_start_leaves_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn KeyValue> = Arc::new(Catalog::open(folder.path()).unwrap());
        let keys = || store.entries(SPACE).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        Arc::new(Log::open(store.clone(), 0)).put("a", Entry::new(&[], 0, 10), 0).await;
        store.write(SPACE, &[("unreadable".to_owned(), Some(b"?".to_vec()))]).unwrap();
        assert_eq!(keys(), ["a", "unreadable"]);
        let log = Arc::new(Log::open(store.clone(), LINGER_MS + 20));
        assert!(log.get("a").is_none());
        log.put("b", Entry::new(&[], LINGER_MS + 20, LINGER_MS + 30), LINGER_MS + 20).await;
        assert_eq!(keys(), ["b"]);
    }
}
