//! `skep import`: history of a real Prometheus moves over, sample by sample; bad text is told with its place.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use testkit::{Exporter, Prometheus, Reply, Server, poll_until};

use crate::{ALONE, SKEP, job, json, start, value};

/// Runs `skep ARGS` with a text on its standard input.
fn skep(args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(SKEP);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that refuses its flags does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Imports a text into a server; exit code, what it said on stdout and stderr.
fn import(server: &Server, args: &[&str], text: &str) -> (Option<i32>, String, String) {
    let args = [&["import", "--url", server.url(), "-"], args].concat();
    let output = skep(&args, text.as_bytes());
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), said(&output.stdout), said(&output.stderr))
}

/// All samples of a server up to a time, staleness markers left out: a text a series.
fn samples(get: impl Fn(&str) -> Value, until: f64) -> Vec<String> {
    let names = get("/api/v1/label/__name__/values");
    let mut lines = Vec::new();
    for name in names["data"].as_array().unwrap() {
        let selector = format!("{{__name__={name}}}[1h]");
        let query: String = selector.bytes().map(|b| format!("%{b:02x}")).collect();
        let answer = get(&format!("/api/v1/query?query={query}&time={until}"));
        let result = answer["data"]["result"].as_array().unwrap();
        lines.extend(result.iter().map(|series| format!("{} {}", series["metric"], series["values"])));
    }
    lines.sort();
    lines
}

/// Nothing is too old.
const FOREVER: &str =
    "probes: {enabled: false}\nhost: {enabled: false}\ncilium: {enabled: false}\nstorage: {retention_time: 0}\n";

const PAGE: &str = "# TYPE g gauge\ng{a=\"quote\\\"back\\\\slash\\nline\"} 0.30000000000000004\ng{a=\"nan\"} NaN\n\
                    g{a=\"inf\"} -Inf\ng{a=\"zero\"} -0\ng{a=\"small\"} 5e-324\n{\"dotted.name\",\"a b\"=\"tab\tend\"} 1e300\n";

#[test]
fn the_history_of_a_real_prometheus_moves_over() {
    let (Some(prometheus), Some(promtool)) = (testkit::peer("prometheus"), testkit::peer("promtool")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = Exporter::start(Reply::Page(format!("{PAGE}gone 1\n"))).unwrap();
    let jobs = format!("scrape_configs:\n{}", job("page", &page.target()));
    let theirs = Prometheus::start(&prometheus, folder.path(), &jobs, &[]).unwrap();
    let ask = |path: &str| -> Value { serde_json::from_str(&theirs.get(path).unwrap()).unwrap() };
    let count = |expression: &str| -> Option<f64> {
        let answer = ask(&format!("/api/v1/query?query={expression}"));
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    };
    poll_until("two samples", || count("count_over_time(gone[1m])").filter(|n| *n >= 2.0));
    page.reply(Reply::Page(PAGE.to_owned()));
    poll_until("the series to end", || count("absent(gone)"));
    let until = count("max(timestamp(up))").unwrap();
    let newest = format!("--max-time={}", (until * 1000.0).round());
    let mut dump = Command::new(promtool);
    dump.args(["tsdb", "dump-openmetrics", &newest]).arg(Prometheus::data(folder.path()));
    let dump = dump.output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let text = String::from_utf8(dump.stdout).unwrap();

    let ours = start(folder.path(), ALONE);
    let (code, said, errors) = import(&ours, &[], &text);
    assert_eq!(code, Some(0), "{said}{errors}");
    assert!(said.contains("1 NaN were stored as staleness markers"), "{said}");
    let expected = samples(ask, until);
    assert!(expected.len() >= 11, "{expected:?}");
    assert_eq!(samples(|path| json(&ours.get(path).unwrap()), until), expected);
    // What is there is passed over.
    assert_eq!(import(&ours, &[], &text).0, Some(0));
    eprintln!("{} series moved over", expected.len());
}

#[test]
fn what_cannot_be_imported_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), FOREVER);
    let check = |args: &[&str], text: &str, code: i32, said: &[&str]| {
        let (got, stdout, stderr) = import(&server, args, text);
        let all = format!("{stdout}{stderr}");
        assert_eq!(got, Some(code), "{text}: {all}");
        said.iter().for_each(|words| assert!(all.contains(words), "{text}: {all}"));
    };
    check(
        &[],
        "# TYPE m counter\n# HELP m what it is\nm 1 1395066363000\nm 2 1395066364000\n",
        0,
        &["2 samples of 1 series"],
    );
    check(&[], "m 3 1395066364000\nm 4 1395066365000\n", 1, &["1 samples of 1 series", "1 conflicting_value"]);
    check(&[], "a 1 1395066363.5\na 1\n", 1, &["1 samples of 1 series", "standard input:2:4: expected a timestamp"]);
    check(
        &["--skip-bad-lines"],
        "b 1\nb 1 1395066363.5\n# EOF\n",
        1,
        &["standard input:1:4:", "1 samples", "1 lines could not"],
    );
    check(&[], "c 1 1395066363.5\n", 1, &["ends without # EOF", "1 samples"]);
    check(&[], "c 1 99999999999\n# EOF\n", 1, &["1 too_far_in_future"]);
    check(&[], &format!("c{{a=\"{}\"}} 1 1\n", "x".repeat(1 << 20)), 1, &["standard input:1:1: a line longer"]);
    check(&[], "", 0, &["0 samples of 0 series"]);
    assert_eq!(value(&server, "count_over_time(m[100y])"), Some(3.0));
    assert_eq!(value(&server, "count(last_over_time({__name__=~\"[abc]\"}[100y]))"), Some(3.0));
    let metadata = json(&server.get("/api/v1/metadata?metric=m").unwrap());
    assert_eq!(metadata["data"]["m"][0]["help"], "what it is");
}

/// A receiver of the smallest budget takes less at once than an import usually sends: batches become smaller, and nothing
/// is lost at their ends.
#[test]
fn a_small_server_is_filled() {
    const SERIES: usize = 40;
    const SAMPLES: usize = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let server =
        start(folder.path(), &FOREVER.replace("{retention_time: 0}", "{retention_time: 0, memory_budget: 24MiB}"));
    let mut text = String::new();
    for series in 0..SERIES {
        let long = format!("{series:x}").repeat(200);
        for at in 0..SAMPLES {
            // Values that pack badly.
            let value = ((at * 7919 + series) as f64).sin();
            text.push_str(&format!("m{{a=\"{long}\"}} {value} {} # {{t=\"{at}\"}} 1\n", 1_395_066_363 + at));
        }
    }
    text.push_str("# EOF\n");
    let (code, said, errors) = import(&server, &[], &text);
    assert_eq!(code, Some(0), "{said}{errors}");
    assert!(said.contains(&format!("{} samples of {SERIES} series", SERIES * SAMPLES)), "{said}");
    assert_eq!(value(&server, "sum(count_over_time(m[100y]))"), Some((SERIES * SAMPLES) as f64));
    let answer = json(&server.get("/api/v1/query_exemplars?query=m&start=1395066000&end=1395099999").unwrap());
    eprintln!("{} series with exemplars", answer["data"].as_array().unwrap().len());
}

#[test]
fn a_failure_to_store_is_no_success() {
    // Nobody listens: there is no sum of what was stored, and the exit code says so.
    let output = skep(&["import", "--data-dir", "/proc/no/such", "-"], b"m 1 1\n");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), FOREVER);
    let wrong = format!("{}/api/v1/query", server.url());
    let output = skep(&["import", "--url", &wrong, "-"], b"m 1 1\n# EOF\n");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not all of it could be stored"), "{output:?}");
}

#[test]
fn a_folder_without_a_server_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    let text = "m 1 1395066363.000\nm NaN 1395066364.000\nm{a=\"b\"} 7 1395066363.250 # {trace_id=\"t\"} 0.5\n# EOF\n";
    let file = folder.path().join("history.om");
    std::fs::write(&file, text).unwrap();
    let data = folder.path().join("data");
    let args =
        |file: &Path| ["import", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()].map(str::to_owned);
    let run = |file: &Path| Command::new(SKEP).args(args(file)).output().unwrap();
    let output = run(&file);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("3 samples of 2 series"), "{output:?}");
    assert!(!run(&folder.path().join("missing")).status.success());
    let server = start(folder.path(), FOREVER);
    assert_eq!(value(&server, "sum(count_over_time(m[100y]))"), Some(2.0));
    let exemplars = json(&server.get("/api/v1/query_exemplars?query=m&start=1395066000&end=1395067000").unwrap());
    assert_eq!(exemplars["data"][0]["exemplars"][0]["timestamp"], 1_395_066_363.25);
    // The server has the folder now.
    let refused = run(&file);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("in use by process") && said.contains("--url"), "{said}");
}
