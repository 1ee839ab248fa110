//! The list of all targets.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{DroppedTarget, Health, RelabelOutcome, SkippedJob, TargetStatus};
use model::{Timestamp, format_duration};

use super::{State3, brief, id, id_of, short_url};
use crate::Ui;
use crate::format::When;
use crate::page::{Shell, respond};
use crate::params::{Params, encode};

/// Dropped targets listed; a discovery may drop thousands, which nobody reads.
const DROPPED_MAX: usize = 200;

#[derive(Template)]
#[template(path = "targets.html")]
struct Page {
    shell: Shell,
    params: Params,
    filter: Filter,
    jobs: Vec<JobView>,
    rows: Vec<Row>,
    columns: Vec<Column>,
    shown: usize,
    up: usize,
    down: usize,
    waiting: usize,
    notes: Vec<String>,
    skipped: Vec<SkippedJob>,
    dropped: Vec<Dropped>,
    dropped_total: usize,
}

/// What the address asks for.
struct Filter {
    words: String,
    job: String,
    health: String,
    sort: String,
    falling: bool,
}

/// A column and how a click on it sorts.
struct Column {
    key: &'static str,
    title: &'static str,
    class: &'static str,
    /// `ascending`, `descending`, or empty.
    sorted: &'static str,
    link: String,
}

/// A job with its counts.
struct JobView {
    name: String,
    up: usize,
    total: usize,
    down: usize,
    link: String,
    chosen: bool,
}

struct Row {
    id: String,
    state: State3,
    job: String,
    url: String,
    short: String,
    labels: String,
    error: String,
    note: String,
    last: Option<When>,
    age: String,
    late: String,
    took: String,
    interval: String,
    samples: u64,
    /// For sorting by the page's script.
    order: Order,
    hidden: bool,
}

/// What columns sort by.
#[derive(Clone, Copy, Default)]
struct Order {
    state: u8,
    last: i64,
    late: u64,
    took: u64,
    interval: u64,
}

struct Dropped {
    id: String,
    job: String,
    address: String,
    labels: String,
    by: String,
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    let targets = ui.state.targets.active();
    let dropped = ui.state.targets.dropped();
    let filter = Filter::read(&params);
    let with = |health| targets.iter().filter(|target| target.health == health).count();
    let mut page = Page {
        shell: Shell::new(&ui, &params, "/targets", "Targets"),
        up: with(Health::Good),
        down: with(Health::Bad),
        waiting: with(Health::Unknown),
        jobs: jobs(&targets, &filter, &params),
        columns: columns(&filter, &params),
        shown: 0,
        notes: ui.state.targets.notes(),
        skipped: ui.state.targets.skipped(),
        dropped_total: dropped.len(),
        dropped: dropped.into_iter().take(DROPPED_MAX).map(|target| Dropped::new(&ui, target)).collect(),
        rows: targets.into_iter().map(|target| Row::new(target, &filter, now)).collect(),
        filter,
        params,
    };
    page.rows.sort_by(|a, b| page.filter.compare(a, b));
    page.shown = page.rows.iter().filter(|row| !row.hidden).count();
    respond(StatusCode::OK, &headers, page.render())
}

impl Page {
    /// The address of the targets of one health, or of all.
    fn health(&self, word: &str) -> String {
        with(&self.params, &[("health", word)])
    }
}

impl Filter {
    fn read(params: &Params) -> Self {
        let text = |name| params.get(name).unwrap_or_default().trim().to_owned();
        let sort = params.get("sort").filter(|sort| COLUMNS.iter().any(|(key, ..)| key == sort)).unwrap_or("state");
        Self {
            words: text("q"),
            job: text("job"),
            health: text("health"),
            sort: sort.to_owned(),
            falling: params.get("order") == Some("desc"),
        }
    }

    fn hides(&self, row: &Row) -> bool {
        let text = format!("{} {} {} {} {}", row.job, row.url, row.labels, row.error, row.note).to_lowercase();
        let other_job = !self.job.is_empty() && self.job != row.job;
        let other_health = !self.health.is_empty() && self.health != row.state.word;
        other_job || other_health || !self.words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let (x, y) = (a.order, b.order);
        let order = match self.sort.as_str() {
            "target" => a.short.cmp(&b.short),
            "labels" => (&a.error, &a.labels).cmp(&(&b.error, &b.labels)),
            "last" => y.last.cmp(&x.last),
            "late" => x.late.cmp(&y.late),
            "took" => x.took.cmp(&y.took),
            "every" => x.interval.cmp(&y.interval),
            "samples" => a.samples.cmp(&b.samples),
            "job" => Ordering::Equal,
            _ => x.state.cmp(&y.state),
        };
        let order = if self.falling && self.sort != "job" { order.reverse() } else { order };
        let jobs = if self.falling && self.sort == "job" { b.job.cmp(&a.job) } else { a.job.cmp(&b.job) };
        order.then(jobs).then_with(|| a.url.cmp(&b.url))
    }
}

/// Key, title, class. The page's script sorts by the same keys.
const COLUMNS: [(&str, &str, &str); 9] = [
    ("state", "State", ""),
    ("target", "Target", ""),
    ("job", "Job", ""),
    ("labels", "Labels, or the error", ""),
    ("last", "Last", "num"),
    ("late", "Late", "num"),
    ("took", "Took", "num"),
    ("every", "Every", "num"),
    ("samples", "Samples", "num"),
];

fn columns(filter: &Filter, params: &Params) -> Vec<Column> {
    let column = |&(key, title, class): &(&'static str, &'static str, &'static str)| {
        let sorted = match (filter.sort == key, filter.falling) {
            (false, _) => "",
            (true, false) => "ascending",
            (true, true) => "descending",
        };
        let order = if sorted == "ascending" { "desc" } else { "asc" };
        Column { key, title, class, sorted, link: with(params, &[("sort", key), ("order", order)]) }
    };
    COLUMNS.iter().map(column).collect()
}

/// The address of this page with some parameters set, or, where empty, taken away.
fn with(params: &Params, set: &[(&str, &str)]) -> String {
    let names: Vec<&str> = set.iter().map(|(name, _)| *name).collect();
    let kept = params.without(&names);
    let kept = kept.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    format!("?{}", encode(kept.chain(set.iter().copied().filter(|(_, value)| !value.is_empty()))))
}

/// Jobs with something down come first.
fn jobs(targets: &[TargetStatus], filter: &Filter, params: &Params) -> Vec<JobView> {
    let mut jobs: BTreeMap<&str, JobView> = BTreeMap::new();
    for target in targets {
        let job = jobs.entry(&target.job).or_insert_with(|| JobView::new(&target.job, filter, params));
        job.total += 1;
        job.up += usize::from(target.health == Health::Good);
        job.down += usize::from(target.health == Health::Bad);
    }
    let mut jobs: Vec<JobView> = jobs.into_values().collect();
    jobs.sort_by_key(|job| job.down == 0);
    jobs
}

impl JobView {
    fn new(name: &str, filter: &Filter, params: &Params) -> Self {
        let chosen = filter.job == name;
        let link = with(params, &[("job", if chosen { "" } else { name })]);
        Self { name: name.to_owned(), up: 0, total: 0, down: 0, link, chosen }
    }
}

impl Row {
    fn new(target: TargetStatus, filter: &Filter, now: Timestamp) -> Self {
        let own =
            |(name, value): (&str, &str)| (!matches!(name, "job" | "instance")).then(|| format!("{name}={value}"));
        let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let scraped = target.last_scrape.is_some();
        let mut row = Self {
            id: id(&target),
            state: target.health.into(),
            short: short_url(&target.url).to_owned(),
            labels: target.labels.iter().filter_map(own).collect::<Vec<_>>().join(" "),
            age: age(target.last_scrape, now),
            late: if scraped { brief(target.lateness) } else { String::new() },
            took: if scraped { brief(target.last_scrape_duration) } else { String::new() },
            interval: format_duration(target.interval),
            order: Order {
                state: rank(target.health),
                last: target.last_scrape.unwrap_or_default(),
                late: micros(target.lateness),
                took: micros(target.last_scrape_duration),
                interval: micros(target.interval),
            },
            last: target.last_scrape.map(When::new),
            samples: target.samples,
            error: cause(&target.last_error, &target.url).to_owned(),
            job: target.job,
            url: target.url,
            note: target.note,
            hidden: false,
        };
        row.hidden = filter.hides(&row);
        row
    }
}

/// An error without the address, which stands beside it and leaves no room for the reason.
fn cause<'a>(error: &'a str, url: &str) -> &'a str {
    error.strip_prefix(&format!("Get {url:?}: ")).unwrap_or(error)
}

/// What is wrong comes first.
fn rank(health: Health) -> u8 {
    match health {
        Health::Bad => 0,
        Health::Unknown => 1,
        Health::Good => 2,
    }
}

/// `3 s`, or `never`.
fn age(last: Option<Timestamp>, now: Timestamp) -> String {
    let Some(last) = last else { return "never".to_owned() };
    let seconds = (now - last) / 1000;
    match seconds {
        ..0 => "ahead".to_owned(),
        0..600 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    }
}

impl Dropped {
    fn new(ui: &Ui, target: DroppedTarget) -> Self {
        let labels = target.discovered_labels;
        let told = ui.state.targets.relabel(&target.job, &labels, None).and_then(Result::ok);
        let dropping = told.iter().flat_map(|told| told.steps.iter().enumerate());
        let mut dropping = dropping.filter(|(_, step)| step.outcome == RelabelOutcome::Dropped);
        let by =
            dropping.next().map(|(i, step)| format!("rule {}, {}, which read {:?}", i + 1, step.action, step.read));
        Self {
            id: id_of(&target.job, &labels, ""),
            address: labels.get("__address__").unwrap_or_default().to_owned(),
            labels: labels.to_string(),
            by: by.unwrap_or_default(),
            job: target.job,
        }
    }
}
