//! A query of a panel, ready to be asked.

use crate::board::{Panel, Target};
use crate::variable::{MinStep, Resolution, Scope, Steps, Syntax, TimeRange, TooLong, parse_duration_ms};

/// A query with its variables filled in, its time and its step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// PromQL.
    pub expr: String,
    /// The time, brought to multiples of the step, so that a picture does not tremble while time goes on. A query of
    /// one moment is asked for its end.
    pub range: TimeRange,
    /// The steps that it was made with.
    pub steps: Steps,
}

/// The page's side of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// The panel's width in pixels; 0, not known.
    pub width: u32,
    /// The scrape interval of the data, in milliseconds; absent, Grafana's 15 s.
    pub scrape_interval_ms: Option<u64>,
}

/// Makes a query of a panel ready for a time, which is the panel's own where it has one.
pub fn ask(
    panel: &Panel,
    target: &Target,
    scope: &Scope,
    range: &TimeRange,
    screen: Screen,
) -> Result<Question, TooLong> {
    let resolution = Resolution {
        points: panel.points_max.unwrap_or(screen.width).into(),
        min_step: MinStep::parse(&scope.fill(&target.min_step, Syntax::Plain)?),
        panel_step_ms: parse_duration_ms(&scope.fill(&panel.min_step, Syntax::Plain)?),
        scrape_interval_ms: screen.scrape_interval_ms,
        factor: target.step_factor.into(),
    };
    let steps = Steps::of(range, &resolution);
    let scope = scope.with_steps(steps).with_range(range.clone());
    let range = if target.range { aligned(range, steps.step_ms) } else { range.clone() };
    Ok(Question { expr: scope.fill(&target.expr, Syntax::PromQl)?, range, steps })
}

fn aligned(range: &TimeRange, step_ms: u64) -> TimeRange {
    let step = i64::try_from(step_ms).unwrap_or(i64::MAX).max(1);
    let floor = |time_ms: i64| time_ms.div_euclid(step).saturating_mul(step);
    TimeRange { from_ms: floor(range.from_ms), to_ms: floor(range.to_ms) }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::variable::{Choice, Selected};

    #[test]
    fn queries_are_made_ready() {
        let range = TimeRange { from_ms: 1_594_671_549_254, to_ms: 1_594_675_149_254 };
        let mut scope = Scope::new(range.clone(), TimeZone::UTC);
        scope.set("res", Selected::one(Choice::same("2m")));
        let check = |panel: &str, width: u32, expr: &str, step: u64, from_ms: i64| {
            let json = format!("{{\"panels\": [{{\"type\": \"stat\", {panel}}}]}}");
            let dashboard = crate::import(&json).unwrap().dashboard;
            let panel = dashboard.panels().next().unwrap();
            let screen = Screen { width, scrape_interval_ms: Some(10_000) };
            let question = ask(panel, &panel.targets[0], &scope, &range, screen).unwrap();
            assert_eq!((question.expr.as_str(), question.steps.step_ms), (expr, step), "{json}");
            assert_eq!(question.range.from_ms, from_ms, "{json}");
        };
        let rate = "\"targets\": [{\"expr\": \"rate(x[$__rate_interval]) $__range\"";
        check(&format!("{rate}}}]"), 600, "rate(x[40s]) 3600s", 10_000, 1_594_671_540_000);
        check(&format!("{rate}}}], \"maxDataPoints\": 60"), 600, "rate(x[1m10s]) 3600s", 60_000, 1_594_671_540_000);
        check(&format!("{rate}, \"interval\": \"$res\"}}]"), 600, "rate(x[8m]) 3600s", 120_000, 1_594_671_480_000);
        check(&format!("{rate}}}], \"interval\": \">1m\""), 600, "rate(x[1m10s]) 3600s", 60_000, 1_594_671_540_000);
        check(&format!("{rate}, \"instant\": true}}]"), 600, "rate(x[40s]) 3600s", 10_000, 1_594_671_549_254);
        check(&format!("{rate}, \"intervalFactor\": 2}}]"), 600, "rate(x[40s]) 3600s", 20_000, 1_594_671_540_000);
        let own = format!("{rate}, \"interval\": \"$__rate_interval\"}}]");
        check(&own, 600, "rate(x[40s]) 3600s", 40_000, 1_594_671_520_000);
    }
}
