//! The newest exemplars, in a ring in memory. A small file holds those of the last sealing, the log what came since.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use hashbrown::{HashMap, HashSet};
use model::{Exemplar, Labels, Matcher, StorageError, Timestamp};
use parking_lot::Mutex;

use crate::Disk;
use crate::frame::{self, Scanned};
use crate::record::{
    DefinitionEncoder, RECORD_EXEMPLARS_MAX, Record, decode_definitions, decode_exemplars, encode_exemplars, kind,
};

/// About three megabytes at usual label sizes.
const EXEMPLARS_MAX: usize = 10_000;

/// The label set of an exemplar holds at most this many characters, as OpenMetrics says.
pub(crate) const LABEL_CHARS_MAX: usize = 128;

/// The file in the data folder.
pub(crate) const FILE_NAME: &str = "exemplars";

/// The ring.
#[derive(Default)]
pub(crate) struct Exemplars(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    oldest_first: VecDeque<(Labels, Exemplar)>,
    /// The last one of each series, to know a page that repeats it.
    newest: HashMap<Labels, Exemplar>,
    /// Whether the file lacks something.
    changed: bool,
    /// Bytes of the file.
    size_bytes: u64,
    /// What the file held, until the log was read: its segments may hold the same.
    loaded: HashSet<Key>,
}

/// Series, labels, bits of the value, time.
type Key = (Labels, Labels, u64, Option<Timestamp>);

fn key(series: &Labels, exemplar: &Exemplar) -> Key {
    (series.clone(), exemplar.labels.clone(), exemplar.value.to_bits(), exemplar.timestamp)
}

impl Exemplars {
    /// Whether the exemplar differs from the last one of its series.
    pub(crate) fn is_news(&self, series: &Labels, exemplar: &Exemplar) -> bool {
        self.0.lock().newest.get(series) != Some(exemplar)
    }

    pub(crate) fn push(&self, series: Labels, exemplar: Exemplar) {
        let mut ring = self.0.lock();
        if ring.oldest_first.len() >= EXEMPLARS_MAX
            && let Some((series, gone)) = ring.oldest_first.pop_front()
            && ring.newest.get(&series) == Some(&gone)
        {
            ring.newest.remove(&series);
        }
        ring.changed = true;
        ring.newest.insert(series.clone(), exemplar.clone());
        ring.oldest_first.push_back((series, exemplar));
    }

    /// Adds what the log says and the file did not.
    pub(crate) fn replay(&self, series: Labels, exemplar: Exemplar) {
        let known = self.0.lock().loaded.contains(&key(&series, &exemplar));
        if !known {
            self.push(series, exemplar);
        }
    }

    /// The log was read.
    pub(crate) fn replayed(&self) {
        self.0.lock().loaded = HashSet::default();
    }

    /// Bytes of the file.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.0.lock().size_bytes
    }

    /// Reads the file; returns how many damaged stretches were passed over.
    pub(crate) fn load(&self, disk: &dyn Disk, folder: &Path) -> Result<u64, StorageError> {
        let mut series: HashMap<u32, Labels> = HashMap::new();
        let mut damaged = 0;
        let size_bytes = frame::read_file(disk, folder, FILE_NAME, |scanned| {
            damaged += u64::from(self.take(&scanned, &mut series).is_none());
        })?;
        let mut ring = self.0.lock();
        ring.size_bytes = size_bytes.unwrap_or_default();
        ring.loaded = ring.oldest_first.iter().map(|(series, exemplar)| key(series, exemplar)).collect();
        ring.changed = false;
        Ok(damaged)
    }

    /// `None` if the frame is damaged.
    fn take(&self, scanned: &Scanned, series: &mut HashMap<u32, Labels>) -> Option<()> {
        match scanned {
            Scanned::Frame { kind: kind::DEFINITIONS, payload } => {
                series.extend(decode_definitions(payload).ok()?.into_iter().map(|d| (d.id, d.labels)));
            }
            Scanned::Frame { kind: kind::EXEMPLARS, payload } => {
                for (id, exemplar) in decode_exemplars(payload).ok()? {
                    self.push(series.get(&id)?.clone(), exemplar);
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Writes the file anew if something changed.
    pub(crate) fn save(&self, disk: &dyn Disk, folder: &Path) -> Result<(), StorageError> {
        let all = {
            let mut ring = self.0.lock();
            if !std::mem::take(&mut ring.changed) {
                return Ok(());
            }
            ring.oldest_first.clone()
        };
        let written = frame::replace_file(disk, folder, FILE_NAME, &records(all));
        let mut ring = self.0.lock();
        ring.size_bytes = written.inspect_err(|_| ring.changed = true)?;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().oldest_first.len()
    }

    /// Whether there are any of matching series in this time.
    pub(crate) fn holds(&self, matchers: &[Matcher], range: (Timestamp, Timestamp)) -> bool {
        self.0.lock().oldest_first.iter().any(|(series, exemplar)| is_among(series, exemplar, matchers, range))
    }

    /// Forgets those of matching series in this time once the file is without them. What the log holds of them comes back.
    pub(crate) fn delete(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        matchers: &[Matcher],
        range: (Timestamp, Timestamp),
    ) -> Result<(), StorageError> {
        let all = self.0.lock().oldest_first.clone();
        let (gone, kept): (VecDeque<_>, VecDeque<_>) =
            all.into_iter().partition(|(series, exemplar)| is_among(series, exemplar, matchers, range));
        if gone.is_empty() {
            return Ok(());
        }
        let size_bytes = frame::replace_file(disk, folder, FILE_NAME, &records(kept))?;
        let gone: HashSet<Key> = gone.iter().map(|(series, exemplar)| key(series, exemplar)).collect();
        let mut ring = self.0.lock();
        ring.size_bytes = size_bytes;
        ring.oldest_first.retain(|(series, exemplar)| !gone.contains(&key(series, exemplar)));
        ring.newest.retain(|series, exemplar| !gone.contains(&key(series, exemplar)));
        Ok(())
    }

    /// By series, oldest first.
    pub(crate) fn select(
        &self,
        matchers: &[Matcher],
        min_time: Timestamp,
        max_time: Timestamp,
    ) -> Vec<(Labels, Vec<Exemplar>)> {
        let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
        for (series, exemplar) in &self.0.lock().oldest_first {
            if is_among(series, exemplar, matchers, (min_time, max_time)) {
                found.entry(series.clone()).or_default().push(exemplar.clone());
            }
        }
        found.values_mut().for_each(|list| list.sort_by_key(|e| e.timestamp));
        found.into_iter().collect()
    }
}

fn is_among(
    series: &Labels,
    exemplar: &Exemplar,
    matchers: &[Matcher],
    (min_time, max_time): (Timestamp, Timestamp),
) -> bool {
    let in_time = exemplar.timestamp.is_some_and(|time| (min_time..=max_time).contains(&time));
    in_time && matchers.iter().all(|matcher| matcher.matches_labels(series))
}

/// Numbers the series in the order in which they come.
fn records(all: VecDeque<(Labels, Exemplar)>) -> Vec<Record> {
    let mut numbers: HashMap<Labels, u32> = HashMap::new();
    let mut definitions = DefinitionEncoder::default();
    let mut exemplars = Vec::with_capacity(all.len());
    for (labels, exemplar) in all {
        let next = numbers.len() as u32;
        let id = *numbers.entry(labels.clone()).or_insert(next);
        if id == next {
            definitions.add(id, &labels);
        }
        exemplars.push((id, exemplar));
    }
    let mut records = definitions.finish();
    records.extend(exemplars.chunks(RECORD_EXEMPLARS_MAX).map(encode_exemplars));
    records
}
