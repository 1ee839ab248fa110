//! Expressions over a small store.

use std::sync::OnceLock;
use std::time::Duration;

use model::{Labels, Sample, Timestamp, stale_nan};
use promql::script::MemoryStore;
use promql::{Answer, Engine, EngineOptions, QueryError, QueryLimits, Range, Value};

/// Samples that a query may hold.
const SAMPLES_MAX: u64 = 20_000;
/// Time that a query may take: far below what libFuzzer calls a hang.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Steps of the range query, chosen by the first byte.
const STEPS: [u64; 4] = [1, 15_000, 60_000, 86_400_000];
/// Times, chosen by the second byte.
const TIMES: [Timestamp; 8] = [0, -60_000, 60_000, 300_001, 1_700_000_000_000, i64::MIN, i64::MAX, -1];

/// Evaluates what stands behind the first two bytes at a time and over a range. There is an answer or an error, and limits
/// hold; an answer has each label set once.
pub fn evaluation(bytes: &[u8]) {
    let &[how, when, ref text @ ..] = bytes else {
        return;
    };
    let Ok(expr) = promql::parse(&String::from_utf8_lossy(text)) else {
        return;
    };
    let engine = engine(how & 0x80 != 0);
    let at = TIMES[usize::from(when) % TIMES.len()];
    let limits = QueryLimits { timeout: Some(TIMEOUT), ..QueryLimits::default() };
    let store = store();
    check(engine.instant_expr(store, &expr, at, &limits), None);
    let step = Duration::from_millis(STEPS[usize::from(how) % STEPS.len()]);
    let range = Range { start: at, end: at.saturating_add(i64::from(when) * 5_000), step };
    check(engine.range_expr(store, &expr, range, &limits), Some(range));
}

fn engine(delayed_name_removal: bool) -> &'static Engine {
    static ENGINES: [OnceLock<Engine>; 2] = [const { OnceLock::new() }; 2];
    let options = EngineOptions {
        experimental_functions: true,
        delayed_name_removal,
        samples_max: SAMPLES_MAX,
        threads: 1,
        ..EngineOptions::default()
    };
    ENGINES[usize::from(delayed_name_removal)].get_or_init(|| Engine::new(options))
}

fn check(outcome: Result<Answer, QueryError>, range: Option<Range>) {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(answer.stats.samples_peak <= SAMPLES_MAX, "{:?}", answer.stats);
    let mut labels: Vec<Labels> = match answer.value {
        Value::Scalar(_) | Value::String { .. } => Vec::new(),
        Value::Vector(points) => points.into_iter().map(|point| point.labels).collect(),
        Value::Matrix(series) => {
            for series in &series {
                let times = &series.samples.timestamps;
                assert!(!times.is_empty() && times.is_sorted_by(|a, b| a < b), "{times:?}");
                if let Some(range) = range {
                    assert!(times[0] >= range.start && times[times.len() - 1] <= range.end, "{times:?}");
                }
            }
            series.into_iter().map(|series| series.labels).collect()
        }
    };
    let count = labels.len();
    labels.sort();
    labels.dedup();
    assert_eq!(labels.len(), count, "two series of the same labels");
}

/// Counters with resets, gauges with gaps and odd values, buckets, an info metric; around the epoch.
fn store() -> &'static MemoryStore {
    static STORE: OnceLock<MemoryStore> = OnceLock::new();
    STORE.get_or_init(|| {
        let mut store = MemoryStore::default();
        let odd = [1.0, f64::NAN, f64::INFINITY, -1.5, stale_nan(), 1e308, 0.0, -0.0];
        for (i, instance) in ["a", "b", "c"].into_iter().enumerate() {
            let mut add = |name: &str, le: Option<&str>, value: &dyn Fn(i64) -> Option<f64>| {
                let pairs = [("__name__", name), ("instance", instance), ("job", "j")];
                let labels = Labels::from_pairs(pairs.into_iter().chain(le.map(|le| ("le", le))));
                let samples = (-20..40).filter_map(|t| Some(Sample { timestamp: t * 15_000, value: value(t)? }));
                store.append(&labels, samples);
            };
            add("c_total", None, &|t| Some(((t + 20) % 17 * (i as i64 + 1)) as f64));
            add("g", None, &|t| (t % 5 != 0).then_some(t as f64 * 0.5));
            add("odd", None, &|t| Some(odd[(t + 20) as usize % odd.len()]));
            add("target_info", None, &|_| (i != 1).then_some(1.0));
            for (rank, le) in ["0.1", "1", "+Inf", "x"].into_iter().enumerate() {
                add("h_bucket", Some(le), &|t| Some(((t + 21) * (rank as i64 + 1) % 40) as f64));
            }
        }
        store
    })
}
