//! Answers of range queries that are kept, so that a panel which refreshes has only its new steps computed.
//!
//! The value of a step depends on the samples up to it and on nothing else, unless the expression says `@`. An answer
//! therefore stays right before the oldest time at which the store changed since it was computed; from there on its
//! steps are computed again. Nothing is kept where the store cannot tell what changed, nor an answer with annotations
//! of which it is not known what steps they belong to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{Labels, METRIC_NAME, MatchOp, Moment, Queryable, Samples, Timestamp};

use crate::engine::Spans;
use crate::eval::{Raised, Remembered};
use crate::syntax::{Kind, NodeId};
use crate::{Answer, Expr, MatrixSeries, Range};

/// An answer with more bytes than this part of all that may be kept would push out most of the others.
const ANSWER_PART: usize = 4;

/// What a series takes beside its samples.
const SERIES_BYTES: usize = 96;

/// Answers of one expression and step that are kept at once: whoever aligns has one, and of those that do not none is asked
/// for again.
const PHASES_MAX: usize = 4;

/// A panel whose new steps took no longer the last time is quick: it takes about as long to wake a thread for it.
const QUICK: Duration = Duration::from_millis(1);

/// And more new steps than these are more than a refresh of it.
const QUICK_STEPS_MAX: i64 = 8;

/// Which answers are of one panel. Those that have their steps at the same phase continue each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    text: String,
    step: i64,
    spans: Spans,
}

/// The answer for the steps from `start` to `end`.
#[derive(Clone, Debug)]
struct Kept {
    series: Arc<Vec<MatrixSeries>>,
    infos: Infos,
    /// Where in a step the steps lie.
    phase: i64,
    start: Timestamp,
    end: Timestamp,
    /// Where the store stood before the answer was computed.
    moment: Moment,
    bytes: usize,
    /// When it was used last, as a count.
    used: u64,
}

/// Infos of an answer, and the last step at which each was raised, by its text with its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Infos {
    texts: Vec<String>,
    raised: BTreeMap<String, Timestamp>,
}

/// What is kept of one panel.
#[derive(Debug, Default)]
struct Panel {
    phases: Vec<Kept>,
    /// How long its last answer took to compute.
    took: Duration,
    remembered: Arc<Remembered>,
}

/// Answers, those least recently used leaving first.
#[derive(Debug)]
pub(crate) struct Answers {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<Key, Panel>,
    bytes: usize,
    uses: u64,
}

/// What is known of an answer before it is computed.
pub(crate) struct Begun {
    begun: Instant,
    key: Key,
    moment: Moment,
    /// The part that is right, and its last step.
    known: Option<Known>,
    /// Where the same was asked for before at another time.
    remembered: Option<Arc<Remembered>>,
    /// Whether steps alone decide which annotations there are.
    is_by_step: bool,
    range: Range,
}

/// The part of an answer that is right, up to its last step.
struct Known {
    series: Arc<Vec<MatrixSeries>>,
    infos: Infos,
    last: Timestamp,
}

impl State {
    fn put(&mut self, key: Key, kept: Kept, took: Duration) {
        let panel = self.kept.entry(key).or_default();
        panel.took = took;
        let phases = &mut panel.phases;
        let same = phases.iter().position(|other| other.phase == kept.phase);
        let oldest = || (0..phases.len()).min_by_key(|&at| phases[at].used).filter(|_| phases.len() >= PHASES_MAX);
        if let Some(gone) = same.or_else(oldest) {
            self.bytes -= phases.swap_remove(gone).bytes;
        }
        self.bytes += kept.bytes;
        phases.push(kept);
    }

    /// Removes what was used least recently; `false` if there is nothing.
    fn remove_oldest(&mut self) -> bool {
        let oldest = self.kept.iter().flat_map(|(key, panel)| panel.phases.iter().map(move |kept| (kept.used, key)));
        let Some((used, key)) = oldest.min_by_key(|(used, _)| *used).map(|(used, key)| (used, key.clone())) else {
            return false;
        };
        if let Some(Panel { phases, .. }) = self.kept.get_mut(&key) {
            self.bytes -= phases.iter().filter(|kept| kept.used == used).map(|kept| kept.bytes).sum::<usize>();
            phases.retain(|kept| kept.used != used);
            if phases.is_empty() {
                self.kept.remove(&key);
            }
        }
        true
    }
}

impl Answers {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// Bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Whether most of an answer is kept and the rest of it took hardly any time when it was asked for before.
    pub(crate) fn is_quick(&self, text: &str, range: Range, spans: Spans) -> bool {
        let Ok(step) = i64::try_from(range.step.as_millis()) else { return false };
        let key = Key { text: text.to_owned(), step, spans };
        let end = last_step(range, step).saturating_sub(step.saturating_mul(QUICK_STEPS_MAX));
        let continues = |kept: &Kept| {
            kept.phase == range.start.rem_euclid(step) && kept.start <= range.start && kept.end >= end.max(range.start)
        };
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.kept.get(&key).is_some_and(|panel| panel.took < QUICK && panel.phases.iter().any(continues))
    }

    /// Looks what is known of an answer; `None` where it cannot be kept.
    pub(crate) fn begin(&self, storage: &dyn Queryable, expr: &Expr, range: Range, spans: Spans) -> Option<Begun> {
        let begun = Instant::now();
        let delay = shortest_delay(expr)?;
        // Before anything is read: what is written from now on counts as later.
        let moment = storage.moment()?;
        let step = i64::try_from(range.step.as_millis()).ok()?;
        let key = Key { text: expr.text().to_owned(), step, spans };
        let phase = range.start.rem_euclid(step);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.uses += 1;
        let uses = state.uses;
        let panel = state.kept.get_mut(&key);
        let remembered = panel.as_ref().map(|panel| Arc::clone(&panel.remembered));
        let of_phase = panel.and_then(|panel| panel.phases.iter_mut().find(|kept| kept.phase == phase));
        let known = of_phase.and_then(|kept| {
            let right_until = match storage.changed_since(kept.moment) {
                Some(changed) => kept.end.min(last_before(changed.saturating_add(delay), kept.end, step)),
                None => kept.end,
            };
            kept.used = uses;
            let last = right_until.min(last_step(range, step));
            let is_known = kept.start <= range.start && last >= range.start;
            is_known.then(|| Known { series: Arc::clone(&kept.series), infos: kept.infos.clone(), last })
        });
        drop(state);
        let is_by_step = !expr.nodes().any(|(_, node)| matches!(node.kind, Kind::Subquery { .. }));
        Some(Begun { begun, key, moment, known, remembered, is_by_step, range })
    }

    /// Keeps a whole answer, if annotations allow it.
    pub(crate) fn keep(&self, begun: Begun, series: &[MatrixSeries], answer: &Answer, raised: Raised) {
        let Some(infos) = begun.infos_to_keep(answer, raised) else { return };
        let remembered = begun.remembered.as_ref().map_or(0, |remembered| remembered.bytes());
        let bytes = begun.key.text.len() + infos.bytes() + remembered + series.iter().map(bytes_of).sum::<usize>();
        if bytes > self.bytes_max / ANSWER_PART {
            return;
        }
        let (start, end) = (begun.range.start, last_step(begun.range, begun.key.step));
        let series = Arc::new(series.to_vec());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.uses += 1;
        let phase = start.rem_euclid(begun.key.step);
        let kept = Kept { series, infos, phase, start, end, moment: begun.moment, bytes, used: state.uses };
        state.put(begun.key, kept, begun.begun.elapsed());
        while state.bytes > self.bytes_max && state.remove_oldest() {}
    }
}

impl Begun {
    /// What the answer was begun with.
    pub(crate) fn spans(&self) -> Spans {
        self.key.spans
    }

    /// What is remembered of it where the same was asked for before, so that it will be again.
    pub(crate) fn remembered(&self) -> Option<&Remembered> {
        self.remembered.as_deref()
    }

    /// The last step that is known.
    pub(crate) fn known_until(&self) -> Option<Timestamp> {
        self.known.as_ref().map(|known| known.last)
    }

    /// From now on nothing is known.
    pub(crate) fn forget(&mut self) {
        self.known = None;
    }

    /// The infos of the whole, of which a part was computed; `None` where they cannot be told from what is known.
    pub(crate) fn infos(&self, computed: &Answer, raised: &mut Raised) -> Option<Vec<String>> {
        let Some(Known { infos, last, .. }) = self.known.as_ref().filter(|known| !known.infos.texts.is_empty()) else {
            return Some(computed.infos.clone());
        };
        let Raised::Last(steps) = raised else { return None };
        let still =
            |(text, step): (&String, &Timestamp)| steps.contains_key(text) || (self.range.start..=*last).contains(step);
        // Which one is told first depends on all steps.
        if !infos.raised.iter().all(still) || steps.keys().any(|text| !infos.raised.contains_key(text)) {
            return None;
        }
        infos.raised.iter().for_each(|(text, step)| {
            steps.entry(text.clone()).or_insert(*step);
        });
        Some(infos.texts.clone())
    }

    fn infos_to_keep(&self, answer: &Answer, raised: Raised) -> Option<Infos> {
        match raised {
            _ if !answer.warnings.is_empty() => None,
            _ if answer.infos.is_empty() => Some(Infos::default()),
            Raised::Last(raised) if self.is_by_step => Some(Infos { texts: answer.infos.clone(), raised }),
            _ => None,
        }
    }

    /// The steps that are to be computed; `None` if all are known.
    pub(crate) fn missing(&self) -> Option<Range> {
        let Some(known) = &self.known else { return Some(self.range) };
        let start = known.last.saturating_add(self.key.step);
        (start <= self.range.end).then_some(Range { start, ..self.range })
    }

    /// The whole answer, from what was known and what was computed, ordered by labels.
    pub(crate) fn complete(&self, computed: Vec<MatrixSeries>) -> Vec<MatrixSeries> {
        let Some(Known { series: known, last, .. }) = &self.known else { return computed };
        let mut series: Vec<MatrixSeries> =
            known.iter().map(|series| cut(series, self.range.start, *last)).filter(|s| !s.samples.is_empty()).collect();
        let places: HashMap<Labels, usize> = series.iter().enumerate().map(|(at, s)| (s.labels.clone(), at)).collect();
        let mut is_ordered = true;
        for new in computed {
            if let Some(&at) = places.get(&new.labels) {
                series[at].samples.timestamps.extend_from_slice(&new.samples.timestamps);
                series[at].samples.values.extend_from_slice(&new.samples.values);
            } else {
                is_ordered = false;
                series.push(new);
            }
        }
        if !is_ordered {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        series
    }
}

impl Infos {
    fn bytes(&self) -> usize {
        self.texts.iter().chain(self.raised.keys()).map(String::len).sum()
    }
}

fn bytes_of(series: &MatrixSeries) -> usize {
    SERIES_BYTES + series.labels.as_packed().len() + series.samples.len() * size_of::<model::Sample>()
}

/// The samples from `first` to `last`.
fn cut(series: &MatrixSeries, first: Timestamp, last: Timestamp) -> MatrixSeries {
    let times = &series.samples.timestamps;
    let begin = times.partition_point(|&time| time < first);
    let part = begin..begin + times[begin..].partition_point(|&time| time <= last);
    let samples = Samples { timestamps: times[part.clone()].to_vec(), values: series.samples.values[part].to_vec() };
    MatrixSeries { labels: series.labels.clone(), samples }
}

fn last_step(range: Range, step: i64) -> Timestamp {
    range.start.saturating_add(range.end.saturating_sub(range.start) / step * step)
}

/// The last of the steps up to `end` that lies before `time`.
fn last_before(time: Timestamp, end: Timestamp, step: i64) -> Timestamp {
    if time > end {
        return end;
    }
    let back = end.saturating_sub(time) / step + 1;
    end.saturating_sub(back.saturating_mul(step))
}

/// The shortest time after which a sample shows in a step: zero, more where all selectors have an offset, less where one
/// looks ahead. `None` where steps depend on other things: `@`, and names that are dropped of series which may become
/// the same at different steps, which is an error of the range as a whole.
fn shortest_delay(expr: &Expr) -> Option<i64> {
    let mut delays: Vec<Option<i64>> = Vec::new();
    for (_, node) in expr.nodes() {
        let of = |id: &NodeId| delays[id.0 as usize];
        let shortest = |ids: &mut dyn Iterator<Item = &NodeId>| ids.filter_map(of).min();
        let delay = match &node.kind {
            Kind::Number { .. } | Kind::Text(_) => None,
            Kind::Vector(selector) => {
                let is_named = |m: &model::Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal;
                if selector.modifiers.at.is_some() || !selector.matchers.iter().any(is_named) {
                    return None;
                }
                Some(selector.modifiers.offset)
            }
            Kind::Subquery { modifiers, .. } if modifiers.at.is_some() => return None,
            Kind::Subquery { expr, modifiers, .. } => of(expr).map(|delay| delay.saturating_add(modifiers.offset)),
            Kind::Call { function, .. } if matches!(function.name, "info" | "label_replace" | "label_join") => {
                return None;
            }
            Kind::Call { args, .. } => shortest(&mut args.iter()),
            Kind::Aggregate { expr, param, .. } => shortest(&mut [expr].into_iter().chain(param)),
            Kind::Binary { lhs, rhs, .. } => shortest(&mut [lhs, rhs].into_iter()),
            Kind::Matrix { selector: inner, .. } | Kind::Unary { expr: inner, .. } | Kind::Paren(inner) => of(inner),
        };
        delays.push(delay);
    }
    delays.last().copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_of_expressions() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(shortest_delay(&crate::parse(text).unwrap()), expected, "{text}");
        };
        check("up", Some(0));
        check("sum(rate(a[5m] offset 1m)) / sum(b)", Some(0));
        check("sum(rate(a[5m] offset 1m))", Some(60_000));
        check("sum(rate(a[5m] offset -1m)) + a", Some(-60_000));
        check("max_over_time(rate(a[5m] offset 1m)[10m:1m] offset 2m)", Some(180_000));
        check("a @ 10", None);
        check("max_over_time(a[10m:1m] @ end())", None);
        check("{job=\"a\"}", None);
        check("1 + 2", None);
    }

    #[test]
    fn the_last_step_before_a_change() {
        let check = |time, expected| assert_eq!(last_before(time, 100, 10), expected, "{time}");
        check(101, 100);
        check(100, 90);
        check(91, 90);
        check(90, 80);
        assert!(last_before(Timestamp::MIN, 100, 10) < 0, "no step is right");
    }
}
