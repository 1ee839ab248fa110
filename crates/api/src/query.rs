//! `query` and `query_range`.

use std::time::{Duration, Instant as Stopwatch};

use model::{Labels, Samples, Timestamp};
use promql::{Answer, Held, MatrixSeries, QueryLimits, QueryStats, Range, Value, VectorPoint};

use crate::State;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::json::{Object, push_labels, push_pair, push_point, push_text};
use crate::number::{push_integer, push_plain};
use crate::reply::{Notes, Reply, array_parts};
use crate::time::{Instant, parse_nanos};

/// Most steps between the first and the last point of a range query: a point a minute for a week.
const STEPS_MAX: i64 = 11_000;
/// Samples of one series that are written at a time, some 25 KiB.
const SAMPLES_AT_ONCE: usize = 1_000;

/// `query`: an expression at one time.
pub(crate) fn instant(state: &State, call: &Call) -> Result<Reply, Failure> {
    let limit = call.form.limit()?;
    let at = read_instant(state, call)?;
    let limits = limits(call)?;
    let clock = Stopwatch::now();
    let evaluate = || state.engine.instant(&*state.storage, call.form.get("query"), at, &limits);
    let answer = run(&limits, evaluate, call)?;
    let stats = stats(state, call, clock, &answer, (at, Duration::ZERO));
    Ok(reply(answer, limit, stats))
}

/// `query_range`: an expression at every step of a range.
pub(crate) fn range(state: &State, call: &Call) -> Result<Reply, Failure> {
    let limit = call.form.limit()?;
    let range = read_range(call)?;
    let limits = limits(call)?;
    let clock = Stopwatch::now();
    let evaluate = || state.engine.range(&*state.storage, call.form.get("query"), range, &limits);
    let answer = run(&limits, evaluate, call)?;
    let stats = stats(state, call, clock, &answer, (range.start, range.step));
    Ok(reply(answer, limit, stats))
}

/// Whether `query_range` continues an answer that is kept.
pub(crate) fn is_quick(state: &State, call: &Call) -> bool {
    match (read_range(call), limits(call)) {
        (Ok(range), Ok(limits)) => state.engine.is_quick(call.form.get("query"), range, &limits),
        _ => false,
    }
}

/// The time of an instant query.
pub(crate) fn read_instant(state: &State, call: &Call) -> Result<Timestamp, Failure> {
    Ok(call.form.time("time", Instant::from_millis(state.clock.now()))?.evaluation_millis())
}

/// The steps of a range query.
pub(crate) fn read_range(call: &Call) -> Result<Range, Failure> {
    let start = call.form.needed_time("start")?;
    let end = call.form.needed_time("end")?;
    if end < start {
        return Err(Failure::parameter("end", "end timestamp must not be before start time"));
    }
    let step = call.form.needed_nanos("step")?;
    if step <= 0 {
        let reason = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(Failure::parameter("step", reason));
    }
    if end.nanos_since(start) / step > STEPS_MAX {
        return Err(Failure::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution \
             (?step=XX)",
        ));
    }
    let step = Duration::from_millis((step / 1_000_000).max(1).unsigned_abs());
    Ok(Range { start: start.evaluation_millis(), end: end.evaluation_millis(), step })
}

pub(crate) fn limits(call: &Call) -> Result<QueryLimits, Failure> {
    let timeout = call.form.nanos("timeout")?;
    let lookback = match call.form.get("lookback_delta") {
        "" => 0,
        text => parse_nanos(text)
            .map_err(|reason| Failure::bad_data(format!("error parsing lookback delta duration: {reason}")))?,
    };
    Ok(QueryLimits {
        timeout: timeout.map(|nanos| Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))),
        lookback: u64::try_from(lookback).ok().filter(|&nanos| nanos > 0).map(Duration::from_nanos),
        cancel: call.cancel.clone(),
        // Statistics are of all the work.
        fresh: call.form.get("nocache") == "1" || !call.form.get("stats").is_empty(),
        count: !call.form.get("stats").is_empty(),
    })
}

/// Evaluates, unless the time for it is over at once.
pub(crate) fn run<T, E>(
    limits: &QueryLimits,
    evaluate: impl FnOnce() -> Result<T, E>,
    call: &Call,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    if limits.timeout == Some(Duration::ZERO) {
        promql::parse(call.form.get("query"))?;
        return Err(Failure::new(Kind::Execution, "context deadline exceeded"));
    }
    evaluate().map_err(Failure::from)
}

/// What is told of a query beside its answer.
pub(crate) struct Stats {
    took: Duration,
    samples: QueryStats,
    /// Of each step; `None` where they are not told.
    per_step: Option<Vec<(Timestamp, u64)>>,
}

/// Statistics, if they are asked for. Steps begin at a time and follow each other by a duration.
fn stats(
    state: &State,
    call: &Call,
    clock: Stopwatch,
    answer: &Answer,
    (start, step): (Timestamp, Duration),
) -> Option<Stats> {
    let asked = call.form.get("stats");
    let is_per_step = asked == "all" && state.engine.options().per_step_stats;
    let times = (0..).map(|i| start.saturating_add(step.as_millis() as i64 * i));
    let per_step = is_per_step.then(|| times.zip(answer.samples_per_step.iter().copied()).collect());
    (!asked.is_empty()).then(|| Stats { took: clock.elapsed(), samples: answer.stats, per_step })
}

/// Writes an answer without ever holding its text whole.
pub(crate) fn reply(answer: Answer, limit: Option<usize>, stats: Option<Stats>) -> Reply {
    let mut notes = Notes { warnings: answer.warnings, infos: answer.infos };
    let tail = Tail { stats, _held: answer.held };
    match answer.value {
        Value::Scalar(sample) => whole("scalar", notes, tail, |out| {
            push_pair(out, sample.timestamp, |out| {
                out.push(b'"');
                push_plain(out, sample.value);
                out.push(b'"');
            });
        }),
        Value::String { timestamp, text } => whole("string", notes, tail, |out| {
            push_pair(out, timestamp, |out| push_text(out, &text));
        }),
        Value::Vector(mut points) => {
            notes.cut(&mut points, limit);
            wrap("vector", array_parts(points.into_iter(), push_vector_point), notes, tail)
        }
        Value::Matrix(mut series) => {
            notes.cut(&mut series, limit);
            wrap("matrix", matrix_parts(series), notes, tail)
        }
    }
}

/// What goes with the value until it is written.
struct Tail {
    stats: Option<Stats>,
    _held: Held,
}

fn whole(kind: &'static str, notes: Notes, tail: Tail, write: impl FnOnce(&mut Vec<u8>)) -> Reply {
    let mut data = Vec::new();
    write(&mut data);
    let parts = move |out: &mut Vec<u8>| {
        out.append(&mut data);
        false
    };
    wrap(kind, parts, notes, tail)
}

/// `{"resultType":KIND,"result":PARTS}`.
fn wrap(
    kind: &'static str,
    mut parts: impl FnMut(&mut Vec<u8>) -> bool + Send + 'static,
    notes: Notes,
    tail: Tail,
) -> Reply {
    let mut begun = false;
    let parts = move |out: &mut Vec<u8>| {
        if !begun {
            out.extend_from_slice(format!("{{\"resultType\":\"{kind}\",\"result\":").as_bytes());
            begun = true;
        }
        let more = parts(out);
        if !more {
            // All of it belongs to the closure, for what it counts.
            let tail = &tail;
            if let Some(stats) = &tail.stats {
                out.extend_from_slice(b",\"stats\":");
                push_stats(out, stats);
            }
            out.push(b'}');
        }
        more
    };
    Reply::stream(parts, notes)
}

/// Prometheus' statistics; phases that skep does not tell apart are zero.
fn push_stats(out: &mut Vec<u8>, stats: &Stats) {
    let seconds = stats.took.as_secs_f64();
    let mut object = Object::new(out);
    let mut timings = Object::new(object.field("timings"));
    timings.float("evalTotalTime", seconds).float("resultSortTime", 0.0).float("queryPreparationTime", 0.0);
    timings.float("innerEvalTime", seconds).float("execQueueTime", 0.0).float("execTotalTime", seconds);
    timings.end();
    let mut samples = Object::new(object.field("samples"));
    if let Some(steps) = &stats.per_step {
        samples.array("totalQueryableSamplesPerStep", steps, |out, &(time, count)| {
            push_pair(out, time, |out| push_integer(out, count.cast_signed()));
        });
    }
    samples.integer("totalQueryableSamples", stats.samples.samples_total.cast_signed());
    samples.integer("peakSamples", stats.samples.samples_peak.cast_signed());
    samples.end();
    object.end();
}

#[expect(clippy::needless_pass_by_value, reason = "an item of an array is used up by writing it")]
fn push_vector_point(out: &mut Vec<u8>, point: VectorPoint) {
    out.extend_from_slice(b"{\"metric\":");
    push_labels(out, &point.labels);
    out.extend_from_slice(b",\"value\":");
    push_point(out, point.sample.timestamp, point.sample.value);
    out.push(b'}');
}

/// Writes series by series, and of a long series only some samples a call.
fn matrix_parts(series: Vec<MatrixSeries>) -> impl FnMut(&mut Vec<u8>) -> bool + Send {
    let mut rest = series.into_iter().peekable();
    let mut written = 0;
    let mut begun = false;
    move |out| {
        if !begun {
            out.push(b'[');
            begun = true;
        }
        let Some(series) = rest.peek() else {
            out.push(b']');
            return false;
        };
        if written == 0 {
            push_series_head(out, &series.labels);
        }
        let until = series.samples.len().min(written + SAMPLES_AT_ONCE);
        push_samples(out, &series.samples, written..until);
        written = until;
        if written == series.samples.len() {
            out.extend_from_slice(b"]}");
            rest.next();
            written = 0;
            if rest.peek().is_some() {
                out.push(b',');
            }
        }
        true
    }
}

fn push_series_head(out: &mut Vec<u8>, labels: &Labels) {
    out.extend_from_slice(b"{\"metric\":");
    push_labels(out, labels);
    out.extend_from_slice(b",\"values\":[");
}

fn push_samples(out: &mut Vec<u8>, samples: &Samples, part: std::ops::Range<usize>) {
    let times: &[Timestamp] = &samples.timestamps[part.clone()];
    for (i, (&timestamp, &value)) in times.iter().zip(&samples.values[part.clone()]).enumerate() {
        if part.start + i > 0 {
            out.push(b',');
        }
        push_point(out, timestamp, value);
    }
}
