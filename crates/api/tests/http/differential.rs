//! skep beside the real Prometheus: the same samples in both, the same requests to both, and answers that are equal in
//! status, type and body, byte for byte but for the order of series.
//!
//! The peer is found by `testkit::peer`; without it the test says so.

use testkit::WriteRequest;

use crate::peer::Peer;
use crate::requests::{ACCEPTED, Accepted, REQUESTS};
use crate::server::{self, Server};

/// An answer as far as it is compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) media: String,
    pub(crate) body: String,
}

/// Asks `METHOD PATH[ FORM]`.
pub(crate) fn ask(base: &str, request: &str) -> Answer {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().new_agent();
    let mut words = request.splitn(3, ' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let url = format!("{base}{}", path.replace('"', "%22").replace('{', "%7B").replace('}', "%7D"));
    let form = "application/x-www-form-urlencoded";
    let result = match method {
        "GET" => agent.get(url).call(),
        "POST" => agent.post(url).header("Content-Type", form).send(words.next().unwrap_or_default()),
        "PUT" => agent.put(url).send(""),
        "DELETE" => agent.delete(url).call(),
        "HEAD" => agent.head(url).call(),
        "OPTIONS" => agent.options(url).call(),
        other => panic!("unknown method {other}"),
    };
    let mut answer = result.unwrap_or_else(|error| panic!("{request}: {error}"));
    let media = answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    Answer { status, media: media.unwrap_or_default(), body: answer.body_mut().read_to_string().unwrap() }
}

/// Puts the series of an answer in order: neither side promises one.
pub(crate) fn normal(mut answer: Answer) -> Answer {
    for (start, separator) in [("\"result\":[", ",{\"metric\":"), ("\"data\":[{", ",{\"__name__\":")] {
        let Some(at) = answer.body.find(start) else { continue };
        let first = at + start.len() - usize::from(start.ends_with('{'));
        let Some(length) = answer.body[first..].rfind("}]") else { continue };
        let list = &answer.body[first..=first + length];
        let mut parts: Vec<&str> = list.strip_prefix(&separator[1..]).unwrap_or(list).split(separator).collect();
        parts.sort_unstable();
        answer.body = format!("{}{}{}", &answer.body[..first], parts.join("\n"), &answer.body[first + length + 1..]);
    }
    if let Some(body) = with_pair_in_order(&answer.body) {
        answer.body = body;
    }
    answer
}

/// Which of two duplicate series an error names first depends on the order in which Prometheus' head came upon them.
fn with_pair_in_order(body: &str) -> Option<String> {
    let (before, rest) = body.split_once("operation: [{")?;
    let (pair, after) = rest.split_once("}];many-to-many")?;
    let mut pair: Vec<&str> = pair.split("}, {").collect();
    pair.sort_unstable();
    Some(format!("{before}operation: [{{{}}}];many-to-many{after}", pair.join("}, {")))
}

/// The entry that says that the difference is wanted.
fn accepted(request: &str, ours: &Answer) -> Option<usize> {
    ACCEPTED.iter().position(|Accepted { request: start, ours: (status, body), .. }| {
        request.starts_with(start) && ours.status == *status && ours.body.starts_with(body)
    })
}

#[test]
fn answers_are_prometheus_answers() {
    let Some(peer) = Peer::start() else { return };
    let server = Server::start();
    let base = server::now_seconds() / 60 * 60;
    for request in data(base) {
        for url in [peer.url(), server.url()] {
            assert_eq!(server::write(url, &request), 204);
        }
    }
    let mut differences = Vec::new();
    let mut seen = vec![false; ACCEPTED.len()];
    for request in REQUESTS {
        let request = request.replace("@T", &base.to_string());
        let (theirs, ours) = (normal(ask(peer.url(), &request)), normal(ask(server.url(), &request)));
        if theirs == ours {
            continue;
        }
        match accepted(&request, &ours) {
            Some(i) => seen[i] = true,
            None => differences.push(format!("{request}\n  Prometheus: {theirs:?}\n  skep:       {ours:?}")),
        }
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), REQUESTS.len(), differences.join("\n"));
    let gone: Vec<_> = ACCEPTED.iter().zip(seen).filter(|(_, seen)| !seen).map(|(entry, _)| entry.request).collect();
    assert!(gone.is_empty(), "no longer different, to be removed from the list: {gone:?}");
    eprintln!("{} requests compared", REQUESTS.len());
}

/// Half an hour of series up to `base`, a sample every 15 s: counters, gauges, a histogram, odd names and values.
pub(crate) fn data(base: i64) -> Vec<WriteRequest> {
    let times: Vec<i64> = (0..=120).map(|i| (base - 1800 + 15 * i) * 1000).collect();
    let curve = |f: &dyn Fn(f64) -> f64| times.iter().map(|&t| (t, f((t / 1000 - base) as f64))).collect::<Vec<_>>();
    let mut request = WriteRequest::default();
    for (i, job) in ["api", "db", "web"].iter().enumerate() {
        for instance in ["a:1", "b:2"] {
            let labels = |name: &'static str| [("__name__", name), ("instance", instance), ("job", *job)];
            let factor = i as f64 + if instance == "a:1" { 1.0 } else { 1.25 };
            request = request
                .series(&labels("requests_total"), &curve(&|t| ((t + 1800.0) * factor).floor()))
                .series(&labels("temperature"), &curve(&|t| (t / 300.0).sin() * factor))
                .series(&labels("up"), &curve(&|t| if t > -600.0 || i > 0 { 1.0 } else { 0.0 }));
            for (le, share) in [("0.1", 0.5), ("1", 0.9), ("+Inf", 1.0)] {
                let labels = [("__name__", "latency_bucket"), ("instance", instance), ("job", *job), ("le", le)];
                request = request.series(&labels, &curve(&|t| ((t + 1800.0) * factor * share).floor()));
            }
        }
    }
    let odd = "<&>\"\\\n\r\t\u{8}\u{c}\u{7f}\u{2028}é\u{1}";
    let values: [(&str, f64); 12] = [
        ("nan", f64::NAN),
        ("inf", f64::INFINITY),
        ("minus_inf", f64::NEG_INFINITY),
        ("tiny", 1.5e-7),
        ("small", 1e-6),
        ("large", 1e21),
        ("below_large", 999_999_999_999_999_900_000.0),
        ("third", 1.0 / 3.0),
        ("minus_zero", -0.0),
        ("max", f64::MAX),
        ("min", 5e-324),
        ("integer", 9_007_199_254_740_993.0),
    ];
    for (kind, value) in values {
        request = request.series(&[("__name__", "special"), ("kind", kind)], &curve(&|_| value));
    }
    request = request
        .series(&[("__name__", "odd"), ("text", odd)], &curve(&|t| t))
        .series(&[("__name__", "odd"), ("a.b", "dotted")], &curve(&|t| t))
        .series(&[("__name__", "name.with.dots"), ("x", "y")], &curve(&|t| t))
        .series(&[("__name__", "millis"), ("x", "y")], &[(base * 1000 - 59_877, 1.0), (base * 1000 - 29_999, 2.0)]);
    vec![request]
}
