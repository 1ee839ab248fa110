//! The queries of panels: each different one once, its answer as columns.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashboard::{
    CELLS_MAX, Column, Field, Format, Frame, LegendFormat, Panel, Question, Scope, Screen, Syntax, Target, TimeRange,
    ask, legend_name,
};
use model::{Labels, METRIC_NAME, Samples, Timestamp};
use promql::{Range, Value};

use super::bands::Bands;
use super::exemplars::{self, Exemplar};
use super::model::Query;
use super::vars::with_matchers;
use crate::ask::Asker;

/// Series of an answer that become columns. Nobody reads more lines; what reduces or groups them, PromQL does better.
const SERIES_MAX: usize = 2_000;

/// Samples that are remembered for panels which ask the same: thirty megabytes. Past it a query is asked again, which the
/// engine's own memory of answers makes cheap.
const KNOWN_SAMPLES_MAX: usize = 2_000_000;

/// What was asked, so that equal queries are asked once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    expr: String,
    start: Timestamp,
    end: Timestamp,
    /// 0 for one moment.
    step: u64,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) series: Vec<(Labels, Samples)>,
    notes: Vec<(bool, String)>,
    omitted: usize,
}

/// What a panel's queries answered.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) frames: Vec<Frame>,
    pub(super) queries: Vec<Query>,
    pub(super) errors: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
    pub(super) took: Duration,
    /// The step and the time of its first range query.
    pub(super) grid: Option<(u64, TimeRange)>,
    /// Whether all of its range queries have that step.
    pub(super) even: bool,
    /// What its lines reached between their points.
    pub(super) bands: Bands,
    pub(super) exemplars: Vec<Exemplar>,
}

/// Asks, and remembers within one request.
pub(super) struct Fetcher<'a> {
    asker: &'a Asker,
    known: HashMap<Key, Rc<Result<Fetched, String>>>,
    /// Samples in there.
    samples: usize,
    /// The usual distance of scrapes.
    pub(super) scrape_ms: Option<u64>,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(asker: &'a Asker, scrape_ms: u64) -> Self {
        Self { asker, known: HashMap::new(), samples: 0, scrape_ms: Some(scrape_ms).filter(|ms| *ms > 0) }
    }

    /// Everything that a panel asks.
    pub(super) fn panel(
        &mut self,
        panel: &Panel,
        scope: &Scope,
        matchers: &[String],
        range: &TimeRange,
        screen: Screen,
    ) -> Answers {
        let begun = Instant::now();
        let mut answers = Answers { even: true, ..Answers::default() };
        let mut tables: Vec<(Frame, &Target)> = Vec::new();
        let mut ranges: Vec<(&Target, Question)> = Vec::new();
        for target in panel.targets.iter().filter(|target| !target.hide && !target.expr.trim().is_empty()) {
            let question = match ask(panel, target, scope, range, screen) {
                Ok(question) => Question { expr: with_matchers(&question.expr, matchers), ..question },
                Err(error) => {
                    answers.errors.push(format!("{}: {error}", target.ref_id));
                    continue;
                }
            };
            let is_range = target.range || !target.instant;
            if is_range {
                answers.see_grid(&question);
                self.one(target, &question, true, scope, &mut answers, &mut tables);
                ranges.push((target, question.clone()));
                if target.exemplars {
                    // The query itself says what is wrong with it.
                    let found = exemplars::of(self.asker, &question.expr, range, question.steps.step_ms);
                    answers.exemplars.extend(found.unwrap_or_default());
                }
            }
            if target.instant {
                let question = Question { range: range.clone(), ..question };
                self.one(target, &question, false, scope, &mut answers, &mut tables);
            }
        }
        answers.bands = Bands::read(self, panel, &ranges, (scope, matchers, range), answers.frames.len());
        answers.frames.extend(merged(tables));
        answers.took = begun.elapsed();
        answers
    }

    fn one<'t>(
        &mut self,
        target: &'t Target,
        question: &Question,
        is_range: bool,
        scope: &Scope,
        answers: &mut Answers,
        tables: &mut Vec<(Frame, &'t Target)>,
    ) {
        let step = if is_range { question.steps.step_ms } else { 0 };
        answers.queries.push(Query { ref_id: target.ref_id.clone(), expr: question.expr.clone(), step });
        let fetched = self.fetch(question, step);
        let fetched = match &*fetched {
            Ok(fetched) => fetched,
            Err(error) => return answers.errors.push(format!("{}: {error}", target.ref_id)),
        };
        answers.note(fetched);
        let columns = if target.format == Format::Table { 2 + fetched.label_names().len() } else { 2 };
        let cells = fetched.series.iter().map(|(_, samples)| samples.len()).sum::<usize>().saturating_mul(columns);
        if cells > CELLS_MAX {
            let error = format!(
                "{}: the answer has {cells} cells, {CELLS_MAX} are possible; ask for fewer series",
                target.ref_id
            );
            return answers.errors.push(error);
        }
        match target.format {
            Format::Table => tables.push((table(target, fetched), target)),
            Format::Heatmap => answers.frames.push(buckets(target, question, scope, fetched)),
            Format::TimeSeries => answers.frames.extend(series(target, question, scope, fetched)),
        }
    }

    pub(super) fn fetch(&mut self, question: &Question, step: u64) -> Rc<Result<Fetched, String>> {
        let TimeRange { from_ms, to_ms } = question.range;
        let start = if step == 0 { to_ms } else { from_ms };
        let key = Key { expr: question.expr.clone(), start, end: to_ms, step };
        if let Some(known) = self.known.get(&key) {
            return Rc::clone(known);
        }
        let found = Rc::new(if step == 0 { self.instant(&key) } else { self.range(&key) });
        let samples =
            found.as_ref().as_ref().map_or(0, |found| found.series.iter().map(|(_, samples)| samples.len()).sum());
        if self.samples + samples <= KNOWN_SAMPLES_MAX {
            self.samples += samples;
            self.known.insert(key, Rc::clone(&found));
        }
        found
    }

    fn range(&self, key: &Key) -> Result<Fetched, String> {
        let range = Range { start: key.start, end: key.end, step: Duration::from_millis(key.step) };
        let mut ranged = self.asker.range(&key.expr, range).map_err(|error| error.to_string())?;
        // Colours go by place: series keep theirs where they come in one order.
        ranged.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let omitted = ranged.series.len().saturating_sub(SERIES_MAX);
        let series = ranged.series.into_iter().take(SERIES_MAX).map(|series| (series.labels, series.samples));
        Ok(Fetched { series: series.collect(), notes: notes(ranged.warnings, ranged.infos), omitted })
    }

    fn instant(&self, key: &Key) -> Result<Fetched, String> {
        let answer = self.asker.instant(&key.expr, key.end).map_err(|error| error.to_string())?;
        let point = |timestamp, value| Samples { timestamps: vec![timestamp], values: vec![value] };
        let series: Vec<(Labels, Samples)> = match answer.value {
            Value::Vector(points) => {
                points.into_iter().map(|one| (one.labels, point(one.sample.timestamp, one.sample.value))).collect()
            }
            Value::Scalar(sample) => vec![(Labels::empty(), point(sample.timestamp, sample.value))],
            Value::String { .. } => return Err("the answer is a text; a panel draws numbers".to_owned()),
            Value::Matrix(matrix) => matrix.into_iter().map(|one| (one.labels, one.samples)).collect(),
        };
        let omitted = series.len().saturating_sub(SERIES_MAX);
        let series = series.into_iter().take(SERIES_MAX).collect();
        Ok(Fetched { series, notes: notes(answer.warnings, answer.infos), omitted })
    }
}

impl Fetched {
    fn label_names(&self) -> BTreeSet<&str> {
        self.series.iter().flat_map(|(labels, _)| labels.iter()).map(|(name, _)| name).collect()
    }
}

fn notes(warnings: Vec<String>, infos: Vec<String>) -> Vec<(bool, String)> {
    warnings.into_iter().map(|text| (true, text)).chain(infos.into_iter().map(|text| (false, text))).collect()
}

impl Answers {
    fn see_grid(&mut self, question: &Question) {
        let step = question.steps.step_ms;
        match &self.grid {
            None => self.grid = Some((step, question.range.clone())),
            Some((known, _)) => self.even &= *known == step,
        }
    }

    fn note(&mut self, fetched: &Fetched) {
        for (is_warning, text) in &fetched.notes {
            let list = if *is_warning { &mut self.warnings } else { &mut self.infos };
            if !list.contains(text) {
                list.push(text.clone());
            }
        }
        if fetched.omitted > 0 {
            let text = format!("{} series more than the {SERIES_MAX} that are shown.", fetched.omitted);
            self.warnings.push(text);
        }
    }
}

pub(super) fn pairs(labels: &Labels) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The legend of a query with the dashboard's variables filled in.
fn legend(target: &Target, scope: &Scope) -> LegendFormat {
    match &target.legend {
        LegendFormat::Template(text) => {
            LegendFormat::Template(scope.fill(text, Syntax::Text).unwrap_or_else(|_| text.clone()))
        }
        other => other.clone(),
    }
}

fn times(samples: &Samples) -> Column {
    Column::Times(samples.timestamps.iter().copied().map(Some).collect())
}

fn numbers(samples: &Samples) -> Column {
    Column::Numbers(samples.values.iter().copied().map(Some).collect())
}

/// A frame for each series.
fn series(target: &Target, question: &Question, scope: &Scope, fetched: &Fetched) -> Vec<Frame> {
    let legend = legend(target, scope);
    let frame = |(labels, samples): &(Labels, Samples)| {
        let labels = pairs(labels);
        let display = legend_name(&legend, &labels, &question.expr);
        let value = Field { labels, display, ..Field::new("Value", numbers(samples)) };
        Frame {
            ref_id: target.ref_id.clone(),
            name: String::new(),
            fields: vec![Field::new("Time", times(samples)), value],
        }
    };
    fetched.series.iter().map(frame).collect()
}

/// One frame with a column for each label; `le` is a number.
fn table(target: &Target, fetched: &Fetched) -> Frame {
    let names = fetched.label_names();
    let rows =
        || fetched.series.iter().flat_map(|(labels, samples)| samples.iter().map(move |sample| (labels, sample)));
    let mut fields =
        vec![Field::new("Time", Column::Times(rows().map(|(_, sample)| Some(sample.timestamp)).collect()))];
    for name in names {
        let texts = rows().map(|(labels, _)| labels.get(name));
        let column = match name {
            "le" => Column::Numbers(texts.map(|text| text.and_then(bound)).collect()),
            _ => Column::Texts(texts.map(|text| text.map(Arc::from)).collect()),
        };
        fields.push(Field::new(name, column));
    }
    fields.push(Field::new("Value", Column::Numbers(rows().map(|(_, sample)| Some(sample.value)).collect())));
    Frame { ref_id: target.ref_id.clone(), name: String::new(), fields }
}

/// Tables of one letter stand below each other already; with several letters each value column is named by its own.
fn merged(tables: Vec<(Frame, &Target)>) -> Vec<Frame> {
    let is_single = tables.len() < 2;
    let name = |(mut frame, target): (Frame, &Target)| {
        if let Some(value) = frame.fields.last_mut().filter(|_| !is_single) {
            value.name = format!("Value #{}", target.ref_id);
        }
        frame
    };
    tables.into_iter().map(name).collect()
}

fn bound(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        text => text.parse().ok(),
    }
}

/// One frame with a column for each bucket, what lies in the buckets below taken off.
fn buckets(target: &Target, question: &Question, scope: &Scope, fetched: &Fetched) -> Frame {
    let legend = legend(target, scope);
    let le = |labels: &Labels| labels.get("le").and_then(bound).unwrap_or(f64::NAN);
    let mut series: Vec<&(Labels, Samples)> = fetched.series.iter().collect();
    series.sort_by(|(a, _), (b, _)| le(a).total_cmp(&le(b)));
    let all: BTreeSet<Timestamp> = series.iter().flat_map(|(_, samples)| samples.timestamps.iter().copied()).collect();
    let all: Vec<Timestamp> = all.into_iter().collect();
    let mut below = vec![0.0; all.len()];
    let mut fields = vec![Field::new("Time", Column::Times(all.iter().copied().map(Some).collect()))];
    for (labels, samples) in series {
        let mut values = vec![None; all.len()];
        for sample in samples.iter() {
            let Ok(at) = all.binary_search(&sample.timestamp) else { continue };
            // A rate's buckets are not sampled at one moment: a difference below zero is none.
            let own = sample.value - below[at];
            values[at] = Some(if own < 1e-9 { 0.0 } else { own });
            below[at] = sample.value;
        }
        let labels = pairs(&labels.filter(|name| name != METRIC_NAME));
        let bucket = labels.iter().find(|(name, _)| name == "le").map(|(_, value)| value.clone());
        let display = match &legend {
            LegendFormat::Template(_) => legend_name(&legend, &labels, &question.expr),
            _ => bucket.clone(),
        };
        fields.push(Field { labels, display, ..Field::new(bucket.unwrap_or_default(), Column::Numbers(values)) });
    }
    Frame { ref_id: target.ref_id.clone(), name: String::new(), fields }
}
