//! What a rule would have done in the past: its expression over a range, its alerts' states step by step.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use model::status::{Backtest, Episode, Trial};
use model::{Labels, Queryable, Timestamp};
use promql::{Engine, Expr, QueryLimits, Range, Value};

use crate::context::millis;

/// Evaluations of one backtest: ninety days of minutes.
const STEPS_MAX: i64 = 130_000;

/// Evaluations of one query, so that the memory of an answer does not grow with the days.
const CHUNK_STEPS: i64 = 2_000;

/// Label sets that are followed.
const SERIES_MAX: usize = 20_000;

/// Episodes that are told one by one; a page shows fewer.
const EPISODES_MAX: usize = 1_000;

/// Longest wait of the one who asked.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Evaluates at every interval from the first one on, exactly as the group would have done.
pub(crate) fn run(engine: &Engine, storage: &dyn Queryable, trial: &Trial) -> Result<Backtest, String> {
    let started = Instant::now();
    let expr = promql::parse(&trial.expr).map_err(|e| e.to_string())?;
    let step = millis(trial.interval);
    if step < 1 || trial.from > trial.to {
        return Err("the interval must be longer than nothing, and the range must not end before it begins".to_owned());
    }
    let from = (trial.from + step - 1).div_euclid(step) * step;
    let steps = (trial.to - from).div_euclid(step) + 1;
    if steps > STEPS_MAX {
        let message = "evaluations are too many for one backtest";
        return Err(format!("{steps} {message}: at most {STEPS_MAX}; choose fewer days or a longer interval"));
    }
    let mut machine = Machine::new(trial, step);
    let mut warnings = Vec::new();
    let mut at = from;
    while at <= trial.to {
        let left = TIME_MAX.checked_sub(started.elapsed()).ok_or_else(|| {
            format!(
                "the backtest was broken off after {} s; choose fewer days or a longer interval",
                TIME_MAX.as_secs()
            )
        })?;
        let end = (at + (CHUNK_STEPS - 1) * step).min(trial.to);
        warnings.extend(chunk(engine, storage, &expr, at, end, trial.interval, left, &mut machine)?);
        at += CHUNK_STEPS * step;
    }
    warnings.sort();
    warnings.dedup();
    let last = from + (steps - 1).max(0) * step;
    Ok(Backtest {
        steps: steps.max(0).unsigned_abs(),
        interval: trial.interval,
        from,
        to: last,
        warnings,
        took: started.elapsed(),
        ..machine.finish(last)
    })
}

#[expect(clippy::too_many_arguments, reason = "a query has as many parts")]
fn chunk(
    engine: &Engine,
    storage: &dyn Queryable,
    expr: &Expr,
    start: Timestamp,
    end: Timestamp,
    step: Duration,
    timeout: Duration,
    machine: &mut Machine,
) -> Result<Vec<String>, String> {
    // Kept answers are for charts that come again.
    let limits = QueryLimits { timeout: Some(timeout), fresh: true, ..QueryLimits::default() };
    let answer = engine.range_expr(storage, expr, Range { start, end, step }, &limits).map_err(|e| e.to_string())?;
    let Value::Matrix(matrix) = answer.value else {
        return Err("the expression gives no numbers that could fire".to_owned());
    };
    for series in matrix {
        let alert = machine.alert(series.labels.without_name())?;
        for sample in series.samples.iter() {
            machine.seen(alert, sample.timestamp, sample.value);
        }
    }
    Ok(answer.warnings)
}

/// The states of all label sets.
struct Machine {
    step: i64,
    hold: i64,
    keep: i64,
    places: HashMap<Labels, usize>,
    alerts: Vec<Followed>,
    found: Backtest,
    /// Beginnings and ends of episodes: how many fire at once.
    edges: Vec<(Timestamp, i32)>,
}

/// A label set between two of its samples.
struct Followed {
    labels: Labels,
    /// Its last sample.
    last: Timestamp,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Inactive,
    Pending { active_at: Timestamp },
    Firing { active_at: Timestamp, fired_at: Timestamp, value: f64 },
}

impl Machine {
    fn new(trial: &Trial, step: i64) -> Self {
        Self {
            step,
            hold: millis(trial.hold),
            keep: millis(trial.keep_firing),
            places: HashMap::new(),
            alerts: Vec::new(),
            found: Backtest::default(),
            edges: Vec::new(),
        }
    }

    fn alert(&mut self, labels: Labels) -> Result<usize, String> {
        if let Some(place) = self.places.get(&labels) {
            return Ok(*place);
        }
        if self.alerts.len() >= SERIES_MAX {
            return Err(format!("more than {SERIES_MAX} label sets would have been alerts; aggregate the expression"));
        }
        self.alerts.push(Followed { labels: labels.clone(), last: Timestamp::MIN, state: State::Inactive });
        self.places.insert(labels, self.alerts.len() - 1);
        Ok(self.alerts.len() - 1)
    }

    /// The expression gave a value at `at`; at the evaluations since the last one it gave none.
    fn seen(&mut self, alert: usize, at: Timestamp, value: f64) {
        self.absent_until(alert, at - self.step);
        let hold = self.hold;
        let alert = &mut self.alerts[alert];
        alert.last = at;
        let active_at = match alert.state {
            State::Firing { .. } => return,
            State::Pending { active_at } => active_at,
            State::Inactive => at,
        };
        alert.state = match at - active_at >= hold {
            true => State::Firing { active_at, fired_at: at, value },
            false => State::Pending { active_at },
        };
    }

    /// The expression gave nothing from behind the last sample up to and including `until`.
    fn absent_until(&mut self, place: usize, until: Timestamp) {
        let alert = &self.alerts[place];
        let first = alert.last.saturating_add(self.step);
        if first > until {
            return;
        }
        match alert.state {
            State::Inactive => {}
            State::Pending { .. } => {
                self.found.spared += 1;
                self.alerts[place].state = State::Inactive;
            }
            State::Firing { active_at, fired_at, value } => {
                // It ends at the first evaluation that is `keep` behind the first one that gave nothing.
                let end = first + (self.keep + self.step - 1).div_euclid(self.step) * self.step;
                if end <= until {
                    self.ended(place, active_at, fired_at, value, Some(end), end);
                    self.alerts[place].state = State::Inactive;
                }
            }
        }
    }

    fn ended(
        &mut self,
        place: usize,
        active_at: Timestamp,
        fired_at: Timestamp,
        value: f64,
        ended_at: Option<Timestamp>,
        until: Timestamp,
    ) {
        let length = Duration::from_millis((until - fired_at).max(0).unsigned_abs());
        self.found.fired += 1;
        self.found.firing += length;
        self.found.longest = self.found.longest.max(length);
        self.found.fires_now |= ended_at.is_none();
        self.edges.extend([(fired_at, 1), (until, -1)]);
        let labels = self.alerts[place].labels.clone();
        self.found.episodes.push(Episode { labels, active_at, fired_at, ended_at, value });
    }

    fn finish(mut self, last: Timestamp) -> Backtest {
        for place in 0..self.alerts.len() {
            self.absent_until(place, last);
            if let State::Firing { active_at, fired_at, value } = self.alerts[place].state {
                self.ended(place, active_at, fired_at, value, None, last);
            }
        }
        let mut found = self.found;
        found.series = self.alerts.len();
        found.episodes.sort_by(|a, b| a.fired_at.cmp(&b.fired_at).then_with(|| a.labels.cmp(&b.labels)));
        found.episodes.truncate(EPISODES_MAX);
        found.firing_any = union(self.edges);
        found
    }
}

/// The time in which at least one episode ran.
fn union(mut edges: Vec<(Timestamp, i32)>) -> Duration {
    edges.sort_unstable();
    let (mut running, mut since, mut total) = (0, 0, 0i64);
    for (at, change) in edges {
        if running > 0 {
            total += at - since;
        }
        (running, since) = (running + change, at);
    }
    Duration::from_millis(total.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_several_is_counted_once() {
        let check = |episodes: &[(i64, i64)], expected: u64| {
            let edges = episodes.iter().flat_map(|(from, to)| [(*from, 1), (*to, -1)]).collect();
            assert_eq!(union(edges), Duration::from_millis(expected), "{episodes:?}");
        };
        check(&[], 0);
        check(&[(0, 5)], 5);
        check(&[(0, 5), (3, 8), (8, 9), (20, 21)], 10);
    }
}
