//! Answers that depend on rules, targets and the process, with bodies as Prometheus 3.5.3 gave them for the same state,
//! and how answers travel.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use model::Labels;
use model::status::{
    AlertState, AlertStatus, AlertingStatus, DroppedTarget, Health, RuleGroupStatus, RuleStatus, Rules, TargetStatus,
    Targets,
};

use crate::differential::data;
use crate::server::{self, Server};

fn get(url: &str, path: &str) -> (u16, String) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut answer = agent.get(format!("{url}{path}")).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

struct SomeRules;

impl Rules for SomeRules {
    fn groups(&self) -> Vec<RuleGroupStatus> {
        let rule = |name: &str, query: &str, alerting| RuleStatus {
            name: name.to_owned(),
            query: query.to_owned(),
            labels: Labels::empty(),
            health: Health::Good,
            last_error: String::new(),
            last_evaluation: Some(1_795_217_423_892),
            evaluation_time: Duration::from_nanos(183_752),
            alerting,
        };
        let recording = RuleStatus { labels: Labels::from_pairs([("a", "b")]), ..rule("rec:one", "vector(1)", None) };
        let failing = RuleStatus {
            health: Health::Bad,
            last_error: "it <failed>".to_owned(),
            last_evaluation: None,
            ..rule("rec:two", "sum without (x) (m)", None)
        };
        let firing = AlertStatus {
            labels: Labels::from_pairs([("alertname", "A1"), ("z", "<&>")]),
            annotations: Labels::from_pairs([("summary", "v 42 <b>")]),
            state: AlertState::Firing,
            active_at: 1_795_217_418_891,
            keep_firing_since: None,
            value: 42.0,
        };
        let alerting = AlertingStatus {
            hold: Duration::from_secs(300),
            keep_firing: Duration::from_secs(60),
            annotations: Labels::from_pairs([("summary", "v {{ $value }} <b>")]),
            alerts: vec![firing],
        };
        let alert =
            RuleStatus { labels: Labels::from_pairs([("z", "<&>")]), ..rule("A1", "vector(42) > 1", Some(alerting)) };
        let idle = rule("A3", "vector(0) > 1", Some(AlertingStatus::default()));
        let group = |name: &str, rules| RuleGroupStatus {
            name: name.to_owned(),
            file: "rules.yml".to_owned(),
            interval: Duration::from_secs(1),
            limit: 5,
            rules,
            last_evaluation: Some(1_795_217_423_892),
            evaluation_time: Duration::from_micros(537),
        };
        vec![group("g1", vec![recording, failing, alert]), group("g2", vec![idle]), group("g3", vec![])]
    }
}

const RECORDING: &str = r#"{"name":"rec:one","query":"vector(1)","labels":{"a":"b"},"health":"ok","evaluationTime":0.000183752,"lastEvaluation":"2026-11-20T23:30:23.892Z","type":"recording"}"#;
const FAILING: &str = r#"{"name":"rec:two","query":"sum without (x) (m)","health":"err","lastError":"it \u003cfailed\u003e","evaluationTime":0.000183752,"lastEvaluation":"0001-01-01T00:00:00Z","type":"recording"}"#;
const ALERT: &str = r#"{"labels":{"alertname":"A1","z":"<&>"},"annotations":{"summary":"v 42 <b>"},"state":"firing","activeAt":"2026-11-20T23:30:18.891Z","value":"4.2e+01"}"#;
const IDLE: &str = r#"{"state":"inactive","name":"A3","query":"vector(0) \u003e 1","duration":0,"keepFiringFor":0,"labels":{},"annotations":{},"alerts":[],"health":"ok","evaluationTime":0.000183752,"lastEvaluation":"2026-11-20T23:30:23.892Z","type":"alerting"}"#;

fn alerting(alerts: &str) -> String {
    let head = r#"{"state":"firing","name":"A1","query":"vector(42) \u003e 1","duration":300,"keepFiringFor":60,"labels":{"z":"<&>"},"annotations":{"summary":"v {{ $value }} <b>"},"alerts":"#;
    let tail =
        r#","health":"ok","evaluationTime":0.000183752,"lastEvaluation":"2026-11-20T23:30:23.892Z","type":"alerting"}"#;
    format!("{head}{alerts}{tail}")
}

fn group(name: &str, rules: &str) -> String {
    let tail = r#""interval":1,"limit":5,"evaluationTime":0.000537,"lastEvaluation":"2026-11-20T23:30:23.892Z"}"#;
    format!("{{\"name\":\"{name}\",\"file\":\"rules.yml\",\"rules\":[{rules}],{tail}")
}

#[test]
fn rules_and_alerts() {
    let server = Server::start_with(|state| state.rules = Arc::new(SomeRules));
    let full = alerting(&format!("[{ALERT}]"));
    let g1 = |rules: &str| group("g1", rules);
    let g2 = group("g2", IDLE);
    let all = g1(&format!("{RECORDING},{FAILING},{full}"));
    let cases: [(&str, Vec<String>, &str); 13] = [
        ("", vec![all.clone(), g2.clone()], ""),
        ("?type=record", vec![g1(&format!("{RECORDING},{FAILING}"))], ""),
        ("?type=alert", vec![g1(&full), g2.clone()], ""),
        ("?type=ALERT&rule_name[]=A3", vec![g2.clone()], ""),
        ("?rule_name[]=A1&rule_name[]=rec:one", vec![g1(&format!("{RECORDING},{full}"))], ""),
        ("?rule_group[]=g2", vec![g2.clone()], ""),
        ("?rule_group[]=nope", vec![], ""),
        ("?file[]=rules.yml&rule_group[]=g1", vec![all.clone()], ""),
        ("?file[]=nope", vec![], ""),
        ("?exclude_alerts=true&rule_name[]=A1", vec![g1(&alerting("null"))], ""),
        ("?match[]=%7Bz=~%22.%2B%22%7D", vec![g1(&full)], ""),
        ("?group_limit=1", vec![all], r#","groupNextToken":"72756c65732e796d6c3b6732""#),
        ("?group_limit=1&group_next_token=72756c65732e796d6c3b6732", vec![g2], ""),
    ];
    for (query, groups, next) in cases {
        let expected = format!("{{\"status\":\"success\",\"data\":{{\"groups\":[{}]{next}}}}}", groups.join(","));
        assert_eq!(get(server.url(), &format!("/api/v1/rules{query}")), (200, expected), "{query}");
    }
    let alerts = format!("{{\"status\":\"success\",\"data\":{{\"alerts\":[{ALERT}]}}}}");
    assert_eq!(get(server.url(), "/api/v1/alerts"), (200, alerts));
}

struct SomeTargets;

impl Targets for SomeTargets {
    fn active(&self) -> Vec<TargetStatus> {
        vec![TargetStatus {
            job: "node".to_owned(),
            labels: Labels::from_pairs([("instance", "localhost:9100"), ("job", "node")]),
            discovered_labels: Labels::from_pairs([("__address__", "localhost:9100")]),
            url: "http://localhost:9100/metrics?a=1&b=2".to_owned(),
            health: Health::Bad,
            last_error: "connection refused".to_owned(),
            last_scrape: Some(1_795_217_418_890),
            last_scrape_duration: Duration::from_micros(1500),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            ..TargetStatus::default()
        }]
    }
    fn dropped(&self) -> Vec<DroppedTarget> {
        let labels = Labels::from_pairs([("__address__", "x:1")]);
        vec![DroppedTarget { job: "gone".to_owned(), discovered_labels: labels }]
    }
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn targets() {
    let server = Server::start_with(|state| state.targets = Arc::new(SomeTargets));
    let active = r#"{"discoveredLabels":{"__address__":"localhost:9100"},"labels":{"instance":"localhost:9100","job":"node"},"scrapePool":"node","scrapeUrl":"http://localhost:9100/metrics?a=1\u0026b=2","globalUrl":"http://box:9100/metrics?a=1\u0026b=2","lastError":"connection refused","lastScrape":"2026-11-20T23:30:18.89Z","lastScrapeDuration":0.0015,"health":"down","scrapeInterval":"15s","scrapeTimeout":"10s"}"#;
    let dropped = r#"{"discoveredLabels":{"__address__":"x:1"},"scrapePool":"gone"}"#;
    let cases = [
        ("", active, dropped, r#"{"gone":1}"#),
        ("?state=any", active, dropped, r#"{"gone":1}"#),
        ("?state=Active", active, "", "null"),
        ("?state=dropped", "", dropped, r#"{"gone":1}"#),
        ("?state=other", "", "", "null"),
        ("?scrapePool=node", active, "", "{}"),
    ];
    for (query, active, dropped, counts) in cases {
        let data =
            format!("{{\"activeTargets\":[{active}],\"droppedTargets\":[{dropped}],\"droppedTargetCounts\":{counts}}}");
        let expected = format!("{{\"status\":\"success\",\"data\":{data}}}");
        assert_eq!(get(server.url(), &format!("/api/v1/targets{query}")), (200, expected), "{query}");
    }
    let pools = r#"{"status":"success","data":{"scrapePools":["gone","node"]}}"#;
    assert_eq!(get(server.url(), "/api/v1/scrape_pools"), (200, pools.to_owned()));
}

#[test]
fn the_process() {
    let server = Server::start();
    let success = |data: &str| (200, format!("{{\"status\":\"success\",\"data\":{data}}}"));
    let cases = [
        ("/-/healthy", (200, "skep is Healthy.\n".to_owned())),
        ("/-/ready", (200, "skep is Ready.\n".to_owned())),
        ("/api/v1/status/config", success(r#"{"yaml":"global: {}\n"}"#)),
        ("/api/v1/status/flags", success(r#"{"web.listen-address":"127.0.0.1:0"}"#)),
        (
            "/api/v1/status/buildinfo",
            success(r#"{"version":"3.5.3","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":""}"#),
        ),
    ];
    for (path, expected) in cases {
        assert_eq!(get(server.url(), path), expected, "{path}");
    }
    let (status, runtime) = get(server.url(), "/api/v1/status/runtimeinfo");
    let runtime: serde_json::Value = serde_json::from_str(&runtime).unwrap();
    assert_eq!((status, runtime["data"]["storageRetention"].as_str()), (200, Some("400d")));
    let (status, page) = get(server.url(), "/metrics");
    assert_eq!((status, page.contains("skep_collector_up{collector=\"tsdb\"} 1\n")), (200, true), "{page}");
}

#[test]
fn cardinality() {
    let server = Server::start();
    let times = |body: &str| {
        let answer: serde_json::Value = serde_json::from_str(body).unwrap();
        ["minTime", "maxTime"].map(|field| answer["data"]["headStats"][field].as_i64().unwrap())
    };
    let (_, body) = get(server.url(), "/api/v1/status/tsdb");
    assert_eq!(times(&body), [i64::MAX, i64::MIN]);
    for request in data(server::now_seconds()) {
        assert_eq!(server::write(server.url(), &request), 204);
    }
    let (status, body) = get(server.url(), "/api/v1/status/tsdb?limit=1");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let [oldest, newest] = times(&body);
    assert!(0 < oldest && oldest <= newest, "{body}");
    let top = |list: &str| (answer["data"][list][0]["name"].clone(), answer["data"][list][0]["value"].clone());
    assert_eq!((status, answer["data"]["headStats"]["numSeries"].as_u64()), (200, Some(52)), "{body}");
    assert_eq!(top("seriesCountByMetricName"), ("latency_bucket".into(), 18.into()));
    assert_eq!(top("labelValueCountByLabelName"), ("kind".into(), 12.into()));
    assert_eq!(top("seriesCountByLabelValuePair"), ("__name__=latency_bucket".into(), 18.into()));
}

#[test]
fn long_answers_come_packed_and_whole() {
    let server = Server::start();
    let path = "/api/v1/query_range?query=time()&start=1700000000&end=1700011000&step=1";
    let plain = get(server.url(), path).1;
    assert!(plain.len() > 250_000 && plain.ends_with("[1700011000,\"1700011000\"]]}]}}"), "{}", plain.len());
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let url = format!("{}{path}", server.url());
    let mut answer = agent.get(url).header("Accept-Encoding", "gzip").call().unwrap();
    assert_eq!(answer.headers().get("content-encoding").unwrap(), "gzip");
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(answer.body_mut().as_reader()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
}

#[test]
fn selectors_are_bounded() {
    let server = Server::start();
    let many = |count: usize| vec!["match[]=up"; count].join("&");
    let check = |path: &str, count, expected: (u16, &str)| {
        let (status, body) = get(server.url(), &format!("{path}?{}", many(count)));
        assert!(status == expected.0 && body.contains(expected.1), "{path} {count}: {status} {body}");
    };
    for path in ["/api/v1/series", "/api/v1/labels", "/api/v1/label/job/values"] {
        check(path, 1000, (200, r#""data":[]"#));
        check(path, 1001, (400, "1001 match[] parameters, 1000 are the most"));
    }
    check("/federate", 1000, (200, ""));
    check("/federate", 1001, (400, "1001 match[] parameters, 1000 are the most"));
}
