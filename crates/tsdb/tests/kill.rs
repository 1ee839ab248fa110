//! kill -9 of a process that ingests, seals and merges: what it acknowledged is there afterwards, and the start is
//! never refused.

// A helper of a test may fail the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use model::{Appendable, Clock, Durability, Hints, Labels, Queryable, Sample, Samples, Selection, SystemClock};
use tempfile::tempdir;
use tsdb::{Db, Options};

/// Kills of one folder; more would run into the limit on samples of the future.
const KILLS: u64 = 200;

/// Tells the child where to work and at which round to begin.
const FOLDER_VARIABLE: &str = "SKEP_KILL_FOLDER";
const ROUND_VARIABLE: &str = "SKEP_KILL_ROUND";

const SERIES: i64 = 50;

fn open(folder: &Path) -> Db {
    Db::open(Options { path: folder.to_owned(), ..Options::default() }).unwrap()
}

/// Rounds lie a minute apart and begin ten days ago, so that the days change and their blocks are merged.
fn timestamp(start: i64, round: i64) -> i64 {
    start - 10 * 86_400_000 + round * 60_000
}

fn commit(db: &Db, start: i64, round: i64) {
    let mut batch = db.appender();
    for x in 0..SERIES {
        let labels = Labels::from_pairs([("__name__", "m"), ("x", &x.to_string())]);
        let sample = Sample { timestamp: timestamp(start, round), value: (round * x) as f64 / 10.0 };
        batch.append(&labels, sample).unwrap();
    }
    let durability = if round % 3 == 0 { Durability::Disk } else { Durability::Kernel };
    batch.commit(durability).unwrap();
}

/// Not a test: what the killed process does. It says each round that it committed.
#[test]
#[ignore = "the body of the process that `kills_lose_nothing` kills"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return };
    let (start, first) = {
        let text = std::env::var(ROUND_VARIABLE).unwrap();
        let (start, first) = text.split_once(' ').unwrap();
        (start.parse::<i64>().unwrap(), first.parse::<i64>().unwrap())
    };
    let db = open(Path::new(&folder));
    for round in first.. {
        commit(&db, start, round);
        writeln!(std::io::stdout(), "\nround {round}").unwrap();
        if round % 40 == 0 {
            db.seal().unwrap();
        }
    }
}

fn read(db: &Db) -> BTreeMap<i64, i64> {
    let selection = Selection { matchers: &[], min_time: 0, max_time: i64::MAX, hints: Hints::default() };
    let set = db.select(&selection).unwrap();
    assert_eq!(set.warnings, [""; 0]);
    let mut series_by_time = BTreeMap::new();
    for series in &set.series {
        let mut samples = Samples::default();
        series.read(&mut samples).unwrap();
        samples.timestamps.iter().for_each(|t| *series_by_time.entry(*t).or_default() += 1);
    }
    series_by_time
}

/// Runs the child from a round on, kills it after so many acknowledgements, returns the last one.
fn run_and_kill(folder: &Path, start: i64, first: i64, acknowledgements: u64) -> i64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--nocapture"])
        .env(FOLDER_VARIABLE, folder)
        .env(ROUND_VARIABLE, format!("{start} {first}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let round = |line: &str| line.trim().strip_prefix("round ").and_then(|n| n.parse::<i64>().ok());
    let (mut last, mut seen, mut line) = (first - 1, 0, String::new());
    while seen < acknowledgements {
        line.clear();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "the child ended by itself");
        if let Some(round) = round(&line) {
            (last, seen) = (round, seen + 1);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    // The last line may be cut; a number that is cut is no greater than the whole one.
    rest.lines().filter_map(round).fold(last, i64::max)
}

#[test]
fn kills_lose_nothing() {
    (0..testkit::soak_factor()).for_each(kill_often);
}

fn kill_often(seed: u64) {
    let folder = tempdir().unwrap();
    let start = SystemClock.now();
    let mut next = 0;
    for kill in 0..KILLS {
        let last = run_and_kill(folder.path(), start, next, 1 + (kill + seed) * 37 % 61);
        let db = open(folder.path());
        let got = read(&db);
        for round in 0..=last {
            assert_eq!(got.get(&timestamp(start, round)), Some(&SERIES), "round {round} after kill {kill} of {seed}");
        }
        assert!(got.values().all(|&count| count == SERIES), "half a batch is visible after kill {kill} of {seed}");
        next = got.len() as i64;
        db.close().unwrap();
    }
}
