//! What a page has too much of, told when a limit refused it for its size.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use exposition::{Event, Format, Series, openmetrics, protobuf, text};
use model::METRIC_NAME;
use model::status::Excess;

use crate::reading::Body;

/// Labels and metrics that are told.
const SHOWN: usize = 5;
/// Names of labels that are counted, and of metrics: a page that grows does so in a few of them.
const NAMES_MAX: usize = 1024;
/// Hashes of values that are kept in all: 16 MiB for a page that is refused already.
const VALUES_MAX: usize = 1 << 20;

#[derive(Default)]
struct Count {
    hasher: RandomState,
    samples: u64,
    values: HashMap<String, HashSet<u64>>,
    kept: usize,
    metrics: HashMap<String, u64>,
}

/// Reads the page once more. Values are counted by their hashes, and no further than [`VALUES_MAX`].
pub(crate) fn excess(page: &Body<'_>) -> Excess {
    let mut count = Count::default();
    match page.format {
        Format::Text => text::Parser::new(page.bytes).map_while(Result::ok).for_each(|event| count.add(&event)),
        Format::OpenMetrics => {
            openmetrics::Parser::new(page.bytes).map_while(Result::ok).for_each(|event| count.add(&event));
        }
        Format::Protobuf => {
            let mut events = protobuf::Parser::new(page.bytes);
            while let Some(Ok(event)) = events.next_event() {
                count.add(&event);
            }
        }
    }
    let values = count.values.into_iter().map(|(name, values)| (name, values.len() as u64));
    let (labels, metrics) = (largest(values), largest(count.metrics));
    Excess { samples: count.samples, cut: page.cut.is_some(), labels, metrics }
}

impl Count {
    fn add(&mut self, event: &Event<'_>) {
        if let Event::Series(series) = event {
            self.add_series(series);
        }
    }

    fn add_series(&mut self, series: &Series<'_>) {
        self.samples += 1;
        for (name, value) in series.labels() {
            if name == METRIC_NAME {
                if let Some(samples) = entry(&mut self.metrics, &value) {
                    *samples += 1;
                }
            } else if self.kept < VALUES_MAX
                && let Some(values) = entry(&mut self.values, &name)
            {
                self.kept += usize::from(values.insert(self.hasher.hash_one(&*value)));
            }
        }
    }
}

fn entry<'a, V: Default>(map: &'a mut HashMap<String, V>, name: &str) -> Option<&'a mut V> {
    if !map.contains_key(name) {
        if map.len() >= NAMES_MAX {
            return None;
        }
        map.insert(name.to_owned(), V::default());
    }
    map.get_mut(name)
}

fn largest(counted: impl IntoIterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut counted: Vec<_> = counted.into_iter().collect();
    counted.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    counted.truncate(SHOWN);
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(page: &str, expected: &str) {
        let body = Body { bytes: page.as_bytes(), format: Format::Text, cut: None };
        let Excess { samples, labels, metrics, .. } = excess(&body);
        assert_eq!(format!("{samples} {labels:?} {metrics:?}"), expected);
    }

    #[test]
    fn the_widest_label_and_the_longest_metric_come_first() {
        check("", "0 [] []");
        let page: String = (0..100)
            .map(|i| format!("a{{id=\"{i}\",z=\"{}\",b=\"c\"}} 1\n{}", i % 10, if i % 4 == 0 { "b 1\n" } else { "" }))
            .collect();
        check(&page, r#"125 [("id", 100), ("z", 10), ("b", 1)] [("a", 100), ("b", 25)]"#);
    }
}
