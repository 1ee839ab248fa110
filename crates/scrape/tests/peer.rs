//! The same pages scraped by Prometheus and by skep: the same series, values, `up`, `scrape_*` and staleness markers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../exposition/tests/messages/mod.rs"]
mod messages;
mod support;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messages::{bucket, double, exemplar, family, label, message, varint};
use model::SystemClock;
use scrape::{Manager, Options};
use support::dump::{by_scrape, compare, dump, late, parse_dump, without};
use support::{Memory, Reply, config, page, serve};
use testkit::Prometheus;

/// Scrapes of each target that are compared; the sequences of pages below are not longer.
const SCRAPES: usize = 6;

/// Settings under which the real pages are scraped: they are large, and all jobs together would be late.
const JOBS_OF_FIXTURES: [&str; 2] = ["job_name: real", "job_name: real_samples\n  sample_limit: 1000"];

/// Time between scrapes, and for each of them; a busy machine must not make one of the two miss its time.
const INTERVAL_SECONDS: u32 = 3;

/// `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes` are compared, too.
const EXTRA_METRICS: &str = "--enable-feature=extra-scrape-metrics";

/// Thousands of targets of two servers share the machine with whatever else runs there.
const DEADLINE: Duration = Duration::from_secs(300);

/// Rules and settings; every sequence of odd pages is scraped under each.
const JOBS: [&str; 8] = [
    "job_name: plain",
    "job_name: honor\n  honor_labels: true",
    "job_name: untimed\n  honor_timestamps: false",
    "job_name: tracked\n  track_timestamps_staleness: true",
    "job_name: samples\n  sample_limit: 3",
    "job_name: labels\n  label_limit: 5\n  label_name_length_limit: 20\n  label_value_length_limit: 30",
    "job_name: body\n  body_size_limit: 40B",
    "job_name: relabelled\n  metric_relabel_configs:\n  - {source_labels: [__name__], regex: 'b.*', action: drop}\n  \
     - {regex: c, action: labeldrop}\n  - {source_labels: [__name__, x], regex: 'a;(.+)', target_label: __name__, replacement: 'a_$1'}\n  \
     - {regex: '(le|quantile)', replacement: 'is_$1', action: labelmap}",
];

/// A page that begins so is served as OpenMetrics, without this line.
const OPEN_METRICS: &str = "OpenMetrics\n";

/// The same for protobuf messages.
const PROTOBUF: &[u8] = b"Protobuf\n";

fn text(pages: &[&str]) -> Vec<Option<Vec<u8>>> {
    pages.iter().map(|page| Some(page.as_bytes().to_vec())).collect()
}

/// Sequences of pages; the last page stays. `None` is an answer with an error. Not among them: `{a} 1`, of which
/// Prometheus 3.5 dies.
fn sequences() -> Vec<Vec<Option<Vec<u8>>>> {
    let mut all = vec![
        text(&["a 1\nb 2\nc{c=\"d\"} 3\n"]),
        text(&["a 1\nb 1\n", "b 2\n", "a 3\nb 3\n"]),
        text(&["a 1\nb 1\n", "a 2\n!\nb 2\n", "a 3\nb 3\n", "b 4\na x\n", "a 5\nb 5\n"]),
        text(&["a 1\nb 1\nc 1\nd 1\n", "a 2\n", "a 3\nb 3\nc 3\nd 3\ne 3\n", "a 4\n"]),
        vec![Some(b"a 1\nb 1\n".to_vec()), None, None, Some(b"a 3\n".to_vec())],
        text(&["", "a 1\n", "", "a 2\n"]),
        text(&["a 1\na 2\nb 1\n", "a 3\nb 2\na 3\n"]),
        text(&["a{x=\"1\",y=\"2\"} 1\n", "a{y=\"2\",x=\"1\"} 2\n", "a{x=\"1\"} 3\n"]),
        text(&["a{job=\"x\",instance=\"\",case=\"y\",c=\"z\"} 1\n"]),
        text(&["a{exported_job=\"w\",job=\"x\"} 1\n"]),
        text(&["a 1 NOW\nb 1\n", "b 2\n", "a 3 NOW\nb 3\n"]),
        text(&["a 1 99999999999999\nb 1\n"]),
        text(&["# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"]),
        text(&[
            "# TYPE s summary\ns{quantile=\"0\"} 1\ns{quantile=\"1\"} 2\n# TYPE g gauge\ng{le=\"1\",quantile=\"1\"} 1\n",
        ]),
        text(&["a NaN\nb +Inf\nc -Inf\nd 1e-5\ne 0x1p3\n"]),
        text(&["a NaN\nb +Inf\nc -inf\nd 1e-5\ne .5\nf 5.\ng -0\nh 1E3\n", "a 1\n"]),
    ];
    let lines = [
        "a{b=\"c\\\\d\\\"e\\nf\\g\"} 1",
        "a{b=\"x\ny\"} 1",
        "a{b=\"c\" d=\"e\"}1",
        "a{b=\"c\",} 1",
        "a{,} 1",
        "a{b=\"c\",,} 1",
        "  a 1",
        " a{b=\"c\"} 1",
        "\ta\t1\t",
        "a  { b = \"c\" } 1",
        "a{} 1",
        "{} 1",
        "{\"a.b\"} 1",
        "{\"a.b\",\"c.d\"=\"e\"} 1",
        "{b=\"c\",\"a\"} 1",
        "a{\"b\"} 1",
        "a{b} 1",
        "a{b=\"c\",b=\"d\"} 1",
        "a{__name__=\"x\"} 1",
        "{__name__=\"x\"} 1",
        "{\"\"} 1",
        "a{\"\"=\"x\"} 1",
        "a{b=\"\"} 1",
        "a 1 2 3",
        "a 1 -5",
        "a 1 1.5",
        "a 1_0",
        "a 1e999",
        "a +NaN",
        "a nan",
        "a infinity",
        "a inF",
        "a 1\r",
        "a 1#",
        "a 1 # {x=\"y\"} 1",
        "a",
        "a ",
        "a{b=\"c\"}",
        "a{b=\"c} 1",
        "a{b='c'} 1",
        "a{b=c} 1",
        "a{b=\"c\"",
        "1a 1",
        "é 1",
        "a.b 1",
        "a-b 1",
        "a:b 1",
        ":a 1",
        "_a 1",
        "a{:b=\"c\"} 1",
        "a{1b=\"c\"} 1",
        "a{_b=\"c\"} 1",
        "# TYPE a countr\na 1",
        "# TYPE a\na 1",
        "# TYPE a \na 1",
        "# TYPE a  gauge\na 1",
        "# TYPE a gauge \na 1",
        "#TYPE a x\na 1",
        "# TYPE 1 gauge\na 1",
        "# HELP a\na 1",
        "# HELP\na 1",
        "# HELP \na 1",
        "# UNIT a x\na 1",
        "# TYPE a info\na 1",
        "# TYPE a unknown\na 1",
        "# TYPE a untyped\na 1",
        "# TYPE \"a.b\" gauge\n{\"a.b\"} 1",
        "# EOF\na 1",
        "a 1\n# EOF",
        "#",
        "# ",
        "a 1\n#",
        "a 1\n\n\n  \nb 2",
        "a{b=\"c\\\n\"} 1",
        "{\"a\\\"b\"} 1",
        "{\"a\",\"b\"} 1",
        "a 18446744073709551617",
        "a 1 99999999999999999999",
        "a{le=\"1\"} 1",
        "# TYPE a histogram\na{le=\"1\"} 1\na{le=\"1.0\"} 2",
        "# TYPE a histogram\na{le=\"1e3\"} 1",
        "a{b=\"\u{1}\"} 1",
        "a\u{b}1",
        "a{b=\"c\"}\n1",
        "a\n1",
        "a{longer_than_the_limit_of_names=\"c\"} 1",
        "a{b=\"a value that is longer than the limit\"} 1",
        "a{b=\"1\",c=\"2\",d=\"3\",e=\"4\"} 1",
        "a 1 1",
    ];
    all.extend(lines.iter().map(|line| text(&["z 1\n", &format!("{line}\nz 2\n"), "z 3\n"])));
    let open = [
        "a 1\n# EOF\n",
        "a 1\n",
        "a 1\n# EOF",
        "a 1\n# EOF\n\n",
        "# EOF\n",
        "a  1\n# EOF\n",
        " a 1\n# EOF\n",
        "a{b=\"c\",} 1\n# EOF\n",
        "a{b=\"c\", d=\"e\"} 1\n# EOF\n",
        "a{b=\"c\"d=\"e\"} 1\n# EOF\n",
        "a{} 1\n# EOF\n",
        "{\"a.b\"} 1\n# EOF\n",
        "{\"a.b\",c=\"d\"} 1\n# EOF\n",
        "a 1 NaN\n# EOF\n",
        "a 1 1e400\n# EOF\n",
        "a 1 # {} 1\n# EOF\n",
        "a 1 # {x=\"y\"} 1 2\n# EOF\n",
        "a 1 # {x} 1\n# EOF\n",
        "a 1 # {x=\"y\"}\n# EOF\n",
        "# x\na 1\n# EOF\n",
        "\na 1\n# EOF\n",
        "# TYPE a untyped\na 1\n# EOF\n",
        "# TYPE a unknown\na 1\n# EOF\n",
        "# TYPE a counter\na_total 1\na_created 2\n# EOF\n",
        "# UNIT a_s s\na_s 1\n# EOF\n",
        "# UNIT a s\na 1\n# EOF\n",
        "# UNIT as s\na 1\n# EOF\n",
        "# UNIT a \na 1\n# EOF\n",
        "# HELP a\na 1\n# EOF\n",
        "# HELP a \na 1\n# EOF\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# EOF\n",
        "# TYPE h gaugehistogram\nh_bucket{le=\"1\"} 1\n# EOF\n",
        "a{b=\"x\ny\"} 1\n# EOF\n",
        "a 0x1p3\n# EOF\n",
        "a 1_0\n# EOF\n",
        "a{b=\"\\n\\q\"} 1\n# EOF\n",
        "a\t1\n# EOF\n",
        "#EOF\n",
        "a{\"b\"} 1\n# EOF\n",
        "a{b=\"c\"}  1\n# EOF\n",
        "a {b=\"c\"} 1\n# EOF\n",
        "a{b= \"c\"} 1\n# EOF\n",
        "a 1 1 # {x=\"y\"} 1 1.5\n# EOF\n",
        "a 1 # {x=\"y\"} 1 z\n# EOF\n",
        "# TYPE \"a.b\" gauge\n{\"a.b\"} 1\n# EOF\n",
        "# TYPE a  gauge\na 1\n# EOF\n",
        "#  TYPE a gauge\na 1\n# EOF\n",
        "a{b=\"c\",,} 1\n# EOF\n",
        "a{,} 1\n# EOF\n",
        "a 1\r\n# EOF\n",
    ];
    all.extend(open.iter().map(|page| text(&[&format!("{OPEN_METRICS}{page}")])));
    all.extend(
        protobuf_pages().into_iter().map(|page| vec![Some([PROTOBUF, &page].concat()), Some(PROTOBUF.to_vec())]),
    );
    for bytes in [&b"a{b=\"\xff\"} 1\n"[..], b"# x \xff\na 1\n", b"# HELP a \xff\na 1\n", b"a\xff 1\n", b"\xffa 1\n"] {
        all.push(vec![Some(bytes.to_vec())]);
    }
    all
}

/// Pages of messages, good and bad. Not among them: native histograms beside classic buckets (which skep takes, Prometheus
/// only where it is told to), and a repeated label behind the sample limit, of which Prometheus fails the next scrape too.
fn protobuf_pages() -> Vec<Vec<u8>> {
    let gauge = |value| message(2, &double(1, value));
    let counter = message(3, &[double(1, 5.0), message(2, &exemplar(1.5, Some((1, 5))))].concat());
    let classic = [varint(1, 10), double(2, 12.5), bucket(3, 1.0, Some(0.5)), bucket(5, 2.5, None)].concat();
    let complete =
        [varint(1, 10), bucket(3, 2.0, None), bucket(2, 1.0, None), bucket(10, f64::INFINITY, None)].concat();
    let floats = [double(4, 10.5), message(3, &[double(2, 1.0), double(4, 3.5)].concat())].concat();
    let native =
        [varint(1, 10), double(2, 12.5), double(6, 0.001), message(12, &[varint(1, 0), varint(2, 1)].concat())]
            .concat();
    let quantile = |q, v| message(3, &[double(1, q), double(2, v)].concat());
    let summary = [varint(1, 4), double(2, 8.0), quantile(0.5, 2.0), quantile(1.0, f64::NAN)].concat();
    let labelled = |labels: &[(&str, &str)], value: Vec<u8>| {
        let labels: Vec<u8> = labels.iter().flat_map(|(name, value)| label(name, value)).collect();
        [labels, value].concat()
    };
    let good = family("a", 1, &[gauge(1.0)]);
    let pages = [
        family("c_total", 0, &[labelled(&[("l", "v\"\\\n")], counter.clone())]),
        family("my.gauge", 1, &[labelled(&[("a.b", "c"), ("e", "")], gauge(1.0))]),
        family("h", 4, &[labelled(&[("l", "v")], message(7, &classic)), message(7, &complete)]),
        [family("h", 4, &[message(7, &floats)]), family("i", 5, &[message(7, &classic)])].concat(),
        [family("s", 2, &[message(4, &summary)]), family("h", 4, &[message(7, &[])])].concat(),
        [family("u", 3, &[message(5, &double(1, 2.0))]), family("g", 1, &[message(2, &[])])].concat(),
        [family("g", 0, &[gauge(1.0)]), family("none", 1, &[]), vec![0]].concat(),
        [good.clone(), family("b", 1, &[[gauge(1.0), varint(99, 7)].concat()])].concat(),
        family("h", 4, &[labelled(&[("l", "v")], message(7, &native)), message(7, &native)]),
        family("h", 4, &[message(7, &native), message(7, &native), message(7, &native), message(7, &native)]),
        [family("h", 4, &[message(7, &native)]), good.clone()].concat(),
        [good.clone(), family("h", 4, &[message(7, &native)]), family("b", 9, &[gauge(1.0)])].concat(),
        [good.clone(), vec![0xff, 5, 1]].concat(),
        [good.clone(), vec![2, 10, 9]].concat(),
        [good.clone(), family("", 1, &[gauge(1.0)])].concat(),
        [good.clone(), family("b", 9, &[gauge(1.0)])].concat(),
        [good.clone(), family("b", 1, &[labelled(&[("", "x")], gauge(1.0))])].concat(),
        [good.clone(), family("b", 1, &[labelled(&[("x", "1"), ("x", "2")], gauge(1.0))])].concat(),
        [good.clone(), good].concat(),
    ];
    pages.to_vec()
}

/// Real pages, each followed by one that lacks every third line.
fn fixtures() -> Vec<Vec<Option<Vec<u8>>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/exposition");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: {} is absent", folder.display());
        return Vec::new();
    };
    let mut all = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        // One page is so large that it would only slow the test down.
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let page = std::fs::read_to_string(&path).unwrap();
        if name.ends_with(".om.txt") {
            all.push(text(&[&format!("{OPEN_METRICS}{page}")]));
        } else if !name.starts_with("cadvisor") {
            let fewer: String =
                page.split_inclusive('\n').enumerate().filter(|(i, _)| i % 3 != 0).map(|(_, line)| line).collect();
            all.push(text(&[&page, &fewer, &page]));
        }
    }
    all
}

fn job_text(address: &str, job: &str, cases: Range<usize>) -> String {
    let name = job["job_name: ".len()..].split('\n').next().unwrap();
    let targets: Vec<_> = cases
        .map(|case| format!("  - targets: ['{address}']\n    labels: {{__metrics_path__: /{case}, case: '{case}'}}\n"))
        .collect();
    format!(
        "- {job}\n  params: {{job: [{name}]}}\n  scrape_interval: {INTERVAL_SECONDS}s\n  static_configs:\n{}",
        targets.concat()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapes_as_prometheus_does() {
    let (Some(program), Some(promtool)) = (testkit::peer("prometheus"), testkit::peer("promtool")) else { return };
    let mut sequences = sequences();
    let odd = sequences.len();
    sequences.extend(fixtures());
    let cases = sequences.len();
    let counts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let counting = Arc::clone(&counts);
    let address = serve(move |head| {
        let case: usize = head.split(['/', ' ', '?']).nth(2).unwrap().parse().unwrap();
        let client = if head.to_lowercase().contains("user-agent: skep") { "skep" } else { "prometheus" };
        let job = head.split("job=").nth(1).unwrap().split([' ', '&']).next().unwrap();
        let pages = &sequences[case];
        let mut counts = counting.lock().unwrap();
        let count = counts.entry(format!("{client} {job} {case}")).or_default();
        let next = pages[(*count).min(pages.len() - 1)].clone();
        *count += 1;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() + 50;
        let Reply::Body(good, _) = page("") else { panic!() };
        match next {
            None => Reply::Body("HTTP/1.1 503 Unavailable".to_owned(), Vec::new()),
            Some(body) if body.starts_with(PROTOBUF) => {
                let kind =
                    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
                Reply::Body(good.replace("text/plain; version=0.0.4", kind), body[PROTOBUF.len()..].to_vec())
            }
            Some(body) => match String::from_utf8(body) {
                Ok(text) => match text.strip_prefix(OPEN_METRICS) {
                    Some(text) => Reply::Body(
                        good.replace("text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"),
                        text.as_bytes().to_vec(),
                    ),
                    None => Reply::Body(good, text.replace("NOW", &now.to_string()).into_bytes()),
                },
                Err(error) => Reply::Body(good, error.into_bytes()),
            },
        }
    })
    .await;
    let mut jobs: Vec<_> = JOBS.iter().map(|job| job_text(&address, job, 0..odd)).collect();
    jobs.extend(JOBS_OF_FIXTURES.iter().map(|job| job_text(&address, job, odd..cases)));
    let targets = odd * JOBS.len() + (cases - odd) * JOBS_OF_FIXTURES.len();
    let text = format!("scrape_configs:\n{}", jobs.concat());

    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(&program, folder.path(), &text, &[EXTRA_METRICS]).unwrap();
    let memory = Arc::new(Memory::default());
    let options = Options { extra_metrics: true, ..Options::default() };
    let manager = Manager::new(Arc::<Memory>::clone(&memory), Arc::new(SystemClock), options);
    manager.apply(&config(&text));
    let done = || {
        let counts = counts.lock().unwrap();
        (counts.len(), counts.values().copied().min().unwrap_or_default())
    };
    support::until_within(DEADLINE, done, |(seen, least)| *seen == 2 * targets && *least > SCRAPES + 1).await;
    manager.shutdown().await;
    tokio::task::spawn_blocking(|| prometheus.stop()).await.unwrap().unwrap();

    let output = Command::new(promtool).args(["tsdb", "dump"]).arg(Prometheus::data(folder.path())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (ours, theirs) = (dump(&memory), parse_dump(&String::from_utf8(output.stdout).unwrap()));
    let late = [&ours, &theirs].iter().flat_map(|dump| late(dump, f64::from(INTERVAL_SECONDS))).collect();
    println!("late, and not compared: {late:?}");
    let [ours, expected] = [ours, theirs].map(|dump| by_scrape(&without(dump, &late), SCRAPES));
    compare(&ours, &expected, 1000);
}
