//! Unit tests of rules in promtool's format: series that are fed minute by minute to rules, and what must come of it.
//!
//! In: a test file, which names rule files. Out: what failed, in promtool's words, so that scripts which look for them find
//! them. Never: the disk beside those files; samples live in memory.

mod file;
mod store;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::status::AlertState;
use model::{
    Alert, AlertSink, Appendable, Clock, Durability, Hints, Labels, METRIC_NAME, MatchOp, Matcher, Queryable, Sample,
    Samples, Selection, Timestamp,
};
use promql::{Cancel, Engine, EngineOptions};
use yaml::Report;

use crate::context::{Context, millis};
use crate::group::Running;
use crate::{Group, Options};
use file::{AlertTest, ExprTest, TestGroup, Tests};
use store::Store;

/// How tests are run; the defaults are promtool's.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whether alerts that are not as expected are told as a difference, in the colours of a terminal.
    pub diff: bool,
    /// Whether the outcome tells of each test all samples that there were at its end.
    pub debug: bool,
    /// Whether rule files may have keys that nobody knows; test files may not.
    pub ignore_unknown_fields: bool,
    /// The engine of rules and expressions.
    pub engine: EngineOptions,
}

/// What came of a test file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What [`Settings::debug`] asks for, in lines.
    pub debug: String,
    /// Texts for people, one for each expectation that was not met; none is success.
    pub failures: Vec<String>,
    /// What may be a slip.
    pub warnings: Vec<String>,
    /// The test groups that ran, in order; none if the file could not be read.
    pub cases: Vec<Case>,
}

/// A test group that ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// Its name; promtool's number for one without.
    pub name: String,
    /// What of the failures is its own.
    pub failures: Vec<String>,
}

/// Runs the test groups of a file whose names `wanted` takes.
pub fn run(path: &Path, settings: &Settings, wanted: impl Fn(&str) -> bool) -> Outcome {
    let report = Report::default();
    let Some(tests) = file::load(path, &report) else {
        let problems = report.into_problems();
        return Outcome { failures: problems.iter().map(ToString::to_string).collect(), ..Outcome::default() };
    };
    let mut outcome = Outcome::default();
    for (place, group) in tests.groups.iter().enumerate().filter(|(_, group)| wanted(&group.name)) {
        let name = if group.name.is_empty() { format!("unnamed#{place}") } else { group.name.clone() };
        let began = Instant::now();
        let (failures, dump) = match rules(&tests, group, settings, &mut outcome.warnings) {
            Ok(groups) => Trial::new(&tests, group, groups, settings).run(),
            Err(problems) => (problems, String::new()),
        };
        if settings.debug {
            let took = began.elapsed();
            let lines = format!("DEBUG: Starting test {name}\n{dump}DEBUG: Test {name} finished, took {took:?}\n");
            outcome.debug.push_str(&lines);
        }
        outcome.failures.extend_from_slice(&failures);
        outcome.cases.push(Case { name, failures });
    }
    outcome
}

/// The groups of the rule files, in the order of evaluation. A group that names no interval has the test's.
fn rules(
    tests: &Tests,
    test: &TestGroup,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Result<Vec<Group>, Vec<String>> {
    let report = if settings.ignore_unknown_fields { Report::lenient() } else { Report::default() };
    let mut groups = crate::load(&tests.rule_files, &tests.base, &report);
    let (errors, others): (Vec<_>, Vec<_>) =
        report.into_problems().into_iter().partition(|problem| problem.severity == yaml::Severity::Error);
    for warning in
        others.iter().map(ToString::to_string).filter(|warning| !warnings.contains(warning)).collect::<Vec<_>>()
    {
        warnings.push(warning);
    }
    if !errors.is_empty() {
        return Err(errors.iter().map(ToString::to_string).collect());
    }
    for group in &mut groups {
        group.interval.get_or_insert(test.interval);
    }
    groups.sort_by_key(|group| tests.order.iter().position(|name| *name == group.name).unwrap_or(0));
    Ok(groups)
}

/// Nobody is told of a test's alerts.
struct Nobody;

impl AlertSink for Nobody {
    fn send(&self, _: Vec<Alert>) {}
}

/// Evaluations carry their time.
struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        0
    }
}

/// One test group under way.
struct Trial<'a> {
    test: &'a TestGroup,
    settings: &'a Settings,
    step: i64,
    store: Arc<Store>,
    context: Context,
    groups: Vec<Running>,
    failures: Vec<String>,
}

impl<'a> Trial<'a> {
    fn new(tests: &Tests, test: &'a TestGroup, groups: Vec<Group>, settings: &'a Settings) -> Self {
        let store = Arc::new(Store::default());
        let context = Context {
            engine: Arc::new(Engine::new(settings.engine.clone())),
            queryable: store.clone(),
            appendable: store.clone(),
            clock: Arc::new(Epoch),
            sink: Arc::new(Nobody),
            options: Options {
                external_labels: test.external_labels.clone().into(),
                external_url: test.external_url.clone(),
                ..Options::default()
            },
        };
        let groups = groups.into_iter().map(|group| Running::new(group, &context, true)).collect();
        let step = millis(tests.evaluation_interval).max(1);
        Self { test, settings, step, store, context, groups, failures: Vec::new() }
    }

    /// What failed, and the samples that there were in the end where they are asked for.
    fn run(mut self) -> (Vec<String>, String) {
        if !self.play() {
            return (self.failures, String::new());
        }
        let dump = if self.settings.debug { self.dump() } else { String::new() };
        (self.failures, dump)
    }

    /// Whether it came to its end.
    fn play(&mut self) -> bool {
        if let Some(test) = self.test.alerts.iter().find(|test| test.name.is_empty()) {
            let (at, name) = (model::format_duration(test.at), &self.test.name);
            let group = if name.is_empty() { String::new() } else { format!(" (in TestGroup {name})") };
            self.failures.push(format!(
                "an item under alert_rule_test misses required attribute alertname at eval_time {at}{group}"
            ));
            return false;
        }
        let times: BTreeSet<i64> = self.test.alerts.iter().map(|test| millis(test.at)).collect();
        let mut times = times.into_iter().peekable();
        let mut at = 0;
        while at <= self.last() {
            self.feed(at);
            if self.evaluate(at) {
                return false;
            }
            while let Some(time) = times.next_if(|time| *time < at + self.step) {
                self.judge_alerts(time);
            }
            at += self.step;
        }
        for test in &self.test.exprs {
            if let Err(failure) = self.judge_expr(test) {
                self.failures.push(failure);
            }
        }
        true
    }

    /// All samples since the beginning, which is left out, as promtool tells them.
    fn dump(&self) -> String {
        let at = self.last() + 1000;
        let all = Matcher::new(MatchOp::Match, METRIC_NAME, ".+").ok();
        let matchers: Vec<Matcher> = all.into_iter().collect();
        let selection = Selection { matchers: &matchers, min_time: 1, max_time: at, hints: Hints::default() };
        let found = self.store.select(&selection).map(|found| found.series).unwrap_or_default();
        let mut series: Vec<(Labels, Samples)> = found
            .iter()
            .filter_map(|series| {
                let mut samples = Samples::default();
                series.read(&mut samples).ok()?;
                Some((series.labels().clone(), samples))
            })
            .collect();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        let at = text::go_duration(at);
        format!("DEBUG: Dump of all data (input_series and rules) at {at}:\n{}", text::dump(&series))
    }

    /// The last time that anything is asked of.
    fn last(&self) -> i64 {
        let times = self.test.alerts.iter().map(|test| test.at).chain(self.test.exprs.iter().map(|test| test.at));
        times.map(millis).max().unwrap_or(0)
    }

    /// Puts samples up to a time into the store; it has those up to the time before.
    fn feed(&self, at: i64) {
        let interval = millis(self.test.interval).max(1);
        let known = if at == 0 { 0 } else { (at - self.step).div_euclid(interval) + 1 };
        let places = usize::try_from(known).unwrap_or(0)..=usize::try_from(at.div_euclid(interval)).unwrap_or(0);
        let mut appender = self.store.appender();
        for (labels, values) in &self.test.series {
            let upto = places.clone().filter_map(|place| Some((place, (*values.get(place)?)?)));
            for (place, value) in upto {
                // Of two series with the same labels the first stands.
                let _ = appender.append(labels, Sample { timestamp: place as i64 * interval, value });
            }
        }
        let _ = appender.commit(Durability::Kernel);
    }

    /// Evaluates all groups; whether a rule could not be.
    fn evaluate(&mut self, at: i64) -> bool {
        let before = self.failures.len();
        for group in &mut self.groups {
            group.evaluate(&self.context, at, &Cancel::default());
            for rule in group.status().rules.iter().filter(|rule| !rule.last_error.is_empty()) {
                let time = text::go_duration(at);
                self.failures.push(format!("    rule: {}, time: {time}, err: {}", rule.name, rule.last_error));
            }
        }
        self.failures.len() > before
    }

    fn judge_alerts(&mut self, time: i64) {
        let mut firing: BTreeMap<String, Vec<(Labels, Labels)>> = BTreeMap::new();
        for rule in self.groups.iter().flat_map(|group| group.status().rules) {
            let alerts = rule.alerting.map(|alerting| alerting.alerts).unwrap_or_default();
            let alerts = alerts.into_iter().filter(|alert| alert.state == AlertState::Firing);
            firing.entry(rule.name).or_default().extend(alerts.map(|alert| (alert.labels, alert.annotations)));
        }
        for test in self.test.alerts.iter().filter(|test| millis(test.at) == time) {
            let mut got = firing.get(&test.name).cloned().unwrap_or_default();
            got.sort();
            if let Some(failure) = judge_alert(&self.test.name, test, &got, self.settings.diff) {
                self.failures.push(failure);
            }
        }
    }

    fn judge_expr(&self, test: &ExprTest) -> Result<(), String> {
        let place = format!("    expr: {}, time: {},", template::quote(&test.expr), model::format_duration(test.at));
        let failed = |message: String| format!("{place} err: {message}");
        let expr = promql::parse(&test.expr).map_err(|e| failed(e.to_string()))?;
        let points =
            self.context.query(&expr, millis(test.at), &Cancel::default()).map_err(|e| failed(e.to_string()))?;
        let mut got: Vec<(Labels, f64)> = points.into_iter().map(|point| (point.labels, point.sample.value)).collect();
        let mut expected = Vec::with_capacity(test.samples.len());
        for (labels, value) in &test.samples {
            let read = promql::script::read_series(labels).map_err(|e| {
                // As a selector it is read with the words that people know.
                promql::parse_selector(labels).err().map_or(e, |e| e.to_string())
            });
            let (labels, _) = read.map_err(|e| failed(format!("labels {}: {e}", template::quote(labels))))?;
            expected.push((labels, *value));
        }
        got.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        if got == expected {
            return Ok(());
        }
        Err(format!("{place}\n        exp: {}\n        got: {}", text::samples(&expected), text::samples(&got)))
    }
}

fn judge_alert(group: &str, test: &AlertTest, got: &[(Labels, Labels)], as_diff: bool) -> Option<String> {
    let mut expected = test.expected.clone();
    expected.sort();
    if expected == got {
        return None;
    }
    let group = if group.is_empty() { String::new() } else { format!("    name: {group},\n") };
    let (name, time) = (&test.name, model::format_duration(test.at));
    if as_diff {
        let diff = text::diff(&expected, got);
        return Some(format!("{group}    alertname: {name}, time: {time}, \n        diff: {diff}"));
    }
    let (expected, got) = (text::alerts(&expected), text::alerts(got));
    Some(format!("{group}    alertname: {name}, time: {time}, \n        exp:{expected}, \n        got:{got}"))
}

/// What `evaluation_interval` and a group's `interval` are where nothing says otherwise.
const INTERVAL: Duration = Duration::from_secs(60);
