//! One `prometheus.yml` with every relabel action, limits and both kinds of found targets, run by Prometheus and by skep over
//! pages that change with every scrape, from targets that die and come back: the same series, values and markers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use model::SystemClock;
use scrape::{Manager, Options};
use support::dump::{Dump, by_scrape, compare, dump, parse_dump};
use support::{Memory, Reply, config, page, serve};
use testkit::Prometheus;

/// Scrapes of each target that are compared.
const SCRAPES: usize = 22;

/// Targets of every job.
const CASES: usize = 6;

/// Rules and settings of jobs; `TARGETS` stands for where their targets come from.
const JOBS: [&str; 9] = [
    "job_name: plain",
    "job_name: honor\n  honor_labels: true\n  honor_timestamps: false",
    "job_name: tracked\n  track_timestamps_staleness: true\n  params: {a: [b, c], d: ['e f']}",
    "job_name: targets\n  relabel_configs:\n  \
     - {source_labels: [group], regex: 'g(.)', target_label: 'made_$1', replacement: 'x-$1'}\n  \
     - {source_labels: [case, group], separator: '/', target_label: both, action: uppercase}\n  \
     - {source_labels: [both], target_label: low, action: lowercase}\n  \
     - {source_labels: [__address__, case], target_label: shard, modulus: 4, action: hashmod}\n  \
     - {regex: '__meta_(url|filepath)', replacement: 'from_$1', action: labelmap}\n  \
     - {regex: 'from_.*', action: labeldrop}\n  \
     - {source_labels: [case], regex: '5', action: drop}\n  \
     - {source_labels: [case], regex: '[0-4]', action: keep}\n  \
     - {source_labels: [case], target_label: twin, action: keepequal}\n  \
     - {source_labels: [case], target_label: group, action: dropequal}\n  \
     - {source_labels: [case], regex: '2', target_label: instance, replacement: two}\n  \
     - {source_labels: [case], regex: '3', target_label: __scrape_timeout__, replacement: 900ms}",
    "job_name: labels\n  relabel_configs:\n  - {regex: '__.*|job|case|group', action: labelkeep}",
    "job_name: samples\n  metric_relabel_configs:\n  \
     - {source_labels: [__name__], regex: '.*_bucket', action: drop}\n  \
     - {source_labels: [__name__], regex: '(go|process)_(.*)', target_label: __name__, replacement: '${2}_of_$1'}\n  \
     - {source_labels: [__name__], target_label: bucket, modulus: 3, action: hashmod}\n  \
     - {source_labels: [__name__], regex: '.*_info', replacement: '', target_label: version}\n  \
     - {regex: 'mode|state', replacement: 'old_$0', action: labelmap}\n  \
     - {regex: 'mode', action: labeldrop}\n  \
     - {source_labels: [old_state], target_label: old_state, action: uppercase}",
    "job_name: limited\n  sample_limit: 60",
    "job_name: narrow\n  label_limit: 7\n  label_value_length_limit: 60",
    "job_name: many\n  target_limit: 5",
];

/// Lines of real pages; without them, of a made one.
fn lines() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/exposition");
    let Ok(entries) = fs::read_dir(&folder) else {
        eprintln!("SKIPPED: {} is absent, a made page stands in", folder.display());
        return (0..900)
            .map(|i| format!("made_{}_total{{case_of=\"{}\",mode=\"m{}\"}} {i}", i % 40, i % 7, i % 3))
            .collect();
    };
    let mut lines = Vec::new();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| !path.to_string_lossy().ends_with(".om.txt")) {
        let text = fs::read_to_string(path).unwrap();
        // Times of pages are another test's.
        let timed = |line: &&str| line.starts_with('#') || line.rsplit(' ').next().is_some_and(|word| word.len() < 13);
        lines.extend(text.lines().filter(timed).take(250).map(str::to_owned));
    }
    lines
}

/// The page that a target shows at a scrape: a window of lines that moves, some of them gone, and values that change.
fn body(lines: &[String], case: usize, scrape: usize) -> String {
    let window = lines.iter().cycle().skip(case * 131 + scrape % 5 * 9).take(70);
    let kept = window.enumerate().filter(|(i, _)| !(i * 7 + scrape).is_multiple_of(11)).map(|(_, line)| line);
    let mut page: String = kept.map(|line| format!("{line}\n")).collect();
    page.push_str(&format!(
        "turn{{case=\"own\",job=\"own\",long=\"{}\"}} {scrape}\n",
        "x".repeat(50 + scrape % 3 * 10)
    ));
    page
}

/// What a target does at a scrape.
fn answer(lines: &[String], case: usize, scrape: usize) -> Reply {
    let Reply::Body(good, _) = page("") else { panic!() };
    match (case + scrape) % 12 {
        7 => Reply::Body("HTTP/1.1 503 Unavailable".to_owned(), Vec::new()),
        9 => Reply::Body(good, format!("{}not a page\n", body(lines, case, scrape)).into_bytes()),
        10 if case.is_multiple_of(2) => Reply::Body(good, Vec::new()),
        11 if case.is_multiple_of(3) => Reply::Body(good.replace("text/plain", "text/html"), b"<html>".to_vec()),
        _ => Reply::Body(good, body(lines, case, scrape).into_bytes()),
    }
}

/// Targets in JSON. Every case is a path of the one server, and has labels for the rules.
fn groups(address: &str, cases: impl Iterator<Item = usize>) -> String {
    let group = |case: usize| {
        format!(
            "{{\"targets\": [\"{address}\"], \"labels\": {{\"__metrics_path__\": \"/{case}\", \"case\": \"{case}\", \
             \"twin\": \"{case}\", \"group\": \"g{}\"}}}}",
            case % 2
        )
    };
    format!("[{}]", cases.map(group).collect::<Vec<_>>().join(","))
}

fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// The shapes of a target's life: whether it was there, without how long.
fn lives(dump: &Dump) -> BTreeMap<String, String> {
    let mut lives = BTreeMap::new();
    for (labels, samples) in dump.iter().filter(|(labels, _)| labels.get("job").is_some_and(|job| job == "flapping")) {
        let mut samples = samples.clone();
        samples.sort_by_key(|(time, _)| *time);
        let mut life = String::new();
        for (_, value) in samples {
            let letter = if value.is_nan() { 'x' } else { '-' };
            if !life.ends_with(letter) {
                life.push(letter);
            }
        }
        lives.insert(format!("{labels:?}"), life);
    }
    lives
}

#[tokio::test(flavor = "multi_thread")]
async fn found_targets_are_scraped_as_prometheus_does() {
    let (Some(program), Some(promtool)) = (testkit::peer("prometheus"), testkit::peer("promtool")) else { return };
    let lines = lines();
    let counts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let counting = Arc::clone(&counts);
    let own_address: Arc<Mutex<String>> = Arc::default();
    let known_address = Arc::clone(&own_address);
    let address = serve(move |head| {
        let path = head.split(['/', ' ', '?']).nth(2).unwrap();
        if path == "sd" {
            let Reply::Body(good, _) = page("") else { panic!() };
            let json = good.replace("text/plain; version=0.0.4", "application/json");
            return Reply::Body(json, groups(&known_address.lock().unwrap(), CASES / 2..CASES).into_bytes());
        }
        let client = if head.to_lowercase().contains("user-agent: skep") { "skep" } else { "prometheus" };
        let job = head.split("job=").nth(1).unwrap().split([' ', '&']).next().unwrap();
        let mut counts = counting.lock().unwrap();
        let count = counts.entry(format!("{client} {job} {path}")).or_default();
        let scrape = *count;
        *count += 1;
        if job == "flapping" { page("steady 1\n") } else { answer(&lines, path.parse().unwrap(), scrape) }
    })
    .await;
    own_address.lock().unwrap().clone_from(&address);

    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("targets.json"), &groups(&address, 0..CASES / 2));
    let flapping = folder.path().join("flapping.yml");
    let there = format!("- targets: ['{address}']\n  labels: {{case: '0', __metrics_path__: /flap}}\n");
    write(&flapping, &there);
    let files = folder.path().display();
    let found = format!(
        "  file_sd_configs: [{{files: ['{files}/targets*.json']}}]\n  http_sd_configs: [{{url: 'http://{address}/sd', refresh_interval: 2s}}]\n"
    );
    let job = |job: &str, found: &str| {
        let name = job["job_name: ".len()..].split('\n').next().unwrap();
        let params = format!("  relabel_configs: [{{target_label: __param_job, replacement: {name}}}]\n");
        let whole = format!("- {job}\n{found}");
        match whole.contains("  relabel_configs:\n") {
            true => whole.replacen(
                "  relabel_configs:\n",
                &format!("  relabel_configs:\n  - {{target_label: __param_job, replacement: {name}}}\n"),
                1,
            ),
            false => whole + &params,
        }
    };
    let flap = job("job_name: flapping", &format!("  file_sd_configs: [{{files: ['{files}/flapping.yml']}}]\n"));
    let jobs: String = JOBS.iter().map(|text| job(text, &found)).chain([flap]).collect();
    let text = format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}");

    let prometheus = Prometheus::start(&program, folder.path(), &text, &["--web.enable-lifecycle"]).unwrap();
    let memory = Arc::new(Memory::default());
    let manager = Manager::new(Arc::<Memory>::clone(&memory), Arc::new(SystemClock), Options::default());
    manager.apply(&config(&text));
    let of = |job: &'static str| {
        let counts = Arc::clone(&counts);
        move || {
            let counts = counts.lock().unwrap();
            let seen: Vec<usize> =
                counts.iter().filter(|(key, _)| key.contains(job)).map(|(_, count)| *count).collect();
            (seen.len(), seen.iter().copied().min().unwrap_or_default(), seen.iter().sum::<usize>())
        }
    };
    support::until(of(" flapping "), |(seen, least, _)| *seen == 2 && *least > 2).await;
    write(&flapping, "[]\n");
    // It has stopped at both once others were asked three times more, and it was not.
    let again = loop {
        let (_, asked, _) = of(" plain ")();
        let (_, _, before) = of(" flapping ")();
        support::until(of(" plain "), |(_, least, _)| *least > asked + 3).await;
        if of(" flapping ")().2 == before {
            break before;
        }
    };
    write(&flapping, &there);
    support::until(of(" flapping "), |(_, _, sum)| *sum > again + 6).await;
    for job in [" plain ", " honor ", " tracked ", " samples ", " limited ", " narrow ", " labels "] {
        support::until(of(job), |(seen, least, _)| *seen == 2 * CASES && *least > SCRAPES + 1).await;
    }
    manager.shutdown().await;
    tokio::task::spawn_blocking(|| prometheus.stop()).await.unwrap().unwrap();

    let output = Command::new(promtool).args(["tsdb", "dump"]).arg(Prometheus::data(folder.path())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (ours, theirs) = (dump(&memory), parse_dump(&String::from_utf8(output.stdout).unwrap()));
    assert_eq!(lives(&ours), lives(&theirs));
    let steady =
        |dump: &Dump| dump.clone().into_iter().filter(|(l, _)| l.get("job").is_none_or(|j| j != "flapping")).collect();
    compare(&by_scrape(&steady(&ours), SCRAPES), &by_scrape(&steady(&theirs), SCRAPES), 1000);
}
