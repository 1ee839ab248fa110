//! Marks: what happened at points in time, over the pictures of a dashboard. Alerts that fire and end, processes that start,
//! reloads of skep's own configuration; and what the dashboard's annotations ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dashboard::{Annotation, Rgba, Syntax, TimeRange, fill_labels, parse_duration_ms};
use model::status::{AlertChange, AlertState, HistoryQuery, Rules};
use model::{Labels, Samples};
use promql::Range;

use super::canvas::color;
use super::model::{Mark, Switch};
use super::vars::Variables;
use super::view::{Spot, View};
use crate::ask::Asker;

/// Marks of a page; more would be a wall. The newest ones are kept.
const MARKS_MAX: usize = 300;
/// Changes of alerts that are looked through.
const CHANGES_MAX: usize = 1_000;
/// How far before the time shown an alert is looked for that ends in it.
const BEFORE_MS: i64 = 24 * 3_600_000;
/// Steps of the queries for starts: a process that is replaced twice within one is seen once.
const STEPS: i64 = 120;
/// No scrape is more frequent than matters here.
const STEP_MS_MIN: i64 = 15_000;
/// Steps that Prometheus answers.
const STEPS_MAX: i64 = 11_000;
/// What Grafana takes where an annotation names no step.
const ANNOTATION_STEP_MS: i64 = 60_000;
/// Starts so close to a reload are its reason, and starts so close to each other are one.
const SAME_MS: i64 = 5_000;
/// Characters of a text; labels may be long.
const TEXT_CHARS_MAX: usize = 300;
/// What Grafana takes where an annotation names no colour.
const COLOR: &str = "#00d3ff";
const FIRES: &str = "#e02f44";
const ENDS: &str = "#37872d";
const STARTS: &str = "#ff780a";
const RELOADS: &str = "#3274d9";

/// What is asked for marks.
pub(super) struct Marker<'a> {
    pub(super) asker: &'a Asker,
    pub(super) view: &'a View,
    pub(super) variables: &'a Variables,
    pub(super) rules: &'a Arc<dyn Rules>,
}

/// The switches of a page: annotations that have one, and whether they are on.
pub(super) fn switches(view: &View) -> Vec<Switch> {
    let annotations = view.dashboard().annotations.iter().enumerate();
    let shown = annotations.filter(|(_, annotation)| !annotation.hidden);
    shown
        .map(|(place, annotation)| Switch { place, name: annotation.name.clone(), on: is_on(view, place, annotation) })
        .collect()
}

/// Whether an annotation is on: `marks=PLACE` in the address says so where there is any `marks`, else the file does. Those
/// without a switch are as the file says.
fn is_on(view: &View, place: usize, annotation: &Annotation) -> bool {
    match view.params.has("marks") && !annotation.hidden {
        true => view.params.all("marks").any(|wanted| wanted.parse() == Ok(place)),
        false => annotation.enabled,
    }
}

impl Marker<'_> {
    /// The marks of a page with these panels by time, and what went wrong.
    pub(super) fn marks(&self, spots: &[&Spot<'_>]) -> (Vec<Mark>, Vec<String>) {
        let (mut marks, mut problems) = (Vec::new(), Vec::new());
        let annotations = &self.view.dashboard().annotations;
        for (place, annotation) in annotations.iter().enumerate() {
            if !is_on(self.view, place, annotation) {
                continue;
            }
            let found = if annotation.built_in { Ok(self.own()) } else { self.asked(annotation) };
            match found {
                Ok(found) => {
                    let without = without(annotation, spots);
                    marks.extend(found.into_iter().map(|mark| Mark { without: without.clone(), ..mark }));
                }
                Err(error) => problems.push(format!("The annotation {}: {error}", annotation.name)),
            }
        }
        // Grafana adds the one of its own events to dashboards that do not have it.
        if !annotations.iter().any(|annotation| annotation.built_in) {
            marks.extend(self.own());
        }
        let TimeRange { from_ms, to_ms } = self.view.range;
        marks.retain(|mark| mark.at <= to_ms && mark.to.unwrap_or(mark.at) >= from_ms);
        marks.sort_by_key(|mark| mark.at);
        let surplus = marks.len().saturating_sub(MARKS_MAX);
        if surplus > 0 {
            problems.push(format!("{surplus} marks before the newest {MARKS_MAX} are left out."));
        }
        (marks.split_off(surplus), problems)
    }

    /// What happened to skep and to what it watches.
    fn own(&self) -> Vec<Mark> {
        let starts = self.times("process_start_time_seconds");
        let is_start = |labels: &Labels, at: i64| {
            starts.iter().any(|(other, start)| {
                let same = |name| other.get(name) == labels.get(name);
                same("job") && same("instance") && (at - start).abs() <= SAME_MS
            })
        };
        let reloads = self.times("skep_config_last_reload_success_timestamp_seconds");
        let reloads = reloads.into_iter().filter(|(labels, at)| !is_start(labels, *at));
        let reload = |(labels, at): (Labels, i64)| mark(at, RELOADS, "Configuration reloaded", &place(&labels));
        let mut marks: Vec<Mark> = reloads.map(reload).collect();
        let start = |(labels, at): &(Labels, i64)| {
            mark(*at, STARTS, &format!("{} started", labels.get("job").unwrap_or("A process")), &place(labels))
        };
        marks.extend(starts.iter().map(start));
        marks.extend(self.alerts());
        marks
    }

    /// Points in time that a metric has as its value, each once for its series.
    fn times(&self, metric: &str) -> Vec<(Labels, i64)> {
        let TimeRange { from_ms, to_ms } = self.view.range;
        let step = ((to_ms - from_ms) / STEPS).max(STEP_MS_MIN);
        let Ok(ranged) = self.range(metric, step) else { return Vec::new() };
        let mut found = Vec::new();
        for series in ranged {
            let times: BTreeSet<i64> = series.1.values.iter().map(|value| (value * 1_000.0) as i64).collect();
            let mut last = i64::MIN;
            for at in times.into_iter().filter(|at| (from_ms..=to_ms).contains(at)) {
                if at.saturating_sub(last) > SAME_MS {
                    found.push((series.0.clone(), at));
                }
                last = at;
            }
        }
        found
    }

    fn range(&self, expr: &str, step: i64) -> Result<Vec<(Labels, Samples)>, String> {
        let TimeRange { from_ms, to_ms } = self.view.range;
        // On multiples of the step, so that what was answered before is known.
        let floor = |at: i64| at.div_euclid(step) * step;
        let step = Duration::from_millis(u64::try_from(step).unwrap_or(1));
        let range = Range { start: floor(from_ms), end: floor(to_ms), step };
        let ranged = self.asker.range(expr, range).map_err(|error| error.to_string())?;
        Ok(ranged.series.into_iter().map(|series| (series.labels, series.samples)).collect())
    }

    /// Alerts that began to fire, and those that ended after it. What was never more than pending is none.
    fn alerts(&self) -> Vec<Mark> {
        let TimeRange { from_ms, to_ms } = self.view.range;
        let wanted = HistoryQuery {
            from: from_ms.saturating_sub(BEFORE_MS),
            to: to_ms,
            limit: CHANGES_MAX,
            ..HistoryQuery::default()
        };
        let changes = self.rules.history(&wanted).map(|page| page.changes).unwrap_or_default();
        let mut last: BTreeMap<(&str, &Labels), AlertState> = BTreeMap::new();
        let mut marks = Vec::new();
        for change in changes.iter().rev() {
            let before = last.insert((&change.rule.2, &change.labels), change.state);
            match change.state {
                AlertState::Firing => marks.push(alert(change, FIRES, "fires")),
                AlertState::Inactive if before != Some(AlertState::Pending) => {
                    marks.push(alert(change, ENDS, "ended"));
                }
                AlertState::Inactive | AlertState::Pending => {}
            }
        }
        marks
    }

    /// What an annotation of the dashboard asks for: a mark where its query is above zero, one for all steps that follow each
    /// other.
    fn asked(&self, annotation: &Annotation) -> Result<Vec<Mark>, String> {
        let fill = |text: &str, syntax| self.variables.scope.fill(text, syntax).map_err(|error| error.to_string());
        let step = parse_duration_ms(&fill(&annotation.step, Syntax::Plain)?).filter(|ms| *ms > 0);
        let step = step.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(ANNOTATION_STEP_MS);
        let asked = step.max(self.view.range.length_ms().div_ceil(STEPS_MAX as u64) as i64);
        let mut marks = Vec::new();
        for (labels, samples) in self.range(&fill(&annotation.expr, Syntax::PromQl)?, asked)? {
            let looks = looks(annotation, &labels);
            for (from, to) in spans(&samples, annotation.value_for_time, asked) {
                marks.push(Mark { at: from, to: (to > from).then_some(to), ..looks.clone() });
            }
        }
        Ok(marks)
    }
}

/// Spans of time in which a series is above zero, no step apart.
fn spans(samples: &Samples, value_for_time: bool, step: i64) -> Vec<(i64, i64)> {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for sample in samples.iter() {
        let at = if value_for_time { sample.value.floor() as i64 } else { sample.timestamp };
        if sample.value.is_nan() || (!value_for_time && sample.value <= 0.0) {
            continue;
        }
        match spans.last_mut().filter(|(_, to)| to.saturating_add(step) >= at) {
            Some((_, to)) => *to = at,
            None => spans.push((at, at)),
        }
    }
    spans
}

/// A mark of a series, without its time.
fn looks(annotation: &Annotation, labels: &Labels) -> Mark {
    let pairs: Vec<(String, String)> = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let tags: Vec<&str> =
        annotation.tag_labels.iter().filter_map(|name| labels.get(name)).filter(|tag| !tag.is_empty()).collect();
    let title = fill_labels(&annotation.title, &pairs);
    let title = if title.is_empty() { annotation.name.clone() } else { title };
    let text = [fill_labels(&annotation.text, &pairs), tags.join(", ")].join(" ");
    let color = Rgba::parse(&annotation.color).map_or_else(|| COLOR.to_owned(), color);
    mark(0, &color, &title, text.trim())
}

fn alert(change: &AlertChange, color: &str, word: &str) -> Mark {
    let labels = change.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    let text = if change.summary.is_empty() { labels.join(" ") } else { change.summary.clone() };
    mark(change.at, color, &format!("{} {word}", change.rule.2), &text)
}

fn place(labels: &Labels) -> String {
    labels.get("instance").unwrap_or_default().to_owned()
}

fn mark(at: i64, color: &str, title: &str, text: &str) -> Mark {
    let cut = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
    Mark { at, to: None, v: None, color: color.to_owned(), title: cut(title), text: cut(text), without: Vec::new() }
}

/// The panels that do not show an annotation.
fn without(annotation: &Annotation, spots: &[&Spot<'_>]) -> Vec<String> {
    let shows = |id: i64| match &annotation.only_panels {
        Some(only) => only.contains(&id),
        None => !annotation.except_panels.contains(&id),
    };
    spots.iter().filter(|spot| !shows(spot.shown.panel.id)).map(|spot| spot.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_follow_each_other_are_one_span() {
        let check = |values: &[(i64, f64)], value_for_time: bool, expected: &[(i64, i64)]| {
            let samples = Samples {
                timestamps: values.iter().map(|(at, _)| *at).collect(),
                values: values.iter().map(|(_, value)| *value).collect(),
            };
            assert_eq!(spans(&samples, value_for_time, 60), expected, "{values:?}");
        };
        check(&[(0, 1.0), (60, 2.0), (120, 0.0), (180, 1.0)], false, &[(0, 60), (180, 180)]);
        check(&[(0, 1.0), (180, 1.0)], false, &[(0, 0), (180, 180)]);
        check(&[(0, -1.0), (60, f64::NAN)], false, &[]);
        check(&[(0, 500.0), (60, 500.0), (120, 900.5)], true, &[(500, 500), (900, 900)]);
    }

    #[test]
    fn marks_are_named_by_labels() {
        let labels = Labels::from_pairs([("app", "web"), ("team", "a"), ("zone", "")]);
        let annotation = Annotation {
            name: "Deploys".to_owned(),
            color: "red".to_owned(),
            title: "{{app}} deployed".to_owned(),
            text: "by {{ team }}".to_owned(),
            tag_labels: vec!["team".to_owned(), "zone".to_owned()],
            ..Annotation::default()
        };
        let found = looks(&annotation, &labels);
        assert_eq!((found.title.as_str(), found.text.as_str()), ("web deployed", "by a a"));
        let bare = looks(&Annotation { name: "Deploys".to_owned(), ..Annotation::default() }, &labels);
        assert_eq!((bare.title.as_str(), bare.text.as_str(), bare.color.as_str()), ("Deploys", "", "#00d3ff"));
    }
}
