//! From the labels of a page to the labels of the store: target labels, relabelling, limits.

use std::borrow::Cow;

use exposition::Series;
use model::{Labels, LabelsBuilder, METRIC_NAME, is_valid_label_name, is_valid_metric_name};

use crate::config::Limits;
use crate::relabel::relabel;
use crate::target::Target;

/// Put before a label of the page that the target has too, as often as it takes.
const EXPORTED_PREFIX: &str = "exported_";
/// Names and values are cut in messages, as in Prometheus.
const SHOWN_CHARS_MAX: usize = 50;

/// Relabelling takes time in the square of the labels, and no series needs nearly as many; a page with a million
/// labels on one line is refused before that.
const LABELS_MAX: usize = 4096;

/// What becomes of a series.
pub(crate) enum Mapped {
    Kept(Labels),
    /// By a rule.
    Dropped,
    /// The page is refused, and why.
    Refused(String),
    /// The same, unless the page is refused for its size already: the store would find a repeated label, and gets no more
    /// samples then.
    Repeated(String),
}

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Labels that the series gets in the store.
pub(crate) fn map(target: &Target, series: &Series<'_>) -> Mapped {
    let pairs: Vec<Pair<'_>> = series.labels().take(LABELS_MAX + 1).collect();
    if pairs.len() > LABELS_MAX {
        return Mapped::Refused(format!("a series with more than {LABELS_MAX} labels"));
    }
    let mut labels = merge(&pairs, &target.labels, target.job.honor_labels);
    if !relabel(&mut labels, &target.job.metric_relabel) {
        return Mapped::Dropped;
    }
    let labels = labels.build();
    if labels.is_empty() {
        return Mapped::Dropped;
    }
    let legacy = target.job.legacy_names.then(|| check_letters(&labels)).flatten();
    match legacy.or_else(|| check(&labels, &target.job.limits)) {
        Some(reason) => Mapped::Refused(reason),
        None => repeated(&pairs).map_or(Mapped::Kept(labels), Mapped::Repeated),
    }
}

/// With `honor`, a label of the page stands even where it is empty: that is how a page takes a target's label away.
fn merge(pairs: &[Pair<'_>], target: &Labels, honor: bool) -> LabelsBuilder {
    let mut labels = LabelsBuilder::default();
    for (name, value) in pairs {
        labels.set(name, &**value);
    }
    let mut moved: Vec<(&str, String)> = Vec::new();
    for (name, value) in target {
        if honor && pairs.iter().any(|(n, _)| n == name) {
            continue;
        }
        moved.extend(labels.get(name).map(|exposed| (name, exposed.to_owned())));
        labels.set(name, value);
    }
    moved.sort_by_key(|(name, _)| name.len());
    for (name, value) in moved {
        let mut free = format!("{EXPORTED_PREFIX}{name}");
        while labels.get(&free).is_some() {
            free.insert_str(0, EXPORTED_PREFIX);
        }
        labels.set(&free, value);
    }
    labels
}

fn repeated(pairs: &[Pair<'_>]) -> Option<String> {
    let again = |i: usize| pairs[..i].iter().any(|(name, _)| *name == pairs[i].0);
    let repeated = (1..pairs.len()).find(|&i| again(i))?;
    Some(format!("label name {:?} is not unique: invalid sample", pairs[repeated].0))
}

/// Names of other letters, where the job allows only the old ones.
fn check_letters(labels: &Labels) -> Option<String> {
    let is_old = |(name, value): (&str, &str)| match name {
        METRIC_NAME => is_valid_metric_name(value),
        name => is_valid_label_name(name),
    };
    (!labels.iter().all(is_old)).then(|| format!("invalid metric name or label names: {labels}"))
}

fn check(labels: &Labels, limits: &Limits) -> Option<String> {
    let metric = labels.metric_name();
    if metric.is_empty() {
        return Some("missing metric name (__name__ label)".to_owned());
    }
    if labels.iter().any(|(name, _)| name.is_empty()) {
        return Some(format!("invalid metric name or label names: {labels}"));
    }
    let exceeds = |length: usize, limit: Option<u64>| limit.filter(|&limit| length as u64 > limit);
    let metric = shorten(metric);
    let count = labels.len();
    if let Some(limit) = exceeds(count, limits.labels) {
        return Some(format!("label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {limit})"));
    }
    labels.iter().find_map(|(name, value)| {
        let label = shorten(name);
        if let Some(limit) = exceeds(name.len(), limits.label_name_bytes) {
            return Some(format!(
                "label_name_length_limit exceeded (metric: {metric}, label name: {label}, length: {}, limit: {limit})",
                name.len()
            ));
        }
        let limit = exceeds(value.len(), limits.label_value_bytes)?;
        Some(format!(
            "label_value_length_limit exceeded (metric: {metric}, label name: {label}, value: {:?}, length: {}, limit: {limit})",
            shorten(value),
            value.len()
        ))
    })
}

fn shorten(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

/// The labels of one of the target's own series, such as `up`.
pub(crate) fn own_series(target: &Target, name: &str) -> Labels {
    let pairs = [(Cow::Borrowed(METRIC_NAME), Cow::Borrowed(name))];
    merge(&pairs, &target.labels, false).build()
}
