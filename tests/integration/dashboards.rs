//! Dashboards as people have them: every variable is filled, every query is run, and what the panels show is what a real
//! Prometheus answers for the same samples, time, step and variables.

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::{Exporter, Prometheus, Reply, Server, ServerBuilder, WriteRequest, free_port, poll_until};

use crate::{ALONE, SKEP, builder, job, json, value, wait_for_value};

/// The dashboards, their uid, and how many panels that ask they have.
const FILES: [(&str, &str, usize); 4] = [
    ("cilium-dashboard.json", "vtuWtdumz", 70),
    ("hubble-dashboard.json", "5HftnJAWz", 33),
    ("hubble-network-overview-namespace.json", "nlsO8tYVz", 8),
    ("node-exporter-full.json", "rYdddlPWk", 125),
];
/// The time shown, and how long before now it ends: what is collected meanwhile is not in it.
const SHOWN_MS: i64 = 3_600_000;
const AGO_MS: i64 = 60_000;
/// Panels of one request.
const TOGETHER: usize = 60;
/// Numbers went through JSON, whose reader here is off by a last digit at most.
const TOLERANCE: f64 = 1e-14;

fn fixtures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/grafana");
    if !folder.is_dir() {
        eprintln!("SKIPPED: the dashboards of {} are not there", folder.display());
        return None;
    }
    Some(folder)
}

/// An hour of what a real node_exporter shows, its counters rising and its gauges moving.
fn fill_node(server: &Server, to: i64) -> bool {
    let Some(program) = testkit::peer("prometheus-node-exporter") else { return false };
    let port = free_port().unwrap();
    let mut child = std::process::Command::new(program)
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let url = format!("http://127.0.0.1:{port}/metrics");
    let page = poll_until("node_exporter's page", || {
        ureq::get(&url).call().ok()?.body_mut().read_to_string().ok().filter(|page| page.contains("node_uname_info"))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let counters: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("node_")).collect();
    for chunk in rows.chunks(200) {
        let mut request = WriteRequest::default();
        for (row, line) in chunk.iter().enumerate() {
            let (series, number) = line.rsplit_once(' ').unwrap();
            let number: f64 = number.parse().unwrap();
            let (name, labels) = labels(series);
            let is_counter = counters.contains(&name.as_str());
            let mut pairs = vec![("__name__", name.as_str()), ("instance", "host:9100"), ("job", "node")];
            pairs.extend(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let sample = |at: i64| {
                let moved = (at as f64 / 7.0 + row as f64).sin() * 0.2 + 1.0;
                let value = if is_counter { number + at as f64 * (row % 97 + 1) as f64 } else { number * moved };
                (to - SHOWN_MS - 300_000 + at * 15_000, if name.ends_with("_info") { number } else { value })
            };
            let samples: Vec<(i64, f64)> = (0..(SHOWN_MS + 300_000) / 15_000).map(sample).collect();
            request = request.series(&pairs, &samples);
        }
        let answer = server.post("/api/v1/write", &WriteRequest::HEADERS, &request.body()).unwrap();
        assert_eq!(answer.status, 204, "{}", answer.body);
    }
    true
}

/// Name and labels of a series as the text format writes it; node_exporter's own have no escapes that matter here.
fn labels(series: &str) -> (String, Vec<(String, String)>) {
    let Some((name, rest)) = series.split_once('{') else { return (series.to_owned(), Vec::new()) };
    let rest = rest.trim_end_matches('}');
    let parts = rest.split("\",").map(|part| part.trim_end_matches('"'));
    let pairs =
        parts.filter_map(|part| part.split_once("=\"")).map(|(name, value)| (name.to_owned(), value.to_owned()));
    (name.to_owned(), pairs.collect())
}

/// What was compared.
#[derive(Debug, Default)]
struct Counts {
    panels: usize,
    empty: usize,
    queries: usize,
    columns: usize,
    values: usize,
    numbers: usize,
    rounded: usize,
    differences: usize,
}

/// A place where both servers answer.
struct Compared<'a> {
    server: &'a Server,
    peer: &'a Prometheus,
    uid: &'a str,
    to: i64,
    counts: Counts,
}

#[test]
fn panels_show_what_prometheus_answers() {
    let (Some(program), Some(fixtures)) = (testkit::peer("prometheus"), fixtures()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = ServerBuilder::with_command(SKEP, "demo", folder.path().join("data"))
        .arg("--dashboards")
        .arg(&fixtures)
        .start()
        .unwrap();
    let to = value(&server, "vector(time())").unwrap() as i64 * 1000 - AGO_MS;
    let has_node = fill_node(&server, to);
    let reads = format!("remote_read: [{{url: '{}/api/v1/read', read_recent: true}}]\n", server.url());
    let peer = Prometheus::start(&program, folder.path(), &reads, &[]).unwrap();
    for (file, uid, panels) in FILES {
        if file.starts_with("node") && !has_node {
            continue;
        }
        let mut compared = Compared { server: &server, peer: &peer, uid, to, counts: Counts::default() };
        compared.check_all(file);
        println!("{file}: {:?}", compared.counts);
        assert_eq!(compared.counts.panels, panels, "{file}");
        assert_eq!(compared.counts.differences, 0, "{file}");
    }
}

impl Compared<'_> {
    fn time(&self) -> String {
        format!("from={}&to={}", self.to - SHOWN_MS, self.to)
    }

    fn check_all(&mut self, file: &str) {
        let path = format!("/d/{}?{}", self.uid, self.time());
        let page = poll_until(file, || self.server.get(&path).ok().filter(|page| page.status == 200)).body;
        assert!(!page.contains("class=\"problem\""), "{file}: a variable has no values");
        let selects = page.matches("<select").count();
        let chosen = page.split("<select").skip(1).filter(|select| select.contains(" selected")).count();
        assert_eq!(chosen, selects, "{file}: every variable has a value");
        let ask = cut(&page, "data-ask=\"", "\"").replace("&#38;", "&").replace("&amp;", "&");
        let keys: Vec<&str> = page
            .split("data-panel=\"")
            .skip(1)
            .filter(|panel| cut(panel, "data-kind=\"", "\"") != "text")
            .map(|panel| panel.split('"').next().unwrap())
            .collect();
        for keys in keys.chunks(TOGETHER) {
            let panels = |extra: &str| {
                let path = format!("/ui/board/{}?{ask}&panels={}&w=1200{extra}", self.uid, keys.join(","));
                let answer = self.server.get(&path).unwrap();
                assert_eq!(answer.status, 200, "{}", answer.body);
                json(&answer)["panels"].as_array().unwrap().clone()
            };
            let (full, rounded) = (panels("&full"), panels(""));
            assert_eq!(full.len(), keys.len(), "{file}: every panel is answered");
            for (full, rounded) in full.iter().zip(&rounded) {
                self.check(file, full);
                self.check_rounded(full, rounded);
            }
        }
    }

    fn check(&mut self, file: &str, panel: &Value) {
        self.counts.panels += 1;
        let notes: Vec<&Value> = panel["notes"].as_array().into_iter().flatten().collect();
        assert!(notes.iter().all(|note| note["level"] != "error"), "{file}: {panel}");
        let picture = &panel["picture"];
        let mut theirs = Vec::new();
        for query in panel["queries"].as_array().unwrap() {
            self.counts.queries += 1;
            theirs.extend(self.ask(picture, query));
        }
        let before = self.counts.differences;
        match picture["kind"].as_str().unwrap() {
            "time" => self.compare_columns(picture, theirs),
            "none" => {
                self.counts.empty += 1;
                assert!(!notes.is_empty(), "{file}: an empty panel says why: {panel}");
                // What a quiet hour leaves at zero, dashboards hide.
                let has_values = theirs.iter().flatten().flatten().any(|value| *value != 0.0);
                self.counts.differences += usize::from(has_values);
            }
            kind => self.compare_numbers(kind, picture, &theirs),
        }
        if self.counts.differences > before {
            println!("{file}: differs: {} {}", panel["key"], panel["queries"]);
        }
    }

    /// What Prometheus answers, a column for each series; of a range, on the picture's times.
    fn ask(&self, picture: &Value, query: &Value) -> Vec<Vec<Option<f64>>> {
        let expr: String = query["expr"].as_str().unwrap().bytes().map(|byte| format!("%{byte:02x}")).collect();
        let step = query["step"].as_i64().unwrap();
        let (from, to) = (self.to - SHOWN_MS, self.to);
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let path = if step == 0 {
            format!("/api/v1/query?query={expr}&time={}", seconds(to))
        } else {
            let (from, to) = (from.div_euclid(step) * step, to.div_euclid(step) * step);
            let step = seconds(step);
            format!("/api/v1/query_range?query={expr}&start={}&end={}&step={step}", seconds(from), seconds(to))
        };
        let answer: Value = serde_json::from_str(&self.peer.get(&path).unwrap()).unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        let data = &answer["data"];
        let number = |pair: &Value| pair[1].as_str().unwrap().parse::<f64>().ok().filter(|value| value.is_finite());
        if data["resultType"] == "scalar" {
            return vec![vec![number(&data["result"])]];
        }
        let times = times(picture);
        let column = |series: &Value| match series.get("values") {
            None => vec![number(&series["value"])],
            Some(values) => {
                let values = values.as_array().unwrap();
                let at = |value: &Value| (value[0].as_f64().unwrap() * 1000.0).round() as i64;
                match times.is_empty() {
                    true => values.iter().map(number).collect(),
                    false => {
                        let mut column = vec![None; times.len()];
                        for value in values {
                            column[times.binary_search(&at(value)).expect("a time of the picture")] = number(value);
                        }
                        column
                    }
                }
            }
        };
        data["result"].as_array().unwrap().iter().map(column).collect()
    }

    /// Each column of the picture is one of Prometheus'; what is left over there is hidden by the dashboard, which hides what is
    /// zero or absent.
    fn compare_columns(&mut self, picture: &Value, mut theirs: Vec<Vec<Option<f64>>>) {
        for series in picture["series"].as_array().unwrap() {
            let ours = numbers(&series["v"]);
            self.counts.columns += 1;
            self.counts.values += ours.len();
            match theirs.iter().position(|theirs| equal(&ours, theirs)) {
                Some(at) => drop(theirs.swap_remove(at)),
                None => self.counts.differences += 1,
            }
        }
        let is_hidden = |column: &Vec<Option<f64>>| column.iter().flatten().all(|value| *value == 0.0);
        self.counts.differences += theirs.iter().filter(|column| !is_hidden(column)).count();
    }

    /// Each number is a reduction of a column of Prometheus'.
    fn compare_numbers(&mut self, kind: &str, picture: &Value, theirs: &[Vec<Option<f64>>]) {
        let list = match kind {
            "stat" => &picture["tiles"],
            "gauge" => &picture["dials"],
            "bars" => &picture["bars"],
            "pie" => &picture["parts"],
            "table" => &picture["rows"],
            other => panic!("a picture of the kind {other} is not compared"),
        };
        let items = list.as_array().unwrap().iter();
        let ours: Vec<f64> = match kind {
            "table" => items.flat_map(|row| row.as_array().unwrap()).filter_map(|cell| cell["n"].as_f64()).collect(),
            _ => items.filter_map(|item| item["n"].as_f64()).collect(),
        };
        let is_empty = theirs.iter().flatten().all(Option::is_none);
        assert_eq!(ours.is_empty(), is_empty, "{picture}");
        let known: Vec<f64> = theirs.iter().flat_map(|column| reductions(column)).collect();
        for number in ours {
            self.counts.numbers += 1;
            let is_time = number > 1e12;
            let is_known = is_time || known.iter().any(|known| near(number, *known));
            self.counts.differences += usize::from(!is_known);
        }
    }

    /// Rounded values are no further from those in full than a part of 8192 of what the axis spans.
    fn check_rounded(&mut self, panel: &Value, rounded: &Value) {
        if panel["picture"]["kind"] != "time" {
            return;
        }
        let lists = |panel: &Value| panel["picture"]["series"].as_array().unwrap().clone();
        let (full, rounded) = (lists(panel), lists(rounded));
        let axes = panel_axes(panel);
        // Where series are drawn as parts of their sum, the axis is 0 to 1 and their own values are not what it spans.
        let is_percent = panel["picture"]["stacks"].as_array().unwrap().iter().any(|stack| stack["percent"] == true);
        for (at, is_log) in axes.iter().enumerate().filter(|_| !is_percent) {
            let of_axis = |list: &[Value]| -> Vec<f64> {
                let series = list.iter().filter(|series| series["axis"] == at);
                let sign = |series: &Value| if series["flip"] == true { -1.0 } else { 1.0 };
                let signed = |sign: f64, series: &Value| -> Vec<f64> {
                    numbers(&series["v"]).into_iter().flatten().map(|v| v * sign).collect()
                };
                series.flat_map(|series| signed(sign(series), series)).collect()
            };
            let (full, rounded) = (of_axis(&full), of_axis(&rounded));
            assert_eq!(full.len(), rounded.len());
            let (low, high) = full.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
            for (full, rounded) in full.iter().zip(&rounded) {
                self.counts.rounded += 1;
                // Distances of a logarithmic axis are ratios; an axis of one value has no span.
                let span = if *is_log || low >= high { full.abs() } else { high - low };
                assert!((full - rounded).abs() <= span / 8192.0, "{full} became {rounded}, axis {span}");
            }
        }
    }
}

/// Whether each axis of a picture is logarithmic.
fn panel_axes(panel: &Value) -> Vec<bool> {
    panel["picture"]["axes"].as_array().unwrap().iter().map(|axis| axis["log"].is_number()).collect()
}

fn cut<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map_or("", |(found, _)| found)
}

/// The times of a picture; none where it is not one of series over time.
fn times(picture: &Value) -> Vec<i64> {
    if let Some(times) = picture["times"].as_array() {
        return times.iter().filter_map(Value::as_i64).collect();
    }
    let number = |name: &str| picture[name].as_i64();
    match (picture["kind"].as_str(), number("start"), number("step"), number("count")) {
        (Some("time"), Some(start), Some(step), Some(count)) => (0..count).map(|at| start + at * step).collect(),
        _ => Vec::new(),
    }
}

fn numbers(list: &Value) -> Vec<Option<f64>> {
    list.as_array().unwrap().iter().map(Value::as_f64).collect()
}

fn near(ours: f64, theirs: f64) -> bool {
    ours == theirs || (ours - theirs).abs() <= TOLERANCE * theirs.abs()
}

fn equal(ours: &[Option<f64>], theirs: &[Option<f64>]) -> bool {
    let same = |(ours, theirs): (&Option<f64>, &Option<f64>)| match (ours, theirs) {
        (Some(ours), Some(theirs)) => near(*ours, *theirs),
        (ours, theirs) => ours == theirs,
    };
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
}

/// What a panel may make of a column.
fn reductions(column: &[Option<f64>]) -> Vec<f64> {
    let real: Vec<f64> = column.iter().flatten().copied().collect();
    let (Some(first), Some(last)) = (real.first(), real.last()) else { return vec![0.0] };
    let sum: f64 = real.iter().sum();
    let extremes =
        [real.iter().copied().fold(f64::INFINITY, f64::min), real.iter().copied().fold(f64::NEG_INFINITY, f64::max)];
    [vec![*first, *last, sum, sum / real.len() as f64], extremes.to_vec(), real].concat()
}

/// Steps and windows as Grafana's data source decides on them, tables of one moment, exemplars, and annotations: both servers
/// have the same samples, sent to each.
#[test]
fn steps_tables_exemplars_and_annotations_are_those_of_prometheus() {
    let Some(program) = testkit::peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let boards = folder.path().join("dashboards");
    std::fs::create_dir(&boards).unwrap();
    std::fs::write(boards.join("asked.json"), ASKED).unwrap();
    let server = builder(folder.path(), ALONE).arg("--dashboards").arg(&boards).start().unwrap();
    let to = value(&server, "vector(time())").unwrap() as i64 / 60 * 60_000;
    let config = "storage: {exemplars: {max_exemplars: 1000}}\n";
    let features = ["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage"];
    let peer = Prometheus::start(&program, folder.path(), config, &features).unwrap();
    let body = asked_for(to);
    assert_eq!(server.post("/api/v1/write", &WriteRequest::HEADERS, &body).unwrap().status, 204);
    assert!(peer.post("/api/v1/write", &WriteRequest::HEADERS, &body).unwrap() < 300);

    let mut compared = Compared { server: &server, peer: &peer, uid: "asked", to, counts: Counts::default() };
    compared.check_all("asked.json");
    println!("{:?}", compared.counts);
    assert_eq!((compared.counts.panels, compared.counts.empty, compared.counts.differences), (7, 0, 0));

    let path = format!("/ui/board/asked?from={}&to={to}&w=1200&panels=1,2,3,4,5,6,7", to - SHOWN_MS);
    let answer = json(&server.get(&path).unwrap());
    let asked = |panel: &Value| panel["queries"].as_array().unwrap().clone();
    let asked: Vec<Value> = answer["panels"].as_array().unwrap().iter().flat_map(asked).collect();
    let asked: Vec<(&str, i64)> =
        asked.iter().map(|query| (query["expr"].as_str().unwrap(), query["step"].as_i64().unwrap())).collect();
    // skep itself is collected every 15 s, and so is what it does not collect taken to be.
    let expected = [
        ("rate(hits_total[1m])", 15_000),
        ("rate(hits_total[8m])", 120_000),
        ("rate(hits_total[1m15s])", 60_000),
        ("rate(hits_total[1m])", 60_000),
        ("sum(increase(hits_total[1m])) / 30000 * 1e3", 30_000),
        ("topk(2, hits_total)", 0),
        ("max_over_time(hits_total[3600s])", 0),
    ];
    assert_eq!(asked[..expected.len()], expected);

    let marks = |name: &str| {
        let list = if name.is_empty() { &answer["panels"][0]["picture"]["exemplars"] } else { &answer["marks"] };
        let of = |mark: &&Value| name.is_empty() || mark["title"] == name;
        list.as_array().unwrap().iter().filter(of).cloned().collect::<Vec<Value>>()
    };
    let theirs = peer.get(&format!(
        "/api/v1/query_exemplars?query=hits_total&start={}&end={}",
        (to - SHOWN_MS) / 1000,
        to / 1000
    ));
    let theirs: Value = serde_json::from_str(&theirs.unwrap()).unwrap();
    let point = |one: &Value| {
        let at = (one["timestamp"].as_f64().unwrap() * 1000.0).round() as i64;
        (
            at,
            one["value"].as_str().unwrap().parse::<f64>().unwrap(),
            format!("trace_id={}", one["labels"]["trace_id"].as_str().unwrap()),
        )
    };
    let theirs: Vec<_> = theirs["data"][0]["exemplars"].as_array().unwrap().iter().map(point).collect();
    let ours = |one: &Value| {
        let trace = one["text"].as_str().unwrap().split(' ').next().unwrap().to_owned();
        (one["at"].as_i64().unwrap(), one["v"].as_f64().unwrap(), trace)
    };
    assert_eq!(marks("").iter().map(ours).collect::<Vec<_>>(), theirs);
    assert_eq!(theirs.len(), 3);

    // Two steps of a minute are one span, the next after a gap another one; panel 2 shows none, the second one is off.
    let found: Vec<(Option<i64>, Option<i64>)> =
        marks("web deployed").iter().map(|mark| (mark["at"].as_i64(), mark["to"].as_i64())).collect();
    let minute = |ago: i64| Some(to - ago * 60_000);
    assert_eq!(found, [(minute(40), minute(36)), (minute(20), minute(15))], "{}", answer["marks"]);
    assert!(
        marks("web deployed")
            .iter()
            .all(|mark| mark["without"] == serde_json::json!(["2"]) && mark["text"] == "by ann ann")
    );
    assert!(marks("Quiet").is_empty());
    let on = json(&server.get(&format!("{path}&marks=1")).unwrap());
    let titles: Vec<&str> = on["marks"].as_array().unwrap().iter().filter_map(|mark| mark["title"].as_str()).collect();
    assert!(titles.contains(&"Quiet") && !titles.contains(&"web deployed"), "{titles:?}");
    let page = server.get("/d/asked").unwrap().body;
    assert!(
        page.contains("name=\"marks\" value=\"0\" checked") && page.contains("name=\"marks\" value=\"1\">"),
        "{page}"
    );
}

/// Fifty minutes of a counter with exemplars, and when something was deployed.
fn asked_for(to: i64) -> Vec<u8> {
    let times = || (0..200).map(|at| to - at * 15_000).rev();
    let counter: Vec<(i64, f64)> = times().enumerate().map(|(at, time)| (time, (at * at) as f64 / 7.0)).collect();
    let exemplars = [("a", to - 1_800_000, 0.5), ("b", to - 1_200_000, 0.25), ("c", to - 600_000, 2.0)];
    let deployed =
        |time: &i64| (to - 2_400_000..to - 2_390_000).contains(time) || (to - 1_200_000..to - 1_130_000).contains(time);
    let deployed: Vec<(i64, f64)> = times().filter(deployed).map(|time| (time, 1.0)).collect();
    let request = WriteRequest::default()
        .series_with_exemplars(&[("__name__", "hits_total"), ("pod", "x")], &counter, &exemplars)
        .series(&[("__name__", "hits_total"), ("pod", "y")], &counter)
        .series(&[("__name__", "deployed"), ("app", "web"), ("who", "ann")], &deployed);
    request.body()
}

const ASKED: &str = r#"{"uid": "asked", "title": "asked", "schemaVersion": 41, "templating": {"list": []}, "annotations": {"list": [
    {"name": "Deploys", "enable": true, "iconColor": "red", "expr": "deployed", "step": "60s", "titleFormat": "{{app}} deployed", "textFormat": "by {{who}}", "tagKeys": "who",
     "filter": {"exclude": true, "ids": [2]}},
    {"name": "Quiet", "enable": false, "iconColor": "blue", "expr": "deployed"}]},
  "panels": [
    {"id": 1, "type": "timeseries", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 8}, "targets": [{"refId": "A", "expr": "rate(hits_total[$__rate_interval])", "exemplar": true}]},
    {"id": 2, "type": "timeseries", "gridPos": {"x": 0, "y": 8, "w": 24, "h": 8}, "targets": [{"refId": "A", "expr": "rate(hits_total[$__rate_interval])", "interval": "2m"}]},
    {"id": 3, "type": "timeseries", "gridPos": {"x": 0, "y": 16, "w": 24, "h": 8}, "interval": "1m", "targets": [{"refId": "A", "expr": "rate(hits_total[$__rate_interval])"}]},
    {"id": 4, "type": "timeseries", "gridPos": {"x": 0, "y": 24, "w": 24, "h": 8}, "targets": [{"refId": "A", "expr": "rate(hits_total[$__rate_interval])", "interval": "$__rate_interval"}]},
    {"id": 5, "type": "timeseries", "gridPos": {"x": 0, "y": 32, "w": 24, "h": 8}, "targets": [{"refId": "A", "expr": "sum(increase(hits_total[$__rate_interval])) / ${__interval_ms} * 1e3", "intervalFactor": 2}]},
    {"id": 6, "type": "table", "gridPos": {"x": 0, "y": 40, "w": 24, "h": 8}, "targets": [{"refId": "A", "expr": "topk(2, hits_total)", "instant": true, "format": "table"}]},
    {"id": 7, "type": "stat", "gridPos": {"x": 0, "y": 48, "w": 24, "h": 8}, "targets": [{"refId": "A", "expr": "max_over_time(hits_total[$__range])", "instant": true}]}]}"#;

/// A dashboard of panels with one query each, as file.
fn board(uid: &str, variables: &str, queries: &[&str]) -> String {
    let panel = |(at, query): (usize, &&str)| {
        let query = query.replace('"', "\\\"");
        format!(
            r#"{{"id": {}, "type": "timeseries", "title": "p", "gridPos": {{"x": 0, "y": {at}, "w": 24, "h": 1}}, "targets": [{{"refId": "A", "expr": "{query}"}}]}}"#,
            at + 1
        )
    };
    let panels: Vec<String> = queries.iter().enumerate().map(panel).collect();
    let panels = panels.join(",");
    format!(
        r#"{{"uid": "{uid}", "title": "{uid}", "schemaVersion": 39, "templating": {{"list": [{variables}]}}, "panels": [{panels}]}}"#
    )
}

#[test]
fn an_empty_panel_says_why() {
    let cases: [(&str, &str); 10] = [
        (
            "rate(cilium_policy_l7_denied_total[5m])",
            "is called cilium_policy_l7_total{rule=\"denied\"} since Cilium 1.15",
        ),
        ("cilium_bpf_syscall_duration_seconds_sum", "prometheus.metrics: [\"+cilium_bpf_syscall_duration_seconds\"]"),
        ("known{nolabel=\"x\"}", "known has no label nolabel"),
        ("known{job=\"other\"}", "No known fits job=\"other\"; there is \"short\""),
        ("nothing_at_all", "nothing_at_all is not in the store"),
        ("known > 100", "none for which the query's condition holds"),
        ("known{pod=~\"$none\",pod!=\"\"}", "The variable none has no value"),
        ("rate(known[1s])", "The window of 1s needs two samples, but short is collected every 1s"),
        ("rate(once[1m])", "once has fewer than two samples in 1m"),
        ("sum(", "parse error"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let boards = folder.path().join("dashboards");
    std::fs::create_dir(&boards).unwrap();
    let none = r#"{"name": "none", "type": "query", "query": "label_values(absent, pod)"}"#;
    std::fs::write(boards.join("why.json"), board("why", none, &cases.map(|(query, _)| query))).unwrap();
    let page = Exporter::start(Reply::Page("known 7\n".to_owned())).unwrap();
    let config = format!("{ALONE}scrape_configs:\n{}", job("short", &page.target()));
    let server = builder(folder.path(), &config).arg("--dashboards").arg(&boards).start().unwrap();
    wait_for_value(&server, "known", 7.0);
    let now = value(&server, "vector(time())").unwrap() as i64 * 1000;
    let once = WriteRequest::default().series(&[("__name__", "once")], &[(now, 1.0)]);
    assert_eq!(server.post("/api/v1/write", &WriteRequest::HEADERS, &once.body()).unwrap().status, 204);
    let keys = (1..=cases.len()).map(|key| key.to_string()).collect::<Vec<_>>().join(",");
    let path = format!("/ui/board/why?from=now-5m&to=now&panels={keys}&w=1000");
    let answer = poll_until("the dashboard", || server.get(&path).ok().filter(|answer| answer.status == 200));
    let answer = json(&answer);
    for (panel, (query, expected)) in answer["panels"].as_array().unwrap().iter().zip(cases) {
        let notes = panel["notes"].to_string().replace("\\\"", "\"");
        assert_eq!(panel["picture"]["kind"], "none", "{query}: {panel}");
        assert!(notes.contains(expected), "{query}: {notes}");
    }
    assert_eq!(server.get("/ui/board/gone?panels=1").unwrap().status, 404);
    assert_eq!(server.get("/ui/board/why?from=now&to=now-1h").unwrap().status, 400);
}

/// What a file, a label or an address says is text on the page, never markup.
#[test]
fn nothing_from_outside_is_markup() {
    let folder = tempfile::tempdir().unwrap();
    let boards = folder.path().join("dashboards");
    std::fs::create_dir(&boards).unwrap();
    let evil = "<script>alert(1)</script><img src=x onerror=alert(1)>";
    let json = format!(
        r#"{{"uid": "evil", "title": "{evil}", "description": "{evil}", "schemaVersion": 39,
            "links": [{{"type": "link", "title": "{evil}", "url": "javascript:alert(1)"}}],
            "templating": {{"list": [{{"name": "v", "label": "{evil}", "type": "textbox", "query": "{evil}"}}]}},
            "panels": [
                {{"type": "text", "title": "{evil}", "description": "{evil} [x](javascript:alert(1))", "options": {{"mode": "markdown", "content": "{evil} $v [x](javascript:alert(1))"}}, "gridPos": {{"x": 0, "y": 0, "w": 24, "h": 4}}}},
                {{"type": "text", "title": "$v", "options": {{"mode": "html", "content": "<b>bold</b>{evil}$v<a href='javascript:alert(1)'>x</a>"}}, "gridPos": {{"x": 0, "y": 4, "w": 24, "h": 4}}}}]}}"#
    );
    std::fs::write(boards.join("evil.json"), json).unwrap();
    let server = builder(folder.path(), ALONE).arg("--dashboards").arg(&boards).start().unwrap();
    let path = "/d/evil?from=now-1h&to=now&var-v=%3Csvg%20onload%3Dalert(1)%3E";
    let page = poll_until("the dashboard", || server.get(path).ok().filter(|answer| answer.status == 200)).body;
    let lower = page.to_lowercase();
    for bad in ["<script>alert", "<img src=x", "<svg onload", "href=\"javascript", "href='javascript"] {
        assert!(!lower.contains(bad), "{bad}: {page}");
    }
    assert!(page.contains("<b>bold</b>"), "{page}");
}
