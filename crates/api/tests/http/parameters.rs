//! Every parameter of every route with every kind of value: missing, empty, repeated, of another type, huge, negative.
//!
//! `recorded.txt` holds what Prometheus 3.5 answered, a line a request: it is what is expected where there is no
//! Prometheus, and is compared with it where there is one. `SKEP_RECORD=1` writes it anew.

use std::path::Path;

use testkit::WriteRequest;

use crate::differential::{ask, normal};
use crate::peer::Peer;
use crate::server::{self, Server};

/// When the newest samples are; fixed, so that answers can be recorded.
const BASE: i64 = 1_700_000_040;

const RECORDED: &str = "tests/http/recorded.txt";

/// `-` is no parameter at all; `&` repeats it. What is behind the values is sent as it stands.
const TIMES: &str = "- | x | 1700000040 | -1 | 1e3 | NaN | 1e40 | 1700000040.5 | 2023-11-14T22:14:00Z | 2023-11-14 | now \
                     | 1700000040&5 | +5 | 1_0 | 253402300800 | 10000-01-01T00:00:00Z | %205 | -NaN | 0x10p2 | 1. | --1 | %00 | %7F \
                     | 9999-12-31T23:59:59Z | 0000-01-01T00:00:00Z | 2023-11-14T22:14:00.5%2B24:00 | 2023-11-14T22:14:00%2B25:00 \
                     | 2023-11-14T22:14:00-00:60 | 2023-02-29T00:00:00Z | 2023-11-14T22:14:60Z | 2023-11-14t22:14:00z \
                     | 1677-09-20T00:00:00Z | -292273086-05-16T16:47:06Z | 292277025-08-18T07:12:54.999999999Z";
const LIMITS: &str = "- | 0 | 1 | 2 | -1 | x | 1.5 | 99999999999999999999 | 1&2 | %2B1 | %201 | 1e3 | 0x1 | 1_0 | 00 | -0 | %00 | %C3%A9";
const DURATIONS: &str = "- | x | -1 | 1 | 1s | 1h30m | -1s | 1e30 | 60&5 | 300y | 1h1 | 5 m | 1y | 1d12h | 12h1d | 1us | 1_0 | %2B5m \
                         | 1.5m | 9223372037 | 0x1p5 | 292y | %22";
const SWITCHES: &str = "- | x | true | 1 | false | TRUE | yes";
const SELECTORS: &str = r#"- | up | up{ | {} | {a=""} | {a=~".*"} | up[5m] | sum(up) | nope | up&temp | up& | {"odd.name"}
    | {"a.b"="x"} | 1 | "up" | up offset 5m | up @ 5 | {job="a",job="b"} | {__name__="up",__name__="temp"}
    | up{__name__="temp"} | up{job!~"("} | up{job="a" | %20up%20 | up,temp | {job="a",} | sum{job="a"} | by | up up | {{}} | {,} | up{}"#;
const QUERIES: &str = r#"- | up | up{ | 1 | "a" | up[1m] | nope | sum(up | 1&2 | up offset -5m | sum by (job) (up)
    | count_values("x", up) | up + on(job) temp | up[1m:15s] | -up | up == bool 1 | topk(1, up) | rate(up[1m]) > 0 and temp
    | holt_winters(up[1m],0.1,0.1) | sort_by_label(up,"job") | absent(nope) | up @ end() | %23 c | ((up)) | 1%2B | up up
    | time() | mad_over_time(up[1m]) | info(up) | {a=""} | up{job=~"("}"#;

/// Routes: method, path, what is asked for otherwise, and the values of each parameter.
type Routes = &'static [(
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [(&'static str, &'static str)],
)];

const UP: &[(&str, &str)] = &[("match[]", "up")];
const WINDOW: &[(&str, &str)] = &[("match[]", SELECTORS), ("start", TIMES), ("end", TIMES), ("limit", LIMITS)];

const ROUTES: Routes = &[
    (
        "GET",
        "query",
        &[("query", "up"), ("time", "1700000040")],
        &[
            ("query", QUERIES),
            ("time", "x | -1 | 1e3 | 1700000040.5 | 1700000040&5 | 2023-11-14"),
            ("timeout", DURATIONS),
            ("limit", LIMITS),
            ("lookback_delta", DURATIONS),
            ("nope", "x"),
        ],
    ),
    (
        "GET",
        "query_range",
        &[("query", "up"), ("start", "1699999980"), ("end", "1700000040"), ("step", "60")],
        &[
            ("query", QUERIES),
            ("start", TIMES),
            ("end", TIMES),
            ("step", DURATIONS),
            ("timeout", DURATIONS),
            ("limit", LIMITS),
            ("lookback_delta", DURATIONS),
        ],
    ),
    ("GET", "query_exemplars", &[("query", "temp")], &[("query", QUERIES), ("start", TIMES), ("end", TIMES)]),
    ("GET", "format_query", &[], &[("query", QUERIES)]),
    ("GET", "parse_query", &[], &[("query", QUERIES)]),
    ("GET", "series", UP, WINDOW),
    ("GET", "labels", &[], WINDOW),
    ("GET", "label/job/values", &[], WINDOW),
    ("GET", "label/U__job/values", &[], &[("x", "-")]),
    ("GET", "label/U__a_2e_b/values", &[], &[("x", "-")]),
    ("GET", "label/U__a_2E_b/values", &[], &[("x", "-")]),
    ("GET", "label/U__a_00002e_b/values", &[], &[("x", "-")]),
    ("GET", "label/U__a_0002e_b/values", &[], &[("x", "-")]),
    ("GET", "label/U__/values", &[], &[("x", "-")]),
    ("GET", "label/U____/values", &[], &[("x", "-")]),
    ("GET", "label/%ff%00%22/values", &[], &[("x", "-")]),
    ("GET", "label/%00/values", &[], &[("x", "-")]),
    ("GET", "label/a+b/values", &[], &[("x", "-")]),
    ("GET", "metadata", &[], &[("limit", LIMITS), ("limit_per_metric", LIMITS), ("metric", "nope | nope&x")]),
    (
        "GET",
        "targets",
        &[],
        &[("state", "- | active | dropped | any | x | ACTIVE | active&dropped"), ("scrapePool", "x")],
    ),
    ("GET", "targets/metadata", &[], &[("limit", LIMITS), ("match_target", SELECTORS), ("metric", "up")]),
    (
        "GET",
        "rules",
        &[],
        &[
            ("type", "- | alert | record | x | ALERT | alert&record"),
            ("rule_name[]", "x"),
            ("match[]", SELECTORS),
            ("exclude_alerts", SWITCHES),
            ("group_limit", LIMITS),
            ("group_limit", "9223372036854775807"),
            ("group_next_token", "x | aa"),
        ],
    ),
    (
        "POST",
        "admin/tsdb/delete_series",
        &[("match[]", "nope")],
        &[("match[]", "- | nope | up{ | up[5m] | 1 | nope{}"), ("start", TIMES), ("end", TIMES)],
    ),
    ("POST", "admin/tsdb/snapshot", &[], &[("skip_head", "x | yes | 2 | tRUE")]),
    ("GET", "status/tsdb", &[], &[("limit", "x | 0 | -1 | 1.5")]),
    ("GET", "nope", &[], &[("x", "-")]),
    ("GET", "", &[], &[("x", "-")]),
    ("GET", "status", &[], &[("x", "-")]),
    ("GET", "label/job", &[], &[("x", "-")]),
    ("HEAD", "query", &[], &[("x", "-")]),
    ("HEAD", "labels", &[], &[("x", "-")]),
    ("PUT", "query", &[], &[("x", "-")]),
    ("DELETE", "labels", &[], &[("x", "-")]),
    ("PUT", "status/flags", &[], &[("x", "-")]),
    ("GET", "admin/tsdb/snapshot", &[], &[("x", "-")]),
];

/// Requests whose answers differ, the start of each, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("GET query?query=up&time=1700000040&timeout=-1", "upstream answers at random what is over before it began"),
    ("GET query_range?query=up&start=1699999980&end=1700000040&step=60&timeout=-1", "as above"),
    (
        "GET series?match[]=up&start=NaN",
        "upstream's seconds wrap where they become milliseconds, skep's stop at the end",
    ),
    ("GET series?match[]=up&end=NaN", "as above"),
    ("GET series?match[]=up&start=1e40", "as above"),
    ("GET series?match[]=up&end=1e40", "as above"),
    ("GET labels?start=NaN", "as above"),
    ("GET labels?end=NaN", "as above"),
    ("GET labels?start=1e40", "as above"),
    ("GET labels?end=1e40", "as above"),
    ("GET label/job/values?start=NaN", "as above"),
    ("GET label/job/values?end=NaN", "as above"),
    ("GET label/job/values?start=1e40", "as above"),
    ("GET label/job/values?end=1e40", "as above"),
];

/// All requests of the table.
fn requests() -> Vec<String> {
    let mut all = Vec::new();
    for (method, path, usual, parameters) in ROUTES {
        for (name, values) in *parameters {
            for value in values.split('|').map(str::trim) {
                let others = usual.iter().filter(|(other, _)| other != name).map(|(n, v)| format!("{n}={v}"));
                let own = value.split('&').filter(|_| value != "-").map(|value| format!("{name}={value}"));
                let mut pairs: Vec<String> = others.chain(own).collect();
                // The usual order, so that a request with the usual value stands once.
                pairs.sort_by_key(|pair| {
                    usual.iter().position(|(n, _)| pair.starts_with(&format!("{n}="))).unwrap_or(9)
                });
                let mark = if pairs.is_empty() { "" } else { "?" };
                all.push(format!("{method} {path}{mark}{}", pairs.join("&")));
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The answer as a line: status, media type, body.
fn line(url: &str, request: &str) -> String {
    let (method, path) = request.split_once(' ').unwrap();
    let special = [(" ", "%20"), ("\"", "%22"), ("<", "%3C"), (">", "%3E"), ("\n", "")];
    let path = special.iter().fold(path.to_owned(), |path, (from, to)| path.replace(from, to));
    let answer = normal(ask(url, &format!("{method} /api/v1/{path}")));
    let media = answer.media.split(';').next().unwrap_or_default().to_owned();
    format!("{} {media} {}", answer.status, answer.body.trim_end().replace('\n', "\\n"))
}

fn fill(url: &str) {
    let times: Vec<i64> = (0..=8).map(|i| (BASE - 120 + 15 * i) * 1000).collect();
    let series = |factor: f64| times.iter().map(|&t| (t, (t / 1000 - BASE) as f64 * factor)).collect::<Vec<_>>();
    let request = WriteRequest::default()
        .series(&[("__name__", "up"), ("job", "a")], &series(1.0))
        .series(&[("__name__", "up"), ("job", "b")], &series(0.5))
        .series(&[("__name__", "temp"), ("job", "a")], &series(-1.5))
        .series(&[("__name__", "odd.name"), ("a.b", "x")], &series(0.0));
    assert_eq!(server::write(url, &request), 204);
}

#[test]
fn every_parameter() {
    let server = Server::start_with_admin();
    fill(server.url());
    let requests = requests();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORDED);
    let peer = Peer::start();
    let theirs: Vec<String> = match &peer {
        Some(peer) => {
            fill(peer.url());
            requests.iter().map(|request| line(peer.url(), request)).collect()
        }
        None => Vec::new(),
    };
    if let (Some(_), Ok(_)) = (&peer, std::env::var("SKEP_RECORD")) {
        let lines = requests.iter().zip(&theirs).map(|(request, answer)| format!("{request}\t{answer}\n"));
        std::fs::write(&file, lines.collect::<String>()).unwrap();
    }
    let recorded = std::fs::read_to_string(&file).unwrap();
    let recorded: Vec<(&str, &str)> = recorded.lines().map(|line| line.split_once('\t').unwrap()).collect();
    let known: Vec<&str> = recorded.iter().map(|(request, _)| *request).collect();
    assert!(known.iter().eq(&requests), "the table was changed: SKEP_RECORD=1 with SKEP_PEERS writes {RECORDED} anew");
    let mut differences = Vec::new();
    for (i, (request, expected)) in recorded.into_iter().enumerate() {
        if DIFFERENT.iter().any(|(start, _)| request.starts_with(start)) {
            continue;
        }
        let ours = line(server.url(), request);
        for (who, expected) in [("recorded", Some(expected)), ("Prometheus", theirs.get(i).map(|line| &line[..]))] {
            if expected.is_some_and(|expected| expected != ours) {
                differences.push(format!("{request}\n  {who}: {}\n  skep: {ours}", expected.unwrap_or_default()));
            }
        }
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), requests.len(), differences.join("\n"));
    eprintln!("{} requests compared", requests.len());
}
