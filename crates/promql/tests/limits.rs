//! Limits of queries: each is a clear error in Prometheus' words.

#![expect(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use model::{Exemplar, Labels, Metadata, Queryable, Sample, Selection, SeriesSet, StorageError, Timestamp};
use promql::script::MemoryStore;
use promql::{Cancel, Engine, EngineOptions, QueryLimits, Range, Value};

const MINUTE: Duration = Duration::from_secs(60);

fn store() -> MemoryStore {
    let mut store = MemoryStore::default();
    for i in 0..100 {
        let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("i", i.to_string())]);
        store.append(&labels, (0..100).map(|t| Sample { timestamp: t * 60_000, value: t as f64 }));
    }
    store
}

fn range() -> Range {
    Range { start: 0, end: 99 * 60_000, step: MINUTE }
}

#[test]
fn errors_of_limits() {
    let default = EngineOptions::default;
    let cancelled = Cancel::default();
    cancelled.cancel();
    let limits = QueryLimits::default;
    let doubled = (0..30).fold("vector(1)".to_owned(), |query, _| {
        let first = if query == "vector(1)" { "label_replace(vector(1), \"a\", \"xxxx\", \"\", \"\")" } else { &query };
        format!("label_join({first}, \"a\", \"\", \"a\", \"a\")")
    });
    let dollars = format!("label_replace(vector(1), \"a\", \"{}\", \"\", \"\")", "x".repeat(20_000));
    let wide = (0..100).fold("m".to_owned(), |query, i| {
        format!("label_replace({query}, \"a{i}\", \"{}\", \"\", \"\")", "x".repeat(10_000))
    });
    let cases = [
        (
            default(),
            limits(),
            doubled.as_str(),
            "execution",
            "label_join() would make a label value of more than 16384 bytes",
        ),
        (
            default(),
            limits(),
            dollars.as_str(),
            "execution",
            "label_replace() would make a label value of more than 16384 bytes",
        ),
        (
            EngineOptions { samples_max: 100_000, ..default() },
            limits(),
            wide.as_str(),
            "execution",
            "query processing would load too many samples into memory in query execution",
        ),
        (
            EngineOptions { samples_max: 5_000, ..default() },
            limits(),
            "m",
            "execution",
            "query processing would load too many samples into memory in query execution",
        ),
        (
            EngineOptions { samples_max: 1_000, ..default() },
            limits(),
            "sum(sum_over_time(vector(1)[100d:1s]))",
            "execution",
            "query processing would load too many samples into memory in query execution",
        ),
        (
            default(),
            QueryLimits { timeout: Some(Duration::ZERO), ..limits() },
            "m",
            "timeout",
            "query timed out in expression evaluation",
        ),
        (
            default(),
            QueryLimits { cancel: cancelled, ..limits() },
            "m",
            "canceled",
            "query was canceled in query execution",
        ),
        (
            default(),
            limits(),
            "m[5m]",
            "bad_data",
            "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ),
        (
            default(),
            limits(),
            "limitk(1, m)",
            "bad_data",
            "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
        ),
        (
            default(),
            limits(),
            "mad_over_time(m[5m])",
            "bad_data",
            "1:1: parse error: function \"mad_over_time\" is not enabled",
        ),
    ];
    for (options, limits, query, kind, message) in cases {
        let error = Engine::new(options).range(&store(), query, range(), &limits).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, message), "{query}");
    }
}

#[test]
fn folding_holds_one_group_not_all_series() {
    let options = EngineOptions { samples_max: 500, ..EngineOptions::default() };
    let answer = Engine::new(options).range(&store(), "sum(m)", range(), &QueryLimits::default()).unwrap();
    assert!(matches!(answer.value, Value::Matrix(series) if series.len() == 1));
    assert_eq!(answer.stats.samples_total, 100 * 100);
}

#[test]
fn odd_ranges() {
    let engine = Engine::new(EngineOptions::default());
    let limits = QueryLimits::default();
    let of = |start: Timestamp, end, step| engine.range(&store(), "1", Range { start, end, step }, &limits);
    assert_eq!(of(1, 0, MINUTE).unwrap_err().to_string(), "end timestamp must not be before start time");
    assert!(of(0, 1, Duration::ZERO).unwrap_err().to_string().starts_with("zero or negative"));
    assert!(of(i64::MIN, i64::MAX, Duration::from_millis(1)).is_err());
    assert!(of(i64::MAX - 1, i64::MAX, MINUTE).is_ok());
}

/// Holds every selection until it is let go.
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Queryable for Gate {
    fn select(&self, _: &Selection<'_>) -> Result<SeriesSet, StorageError> {
        let mut open = self.open.lock().unwrap();
        while !*open {
            open = self.changed.wait(open).unwrap();
        }
        Ok(SeriesSet::default())
    }

    fn label_names(&self, _: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &Selection<'_>) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn exemplars(&self, _: &Selection<'_>) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        Ok(Vec::new())
    }

    fn metadata(&self, _: Option<&str>) -> Vec<(String, Metadata)> {
        Vec::new()
    }
}

#[test]
fn queries_wait_for_their_turn() {
    let engine = Arc::new(Engine::new(EngineOptions { concurrency: 1, ..EngineOptions::default() }));
    let gate = Arc::new(Gate { open: Mutex::new(false), changed: Condvar::new() });
    let first = {
        let (engine, gate) = (Arc::clone(&engine), Arc::clone(&gate));
        thread::spawn(move || engine.instant(gate.as_ref(), "m", 0, &QueryLimits::default()).map(|_| ()))
    };
    // Until the first query has its turn the second one may get it; then it ends at once.
    let limits = QueryLimits { timeout: Some(Duration::from_millis(20)), ..QueryLimits::default() };
    let refused = (0..1000).find_map(|_| engine.instant(&store(), "1", 0, &limits).err()).unwrap();
    assert_eq!((refused.kind(), refused.to_string().as_str()), ("timeout", "query timed out in query queue"));
    let cancel = Cancel::default();
    cancel.cancel();
    let limits = QueryLimits { cancel, ..QueryLimits::default() };
    let refused = engine.instant(&store(), "1", 0, &limits).unwrap_err();
    assert_eq!((refused.kind(), refused.to_string().as_str()), ("canceled", "query was canceled in query queue"));
    *gate.open.lock().unwrap() = true;
    gate.changed.notify_all();
    first.join().unwrap().unwrap();
    assert!(engine.instant(&store(), "1", 0, &QueryLimits::default()).is_ok());
}
