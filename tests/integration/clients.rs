//! What Grafana's data source, promtool and a Prometheus that federates ask of a running server.

use std::process::Command;

use serde_json::{Value, json};
use testkit::{Exporter, Prometheus, Reply, Response, Server, WriteRequest, poll_until};

use crate::{ALONE, builder, job, start, value, wait_for_value};

const FORM: [(&str, &str); 1] = [("Content-Type", "application/x-www-form-urlencoded")];

/// Half an hour of a counter of two instances, up to a full minute, in seconds.
fn fill(server: &Server) -> i64 {
    let now = value(server, "vector(time())").unwrap() as i64 / 60 * 60;
    let mut request = WriteRequest::default();
    for (instance, factor) in [("a:1", 1.0), ("b:2", 2.5)] {
        let samples: Vec<(i64, f64)> = (0..=120).map(|i| ((now - 1800 + 15 * i) * 1000, i as f64 * factor)).collect();
        let labels = |name| [("__name__", name), ("http.status", "200"), ("instance", instance), ("job", "api")];
        request = request.series(&labels("requests_total"), &samples).series(&labels("up"), &samples);
    }
    let answer = server.post("/api/v1/write", &WriteRequest::HEADERS, &request.body()).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.body);
    now
}

fn data(answer: &Response) -> Value {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.body));
    assert_eq!((answer.status, &body["status"]), (200, &json!("success")), "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    body["data"].clone()
}

/// The calls of Grafana's Prometheus data source, as it sends them.
#[test]
fn grafana() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    let now = fill(&server);
    let (start, end) = (now - 1800, format!("{now}.123"));
    let post =
        |path: &str, form: String| data(&server.post(&format!("/api/v1/{path}"), &FORM, form.as_bytes()).unwrap());
    let get = |path: String| data(&server.get(&format!("/api/v1/{path}")).unwrap());

    // Save & test.
    assert_eq!(post("query", "query=1%2B1&time=4".to_owned()), json!({"resultType": "scalar", "result": [4, "2"]}));
    let build = get("status/buildinfo".to_owned());
    let number: Vec<u32> = build["version"].as_str().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
    assert!(number >= vec![2, 37], "newer than what switches limits and matchers on: {build}");
    assert!(build.get("features").is_none(), "with features it would be Mimir: {build}");

    // A panel, a table, a refresh whose step is a fraction.
    let range = |query: &str, step: &str| {
        post("query_range", format!("query={query}&start={start}&end={end}&step={step}&timeout=60s"))
    };
    let panel = range("sum+by+%28instance%29+%28rate%28requests_total%5B1m%5D%29%29", "15");
    assert_eq!((&panel["resultType"], panel["result"].as_array().unwrap().len()), (&json!("matrix"), 2));
    assert_eq!(panel["result"][0]["metric"], json!({"instance": "a:1"}));
    let fine = range("requests_total", "0.5");
    assert_eq!(fine["result"][0]["values"].as_array().unwrap().len(), 3601);
    assert_eq!(fine["result"][0]["values"][1], json!([start as f64 + 0.5, "0"]));
    let table = post("query", format!("query=topk%281%2C+requests_total%29&time={end}"));
    assert_eq!(table["result"][0]["value"], json!([now as f64 + 0.123, "300"]));
    assert_eq!(post("query_exemplars", format!("query=requests_total&start={start}&end={end}")), json!([]));

    // Variables, the query builder, the metrics browser.
    let window = format!("start={start}&end={now}&limit=40000");
    let series = post("series", format!("match%5B%5D=requests_total&{window}"));
    assert_eq!((series.as_array().unwrap().len(), &series[1]["instance"]), (2, &json!("b:2")));
    let names = post("labels", format!("match%5B%5D=requests_total&{window}"));
    assert_eq!(names, json!(["__name__", "http.status", "instance", "job"]));
    let values = |name: &str, rest: &str| get(format!("label/{name}/values?{window}{rest}"));
    assert_eq!(values("__name__", ""), json!(["requests_total", "up"]));
    assert_eq!(values("instance", "&match%5B%5D=up%7Bjob%3D%22api%22%7D"), json!(["a:1", "b:2"]));
    assert_eq!(values("U__http_2e_status", ""), json!(["200"]));
    assert!(get("metadata?limit=40000".to_owned()).is_object());

    // Alert lists, the status of the data source.
    assert_eq!(get("rules".to_owned()), json!({"groups": []}));
    assert_eq!(get("alerts".to_owned()), json!({"alerts": []}));
    assert_eq!(get("alertmanagers".to_owned())["activeAlertmanagers"], json!([]));
    for path in ["status/config", "status/flags", "status/runtimeinfo", "status/tsdb", "targets", "targets/metadata"] {
        get(path.to_owned());
    }

    // What it retries by GET, and what it shows of an error.
    for (method, path, status) in [("POST", "label/job/values", 405), ("POST", "metadata", 405), ("POST", "rules", 405)]
    {
        let answer = server.post(&format!("/api/v1/{path}"), &FORM, b"").unwrap();
        assert_eq!(answer.status, status, "{method} {path}");
    }
    let wrong = server.post("/api/v1/query", &FORM, b"query=up%7B&time=1").unwrap();
    let error = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:4: parse error: unexpected end of input inside braces"}"#;
    assert_eq!((wrong.status, &*wrong.body), (400, error));
}

/// promtool, with the paths of a proxy before the server.
#[test]
fn promtool() {
    let Some(program) = testkit::peer("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = builder(folder.path(), ALONE).arg("--web.external-url=http://box.example/skep/").start().unwrap();
    let now = fill(&server);
    let base = format!("{}/skep", server.url());
    let run = |args: &[&str], code: i32, words: &str| {
        let output = Command::new(&program).args(args).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.code() == Some(code) && said.contains(words), "{args:?}: {said}");
    };
    run(&["check", "healthy", &format!("--url={base}")], 0, "SUCCESS");
    run(&["check", "ready", &format!("--url={base}")], 0, "SUCCESS");
    let at = now.to_string();
    run(
        &["query", "instant", &format!("--time={at}"), &base, "sum(requests_total)"],
        0,
        &format!("{{}} => 420 @[{at}]"),
    );
    run(&["query", "instant", &base, "sum("], 1, "parse error");
    let (start, end) = (format!("--start={}", now - 60), format!("--end={now}"));
    run(
        &["query", "range", &start, &end, "--step=30s", &base, "up{instance=\"a:1\"}"],
        0,
        &format!("116 @[{}]", now - 60),
    );
    run(&["query", "series", "--match=up", &base], 0, "instance=\"b:2\"");
    run(&["query", "labels", &base, "instance"], 0, "a:1\nb:2");
    run(&["query", "labels", "--match=nothing", &base, "instance"], 0, "");
    let page = server.get("/metrics").unwrap().body;
    let mut check =
        Command::new(&program).args(["check", "metrics"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut check.stdin.take().unwrap(), page.as_bytes()).unwrap();
    assert!([Some(0), Some(3)].contains(&check.wait().unwrap().code()), "the page does not parse");
}

/// A Prometheus federates from skep what skep scraped, name by name and value by value.
#[test]
fn federation() {
    let Some(program) = testkit::peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = "# TYPE work_total counter\nwork_total{a=\"b\"} 5\nwork_total{a=\"c \\\"d\\\"\"} 6e+30\nplain -0.5\nodd NaN\n\
                {\"dotted.name\",\"label.dot\"=\"x\"} 7\n";
    let exporter = Exporter::start(Reply::Page(page.to_owned())).unwrap();
    let config = format!(
        "global: {{external_labels: {{box: b1}}}}\n{ALONE}scrape_configs:\n{}",
        job("page", &exporter.target())
    );
    let server = start(folder.path(), &config);
    wait_for_value(&server, "plain", -0.5);
    let config = format!(
        "scrape_configs:\n- {{job_name: federate, scrape_interval: 1s, honor_labels: true, metrics_path: /federate, \
         params: {{'match[]': ['{{job=\"page\"}}']}}, static_configs: [{{targets: ['{}']}}]}}\n",
        server.url().strip_prefix("http://").unwrap(),
    );
    let peer_folder = tempfile::tempdir().unwrap();
    let peer = Prometheus::start(&program, peer_folder.path(), &config, &[]).unwrap();
    let result = |text: &str| -> Vec<String> {
        let answer: Value = serde_json::from_str(text).unwrap();
        let series = answer["data"]["result"].as_array().unwrap().iter();
        let mut series: Vec<String> = series.map(|s| format!("{} {}", s["metric"], s["value"][1])).collect();
        series.sort();
        series
    };
    let query = "/api/v1/query?query=%7Bjob%3D%22page%22,__name__!~%22scrape_.*%22%7D";
    let ours = |text: &str| {
        result(text)
            .iter()
            .map(|line| line.replacen("\"instance\"", "\"box\":\"b1\",\"instance\"", 1))
            .collect::<Vec<_>>()
    };
    let sorted = |line: &String| -> (Value, String) {
        let (metric, value) = line.rsplit_once(' ').unwrap();
        (serde_json::from_str(metric).unwrap(), value.to_owned())
    };
    poll_until("the same series in Prometheus", || {
        let theirs: Vec<_> = result(&peer.get(query).ok()?).iter().map(sorted).collect();
        let ours: Vec<_> = ours(&server.get(query).unwrap().body).iter().map(sorted).collect();
        let equal = ours.len() == 6 && theirs.len() == ours.len() && theirs.iter().all(|series| ours.contains(series));
        equal.then_some(())
    });
}
