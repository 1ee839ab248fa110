//! One target: how its scrapes go, and the relabelling debugger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{Excess, RelabelCounts, RelabelOutcome, RelabelStep, Relabeling, TargetStatus};
use model::{Labels, Timestamp, format_duration};

use super::{State3, brief, id, id_of, short_url};
use crate::Ui;
use crate::format::{When, ago};
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "target.html")]
struct Page {
    shell: Shell,
    id: String,
    job: String,
    /// The list of the job's targets.
    job_link: String,
    name: String,
    /// How its scrapes go; `None` for one that relabelling left out.
    scrapes: Option<Scrapes>,
    /// The rules as they are being tried.
    rules: String,
    /// How many lines the box has.
    lines: usize,
    /// Whether the rules are not the job's own.
    tried: bool,
    /// What is wrong with the rules.
    problems: Vec<String>,
    steps: Vec<Step>,
    labels: Vec<LabelRow>,
    outcome: Outcome,
    all: Option<RelabelCounts>,
}

struct Scrapes {
    state: State3,
    url: String,
    error: String,
    note: String,
    last: Option<(When, String)>,
    took: String,
    late: String,
    interval: String,
    timeout: String,
    samples: u64,
    excess: Option<Excess>,
}

struct Step {
    number: usize,
    told: RelabelStep,
    word: &'static str,
    class: &'static str,
    icon: &'static str,
}

/// A label before and after.
struct LabelRow {
    name: String,
    before: Option<String>,
    after: Option<String>,
    /// What changed it, in words.
    by: String,
    class: &'static str,
}

/// How relabelling ends.
struct Outcome {
    word: String,
    class: &'static str,
    icon: &'static str,
}

/// The target that the address names.
struct Chosen {
    job: String,
    discovered: Labels,
    status: Option<TargetStatus>,
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let id = params.get("id").unwrap_or_default();
    let Some(chosen) = find(&ui, id) else {
        let detail =
            "It may be gone, or its discovery found it with other labels since. Pick it from the list of targets.";
        return Problem::new(StatusCode::NOT_FOUND, "There is no such target", detail).respond(&ui, &headers);
    };
    let tried = params.get("tried").is_some();
    let text = tried.then(|| params.get("rules").unwrap_or_default().replace('\r', ""));
    let page = Page::new(&ui, &params, id, chosen, text.as_deref());
    respond(StatusCode::OK, &headers, page.render())
}

fn find(ui: &Ui, wanted: &str) -> Option<Chosen> {
    let active = ui.state.targets.active().into_iter().find(|target| id(target) == wanted);
    if let Some(status) = active {
        let (job, discovered) = (status.job.clone(), status.discovered_labels.clone());
        return Some(Chosen { job, discovered, status: Some(status) });
    }
    let dropped = ui.state.targets.dropped().into_iter();
    let mut dropped = dropped.filter(|target| id_of(&target.job, &target.discovered_labels, "") == wanted);
    dropped.next().map(|target| Chosen { job: target.job, discovered: target.discovered_labels, status: None })
}

impl Page {
    fn new(ui: &Ui, params: &Params, id: &str, chosen: Chosen, text: Option<&str>) -> Self {
        let now = ui.state.clock.now();
        let relabel = |rules| ui.state.targets.relabel(&chosen.job, &chosen.discovered, rules);
        // Own collectors have no rules.
        let own = relabel(None).and_then(Result::ok).unwrap_or_default();
        let (told, problems) = match text.map(|text| relabel(Some(text))) {
            None | Some(None) => (own.clone(), Vec::new()),
            Some(Some(Ok(told))) => (told, Vec::new()),
            Some(Some(Err(problems))) => (Relabeling::default(), problems),
        };
        let rules = text.map_or_else(|| written(&own), ToOwned::to_owned);
        let address = chosen.discovered.get("__address__").unwrap_or_default().to_owned();
        Self {
            shell: Shell::new(ui, params, "/targets", "Target"),
            id: id.to_owned(),
            name: chosen.status.as_ref().map_or(address, |status| short_url(&status.url).to_owned()),
            lines: rules.lines().count().clamp(4, 30) + 1,
            tried: text.is_some() && rules.trim() != written(&own).trim(),
            rules,
            labels: if problems.is_empty() { labels(&chosen, &told) } else { Vec::new() },
            all: told.all,
            outcome: Outcome::new(&told, &problems, chosen.status.as_ref()),
            steps: told.steps.into_iter().enumerate().map(Step::new).collect(),
            scrapes: chosen.status.map(|status| Scrapes::new(status, now)),
            job_link: format!("{}/targets?{}", ui.state.config.prefix, encode([("job", chosen.job.as_str())])),
            job: chosen.job,
            problems,
        }
    }
}

fn written(told: &Relabeling) -> String {
    told.steps.iter().map(|step| step.rule.as_str()).collect::<Vec<_>>().join("\n")
}

impl Scrapes {
    fn new(status: TargetStatus, now: Timestamp) -> Self {
        Self {
            state: status.health.into(),
            last: status.last_scrape.map(|at| (When::new(at), ago(at, now))),
            took: brief(status.last_scrape_duration),
            late: brief(status.lateness),
            interval: format_duration(status.interval),
            timeout: format_duration(status.timeout),
            url: status.url,
            error: status.last_error,
            note: status.note,
            samples: status.samples,
            excess: status.excess,
        }
    }
}

impl Step {
    fn new((i, told): (usize, RelabelStep)) -> Self {
        let (word, class, icon) = match told.outcome {
            RelabelOutcome::NotReached => ("not reached", "idle", "none"),
            RelabelOutcome::NoMatch => ("no match", "idle", "none"),
            RelabelOutcome::Unchanged => ("changes nothing", "idle", "check"),
            RelabelOutcome::Changed => ("changes labels", "good", "check"),
            RelabelOutcome::Kept => ("keeps it", "good", "check"),
            RelabelOutcome::Dropped => ("drops it", "bad", "cross"),
        };
        Self { number: i + 1, told, word, class, icon }
    }
}

impl Outcome {
    fn new(told: &Relabeling, problems: &[String], status: Option<&TargetStatus>) -> Self {
        let is_own = |url: &str| status.is_some_and(|status| status.url == url);
        let say = |word: &str, class, icon| Self { word: word.to_owned(), class, icon };
        match (&told.target, told.problem.as_str()) {
            _ if !problems.is_empty() => say("the rules cannot be read", "bad", "cross"),
            (Some(target), _) if is_own(&target.url) => say("is collected", "good", "check"),
            (Some(target), _) => say(&format!("would be collected from {}", target.url), "good", "check"),
            (None, "") if told.steps.is_empty() && status.is_some() => {
                say("is collected without rules", "good", "check")
            }
            (None, "") => say("is dropped", "bad", "cross"),
            (None, reason) => say(reason, "bad", "cross"),
        }
    }
}

/// Every label before and after, with the rule that had the last word.
fn labels(chosen: &Chosen, told: &Relabeling) -> Vec<LabelRow> {
    let unchanged = chosen.status.as_ref().map(|status| status.labels.clone()).unwrap_or_default();
    let after = match &told.target {
        Some(target) => target.labels.clone(),
        None if told.steps.is_empty() => unchanged,
        None => Labels::empty(),
    };
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, step) in told.steps.iter().enumerate() {
        by.extend(step.changes.iter().map(|(name, ..)| (name.as_str(), i + 1)));
    }
    let set_by_rules = by.keys().copied();
    let names: BTreeSet<&str> =
        chosen.discovered.iter().chain(&after).map(|(name, _)| name).chain(set_by_rules).collect();
    let is_dropped = told.target.is_none() && !told.steps.is_empty();
    names.into_iter().map(|name| LabelRow::new(name, &chosen.discovered, &after, by.get(name), is_dropped)).collect()
}

impl LabelRow {
    fn new(name: &str, before: &Labels, after: &Labels, by: Option<&usize>, is_dropped: bool) -> Self {
        let value = |labels: &Labels| labels.get(name).map(ToOwned::to_owned);
        let (before, after) = (value(before), value(after));
        let rule = by.map(|rule| format!("rule {rule}"));
        let (by, class) = match (&before, &after) {
            _ if is_dropped => (rule.unwrap_or_default(), "gone"),
            (Some(a), Some(b)) if a == b => (String::new(), ""),
            (Some(_), Some(_)) => (rule.unwrap_or_default(), "changed"),
            (None, Some(_)) => (rule.unwrap_or_else(|| "added: the address".to_owned()), "added"),
            (_, None) if name.starts_with("__") => {
                let hidden = "for relabelling only".to_owned();
                (rule.map_or(hidden.clone(), |rule| format!("{rule}; {hidden}")), "gone")
            }
            (_, None) => (rule.unwrap_or_default(), "gone removed"),
        };
        Self { name: name.to_owned(), before, after, by, class }
    }
}
