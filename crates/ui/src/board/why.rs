//! Why a panel shows nothing: what a person would look for, in the order in which they would.

use dashboard::{Panel, TimeRange, references};
use model::status::{Health, TargetStatus};
use model::{Hints, METRIC_NAME, MatchOp, Matcher, Selection, Timestamp};
use promql::{Expr, Kind, VectorSelector};

use super::data::note;
use super::fetch::Answers;
use super::model::{Level, Note};
use super::vars::Variables;
use super::view::View;
use crate::ask::Asker;
use crate::cilium;

/// How far back names are looked for, where the panel's time has none.
const LOOK_BACK_MS: i64 = 24 * 3_600_000;
/// Values of a label that are named.
const NAMED_MAX: usize = 3;
/// Reasons of one panel.
const REASONS_MAX: usize = 3;

/// What is looked at.
pub(super) struct Why<'a> {
    pub(super) asker: &'a Asker,
    pub(super) view: &'a View,
    pub(super) variables: &'a Variables,
    pub(super) targets: &'a [TargetStatus],
}

impl Why<'_> {
    /// The reasons, the first ones of each query.
    pub(super) fn empty(&self, panel: &Panel, answers: &Answers, range: &TimeRange) -> Vec<Note> {
        if panel.targets.iter().all(|target| target.hide || target.expr.trim().is_empty()) {
            return vec![note(Level::Empty, "This panel asks nothing.")];
        }
        if let Some(coming) = self.coming(answers) {
            return vec![coming];
        }
        let mut reasons: Vec<Note> = Vec::new();
        let mut say = |reason: Note| {
            if reasons.len() < REASONS_MAX && !reasons.contains(&reason) {
                reasons.push(reason);
            }
        };
        for target in panel.targets.iter().filter(|target| !target.hide) {
            let names = references(&target.expr);
            if let Some(name) = self.variables.without_value(&names) {
                say(self.variable(name));
            }
        }
        for query in &answers.queries {
            if let Ok(expr) = promql::parse(&query.expr) {
                self.expression(&expr, range).into_iter().for_each(&mut say);
            }
        }
        if reasons.is_empty() {
            reasons.push(note(
                Level::Empty,
                self.nothing_yet().unwrap_or("The queries have no answer in this time.".to_owned()),
            ));
        }
        reasons
    }

    fn variable(&self, name: &str) -> Note {
        let variables = &self.view.dashboard().variables;
        let found = self.variables.boxes.iter().find(|one| variables[one.at].name == name);
        let problem = found.map(|one| one.problem.as_str()).unwrap_or_default();
        let reason = if problem.is_empty() { "nothing in the store answers its query" } else { problem };
        note(Level::Empty, format!("The variable {name} has no value: {reason}."))
    }

    fn expression(&self, expr: &Expr, range: &TimeRange) -> Vec<Note> {
        let reasons: Vec<Note> =
            expr.selectors().filter_map(|selector| self.selector(selector, window_of(expr, selector), range)).collect();
        let is_condition = expr
            .nodes()
            .map(|(_, node)| node)
            .any(|node| matches!(&node.kind, Kind::Binary { op, .. } if op.is_comparison()));
        match reasons.is_empty() && is_condition {
            true => vec![note(Level::Empty, "There are series, but none for which the query's condition holds.")],
            false => reasons,
        }
    }

    /// What keeps a selector from having values; `None` where nothing does.
    fn selector(&self, selector: &VectorSelector, window: Option<i64>, range: &TimeRange) -> Option<Note> {
        let before = i64::max(window.unwrap_or(0), 5 * 60_000).saturating_add(selector.modifiers.offset);
        let (from, to) = (range.from_ms.saturating_sub(before), range.to_ms);
        let name = selector.matchers.iter().find(|one| one.name() == METRIC_NAME && one.op() == MatchOp::Equal);
        let Some(name) = name else {
            let found = self.values(METRIC_NAME, &selector.matchers, from, to);
            return found.is_empty().then(|| note(Level::Empty, "No series has these labels."));
        };
        let metric = [Matcher::equal(METRIC_NAME, name.value())];
        let now = self.view.now.time_ms;
        let is_known =
            !self.values(METRIC_NAME, &metric, now.saturating_sub(LOOK_BACK_MS).min(from), now.max(to)).is_empty();
        if !is_known {
            return Some(self.unknown(name.value()));
        }
        let found = self.values(METRIC_NAME, &selector.matchers, from, to);
        if found.is_empty() {
            return Some(self.mismatch(selector, &metric, from, to));
        }
        self.too_few(selector, window, range)
    }

    fn unknown(&self, name: &str) -> Note {
        let version = self.asker.values("cilium_version", self.view.now.time_ms);
        let version = version.first().and_then(|(labels, _)| labels.get("version")).unwrap_or_default();
        if let Some((text, fix)) = cilium::why_absent(name, version) {
            return Note { level: Level::Empty, text, fix };
        }
        let down: Vec<&TargetStatus> = self.targets.iter().filter(|target| target.health == Health::Bad).collect();
        match down.first() {
            Some(target) => note(
                Level::Empty,
                format!(
                    "{name} is not in the store. {} of {} targets are down, {} among them: {}.",
                    down.len(),
                    self.targets.len(),
                    target.url,
                    target.last_error.trim_end_matches('.')
                ),
            ),
            None => note(Level::Empty, format!("{name} is not in the store: no target has shown it in the last day.")),
        }
    }

    /// Which matcher leaves no series.
    fn mismatch(&self, selector: &VectorSelector, metric: &[Matcher], from: Timestamp, to: Timestamp) -> Note {
        let name = metric.first().map(Matcher::value).unwrap_or_default();
        let labels = selector.matchers.iter().filter(|matcher| matcher.name() != METRIC_NAME);
        for matcher in labels.filter(|matcher| !matcher.matches_empty()) {
            let known = self.values(matcher.name(), metric, from, to);
            if known.is_empty() {
                let is_there = !self.values(METRIC_NAME, metric, from, to).is_empty();
                let label = matcher.name();
                return match is_there {
                    true => note(Level::Empty, absent_label(name, label)),
                    false => note(Level::Empty, format!("{name} has no samples in this time.")),
                };
            }
            if !known.iter().any(|value| matcher.matches(value)) {
                let shown: Vec<String> = known.iter().take(NAMED_MAX).map(|value| format!("{value:?}")).collect();
                let more = if known.len() > NAMED_MAX { " and others" } else { "" };
                let shown = shown.join(", ");
                return note(Level::Empty, format!("No {name} fits {matcher}; there is {shown}{more}."));
            }
        }
        note(Level::Empty, format!("No series of {name} has all of the labels that are asked for."))
    }

    /// Whether the window of a rate is too short for how often its series are collected.
    fn too_few(&self, selector: &VectorSelector, window: Option<i64>, range: &TimeRange) -> Option<Note> {
        let jobs = self.values("job", &selector.matchers, range.from_ms, range.to_ms);
        let instances = self.values("instance", &selector.matchers, range.from_ms, range.to_ms);
        let label = |target: &TargetStatus, name| target.labels.get(name).unwrap_or_default().to_owned();
        let is_of = |target: &&TargetStatus| {
            jobs.contains(&label(target, "job")) && instances.contains(&label(target, "instance"))
        };
        let mut targets = self.targets.iter().filter(is_of);
        let interval = targets.clone().map(|target| target.interval).max();
        if let (Some(window), Some(interval)) = (window, interval) {
            let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
            if window < interval_ms.saturating_mul(2) {
                let text = format!(
                    "The window of {window} needs two samples, but {job} is collected every {interval}: collect it more often, or make the window {least} at least.",
                    window = words(window),
                    job = jobs.first().map(String::as_str).unwrap_or_default(),
                    interval = words(interval_ms),
                    least = words(interval_ms.saturating_mul(2)),
                );
                return Some(note(Level::Empty, text));
            }
        }
        if let Some(down) = targets.find(|target| target.health == Health::Bad) {
            let error = down.last_error.trim_end_matches('.');
            return Some(note(Level::Empty, format!("The target {} is down: {error}.", down.url)));
        }
        let name = selector.matchers.iter().find(|one| one.name() == METRIC_NAME).map_or("It", Matcher::value);
        self.is_young(selector, window?, range).then(|| {
            let text = format!("{name} has fewer than two samples in {}: ", words(window.unwrap_or(0)));
            note(
                Level::Empty,
                text + "it is collected for moments only, or not any more. The next scrape may bring it.",
            )
        })
    }

    /// Whether no series has two samples in the window that ends with the time shown.
    fn is_young(&self, selector: &VectorSelector, window: i64, range: &TimeRange) -> bool {
        let matchers: Vec<String> = selector.matchers.iter().map(ToString::to_string).collect();
        let expr = format!("max(count_over_time({{{}}}[{window}ms]))", matchers.join(","));
        let at = range.to_ms.saturating_sub(selector.modifiers.offset);
        promql::parse(&expr).is_ok() && self.asker.value(&expr, at).is_none_or(|count| count < 2.0)
    }

    fn values(&self, label: &str, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<String> {
        let hints = Hints { labels_only: true, ..Hints::default() };
        let selection = Selection { matchers, min_time: from, max_time: to, hints };
        self.asker.storage().label_values(label, &selection).unwrap_or_default()
    }
}

/// The window that an expression puts on a selector.
pub(super) fn window_of(expr: &Expr, selector: &VectorSelector) -> Option<i64> {
    expr.nodes().find_map(|(_, node)| match &node.kind {
        Kind::Matrix { selector: id, range } => match &expr.node(*id).kind {
            Kind::Vector(inner) if inner == selector => Some(*range),
            _ => None,
        },
        _ => None,
    })
}

fn words(ms: i64) -> String {
    model::format_duration(std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// What brings a label that is not there, where it is known.
fn absent_label(name: &str, label: &str) -> String {
    let hint = match label {
        "k8s_app" | "io_cilium_app" | "pod" | "namespace" | "node" if name.starts_with("cilium_") => {
            "It comes from Kubernetes' service discovery (ServiceMonitor, or annotations with a labelmap), not from Cilium itself."
        }
        "cluster" => "It is an external label, or comes from relabelling.",
        "source_namespace"
        | "destination_namespace"
        | "source_workload"
        | "destination_workload"
        | "source_pod"
        | "destination_pod"
        | "source_app"
        | "destination_app"
        | "source"
        | "destination"
        | "traffic_direction"
            if name.starts_with("hubble_") =>
        {
            "Hubble adds it where the metric's labelsContext, sourceContext or destinationContext names it, as in hubble.metrics.enabled: [\"flow:labelsContext=source_namespace,destination_namespace\"]."
        }
        _ => "",
    };
    format!("{name} has no label {label}. {hint}").trim_end().to_owned()
}
