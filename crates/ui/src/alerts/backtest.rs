//! What a rule would have done, for the pages that show it.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::status::{Backtest, Episode, Trial};

use super::{Pairs, pairs};
use crate::Ui;
use crate::format::{Unit, When, exact, took};
use crate::problem::Problem;

/// Days to choose from.
pub(super) const DAYS: [u32; 5] = [1, 3, 7, 30, 90];

/// Episodes on a page; the rest is counted.
const SHOWN_MAX: usize = 50;

/// A backtest in words.
pub(super) struct Outcome {
    pub(super) error: String,
    pub(super) days: u32,
    pub(super) fired: u64,
    pub(super) spared: u64,
    pub(super) series: usize,
    pub(super) firing: String,
    pub(super) share: String,
    pub(super) longest: String,
    pub(super) steps: u64,
    pub(super) interval: String,
    pub(super) took: String,
    pub(super) fires_now: bool,
    pub(super) warnings: Vec<String>,
    pub(super) episodes: Vec<Row>,
    pub(super) hidden: u64,
    /// Where the store begins, if that is later than what was asked for.
    pub(super) since: Option<When>,
}

pub(super) struct Row {
    pub(super) labels: Pairs,
    pub(super) from: When,
    pub(super) length: String,
    /// In a few digits, and in full.
    pub(super) value: String,
    pub(super) exact: String,
    pub(super) goes_on: bool,
}

/// Tries a rule on the last days. `None` for the interval chooses one that the days allow.
pub(super) async fn run(
    ui: &Ui,
    expr: &str,
    hold: Duration,
    keep_firing: Duration,
    interval: Option<Duration>,
    days: u32,
) -> Result<Outcome, Problem> {
    let now = ui.state.clock.now();
    let from = now - i64::from(days) * 86_400_000;
    let oldest = ui.state.store.status().min_time.unwrap_or(from);
    let trial = Trial {
        expr: expr.to_owned(),
        hold,
        keep_firing,
        interval: interval.unwrap_or_else(|| coarse(hold, days)),
        from: from.max(oldest),
        to: now,
    };
    let rules = Arc::clone(&ui.state.rules);
    let found = ui.ask(move |_| rules.backtest(&trial)).await?;
    let since = Some(When::new(oldest)).filter(|_| oldest > from);
    Ok(Outcome { since, ..shown(found, days, now) })
}

/// Every 15 s where the days are few, every minute for a month, coarser beyond; never coarser than a third of `for`, so that
/// what is told of it still holds.
fn coarse(hold: Duration, days: u32) -> Duration {
    let wanted = match days {
        0..=3 => 15,
        4..=30 => 60,
        _ => 120,
    };
    let finest = match days {
        0..=7 => 15,
        8..=30 => 20,
        _ => 60,
    };
    let third = hold.as_secs() / 3;
    Duration::from_secs(if third == 0 { wanted } else { wanted.min(third).max(finest) })
}

fn shown(found: Result<Backtest, String>, days: u32, now: Timestamp) -> Outcome {
    let (found, error) = match found {
        Ok(found) => (found, String::new()),
        Err(error) => (Backtest::default(), error),
    };
    let span = (found.to - found.from) as f64 / 1000.0;
    let share = if span > 0.0 { found.firing_any.as_secs_f64() / span * 100.0 } else { 0.0 };
    let rows: Vec<Row> = found.episodes.iter().rev().take(SHOWN_MAX).map(|episode| row(episode, now)).collect();
    Outcome {
        error,
        days,
        fired: found.fired,
        spared: found.spared,
        series: found.series,
        firing: took(found.firing_any),
        share: if share > 0.0 && share < 0.1 { "under 0.1 %".to_owned() } else { format!("{share:.1} %") },
        longest: took(found.longest),
        steps: found.steps,
        interval: model::format_duration(found.interval),
        took: took(found.took),
        fires_now: found.fires_now,
        warnings: found.warnings,
        hidden: found.fired - rows.len() as u64,
        episodes: rows,
        since: None,
    }
}

fn row(episode: &Episode, now: Timestamp) -> Row {
    let length = episode.ended_at.unwrap_or(now) - episode.fired_at;
    Row {
        labels: pairs(&episode.labels),
        from: When::new(episode.fired_at),
        length: Unit::Seconds.text(length as f64 / 1000.0),
        value: Unit::Short.text(episode.value),
        exact: exact(episode.value),
        goes_on: episode.ended_at.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_fits_days_and_for() {
        let check = |hold: u64, days: u32, expected: u64| {
            assert_eq!(coarse(Duration::from_secs(hold), days), Duration::from_secs(expected), "{hold} {days}");
        };
        check(0, 1, 15);
        check(300, 7, 60);
        check(60, 7, 20);
        check(60, 90, 60);
        check(3600, 90, 120);
        // No choice asks for more evaluations than a backtest has.
        for days in DAYS {
            for hold in [0, 15, 60, 300, 3600] {
                let interval = coarse(Duration::from_secs(hold), days).as_secs();
                assert!(u64::from(days) * 86_400 / interval < 130_000, "{days} {hold}");
            }
        }
    }
}
