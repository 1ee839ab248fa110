//! Brings back the time for which alerts were pending before a restart.

use std::collections::HashMap;

use model::{Hints, Labels, METRIC_NAME, Matcher, Sample, Samples, Selection, Timestamp, is_stale};

use crate::alerting::{ALERTS_FOR_STATE, Alerting};
use crate::context::{Context, millis};
use crate::{Error, Rule};

/// Moves the alerts' beginnings back to what `ALERTS_FOR_STATE` says, the time of the outage not counted. Rules with a
/// `for` shorter than the grace period are left alone: they fire soon enough. After an error the rule runs without.
pub(crate) fn restore(rule: &Rule, alerting: &mut Alerting, context: &Context, now: Timestamp) -> Result<(), Error> {
    alerting.set_restored();
    let (hold, grace) = (millis(alerting.hold()), millis(context.options.for_grace_period));
    if hold < grace {
        return Ok(());
    }
    let states = states(&rule.name, context, now)?;
    for (labels, alert) in alerting.alerts_mut() {
        let Some(last) = states.get(labels).filter(|last| !is_stale(last.value)) else { continue };
        alert.active_at = restored(*last, now, hold, grace).unwrap_or((last.value as i64).saturating_mul(1000));
    }
    Ok(())
}

/// When an alert counts as begun whose last state is known; `None`: since it really began, because it fired already.
fn restored(last: Sample, now: Timestamp, hold: i64, grace: i64) -> Option<Timestamp> {
    let began = (last.value as i64).saturating_mul(1000);
    // Both times are whole seconds in Prometheus.
    let down = last.timestamp.div_euclid(1000) * 1000;
    let remaining = hold - (down - began);
    if remaining <= 0 {
        return None;
    }
    // Close to firing: the targets get the grace period to come back first. Else the outage is simply not counted.
    Some(if remaining < grace { now + grace - hold } else { began + (now - down) })
}

/// The last sample of each state series of a rule, by the alert's labels.
fn states(alert: &str, context: &Context, now: Timestamp) -> Result<HashMap<Labels, Sample>, Error> {
    let matchers = [Matcher::equal(METRIC_NAME, ALERTS_FOR_STATE), Matcher::equal("alertname", alert)];
    let selection = Selection {
        matchers: &matchers,
        min_time: now.saturating_sub(millis(context.options.outage_tolerance)),
        max_time: now,
        hints: Hints::default(),
    };
    let mut states = HashMap::new();
    let mut samples = Samples::default();
    for series in context.queryable.select(&selection)?.series {
        samples.clear();
        series.read(&mut samples)?;
        if let Some(last) = samples.iter().last() {
            states.insert(series.labels().without_name(), last);
        }
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_was_spent_pending() {
        const MINUTE: i64 = 60_000;
        let check = |began: i64, down: i64, now: i64, expected: Option<i64>| {
            let last = Sample { timestamp: down * MINUTE, value: (began * 60) as f64 };
            let got = restored(last, now * MINUTE, 30 * MINUTE, 10 * MINUTE);
            assert_eq!(got, expected.map(|m| m * MINUTE), "began {began}, down {down}, now {now}");
        };
        // Pending for 5 of 30 minutes, then 20 minutes away: 25 are still to go.
        check(100, 105, 125, Some(120));
        // Pending for 25 minutes: 5 to go, which the grace period makes 10.
        check(100, 125, 140, Some(120));
        // It was firing.
        check(100, 130, 140, None);
    }
}
