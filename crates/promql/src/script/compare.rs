//! Answers against expectations.

use model::{Labels, Pattern, Samples, Timestamp};

use super::command::{Evaluation, Time, Wanted};
use super::values::{Item, Sequence};
use crate::{Answer, QueryError, Value};

/// Expectations are written with few digits, so values may differ by this part.
const TOLERANCE: f64 = 1e-6;

type Outcome = Result<Answer, QueryError>;

/// Compares an answer with all expectations.
pub(super) fn check(evaluation: &Evaluation, outcome: &Outcome) -> Result<(), String> {
    let Some(answer) = succeeded(evaluation, outcome)? else {
        return Ok(());
    };
    let time = evaluation.matrix.map_or(evaluation.time, Time::Range);
    match (&answer.value, time) {
        (Value::String { text, .. }, _) => match &evaluation.text {
            Some(expected) if expected == text => Ok(()),
            expected => Err(format!("expected the string {expected:?}, got {text:?}")),
        },
        (Value::Scalar(sample), _) => {
            let expected = evaluation.scalar.ok_or_else(|| format!("got the scalar {}", sample.value))?;
            check_value(expected, sample.value)
        }
        (Value::Vector(points), _) => {
            let got = points.iter().map(|point| (point.labels.clone(), point.sample.value)).collect();
            check_vector(evaluation, got)
        }
        (Value::Matrix(series), Time::Range(range)) => {
            let got: Vec<_> = series.iter().map(|series| (&series.labels, &series.samples)).collect();
            let step = range.step.as_millis() as i64;
            check_matrix(evaluation, &got, |i| range.start + i as i64 * step)
        }
        (Value::Matrix(_), Time::Instant(_)) => Err("an instant query gave a matrix".to_owned()),
    }
}

/// Compares the step at `at` of a range query with the expectations of an instant query.
pub(super) fn check_middle(evaluation: &Evaluation, outcome: &Outcome, at: Timestamp) -> Result<(), String> {
    let Ok(answer) = outcome else {
        // A neighbouring step may fail where this one does not; the error's own case is the instant query.
        return Ok(());
    };
    if evaluation.fail.is_some() {
        return Err("expected an error, got none".to_owned());
    }
    let Value::Matrix(series) = &answer.value else {
        return Err("a range query gave no matrix".to_owned());
    };
    let at_step = |samples: &Samples| {
        let place = samples.timestamps.binary_search(&at).ok()?;
        Some(samples.values[place])
    };
    let got: Vec<(Labels, f64)> =
        series.iter().filter_map(|s| at_step(&s.samples).map(|value| (s.labels.clone(), value))).collect();
    match (evaluation.scalar, got.as_slice()) {
        (Some(expected), [(_, value)]) => check_value(expected, *value),
        (Some(_), _) => Err("expected one value".to_owned()),
        (None, _) => check_vector(evaluation, got),
    }
}

/// The answer, if there should be one; checks errors and annotations.
fn succeeded<'a>(evaluation: &Evaluation, outcome: &'a Outcome) -> Result<Option<&'a Answer>, String> {
    let answer = match (&evaluation.fail, outcome) {
        (Some(wanted), Err(e)) => return find(wanted, &[e.to_string()], "error").map(|()| None),
        (Some(_), Ok(_)) => return Err("expected an error, got none".to_owned()),
        (None, Err(e)) => return Err(format!("unexpected error: {e}")),
        (None, Ok(answer)) => answer,
    };
    for (wanted, notes, kind) in
        [(&evaluation.warn, &answer.warnings, "warning"), (&evaluation.info, &answer.infos, "info")]
    {
        wanted.iter().try_for_each(|wanted| find(wanted, notes, kind))?;
    }
    for (none, notes) in [(evaluation.no_warn, &answer.warnings), (evaluation.no_info, &answer.infos)] {
        if none && !notes.is_empty() {
            return Err(format!("unexpected notes: {notes:?}"));
        }
    }
    Ok(Some(answer))
}

fn find(wanted: &Wanted, notes: &[String], kind: &str) -> Result<(), String> {
    let found = match wanted {
        Wanted::Any => !notes.is_empty(),
        Wanted::Text(text) => notes.iter().any(|note| note.trim() == text),
        Wanted::Pattern(pattern) => {
            let pattern = Pattern::new(&format!(".*(?:{pattern}).*")).map_err(|e| e.to_string())?;
            notes.iter().any(|note| pattern.is_match(note))
        }
    };
    if found { Ok(()) } else { Err(format!("expected {kind} {wanted:?}, got {notes:?}")) }
}

fn check_vector(evaluation: &Evaluation, mut got: Vec<(Labels, f64)>) -> Result<(), String> {
    for (i, expected) in evaluation.series.iter().enumerate() {
        let place = got.iter().position(|(labels, _)| *labels == expected.labels);
        let place = place.ok_or_else(|| format!("{} is missing; got {got:?}", expected.labels))?;
        if evaluation.ordered && place != 0 {
            return Err(format!("{} should stand at place {i}", expected.labels));
        }
        let (labels, value) = got.remove(place);
        match expected.items.as_slice() {
            [Item::Value(wanted)] => check_value(*wanted, value).map_err(|e| format!("{labels}: {e}"))?,
            other => return Err(format!("an instant vector has one value a series, not {other:?}")),
        }
    }
    if got.is_empty() { Ok(()) } else { Err(format!("too much: {got:?}")) }
}

fn check_matrix(
    evaluation: &Evaluation,
    got: &[(&Labels, &Samples)],
    time_of: impl Fn(usize) -> Timestamp,
) -> Result<(), String> {
    let expected: Vec<&Sequence> = evaluation
        .series
        .iter()
        .filter(|sequence| sequence.items.iter().any(|item| matches!(item, Item::Value(_))))
        .collect();
    for sequence in &expected {
        let labels = &sequence.labels;
        let (_, samples) =
            got.iter().find(|(l, _)| *l == labels).ok_or_else(|| format!("{labels} is missing; got {got:?}"))?;
        let wanted: Vec<(Timestamp, f64)> = sequence
            .items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| match item {
                Item::Value(value) => Some((time_of(i), *value)),
                _ => None,
            })
            .collect();
        let times: Vec<Timestamp> = wanted.iter().map(|(time, _)| *time).collect();
        if times != samples.timestamps {
            return Err(format!("{labels}: expected {wanted:?}, got {samples:?}"));
        }
        for ((time, wanted), value) in wanted.iter().zip(&samples.values) {
            check_value(*wanted, *value).map_err(|e| format!("{labels} at {time}: {e}"))?;
        }
    }
    // A scalar expression is expected under `{}`, so nothing else is left to compare.
    if got.len() == expected.len() { Ok(()) } else { Err(format!("too much: {got:?}")) }
}

fn check_value(expected: f64, got: f64) -> Result<(), String> {
    if almost_equal(expected, got) { Ok(()) } else { Err(format!("expected {expected}, got {got}")) }
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || a.is_nan() && b.is_nan() {
        return true;
    }
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || a.abs() + b.abs() < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / (a.abs() + b.abs()).min(f64::MAX) < TOLERANCE
}
