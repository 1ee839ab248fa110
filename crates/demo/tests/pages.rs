//! Pages as a scraper sees them: well formed, consistent, monotonic.

#![allow(clippy::unwrap_used, clippy::panic)] // A test that cannot go on has failed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use demo::{Endpoint, Event, World};
use model::{Families, MetricKind, Timestamp};

mod served;

/// 2026-11-20T18:00:00Z: the day before holds a night and an evening peak.
const START: Timestamp = 1_795_197_600_000;
const SEED: u64 = 7;

fn world() -> World {
    World::new(SEED, START)
}

/// Values by name with suffix and labels, with the kind of the family.
fn samples(page: &Families) -> BTreeMap<String, (MetricKind, f64)> {
    let mut samples = BTreeMap::new();
    for family in page.iter() {
        for point in &family.points {
            let name = format!("{}{}{:?}", family.name, point.suffix, point.labels);
            assert!(samples.insert(name.clone(), (family.kind, point.value)).is_none(), "twice: {name}");
        }
    }
    samples
}

#[test]
fn the_reference_parser_reads_every_sample() {
    for endpoint in Endpoint::ALL {
        let world = world();
        let page = world.page(endpoint, START + 60_000).unwrap();
        let text = served::text(SEED, START, endpoint, START + 60_000);
        let scrape = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
        // The reference folds buckets into one sample, keeps sums and counts, and loses samples with a brace in a label.
        let expected: usize = page
            .iter()
            .flat_map(|family| &family.points)
            .filter(|point| point.suffix != "_bucket" || point.labels.iter().any(|(_, value)| value == "+Inf"))
            .filter(|point| point.labels.iter().all(|(_, value)| !value.contains('}')))
            .count();
        assert_eq!(scrape.samples.len(), expected, "{endpoint:?}");
    }
}

#[test]
fn promtool_finds_no_parse_error() {
    let Some(promtool) = testkit::peer("promtool") else { return };
    for endpoint in Endpoint::ALL {
        let mut child = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(served::text(SEED, START, endpoint, START).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        // Its linter has opinions on Cilium's names (exit code 3); errors of syntax are exit code 1.
        assert!(matches!(output.status.code(), Some(0 | 3)), "{endpoint:?}: {said}");
        assert!(!said.contains("no help text"), "{endpoint:?}: {said}");
    }
}

#[test]
fn the_node_has_a_believable_size() {
    let sizes = Endpoint::ALL.map(|endpoint| samples(&world().page(endpoint, START).unwrap()).len());
    eprintln!("series by endpoint: {sizes:?}, {} in all", sizes.iter().sum::<usize>());
    assert!((600..=1_200).contains(&sizes[0]), "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() <= 1_800, "{sizes:?}");
}

#[test]
fn counters_fall_only_when_the_agent_restarts() {
    let world = world();
    for endpoint in Endpoint::ALL {
        let mut last = BTreeMap::new();
        let mut fell = BTreeSet::new();
        for at in (START - 86_400_000..START + 900_000).step_by(240_000) {
            let Some(page) = world.page(endpoint, at) else { continue };
            let now = samples(&page);
            for (name, (kind, value)) in &now {
                assert!(value.is_finite() && (*value >= 0.0 || name.contains("max_bytes")), "{name} is {value}");
                let Some((_, before)) = last.get(name) else { continue };
                if matches!(kind, MetricKind::Counter | MetricKind::Histogram) && value < before {
                    assert_eq!(endpoint.job(), if endpoint == Endpoint::Agent { "cilium-agent" } else { "hubble" });
                    assert!((at - world.begins(Event::Restart)).abs() <= 240_000, "{name} fell at {at}");
                    fell.insert(name.clone());
                }
            }
            last = now;
        }
        let restarts = matches!(endpoint, Endpoint::Agent | Endpoint::Hubble);
        assert_eq!(fell.len() > 50, restarts, "{endpoint:?}: {} fell", fell.len());
        assert!(!fell.iter().any(|name| name.contains("forward_count")), "pinned maps outlive the agent");
    }
}

/// Cumulative buckets rise with their bounds and end at the count; what lies between two bounds never falls.
#[test]
fn histograms_are_consistent() {
    let world = world();
    for endpoint in Endpoint::ALL {
        let mut last: BTreeMap<String, f64> = BTreeMap::new();
        for at in (START - 3_600_000..START + 900_000).step_by(45_000) {
            for family in world.page(endpoint, at).unwrap().iter().filter(|family| family.kind == MetricKind::Histogram)
            {
                let (mut cumulative, mut bound) = (0.0, 0.0);
                for point in &family.points {
                    let labels = format!("{:?}", point.labels);
                    match point.suffix {
                        "_bucket" => {
                            let le: f64 = point.labels.last().unwrap().1.parse().unwrap();
                            assert!(le > bound, "{} {labels}", family.name);
                            let inside = point.value - cumulative;
                            let before = last.insert(format!("{}{labels}", family.name), inside).unwrap_or_default();
                            assert!(inside >= before, "{} {labels}: {inside} after {before}", family.name);
                            (cumulative, bound) = (point.value, le);
                        }
                        "_sum" => assert!((point.value > 0.0) == (cumulative > 0.0), "{} {labels}", family.name),
                        _ => {
                            assert_eq!(point.value, cumulative, "{} {labels}", family.name);
                            (cumulative, bound) = (0.0, 0.0);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let at = START - 1_234_567;
    for endpoint in Endpoint::ALL {
        let page = |seed| samples(&World::new(seed, START).page(endpoint, at).unwrap());
        let bits = |seed| page(seed).into_values().map(|(_, value)| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(SEED), bits(SEED), "{endpoint:?}");
        assert_ne!(bits(SEED), bits(SEED + 1), "{endpoint:?}");
    }
}

/// The labels that a target adds must not be on the pages, or a scrape would rename them.
#[test]
fn pages_leave_the_targets_labels_alone() {
    for endpoint in Endpoint::ALL {
        for family in world().page(endpoint, START).unwrap().iter() {
            assert!(model::is_valid_metric_name(&family.name), "{}", family.name);
            assert!(!family.help.is_empty(), "{}", family.name);
            for (name, _) in family.points.iter().flat_map(|point| &point.labels) {
                assert!(model::is_valid_label_name(name), "{name}");
                let taken = ["job", "instance", "node", "pod", "namespace", "k8s_app", "io_cilium_app"];
                assert!(!taken.contains(&name.as_ref()), "{} has {name}", family.name);
            }
        }
    }
}

/// Whatever the noise: no more answers than requests, in any minute.
#[test]
fn answers_keep_to_requests() {
    let world = world();
    let sum = |metric: &str, has: &str, at| -> f64 {
        let all = samples(&world.page(Endpoint::Hubble, at).unwrap());
        all.iter().filter(|(name, _)| name.starts_with(metric) && name.contains(has)).map(|(_, (_, value))| value).sum()
    };
    let check = |(request, has): (&str, &str), (answer, answer_has): (&str, &str)| {
        for at in (START - 7_200_000..START).step_by(600_000) {
            let rise = |metric, has| sum(metric, has, at + 60_000) - sum(metric, has, at);
            let (requests, answers) = (rise(request, has), rise(answer, answer_has));
            // Each of a few dozen series is rounded down by itself.
            assert!(
                answers <= requests + 8.0 && answers > requests * 0.8 - 8.0,
                "{request} {requests}, {answers} answers"
            );
        }
    };
    check(("hubble_tcp_flags_total", "\"SYN\""), ("hubble_tcp_flags_total", "\"SYN-ACK\""));
    check(("hubble_icmp_total", "EchoRequest"), ("hubble_icmp_total", "EchoReply"));
    check(("hubble_dns_queries_total", ""), ("hubble_dns_responses_total", ""));
    check(("hubble_http_requests_total", "\"GET\""), ("hubble_http_request_duration_seconds_count", ""));
}

/// What the rules of the demo and of its user ask for, by hand.
#[test]
fn the_incident_trips_the_alerts() {
    let world = world();
    let value = |metric: &str, has: &str, at| -> f64 {
        let all = samples(&world.page(Endpoint::Agent, at).unwrap());
        all.iter().filter(|(name, _)| name.starts_with(metric) && name.contains(has)).map(|(_, (_, value))| value).sum()
    };
    let dropped = |from, to| {
        let drops = |at| value("cilium_drop_count_total", "\"NoEndpoint\"", at);
        (drops(to) - drops(from)) / ((to - from) as f64 / 1_000.0)
    };
    let minute = 60_000;
    assert!(dropped(START - minute, START) < 5.0, "quiet before: {}", dropped(START - minute, START));
    // Whatever the phase of a scrape every 15 seconds: one that sees enough comes early enough.
    for first in 0..15 {
        let seen = (0..3).map(|nth| START + (first + nth * 15) * 1_000).find(|&at| dropped(at - minute, at) > 20.0);
        // Two seconds until the evaluation, four of `for`, two until the evaluation after it.
        assert!(seen.is_some_and(|at| at + 8_000 <= START + 30_000), "scrape phase {first} s: {seen:?}");
    }
    assert!(dropped(START + minute, START + 6 * minute) > 100.0, "HighLoadBalancingDrops");
    assert!(value("cilium_lb_active_connections", "", START + 2 * minute) > 10_000.0, "TooManyActiveConnections");
    assert!(value("cilium_lb_active_connections", "", START) < 10_000.0);
}

#[test]
fn only_the_page_is_served() {
    let check = |request: &str, at, expected: &str| {
        let (head, _) = served::ask(world(), Endpoint::Agent, at, request);
        assert!(head.starts_with(expected), "{request}: {head}");
    };
    check("GET /metrics", START, "http/1.1 200");
    check("HEAD /metrics", START, "http/1.1 200");
    check("GET /metrics?x=1", START, "http/1.1 200");
    check("GET /", START, "http/1.1 404");
    check("POST /metrics", START, "http/1.1 405");
    check("GET /metrics", world().begins(Event::Restart) - 10_000, "http/1.1 503");
}
