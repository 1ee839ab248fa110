//! `explain`, which upstream does not have.

use serde_json::Value;

use crate::differential::data;
use crate::server::{self, Server};

fn ask(url: &str, path: &str, form: Option<&str>) -> (u16, Value) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let url = format!("{url}/api/v1/{path}");
    let answer = match form {
        Some(form) => agent.post(url).content_type("application/x-www-form-urlencoded").send(form),
        None => agent.get(url).call(),
    };
    let mut answer = answer.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap())
}

/// Times differ from run to run.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["seconds", "ownSeconds"] {
                let seconds = fields.remove(name);
                assert!(seconds.is_none_or(|seconds| seconds.as_f64().is_some_and(|seconds| seconds >= 0.0)));
            }
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

#[test]
fn plans() {
    let server = Server::start();
    let check = |path: &str, form: Option<&str>, expected: &str| {
        let (status, mut answer) = ask(server.url(), path, form);
        assert_eq!(status, 200, "{path}: {answer}");
        without_times(&mut answer);
        assert_eq!(answer, serde_json::from_str::<Value>(expected).unwrap(), "{path}");
    };
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","series":0,"points":1,
        "samples":{"total":0,"peak":1},"plan":{"kind":"number","title":"1","position":{"start":0,"end":1},
        "type":"scalar","samples":0,"ownSamples":0,"series":0,"points":1,"steps":1,"threads":1,"evaluations":1,
        "recalled":0,"selections":[],"children":[]}}}"#;
    check("explain?query=1", None, scalar);
    check("explain", Some("query=1"), scalar);
    check(
        "explain?query=sum(nope{a=~%22b%22})&start=600&end=660&step=30",
        None,
        r#"{"status":"success","data":{"resultType":"matrix","series":0,"points":0,"samples":{"total":0,"peak":3},
        "plan":{"kind":"aggregation","title":"sum","position":{"start":0,"end":17},"type":"vector","samples":0,
        "ownSamples":0,"series":0,"points":0,"steps":3,"threads":1,"evaluations":1,"recalled":0,"selections":[],
        "children":[{"kind":"selector","title":"nope{a=~\"b\"}","position":{"start":4,"end":16},"type":"vector",
        "samples":0,"ownSamples":0,"series":0,"points":0,"steps":3,"threads":1,"evaluations":1,"recalled":0,
        "selections":[{"matchers":[{"name":"a","type":"=~","value":"b"},{"name":"__name__","type":"=","value":"nope"}],
        "start":300.001,"end":660,"step":30,"range":0,"function":"","presence":false,"unnamed":false,"series":0}],
        "children":[]}]}}}"#,
    );
}

#[test]
fn the_same_work_as_the_query() {
    let server = Server::start();
    let now = server::now_seconds() / 60 * 60;
    for request in data(now) {
        assert_eq!(server::write(server.url(), &request), 204);
    }
    let range = format!("start={}&end={}&step=60", now - 600, now);
    let (_, explained) = ask(server.url(), &format!("explain?query=up%2Bup&{range}"), None);
    let (_, queried) = ask(server.url(), &format!("query_range?query=up%2Bup&stats=all&{range}"), None);
    let data = &explained["data"];
    let stats = &queried["data"]["stats"]["samples"];
    assert!(data["samples"]["total"].as_u64().unwrap() > 0, "{explained}");
    // Statistics count what both sides look at, as upstream; six series at eleven steps each.
    assert_eq!(stats["totalQueryableSamples"], 2 * 6 * 11, "{queried}");
    assert_eq!(data["plan"]["children"][1]["recalled"], 1, "{explained}");
    // The answer was kept, and the second time nothing is left to compute.
    let (_, again) = ask(server.url(), &format!("explain?query=up%2Bup&{range}"), None);
    assert_eq!(again["data"]["keptUntil"], now, "{again}");
    assert_eq!(again["data"]["samples"]["total"], 0, "{again}");
    assert_eq!(again["data"]["points"], data["points"], "{again}");
    let (_, anew) = ask(server.url(), &format!("explain?query=up%2Bup&nocache=1&{range}"), None);
    assert_eq!(anew["data"]["samples"], data["samples"], "{anew}");
}

#[test]
fn errors_are_those_of_queries() {
    let server = Server::start();
    for parameters in [
        "query=sum(",
        "query=",
        "query=1&time=x",
        "query=1&timeout=x",
        "query=1&timeout=0s",
        "query=limitk(1,up)",
        "query=label_replace(vector(1),%22a%22,%22%22,%22%22,%22(%22)",
    ] {
        let of = |endpoint: &str| ask(server.url(), &format!("{endpoint}?{parameters}"), None);
        let explained = of("explain");
        assert_ne!(explained.0, 200, "{parameters}");
        assert_eq!(explained, of("query"), "{parameters}");
    }
    for parameters in ["query=1&start=x", "query=1&start=1&end=0&step=1", "query=up[1m]&start=1&end=2&step=1"] {
        let of = |endpoint: &str| ask(server.url(), &format!("{endpoint}?{parameters}"), None);
        assert_eq!(of("explain"), of("query_range"), "{parameters}");
    }
}
