//! The targets page: what is collected and with what success.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{DroppedTarget, Health, TargetStatus};
use model::{Timestamp, format_duration};

use crate::Ui;
use crate::format::{When, ago, took};
use crate::page::{Shell, respond};
use crate::params::Params;

/// Dropped targets listed; Prometheus' discovery may drop thousands, which nobody reads.
const DROPPED_MAX: usize = 200;

#[derive(Template)]
#[template(path = "targets.html")]
struct Page {
    shell: Shell,
    pools: Vec<Pool>,
    notes: Vec<String>,
    dropped: Vec<Dropped>,
    dropped_total: usize,
    up: usize,
    down: usize,
    waiting: usize,
}

/// The targets of a job.
struct Pool {
    job: String,
    up: usize,
    rows: Vec<Row>,
}

struct Row {
    health: State3,
    url: String,
    labels: Vec<(String, String)>,
    discovered: String,
    last: Option<(When, String)>,
    took: String,
    interval: String,
    samples: u64,
    error: String,
    note: String,
}

struct Dropped {
    job: String,
    labels: String,
}

/// A health as word, class and sign: colour is never the only difference.
#[derive(Clone, Copy)]
pub(crate) struct State3 {
    pub(crate) word: &'static str,
    pub(crate) class: &'static str,
    pub(crate) icon: &'static str,
}

impl From<Health> for State3 {
    fn from(health: Health) -> Self {
        match health {
            Health::Good => Self { word: "up", class: "good", icon: "check" },
            Health::Bad => Self { word: "down", class: "bad", icon: "cross" },
            Health::Unknown => Self { word: "waiting", class: "idle", icon: "clock" },
        }
    }
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    let targets = ui.state.targets.active();
    let dropped = ui.state.targets.dropped();
    let with = |health| targets.iter().filter(|target| target.health == health).count();
    let page = Page {
        shell: Shell::new(&ui, &params, "/targets", "Targets"),
        up: with(Health::Good),
        down: with(Health::Bad),
        waiting: with(Health::Unknown),
        notes: ui.state.targets.notes(),
        dropped_total: dropped.len(),
        dropped: dropped.into_iter().take(DROPPED_MAX).map(Dropped::from).collect(),
        pools: pools(targets, now),
    };
    respond(StatusCode::OK, &headers, page.render())
}

fn pools(targets: Vec<TargetStatus>, now: Timestamp) -> Vec<Pool> {
    let mut jobs: BTreeMap<String, Pool> = BTreeMap::new();
    for target in targets {
        let job = target.job.clone();
        let pool = jobs.entry(job.clone()).or_insert_with(|| Pool { job, up: 0, rows: Vec::new() });
        pool.up += usize::from(target.health == Health::Good);
        pool.rows.push(Row::new(target, now));
    }
    jobs.into_values().collect()
}

impl Row {
    fn new(target: TargetStatus, now: Timestamp) -> Self {
        let own = |(name, value): (&str, &str)| (name != "job").then(|| (name.to_owned(), value.to_owned()));
        Self {
            health: target.health.into(),
            labels: target.labels.iter().filter_map(own).collect(),
            discovered: target.discovered_labels.to_string(),
            last: target.last_scrape.map(|at| (When::new(at), ago(at, now))),
            took: target.last_scrape.map(|_| took(target.last_scrape_duration)).unwrap_or_default(),
            interval: format_duration(target.interval),
            url: target.url,
            samples: target.samples,
            error: target.last_error,
            note: target.note,
        }
    }
}

impl From<DroppedTarget> for Dropped {
    fn from(target: DroppedTarget) -> Self {
        Self { job: target.job, labels: target.discovered_labels.to_string() }
    }
}
