//! kill -9 during ingest: what was acknowledged or seen is there afterwards, and the next start is never refused.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use model::Clock;
use serde_json::Value;
use testkit::{Exporter, Reply, Server, WriteRequest};

use crate::{ALONE, job, json, start, value};

/// The issue asks for fifty.
const KILLS: u64 = 50;

/// Samples of a request, so that requests are more than one record.
const BATCH: i64 = 20;

/// The samples lie in the past and close together, so that hundreds of thousands of them fit.
const START_AGO: i64 = 12 * 3600 * 1000;
const SPACING: i64 = 50;

#[test]
fn fifty_kills_lose_nothing_acknowledged_or_seen() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start(Reply::Page("scraped 0\n".to_owned())).unwrap();
    let config = format!("{ALONE}scrape_configs:\n{}", job("k", &exporter.target()));
    let base = model::SystemClock.now() - START_AGO;
    let (mut acknowledged, mut seen_scraped) = (0, None);
    for cycle in 0..KILLS {
        let server = start(folder.path(), &config);
        check(&server, base, acknowledged, seen_scraped);
        exporter.reply(Reply::Page(format!("scraped {cycle}\n")));
        // Spread over the first third of a second, which covers replay, first scrapes and steady writing.
        let life = Duration::from_millis(40 + cycle * 37 % 300);
        (acknowledged, seen_scraped) = write_until_killed(&server, base, acknowledged, life, seen_scraped);
    }
    let server = start(folder.path(), &config);
    check(&server, base, acknowledged, seen_scraped);
    assert!(acknowledged > i64::try_from(KILLS).unwrap(), "only {acknowledged} samples were acknowledged");
    eprintln!("{KILLS} kills, {acknowledged} samples acknowledged, none lost");
}

/// Writes and reads until the process is killed; gives what was acknowledged and the last scraped value seen.
fn write_until_killed(
    server: &Server,
    base: i64,
    from: i64,
    life: Duration,
    mut seen: Option<f64>,
) -> (i64, Option<f64>) {
    let killed = AtomicBool::new(false);
    let acknowledged = AtomicI64::new(from);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !killed.load(Ordering::SeqCst) {
                let next = acknowledged.load(Ordering::SeqCst);
                match server.post("/api/v1/write", &WriteRequest::HEADERS, &request(base, next).body()) {
                    Ok(response) if response.status == 204 => acknowledged.store(next + BATCH, Ordering::SeqCst),
                    Ok(response) => panic!("{}: {}", response.status, response.body),
                    Err(_) => return,
                }
            }
        });
        thread::sleep(life);
        seen = value(server, "scraped").or(seen);
        server.signal("KILL").unwrap();
        killed.store(true, Ordering::SeqCst);
    });
    (acknowledged.load(Ordering::SeqCst), seen)
}

fn request(base: i64, from: i64) -> WriteRequest {
    let samples: Vec<(i64, f64)> = (from..from + BATCH).map(|i| (base + i * SPACING, i as f64)).collect();
    WriteRequest::default().series(&[("__name__", "written"), ("job", "kill")], &samples)
}

fn check(server: &Server, base: i64, acknowledged: i64, seen_scraped: Option<f64>) {
    let response = server.query("written[13h]", None).unwrap();
    let answer = json(&response);
    let samples: BTreeMap<i64, f64> = answer["data"]["result"][0]["values"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|pair| ((pair[0].as_f64().unwrap() * 1000.0).round() as i64, number(&pair[1])))
        .collect();
    for i in 0..acknowledged {
        assert_eq!(
            samples.get(&(base + i * SPACING)),
            Some(&(i as f64)),
            "sample {i} of {acknowledged}: {}",
            server.errors()
        );
    }
    if let Some(seen) = seen_scraped {
        let newest = value(server, "max_over_time(scraped[10m])");
        assert!(newest >= Some(seen), "seen {seen} before the kill, now {newest:?}");
    }
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}
