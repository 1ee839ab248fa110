//! The newest exemplars, in a ring in memory. The log brings those back that came after the last sealing.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;
use model::{Exemplar, Labels, Matcher, Timestamp};
use parking_lot::Mutex;

/// About three megabytes at usual label sizes.
const EXEMPLARS_MAX: usize = 10_000;

/// The label set of an exemplar holds at most this many characters, as OpenMetrics says.
pub(crate) const LABEL_CHARS_MAX: usize = 128;

/// The ring.
#[derive(Default)]
pub(crate) struct Exemplars(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    oldest_first: VecDeque<(Labels, Exemplar)>,
    /// The last one of each series, to know a page that repeats it.
    newest: HashMap<Labels, Exemplar>,
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
        ring.newest.insert(series.clone(), exemplar.clone());
        ring.oldest_first.push_back((series, exemplar));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().oldest_first.len()
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
            let in_time = exemplar.timestamp.is_some_and(|t| (min_time..=max_time).contains(&t));
            if in_time && matchers.iter().all(|m| m.matches_labels(series)) {
                found.entry(series.clone()).or_default().push(exemplar.clone());
            }
        }
        found.values_mut().for_each(|list| list.sort_by_key(|e| e.timestamp));
        found.into_iter().collect()
    }
}
