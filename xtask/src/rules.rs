//! `cargo xtask bench rules`: what the evaluation of rules costs, and whether very many are evaluated on time.
//!
//! One exporter, read by skep and, where it is at hand, by Prometheus with the same rule files at the same time, so that whatever
//! else the machine does meets both. What a server takes without rules is measured first and taken off.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::{Exporter, Prometheus, Reply, ServerBuilder};

use crate::machine::{execute, target};

/// Metrics of the page, and series of each.
const METRICS: usize = 100;
const SERIES: usize = 20;

/// Rules of a group.
const GROUP: usize = 50;

/// Rules whose cost is measured, evaluated every second.
const MANY: usize = 2_000;

/// Rules whose punctuality is measured, evaluated every ten seconds.
const VERY_MANY: usize = 10_000;

/// How long servers run before they are looked at: until targets were read, and windows of a minute are full.
const WARM_UP: Duration = Duration::from_secs(15);

/// How long they are looked at.
const LENGTH: Duration = Duration::from_secs(45);

/// Ticks of the kernel's clock in a second, as `/proc/PID/stat` counts.
const TICKS: f64 = 100.0;

/// The goal: so much of what Prometheus takes.
const GOAL: f64 = 0.33;

/// What a server did while it was looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    cpu: f64,
    evaluations: f64,
    missed: f64,
    failures: f64,
}

pub(crate) fn run() -> Result<()> {
    execute("cargo", &["build", "--release", "--quiet", "--package", "skep"])?;
    let skep = target().join("release/skep");
    let peer = testkit::peer("prometheus");
    let exporter = Exporter::start(Reply::Page(page()))?;
    let scrape = format!(
        "global: {{scrape_interval: 5s}}\nscrape_configs:\n- job_name: bench\n  static_configs: [{{targets: ['{}']}}]\n",
        exporter.target()
    );
    let idle = look(&skep, peer.as_deref(), &scrape, 0, "1s")?;
    let many = look(&skep, peer.as_deref(), &scrape, MANY, "1s")?;
    println!("{MANY} rules every second over {} series, {} s:", METRICS * SERIES, LENGTH.as_secs());
    let cost = |with: Work, without: Work| (with.cpu - without.cpu).max(0.0) * 1e3 / (with.evaluations / 1e3);
    let ours = cost(many.0, idle.0);
    tell("skep", many.0, ours);
    if let (Some(theirs), Some(without)) = (many.1, idle.1) {
        let peers = cost(theirs, without);
        tell("Prometheus", theirs, peers);
        println!("  skep takes {:.2} of Prometheus' CPU for the same evaluations (goal: {GOAL})", ours / peers);
    }
    let very_many = look(&skep, peer.as_deref(), &scrape, VERY_MANY, "10s")?;
    println!("{VERY_MANY} rules every ten seconds, {} s:", LENGTH.as_secs());
    tell("skep", very_many.0, cost(very_many.0, idle.0));
    if let (Some(theirs), Some(without)) = (very_many.1, idle.1) {
        tell("Prometheus", theirs, cost(theirs, without));
    }
    ensure!(very_many.0.missed == 0.0 && very_many.0.failures == 0.0, "{:?}", very_many.0);
    Ok(())
}

fn tell(name: &str, work: Work, cost: f64) {
    let Work { evaluations, missed, failures, .. } = work;
    println!(
        "  {name}: {evaluations:.0} evaluations, {cost:.1} ms of CPU for a thousand; {missed:.0} slots missed, {failures:.0} failed"
    );
}

/// What both do with so many rules.
fn look(skep: &Path, peer: Option<&Path>, scrape: &str, count: usize, interval: &str) -> Result<(Work, Option<Work>)> {
    let folder = tempfile::tempdir()?;
    let rules = folder.path().join("rules.yml");
    fs::write(&rules, text(count, interval))?;
    let config = format!("{scrape}rule_files: ['{}']\n", rules.display());
    let file = folder.path().join("skep.yml");
    let alone = "probes: {enabled: false}\nhost: {enabled: false}\ncilium: {enabled: false}\n";
    fs::write(&file, format!("{alone}{config}"))?;
    let server = ServerBuilder::new(skep, folder.path().join("data")).arg("--config").arg(&file).start()?;
    let beside = tempfile::tempdir()?;
    let running = peer.map(|peer| Prometheus::start(peer, beside.path(), &config, &[])).transpose()?;
    let ours = || Ok::<_, anyhow::Error>((server.pid(), server.get("/metrics")?.body));
    let theirs = || running.as_ref().map(|running| Ok::<_, anyhow::Error>((running.pid(), running.get("/metrics")?)));
    thread::sleep(WARM_UP);
    let before = (state(ours()?, "skep")?, theirs().transpose()?.map(|at| state(at, "prometheus")).transpose()?);
    thread::sleep(LENGTH);
    let after = (state(ours()?, "skep")?, theirs().transpose()?.map(|at| state(at, "prometheus")).transpose()?);
    Ok((after.0.since(before.0), after.1.zip(before.1).map(|(after, before)| after.since(before))))
}

impl Work {
    fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu - before.cpu,
            evaluations: self.evaluations - before.evaluations,
            missed: self.missed - before.missed,
            failures: self.failures - before.failures,
        }
    }
}

/// What a process has done so far.
fn state((pid, metrics): (u32, String), prefix: &str) -> Result<Work> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program, in brackets, may have blanks.
    let fields: Vec<&str> = stat.rsplit_once(") ").context("/proc/PID/stat has no name")?.1.split(' ').collect();
    let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let sum = |name: &str| {
        let lines =
            metrics.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    };
    Ok(Work {
        cpu: (ticks(11) + ticks(12)) / TICKS,
        evaluations: sum(&format!("{prefix}_rule_evaluations_total")),
        missed: sum(&format!("{prefix}_rule_group_iterations_missed_total")),
        failures: sum(&format!("{prefix}_rule_evaluation_failures_total")),
    })
}

/// Rules as people have them: recorded rates, ratios and quantiles, thresholds that some series pass.
fn text(count: usize, interval: &str) -> String {
    let mut text = "groups:\n".to_owned();
    if count == 0 {
        return "groups: []\n".to_owned();
    }
    for rule in 0..count {
        if rule % GROUP == 0 {
            let _ = writeln!(text, "- name: g{}\n  interval: {interval}\n  rules:", rule / GROUP);
        }
        let metric = format!("bench_metric_{}_total", rule % METRICS);
        let _ = match rule % 5 {
            0 => writeln!(text, "  - {{record: 'r{rule}:rate', expr: 'sum by (device) (rate({metric}[1m]))'}}"),
            1 => writeln!(text, "  - {{alert: High{rule}, expr: 'rate({metric}[1m]) > 1e9', for: 5m}}"),
            2 => writeln!(
                text,
                "  - {{alert: Ratio{rule}, expr: 'sum({metric}{{mode=\"m1\"}}) / sum({metric}) > 2', for: 1m}}"
            ),
            3 => writeln!(
                text,
                "  - {{alert: Large{rule}, expr: '{metric} > {}', labels: {{severity: info}}, annotations: {{summary: \"{{{{ $labels.device }}}} is at {{{{ $value }}}}\"}}}}",
                37 * (SERIES - 2)
            ),
            _ => writeln!(text, "  - {{record: 'r{rule}:max', expr: 'max without (mode) ({metric})'}}"),
        };
    }
    text
}

fn page() -> String {
    let line = |i: usize| {
        let (metric, series) = (i / SERIES, i % SERIES);
        format!("bench_metric_{metric}_total{{device=\"eth{series}\",mode=\"m{}\"}} {}\n", series % 4, series * 37)
    };
    (0..METRICS * SERIES).map(line).collect()
}
