//! The overview: this machine, its network, Cilium, alerts and skep itself on one page.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::Timestamp;
use model::status::{Health, ProbeState, StoreStatus, TargetStatus};

use crate::Ui;
use crate::alerts::Alert;
use crate::ask::Asker;
use crate::chart::{Grid, picture};
use crate::data::{Request, draw};
use crate::format::Unit;
use crate::page::{Shell, respond};
use crate::panels::{self, Panel, Section};
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::range::TimeRange;
use crate::targets::State3;

/// Points of the pictures inside the page: enough for their size, few enough for the page's budget of bytes.
const PICTURE_POINTS: usize = 40;
/// Lines of such a picture.
const PICTURE_LINES: usize = 6;
/// Alerts of the strip; the alerts page has them all.
const STRIP_MAX: usize = 6;
/// Jobs whose targets are Cilium's.
const CILIUM_JOBS: [&str; 5] = ["cilium-agent", "cilium-operator", "cilium-envoy", "hubble", "hubble-relay"];
/// Filesystems that hold nothing that can fill up, or that are views of another one.
const PSEUDO_FILESYSTEMS: &str =
    "tmpfs|devtmpfs|ramfs|squashfs|nsfs|proc|sysfs|cgroup2?|overlay|fuse.lxcfs|iso9660|erofs";

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    shell: Shell,
    machine: Machine,
    alerts: Vec<Alert>,
    alerts_total: usize,
    rule_count: usize,
    host: Part,
    filesystems: Vec<Filesystem>,
    network: Part,
    /// Whether something counts, or counted in this range.
    network_counted: bool,
    probes: Vec<Probe>,
    cilium: Part,
    cilium_found: bool,
    cilium_targets: Vec<(String, State3, String)>,
    notes: Vec<String>,
    own: Vec<Stat>,
    /// What stands where a stat has no value.
    absent: &'static str,
}

/// Stats and charts of a section.
#[derive(Default)]
struct Part {
    stats: Vec<Stat>,
    charts: Vec<Chart>,
}

/// A number with a name.
pub(crate) struct Stat {
    pub(crate) title: &'static str,
    /// Number and unit; `None` where there is no data.
    pub(crate) value: Option<(String, String)>,
    pub(crate) note: String,
    /// 0 to 100 for a bar.
    pub(crate) bar: Option<u8>,
    /// `warn` or `bad`, and the word that says the same.
    pub(crate) level: Option<(&'static str, &'static str)>,
}

/// A chart's place, with a picture for readers without scripts.
#[derive(Default)]
pub(crate) struct Chart {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) note: String,
    /// What it means that there is nothing to show.
    pub(crate) empty: String,
    pub(crate) paths: Vec<String>,
    /// The value at the picture's upper edge.
    pub(crate) top: String,
    pub(crate) stacked: bool,
    /// Names and last values.
    pub(crate) legend: Vec<(String, String)>,
    /// Series that the picture leaves out.
    pub(crate) more: usize,
    pub(crate) summary: String,
    /// The query page with the same expressions, as a table.
    pub(crate) link: String,
    pub(crate) error: String,
}

#[derive(Default)]
struct Machine {
    system: String,
    uptime: Option<String>,
}

struct Filesystem {
    mount: String,
    device: String,
    kind: String,
    size: String,
    free: String,
    used: u8,
    level: Option<(&'static str, &'static str)>,
}

/// A probe as pages show it.
pub(crate) struct Probe {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) state: State3,
    pub(crate) reason: String,
    pub(crate) details: Vec<String>,
}

/// What the engine is asked for a page, done on a blocking thread.
pub(crate) struct Question {
    range: TimeRange,
    node: String,
    cilium: bool,
    /// Pictures are left out where the script swaps parts of a page that has its charts already.
    pub(crate) pictures: Option<Grid>,
    /// The query page with a table of this range, to which expressions are added.
    pub(crate) link: String,
    pub(crate) interval: std::time::Duration,
    young: bool,
}

struct Answers {
    machine: Machine,
    host: Part,
    filesystems: Vec<Filesystem>,
    network: Part,
    cilium: Part,
    own: Vec<Stat>,
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    match build(&ui, &params, headers.contains_key("hx-request")).await {
        Ok(page) => respond(StatusCode::OK, &headers, page.render()),
        Err(problem) => problem.respond(&ui, &headers),
    }
}

async fn build(ui: &Ui, params: &Params, swapped: bool) -> Result<Page, Problem> {
    let now = ui.state.clock.now();
    let range = ui.range(params)?;
    let targets = ui.state.targets.active();
    let cilium_targets: Vec<_> = targets.iter().filter(|t| CILIUM_JOBS.contains(&t.job.as_str())).collect();
    let young = ui.is_young(&range);
    let question = Question { cilium: !cilium_targets.is_empty(), ..Question::new(ui, range, swapped) };
    let answers = ui.ask(move |asker| question.ask(asker)).await?;
    let mut alerts = ui.active_alerts(now);
    let alerts_total = alerts.len();
    alerts.truncate(STRIP_MAX);
    let probes = ui.state.probes.probes();
    let store = ui.state.store.status();
    Ok(Page {
        shell: Shell::new(ui, params, "/", "Overview"),
        absent: if young { "at the second collection" } else { "no data" },
        alerts,
        alerts_total,
        rule_count: ui.state.rules.groups().iter().map(|group| group.rules.len()).sum(),
        network_counted: probes.iter().any(|probe| probe.state == ProbeState::Running)
            || answers.network.stats.iter().any(|stat| stat.value.is_some()),
        probes: probes.into_iter().map(Probe::from).collect(),
        cilium_found: !cilium_targets.is_empty(),
        cilium_targets: cilium_targets.iter().map(|t| (t.job.clone(), t.health.into(), t.url.clone())).collect(),
        notes: ui.state.targets.notes(),
        own: own(&store, &targets, now).into_iter().chain(answers.own).collect(),
        machine: answers.machine,
        host: answers.host,
        filesystems: answers.filesystems,
        network: answers.network,
        cilium: answers.cilium,
    })
}

impl Question {
    /// Of a page that is sent in full, or again to be swapped in by the script.
    pub(crate) fn new(ui: &Ui, range: TimeRange, swapped: bool) -> Self {
        let interval = ui.state.config.interval;
        Self {
            node: ui.node_selector(),
            cilium: false,
            pictures: (!swapped).then(|| Grid::new(range.start, range.end, PICTURE_POINTS, interval)),
            link: format!("{}/query?tab=table&{}&", ui.state.config.prefix, range.query()),
            young: ui.is_young(&range),
            range,
            interval,
        }
    }

    fn ask(&self, asker: &Asker) -> Answers {
        Answers {
            machine: self.machine(asker),
            host: Part { stats: self.host(asker), charts: self.charts(asker, Section::Host) },
            filesystems: self.filesystems(asker),
            own: self.own(asker),
            network: Part { stats: self.network(asker), charts: self.charts(asker, Section::Network) },
            cilium: if self.cilium {
                Part { stats: self.cilium(asker), charts: self.charts(asker, Section::Cilium) }
            } else {
                Part::default()
            },
        }
    }

    fn value(&self, asker: &Asker, expr: &str) -> Option<f64> {
        let window = format!("{}ms", 4 * self.interval.as_millis());
        asker.value(&expr.replace("$node", &self.node).replace("$window", &window), self.range.end)
    }

    fn machine(&self, asker: &Asker) -> Machine {
        let info = asker.values(&format!("node_uname_info{{{}}}", self.node), self.range.end);
        let label = |name| info.first().and_then(|(labels, _)| labels.get(name)).unwrap_or_default();
        let system = [label("sysname"), label("release"), label("machine")].join(" ");
        let uptime = self.value(asker, "time() - node_boot_time_seconds{$node}");
        Machine { system: system.trim().to_owned(), uptime: uptime.map(|seconds| Unit::Seconds.text(seconds)) }
    }

    fn host(&self, asker: &Asker) -> Vec<Stat> {
        let value = |expr| self.value(asker, expr);
        let cores = value(r#"count(node_cpu_seconds_total{$node, mode="idle"})"#);
        let busy = value(
            r#"100 * (1 - sum(rate(node_cpu_seconds_total{$node, mode="idle"}[$window])) / sum(rate(node_cpu_seconds_total{$node}[$window])))"#,
        );
        let total = value("node_memory_MemTotal_bytes{$node}");
        let available = value("node_memory_MemAvailable_bytes{$node}");
        let memory = total.zip(available).map(|(total, available)| 100.0 * (1.0 - available / total));
        let load = value("node_load1{$node}");
        let disk = value(
            r#"sum(rate(node_disk_read_bytes_total{$node, device!~"loop.*|ram.*|dm-.*"}[$window]) + rate(node_disk_written_bytes_total{$node, device!~"loop.*|ram.*|dm-.*"}[$window]))"#,
        );
        let received = value(
            r#"sum(rate(node_network_receive_bytes_total{$node, device!~"lo|veth.*|lxc.*|cali.*|br-.*|docker.*"}[$window]))"#,
        );
        let sent = value(
            r#"sum(rate(node_network_transmit_bytes_total{$node, device!~"lo|veth.*|lxc.*|cali.*|br-.*|docker.*"}[$window]))"#,
        );
        let bytes = |bytes: Option<f64>| bytes.map(|b| Unit::Bytes.text(b)).unwrap_or_default();
        vec![
            Stat::share("CPU", busy, "busy", cores.map(|n| plural(n, "core")).unwrap_or_default()),
            Stat::share("Memory", memory, "almost full", format!("{} of {} free", bytes(available), bytes(total))),
            Stat::new("Load", load, Unit::Short, "average of one minute").level(
                load.zip(cores).is_some_and(|(load, cores)| load > cores),
                "warn",
                "above the cores",
            ),
            Stat::new("Disk", disk, Unit::BytesPerSecond, "read and written"),
            Stat::new("Received", received, Unit::BytesPerSecond, "by all interfaces"),
            Stat::new("Sent", sent, Unit::BytesPerSecond, "by all interfaces"),
        ]
    }

    fn network(&self, asker: &Asker) -> Vec<Stat> {
        let value = |expr| self.value(asker, expr);
        vec![
            Stat::new(
                "Packets",
                value(
                    "sum(rate(skep_xdp_packets_total[$window]) * on (instance, device) group_left () skep_xdp_device_info{layer=\"base\"})",
                ),
                Unit::PacketsPerSecond,
                "at the driver",
            ),
            Stat::new(
                "Bytes",
                value(
                    "sum(rate(skep_xdp_bytes_total[$window]) * on (instance, device) group_left () skep_xdp_device_info{layer=\"base\"})",
                ),
                Unit::BytesPerSecond,
                "whole frames",
            ),
            Stat::new("Devices", value("count(count by (device) (skep_xdp_packets_total))"), Unit::Short, "counted"),
        ]
    }

    fn cilium(&self, asker: &Asker) -> Vec<Stat> {
        let value = |expr| self.value(asker, expr);
        let drops = value("sum(rate(cilium_drop_count_total[$window]))");
        let unreachable = value("sum(cilium_unreachable_nodes)");
        let pressure = value("100 * max(cilium_bpf_map_pressure)");
        vec![
            Stat::new(
                "Forwarded",
                value("sum(rate(cilium_forward_count_total[$window]))"),
                Unit::PacketsPerSecond,
                "by the datapath",
            ),
            Stat::new("Dropped", drops, Unit::PacketsPerSecond, "by the datapath"),
            Stat::new("Endpoints", value("sum(cilium_endpoint_state)"), Unit::Short, "in all states"),
            Stat::new("Policies", value("sum(cilium_policy)"), Unit::Short, "loaded"),
            Stat::new(
                "Hubble flows",
                value("sum(rate(hubble_flows_processed_total[$window]))"),
                Unit::PerSecond,
                "all verdicts",
            ),
            Stat::new("Fullest BPF map", pressure, Unit::Percent, "of its capacity").level(
                pressure.is_some_and(|p| p > 90.0),
                "bad",
                "almost full",
            ),
            Stat::new("Unreachable nodes", unreachable, Unit::Short, "by health checks").level(
                unreachable.is_some_and(|n| n > 0.0),
                "bad",
                "look at cilium-health",
            ),
        ]
    }

    /// What skep takes of the machine. Writes are told for a day, because that is what wears out a memory card.
    fn own(&self, asker: &Asker) -> Vec<Stat> {
        let value = |expr| self.value(asker, expr);
        let memory = value(r#"sum(process_resident_memory_bytes{job="skep"})"#);
        let cpu = value(r#"100 * sum(rate(process_cpu_seconds_total{job="skep"}[$window]))"#);
        let written = value(
            r#"86400 * (sum(rate(skep_tsdb_log_written_bytes_total[1h])) + sum(rate(skep_tsdb_blocks_written_bytes_total[1h])))"#,
        );
        vec![
            Stat::new("Own memory", memory, Unit::Bytes, "resident"),
            Stat::new("Own CPU", cpu, Unit::Percent, "of one core"),
            Stat::new("Disk writes", written, Unit::Bytes, "a day, at the pace of the last hour"),
        ]
    }

    /// The charts of a part.
    pub(crate) fn charts(&self, asker: &Asker, section: Section) -> Vec<Chart> {
        let panels = panels::ALL.iter().filter(|panel| panel.section == section);
        panels.map(|panel| self.chart(asker, panel)).collect()
    }

    fn chart(&self, asker: &Asker, panel: &Panel) -> Chart {
        let request = Request::of_panel(panel, &self.node);
        let expressions = request.queries.iter().map(|(_, expr)| ("expr", expr.as_str()));
        let link = format!("{}{}", self.link, encode(expressions));
        let mut chart = Chart {
            id: panel.id.to_owned(),
            title: panel.title.to_owned(),
            note: panel.note.to_owned(),
            empty: panel.empty_note(self.young, self.interval),
            stacked: panel.stacked,
            link,
            ..Chart::default()
        };
        if let Some(grid) = self.pictures {
            chart.fill(asker, &request, grid, self.interval);
        }
        chart
    }

    fn filesystems(&self, asker: &Asker) -> Vec<Filesystem> {
        let node = &self.node;
        let select = |name| format!(r#"{name}{{{node}, fstype!~"{PSEUDO_FILESYSTEMS}"}}"#);
        let free = asker.values(&select("node_filesystem_avail_bytes"), self.range.end);
        let mut list: Vec<Filesystem> = Vec::new();
        let mut sizes = asker.values(&select("node_filesystem_size_bytes"), self.range.end);
        // One device may be mounted many times; the shortest path is the one people know.
        sizes.sort_by_key(|(labels, _)| labels.get("mountpoint").map_or(0, str::len));
        for (labels, size) in sizes {
            let label = |name| labels.get(name).unwrap_or_default().to_owned();
            let same = |other: &model::Labels| other.without_name() == labels.without_name();
            let Some((_, free)) = free.iter().find(|(other, _)| same(other)) else { continue };
            if size > 0.0 && !list.iter().any(|f| f.device == label("device")) {
                list.push(Filesystem::new(label("mountpoint"), label("device"), label("fstype"), size, *free));
            }
        }
        list.sort_by(|a, b| a.mount.cmp(&b.mount));
        list
    }
}

impl Chart {
    /// The chart of expressions that stand in no panel, with its picture.
    pub(crate) fn of_expressions(
        (title, empty): (&str, &str),
        asker: &Asker,
        expressions: &[String],
        grid: Grid,
        interval: std::time::Duration,
    ) -> Self {
        let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let (id, title, empty) = ("query".to_owned(), title.to_owned(), empty.to_owned());
        let mut chart = Self { id, title, empty, ..Self::default() };
        chart.fill(asker, &Request::of_expressions(&texts), grid, interval);
        chart
    }

    /// Asks and draws the picture.
    pub(crate) fn fill(&mut self, asker: &Asker, request: &Request, grid: Grid, interval: std::time::Duration) {
        let drawn = draw(asker, request, grid, interval);
        let columns = &drawn.columns[..drawn.columns.len().min(PICTURE_LINES)];
        self.more = drawn.columns.len() - columns.len();
        let picture = picture(columns, request.stacked);
        self.top = request.unit.text(picture.top);
        self.paths = picture.paths;
        let last =
            |column: &crate::chart::Column| column.digest().map(|d| request.unit.text(d.last)).unwrap_or_default();
        self.legend = columns.iter().map(|column| (column.name.clone(), last(column))).collect();
        self.summary = columns.iter().map(|column| column.summary(request.unit)).collect::<Vec<_>>().join("; ");
        self.error = drawn.error.map(|(_, error)| error.to_string()).unwrap_or_default();
    }
}

impl Stat {
    pub(crate) fn new(title: &'static str, value: Option<f64>, unit: Unit, note: impl Into<String>) -> Self {
        Self { title, value: value.map(|value| unit.split(value)), note: note.into(), bar: None, level: None }
    }

    /// A share of 0 to 100 with a bar, which warns with a word from 90 on.
    fn share(title: &'static str, value: Option<f64>, word: &'static str, note: String) -> Self {
        let stat = Self::new(title, value, Unit::Percent, if value.is_some() { note } else { String::new() });
        let bar = value.map(|value| value.clamp(0.0, 100.0) as u8);
        Self { bar, ..stat }.level(value.is_some_and(|value| value > 90.0), "warn", word)
    }

    pub(crate) fn with_bar(self, percent: f64) -> Self {
        Self { bar: Some(percent.clamp(0.0, 100.0) as u8), ..self }
    }

    pub(crate) fn with_note(self, note: String) -> Self {
        Self { note, ..self }
    }

    pub(crate) fn level(mut self, reached: bool, class: &'static str, word: &'static str) -> Self {
        if reached {
            self.level = Some((class, word));
        }
        self
    }
}

impl Filesystem {
    fn new(mount: String, device: String, kind: String, size: f64, free: f64) -> Self {
        let used = (100.0 * (1.0 - free / size)).clamp(0.0, 100.0);
        let level = match used {
            _ if used > 95.0 => Some(("bad", "almost full")),
            _ if used > 85.0 => Some(("warn", "filling up")),
            _ => None,
        };
        let text = |bytes| Unit::Bytes.text(bytes);
        Self { mount, device, kind, size: text(size), free: text(free), used: used as u8, level }
    }
}

impl From<model::status::ProbeStatus> for Probe {
    fn from(probe: model::status::ProbeStatus) -> Self {
        let (word, class, icon, reason) = match probe.state {
            ProbeState::Disabled => ("off", "idle", "pause", "Switched off in the configuration.".to_owned()),
            ProbeState::Starting => ("starting", "idle", "pause", String::new()),
            ProbeState::Running => ("running", "good", "check", String::new()),
            ProbeState::Unsupported { reason } => ("not supported", "warn", "alert", reason),
            ProbeState::Failed { error } => ("failed", "bad", "cross", error),
        };
        let state = State3 { word, class, icon };
        // Where no device is counted, the reason names each of them already.
        let details = probe.details.into_iter().filter(|detail| !reason.contains(detail.as_str())).collect();
        Self { name: probe.name, help: probe.help, state, reason, details }
    }
}

/// skep's own health.
fn own(store: &StoreStatus, targets: &[TargetStatus], now: Timestamp) -> Vec<Stat> {
    let rate = |target: &TargetStatus| target.samples as f64 / target.interval.as_secs_f64().max(0.001);
    let good = targets.iter().filter(|target| target.health == Health::Good);
    let (up, down) = (good.clone().count(), targets.iter().filter(|target| target.health == Health::Bad).count());
    let oldest = store.min_time.map(|oldest| (now - oldest) as f64 / 1000.0);
    let damaged = store.quarantined > 0;
    vec![
        Stat::new("Samples", Some(good.map(rate).sum()), Unit::PerSecond, "collected"),
        Stat::new(
            "Series",
            Some(store.head_series as f64),
            Unit::Short,
            format!("{} samples in the head", Unit::Short.text(store.head_samples as f64)),
        ),
        Stat::new(
            "Store",
            Some(store.size_bytes as f64),
            Unit::Bytes,
            format!("on disk within {}", model::format_duration(store.sync_interval)),
        )
        .level(damaged, "bad", "damaged parts were set aside; the log names them"),
        Stat::new("Reaches back", oldest, Unit::Seconds, "to the oldest sample"),
        Stat::new("Targets up", Some(up as f64), Unit::Short, format!("of {}", targets.len())).level(
            down > 0,
            "bad",
            "some are down",
        ),
    ]
}

fn plural(count: f64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1.0 { "" } else { "s" })
}
