//! The storage page: what the store holds, what it writes, what it is doing, and which series cost most.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{BlockStatus, Cost, Costs, MemoryShare, StoreDetails, StoreStatus, WorkStatus};
use model::{Timestamp, format_duration, is_valid_metric_name};
use tokio::task::spawn_blocking;

use crate::Ui;
use crate::format::{Unit, When, ago, literal};
use crate::overview::Stat;
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::range;

const DAY_MILLIS: i64 = 24 * 3_600_000;
/// Days that are listed; a year of them nobody reads, and the sums of the others stand below.
const DAYS_MAX: usize = 31;
/// Entries of each list of costs.
const COSTS_SHOWN: usize = 12;
/// Before this much of a day was seen, its writes are not told: the first sealing would count for twelve.
const PACE_MIN: Duration = Duration::from_secs(600);

#[derive(Template)]
#[template(path = "storage.html")]
struct Page {
    shell: Shell,
    /// How long a scraped sample waits for the disk; `None` if it does not.
    sync_interval: Option<String>,
    read_only: bool,
    stats: Vec<Stat>,
    absent: &'static str,
    work: Vec<Work>,
    next: String,
    disk: Vec<Share>,
    memory: Vec<Share>,
    memory_total: String,
    /// The budget with where it comes from, and what the rooms take of it.
    budget: String,
    rooms: Vec<Share>,
    head_budget: Share,
    set_aside: Vec<(String, String)>,
    damaged_records: u64,
    log: String,
    days: Vec<Day>,
    more_days: usize,
    lists: Vec<List>,
    /// Whether there is a block to tell bytes from.
    has_bytes: bool,
}

/// Work that runs, with its bar.
struct Work {
    what: &'static str,
    percent: u8,
    steps: String,
    ago: String,
}

/// A part of a whole.
struct Share {
    name: &'static str,
    text: String,
    percent: f64,
}

/// The blocks of a day.
struct Day {
    date: String,
    blocks: usize,
    from: When,
    to: When,
    series: String,
    samples: String,
    bytes: String,
    per_sample: String,
    /// Of the largest day.
    percent: u8,
    link: String,
}

/// What costs most of something.
struct List {
    id: &'static str,
    title: &'static str,
    note: &'static str,
    named: &'static str,
    counted: &'static str,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    link: String,
    count: String,
    bytes: String,
    per_sample: String,
    /// Of the largest.
    percent: u8,
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let store = Arc::clone(&ui.state.store);
    // Adding up what series cost reads a block.
    let told = spawn_blocking(move || (store.status(), store.details(), store.costs())).await;
    let Ok((status, details, costs)) = told else {
        let problem = Problem::internal("the store could not be asked; the log says why");
        return problem.respond(&ui, &headers);
    };
    let shell = Shell::new(&ui, &params, "/storage", "Storage");
    respond(StatusCode::OK, &headers, Page::new(&ui, shell, &status, &details, &costs).render())
}

impl Page {
    fn new(ui: &Ui, shell: Shell, status: &StoreStatus, details: &StoreDetails, costs: &Costs) -> Self {
        let now = ui.state.clock.now();
        let prefix = &ui.state.config.prefix;
        let budget = ui.state.memory.memory();
        let days = days(&details.blocks, prefix);
        let disk_total: u64 = details.disk.iter().map(|(_, bytes)| bytes).sum();
        let memory_total: u64 = details.memory.iter().map(|(_, bytes)| bytes).sum();
        let samples = details.memory.first().map_or(0, |(_, bytes)| *bytes);
        Self {
            sync_interval: (!status.sync_interval.is_zero()).then(|| format_duration(status.sync_interval)),
            read_only: !status.read_only_reason.is_empty(),
            stats: stats(status, details, now),
            absent: "not known yet",
            work: details.work.iter().map(|work| Work::new(work, now)).collect(),
            next: format_duration(details.seal_interval),
            disk: shares(&details.disk, disk_total),
            memory: shares(&details.memory, memory_total),
            memory_total: Unit::Bytes.text(memory_total as f64),
            budget: format!("{}, {}", Unit::Bytes.text(budget.budget_bytes as f64), budget.origin),
            rooms: budget.shares.iter().map(Share::of_room).collect(),
            head_budget: Share {
                name: "sealed at",
                text: Unit::Bytes.text(details.head_bytes_max as f64),
                percent: percent(samples, details.head_bytes_max),
            },
            set_aside: details.set_aside.iter().map(|a| (span(a.min_time, a.max_time), a.reason.clone())).collect(),
            damaged_records: details.damaged_records,
            log: log_line(details),
            more_days: days.len().saturating_sub(DAYS_MAX),
            days: days.into_iter().take(DAYS_MAX).collect(),
            lists: lists(costs, prefix).into_iter().filter(|list| !list.rows.is_empty()).collect(),
            has_bytes: costs.bytes > 0,
            shell,
        }
    }
}

fn stats(status: &StoreStatus, details: &StoreDetails, now: Timestamp) -> Vec<Stat> {
    let sum = |of: fn(&BlockStatus) -> u64| details.blocks.iter().map(of).sum::<u64>();
    let (samples, bytes) = (sum(|block| block.samples), sum(|block| block.bytes));
    let written = details.log_written_bytes + details.blocks_written_bytes;
    let since = Duration::from_millis(u64::try_from(now - details.opened).unwrap_or_default());
    let day = (since >= PACE_MIN).then(|| written as f64 / since.as_secs_f64() * 86_400.0);
    let reach = status.min_time.map(|oldest| (now - oldest) as f64 / 1000.0);
    let kept = details.retention_time.map_or("kept for ever".to_owned(), |kept| format!("of {} kept", days_of(kept)));
    let free = details.free_bytes.map(|bytes| format!("{} free on the disk", Unit::Bytes.text(bytes as f64)));
    let size = Stat::new("On disk", Some(status.size_bytes as f64), Unit::Bytes, free.clone().unwrap_or_default());
    let size = match details.retention_size {
        Some(most) => size.with_bar(percent(status.size_bytes, most)).with_note(format!(
            "of {} at most{}",
            Unit::Bytes.text(most as f64),
            free.map(|free| format!(", {free}")).unwrap_or_default()
        )),
        None => size,
    };
    let series = percent(status.head_series, details.head_series_max);
    vec![
        size,
        Stat::new("Reaches back", reach, Unit::Seconds, kept),
        Stat::new(
            "Bytes a sample",
            ratio(bytes, samples),
            Unit::Short,
            format!("{} samples in blocks", short(samples)),
        ),
        Stat::new("Written a sample", ratio(written, details.appended), Unit::Short, "bytes, log and blocks together"),
        Stat::new("Written a day", day, Unit::Bytes, "at the pace since the start"),
        Stat::new(
            "Series in memory",
            Some(status.head_series as f64),
            Unit::Short,
            format!("of {}", short(details.head_series_max)),
        )
        .with_bar(series)
        .level(series > 90.0, "warn", "near the limit"),
    ]
}

/// The log's state in a line.
fn log_line(details: &StoreDetails) -> String {
    let (syncs, failures) = details.fsyncs;
    let bytes = details.disk.iter().find(|(name, _)| *name == "log").map_or(0, |(_, bytes)| *bytes);
    let mut parts = vec![
        format!("{} in {}", Unit::Bytes.text(bytes as f64), plural(details.log_segments, "segment")),
        format!(
            "{} written and synced {} since the start",
            Unit::Bytes.text(details.log_written_bytes as f64),
            plural(syncs, "time")
        ),
    ];
    if failures > 0 {
        parts.push(format!("the disk refused {}, what it refused was written again", plural(failures, "time")));
    }
    if details.seal_failures > 0 {
        parts.push(format!("sealing failed {} and is tried again", plural(details.seal_failures, "time")));
    }
    parts.join(", ")
}

fn shares(parts: &[(&'static str, u64)], total: u64) -> Vec<Share> {
    let share = |&(name, bytes): &(&'static str, u64)| Share {
        name,
        text: Unit::Bytes.text(bytes as f64),
        percent: percent(bytes, total),
    };
    parts.iter().map(share).collect()
}

impl Share {
    fn of_room(room: &MemoryShare) -> Self {
        let (used, most) = (Unit::Bytes.text(room.used_bytes as f64), Unit::Bytes.text(room.limit_bytes as f64));
        let name = match room.name {
            "head_samples" => "samples",
            "head_series" => "series",
            "remote_write" => "remote write",
            name => name,
        };
        Self { name, text: format!("{used} of {most}"), percent: percent(room.used_bytes, room.limit_bytes) }
    }
}

impl Work {
    fn new(work: &WorkStatus, now: Timestamp) -> Self {
        Self {
            what: work.what,
            percent: percent(work.done, work.total) as u8,
            steps: format!("{} of {} series", short(work.done), short(work.total)),
            ago: ago(work.since, now),
        }
    }
}

/// Newest first.
fn days(blocks: &[BlockStatus], prefix: &str) -> Vec<Day> {
    let mut by_day: BTreeMap<i64, Vec<&BlockStatus>> = BTreeMap::new();
    for block in blocks {
        by_day.entry(block.min_time.div_euclid(DAY_MILLIS)).or_default().push(block);
    }
    let sum = |blocks: &[&BlockStatus], of: fn(&BlockStatus) -> u64| blocks.iter().map(|block| of(block)).sum::<u64>();
    let largest = by_day.values().map(|blocks| sum(blocks, |b| b.bytes)).max().unwrap_or_default();
    let day = |(day, blocks): (&i64, &Vec<&BlockStatus>)| {
        let (samples, bytes) = (sum(blocks, |b| b.samples), sum(blocks, |b| b.bytes));
        let from = blocks.iter().map(|block| block.min_time).min().unwrap_or_default();
        let to = blocks.iter().map(|block| block.max_time).max().unwrap_or_default();
        let (start, end) = (from.to_string(), to.to_string());
        Day {
            date: range::rfc3339(day * DAY_MILLIS).chars().take(10).collect(),
            blocks: blocks.len(),
            from: When::new(from),
            to: When::new(to),
            series: short(blocks.iter().map(|block| block.series).max().unwrap_or_default()),
            samples: short(samples),
            bytes: Unit::Bytes.text(bytes as f64),
            per_sample: per_sample(bytes, samples),
            percent: percent(bytes, largest) as u8,
            link: format!("{prefix}/?{}", encode([("from", start.as_str()), ("to", end.as_str())])),
        }
    };
    by_day.iter().rev().map(day).collect()
}

fn lists(costs: &Costs, prefix: &str) -> Vec<List> {
    let has_bytes = costs.bytes > 0;
    let link = |expr: String| format!("{prefix}/query?{}", encode([("expr", expr.as_str()), ("tab", "table")]));
    let metric = |name: &str| link(format!("topk(50, count by (job, instance) ({}))", selector(name)));
    let label = |name: &str| link(format!("topk(50, count by ({}) ({{{0}!=\"\"}}))", quoted(name)));
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        link(format!("topk(50, count by (__name__) ({{{}={}}}))", quoted(name), literal(value)))
    };
    let target = |text: &str| {
        // Addresses have no blanks, jobs may.
        let (job, instance) = text.rsplit_once(' ').unwrap_or((text, ""));
        let (job, instance) = (literal(job), literal(instance));
        link(format!("topk(50, count by (__name__) ({{job={job}, instance={instance}}}))"))
    };
    let rows = |costs: &[Cost], size: fn(&Cost) -> u64, link: &dyn Fn(&str) -> String| {
        let largest = costs.iter().map(size).max().unwrap_or_default();
        // Without a block there are no bytes to tell.
        let known = costs.iter().filter(|cost| size(cost) > 0);
        known.take(COSTS_SHOWN).map(|cost| Row::new(cost, percent(size(cost), largest), link(&cost.name))).collect()
    };
    vec![
        List {
            id: "metrics",
            title: "Metrics",
            note: "by series",
            named: "Metric",
            counted: "Series",
            rows: rows(&costs.metrics, |cost| cost.count, &metric),
        },
        List {
            id: "bytes",
            title: "Metrics",
            note: "by bytes of the newest block",
            named: "Metric",
            counted: "Series",
            rows: rows(&costs.metrics_by_bytes, |cost| cost.bytes, &metric),
        },
        List {
            id: "targets",
            title: "Targets",
            note: if has_bytes { "job and instance, by bytes" } else { "job and instance, by series" },
            named: "Target",
            counted: "Series",
            rows: rows(&costs.targets, |cost| cost.bytes.max(cost.count), &target),
        },
        List {
            id: "labels",
            title: "Labels",
            note: "by different values",
            named: "Label",
            counted: "Values",
            rows: rows(&costs.labels, |cost| cost.count, &label),
        },
        List {
            id: "pairs",
            title: "Label values",
            note: "by series",
            named: "Label and value",
            counted: "Series",
            rows: rows(&costs.label_pairs, |cost| cost.count, &pair),
        },
        List {
            id: "churn",
            title: "Churn",
            note: "series that came or went within the newest block",
            named: "Metric",
            counted: "Series",
            rows: rows(&costs.metrics_by_churn, |cost| cost.count, &metric),
        },
    ]
}

impl Row {
    fn new(cost: &Cost, percent: f64, link: String) -> Self {
        Self {
            name: cost.name.clone(),
            link,
            count: short(cost.count),
            bytes: if cost.bytes == 0 { "–".to_owned() } else { Unit::Bytes.text(cost.bytes as f64) },
            per_sample: per_sample(cost.bytes, cost.samples),
            percent: percent as u8,
        }
    }
}

/// A metric's name as a selector; what is not of the classic alphabet stands in braces.
fn selector(name: &str) -> String {
    if is_valid_metric_name(name) { name.to_owned() } else { format!("{{{}}}", literal(name)) }
}

fn quoted(name: &str) -> String {
    if model::is_valid_label_name(name) { name.to_owned() } else { literal(name) }
}

fn span(from: Timestamp, to: Timestamp) -> String {
    if to == Timestamp::MAX {
        return "time not known".to_owned();
    }
    format!("{} to {} UTC", range::seconds(from), range::seconds(to))
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (100.0 * part as f64 / whole as f64).clamp(0.0, 100.0) }
}

fn ratio(bytes: u64, samples: u64) -> Option<f64> {
    (samples > 0).then(|| bytes as f64 / samples as f64)
}

fn per_sample(bytes: u64, samples: u64) -> String {
    ratio(bytes, samples).filter(|_| bytes > 0).map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn short(count: u64) -> String {
    Unit::Short.text(count as f64)
}

fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", short(count), if count == 1 { "" } else { "s" })
}

/// A retention in days where it is some.
fn days_of(kept: Duration) -> String {
    let days = kept.as_secs() / 86_400;
    if days > 0 && kept.as_secs().is_multiple_of(86_400) { format!("{days} d") } else { format_duration(kept) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(costs: &Costs, expected: &[&str]) {
        let lists = lists(costs, "/p");
        let links: Vec<&str> = lists.iter().flat_map(|list| &list.rows).map(|row| row.link.as_str()).collect();
        let query = |expr: &&str| format!("/p/query?{}", encode([("expr", *expr), ("tab", "table")]));
        assert_eq!(links, expected.iter().map(query).collect::<Vec<_>>());
        for expr in expected {
            assert!(promql::parse(expr).is_ok(), "{expr}");
        }
    }

    #[test]
    fn links_ask_for_what_they_stand_at() {
        let cost = |name: &str| vec![Cost { name: name.to_owned(), count: 1, ..Cost::default() }];
        let none = Costs::default;
        check(&Costs { metrics: cost("up"), ..none() }, &["topk(50, count by (job, instance) (up))"]);
        check(
            &Costs { metrics: cost("a.\u{e9}\u{200b}\"\\"), ..none() },
            &["topk(50, count by (job, instance) ({\"a.\u{e9}\u{200b}\\\"\\\\\"}))"],
        );
        check(
            &Costs { targets: cost("my job 10.0.0.1:9"), ..none() },
            &["topk(50, count by (__name__) ({job=\"my job\", instance=\"10.0.0.1:9\"}))"],
        );
        check(
            &Costs { label_pairs: cost("path=/a?b=c\nd"), ..none() },
            &["topk(50, count by (__name__) ({path=\"/a?b=c\\nd\"}))"],
        );
        check(&Costs { labels: cost("le"), ..none() }, &["topk(50, count by (le) ({le!=\"\"}))"]);
    }
}
