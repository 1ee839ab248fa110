//! `stats`: the samples that each step looks at, as the peer counts them.

use serde_json::Value;

use crate::differential::{ask, data};
use crate::peer::Peer;
use crate::server::{self, Server};

/// Every way to look at samples: selectors, windows, subqueries, what is the same at every step, what is asked for twice.
const EXPRESSIONS: &[&str] = &[
    "up",
    "up%20offset%2010m",
    "count(up)",
    "sum(rate(requests_total[5m]))",
    "rate(requests_total[16s])",
    "requests_total[5m]",
    "requests_total[5m:30s]",
    "max_over_time(requests_total[5m:30s])",
    "max_over_time(sum(rate(requests_total[1m]))[10m:1m])",
    "avg_over_time(max_over_time(temperature[2m:30s])[10m:1m])",
    "temperature%20@%20@T",
    "sum(rate(requests_total[5m]%20@%20@T))",
    "rate(requests_total[5m]%20@%20end())",
    "max_over_time(temperature[5m:30s]%20@%20@T)",
    "temperature%2Btemperature",
    "temperature%2Brequests_total*2",
    "temperature%3E1e9",
    "temperature%20or%20up",
    "sum(rate(requests_total[5m]))/sum(rate(requests_total[5m]))",
    "timestamp(temperature)",
    "absent(nope)",
    "absent(up)",
    "absent_over_time(nope[5m])",
    "absent_over_time(up[5m])",
    "1",
    "vector(1)",
    "time()",
    "scalar(up)",
    "label_replace(up,\"a\",\"$1\",\"job\",\"(.*)\")",
    "topk(2,up)",
    "quantile(scalar(temperature),up)",
    "histogram_quantile(0.9,sum%20by(le)(rate(latency_bucket[5m])))",
    "count_values(\"v\",up)",
    "predict_linear(temperature[1h],3600)",
    "count_over_time(temperature[10m])",
    "sum_over_time(temperature[10m]%20offset%205m)",
    "sort(up)",
    "changes(up[30m])%2Bon(job,instance)group_left()up",
    "rate(nope[5m])",
    "-up",
    "hour(up)",
    "millis",
    "count_over_time(millis[1m])",
];

/// Samples of an answer, by step and in all; `Null` where it is an error.
fn counted(base: &str, request: &str) -> [Value; 2] {
    let answer: Value = serde_json::from_str(&ask(base, request).body).unwrap();
    let samples = &answer["data"]["stats"]["samples"];
    ["totalQueryableSamplesPerStep", "totalQueryableSamples"].map(|name| samples[name].clone())
}

#[test]
fn samples_are_counted_as_the_peer_counts_them() {
    let Some(peer) = Peer::start_with("promql-per-step-stats") else { return };
    let server = Server::start();
    let base = server::now_seconds() / 60 * 60;
    for request in data(base) {
        for url in [peer.url(), server.url()] {
            assert_eq!(server::write(url, &request), 204);
        }
    }
    let times = [
        "query?time=@T".to_owned(),
        format!("query_range?start={}&end=@T&step=60", base - 1200),
        format!("query_range?start={}&end=@T&step=7.5", base - 100),
    ];
    for expression in EXPRESSIONS {
        for time in &times {
            let request = format!("GET /api/v1/{time}&stats=all&query={expression}").replace("@T", &base.to_string());
            assert_eq!(counted(server.url(), &request), counted(peer.url(), &request), "{request}");
        }
    }
    eprintln!("{} answers compared", EXPRESSIONS.len() * times.len());
}
