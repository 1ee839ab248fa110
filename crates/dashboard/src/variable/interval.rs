//! Steps of queries: how long one is, and what `$__interval` and `$__rate_interval` stand for.

use super::time::TimeRange;

/// Prometheus refuses a query of more points.
const POINTS_MAX: u64 = 11_000;
/// The scrape interval that Grafana assumes where its data source names none.
const SCRAPE_INTERVAL_MS: u64 = 15_000;
/// Points of a panel whose width is not known.
const POINTS: u64 = 1_000;

/// The smallest step that a query names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinStep {
    /// None: the panel's, or else the data source's.
    #[default]
    Unset,
    /// So many milliseconds.
    Ms(u64),
    /// `$__interval`.
    Interval,
    /// `$__rate_interval`: the step is as long as that.
    RateInterval,
}

impl MinStep {
    /// Reads a setting with its variables filled in, but those that the step itself decides.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "$__interval" | "${__interval}" | "$__interval_ms" | "${__interval_ms}" => Self::Interval,
            "$__rate_interval" | "${__rate_interval}" | "$__rate_interval_ms" | "${__rate_interval_ms}" => {
                Self::RateInterval
            }
            text => parse_duration_ms(text).filter(|ms| *ms > 0).map_or(Self::Unset, Self::Ms),
        }
    }
}

/// What decides on the step of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// How many points are wanted: the panel's width in pixels, or its own setting; 0, not known.
    pub points: u64,
    /// The query's own smallest step, which stands for the scrape interval, too.
    pub min_step: MinStep,
    /// The panel's smallest step, which does not.
    pub panel_step_ms: Option<u64>,
    /// The data source's scrape interval; absent, Grafana's 15 s.
    pub scrape_interval_ms: Option<u64>,
    /// The step is so many times as long; 0 as 1.
    pub factor: u64,
}

/// Steps of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// `$__interval`: the step.
    pub interval_ms: u64,
    /// `$__rate_interval`: four scrapes at least, and a scrape longer than the panel's interval.
    pub rate_interval_ms: u64,
    /// The query's own step.
    pub step_ms: u64,
}

impl Steps {
    /// The steps of a query over a time, as Grafana's data source decides on them.
    pub fn of(range: &TimeRange, resolution: &Resolution) -> Self {
        let length = range.length_ms();
        let points = if resolution.points == 0 { POINTS } else { resolution.points };
        let scrape = resolution.scrape_interval_ms.filter(|scrape| *scrape > 0).unwrap_or(SCRAPE_INTERVAL_MS);
        let panel_min = resolution.panel_step_ms.filter(|min| *min > 0).unwrap_or(scrape);
        let fitting = round_interval(length / points);
        // What the panel asks for, before the query has a say.
        let panel = fitting.max(panel_min).max(safe(length));
        let wanted = match resolution.min_step {
            MinStep::Ms(min) => fitting.max(min).max(safe(length)),
            MinStep::Unset | MinStep::Interval | MinStep::RateInterval => panel,
        };
        let rate = |interval: u64, scrape: u64| interval.saturating_add(scrape).max(scrape.saturating_mul(4));
        let step = match resolution.min_step {
            MinStep::RateInterval => rate(wanted, scrape),
            _ => wanted.saturating_mul(resolution.factor.max(1)),
        };
        let rate_interval_ms = match resolution.min_step {
            MinStep::RateInterval => step,
            MinStep::Interval => rate(panel, step),
            MinStep::Ms(min) => rate(panel, min),
            MinStep::Unset => rate(panel, scrape),
        };
        Self { interval_ms: step, rate_interval_ms, step_ms: step }
    }
}

/// The smallest round interval that asks for no more points than are answered.
fn safe(length_ms: u64) -> u64 {
    let exact = length_ms.div_ceil(POINTS_MAX);
    let round = round_interval(exact);
    if round >= exact { round } else { exact.div_ceil(1_000) * 1_000 }
}

/// Below so many milliseconds an interval is rounded to so many, as Grafana does it.
const ROUND: [(u64, u64); 29] = [
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1_500, 1_000),
    (3_500, 2_000),
    (7_500, 5_000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
    (1_500_000, 1_200_000),
    (2_700_000, 1_800_000),
    (5_400_000, 3_600_000),
    (9_000_000, 7_200_000),
    (16_200_000, 10_800_000),
    (32_400_000, 21_600_000),
    (86_400_000, 43_200_000),
    (604_800_000, 86_400_000),
    (1_814_400_000, 604_800_000),
    (3_628_800_000, 2_592_000_000),
];

/// An interval brought to one that people count in.
pub fn round_interval(interval_ms: u64) -> u64 {
    ROUND.iter().find(|(below, _)| interval_ms < *below).map_or(31_536_000_000, |(_, round)| *round)
}

const UNITS: [(&str, u64); 8] = [
    ("ms", 1),
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("M", 2_592_000_000),
];

/// `15s`, `1m30s`, `>10s`; a number alone is in seconds. `None` for anything else and for nothing.
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    let text = text.trim().trim_start_matches('>').trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1_000);
    }
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        sum += number * *factor as f64;
        rest = &rest[unit.len()..];
    }
    (!text.is_empty() && sum < u64::MAX as f64).then_some(sum.round() as u64)
}

/// A duration as PromQL reads it: `1m30s`.
pub fn step_text(duration_ms: u64) -> String {
    let mut out = String::new();
    let mut rest = duration_ms;
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest / factor > 0 {
            out.push_str(&(rest / factor).to_string());
            out.push_str(unit);
            rest %= factor;
        }
    }
    if out.is_empty() { "1ms".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_range() {
        let check = |range_s: i64, resolution: Resolution, expected: [&str; 3]| {
            let steps = Steps::of(&TimeRange { from_ms: 0, to_ms: range_s * 1_000 }, &resolution);
            let found = [steps.interval_ms, steps.rate_interval_ms, steps.step_ms].map(step_text);
            assert_eq!(found, expected, "{range_s} {resolution:?}");
        };
        let points = |points| Resolution { points, ..Resolution::default() };
        let min = |points: u64, min_step: MinStep| Resolution { points, min_step, ..Resolution::default() };
        check(1_800, points(1_000), ["15s", "1m", "15s"]);
        check(3_600, points(100), ["30s", "1m", "30s"]);
        check(86_400, points(1_000), ["1m", "1m15s", "1m"]);
        check(86_400, points(0), ["1m", "1m15s", "1m"]);
        check(7 * 86_400, points(600), ["15m", "15m15s", "15m"]);
        check(1_800, min(1_800, MinStep::Ms(1_000)), ["1s", "16s", "1s"]);
        check(1_800, min(1_000, MinStep::Ms(120_000)), ["2m", "8m", "2m"]);
        check(86_400, min(48, MinStep::Ms(120_000)), ["30m", "32m", "30m"]);
        check(1_800, min(1_000, MinStep::Interval), ["15s", "1m", "15s"]);
        check(1_800, min(1_000, MinStep::RateInterval), ["1m", "1m", "1m"]);
        check(86_400, min(1_000, MinStep::RateInterval), ["1m15s", "1m15s", "1m15s"]);
        check(1_800, Resolution { panel_step_ms: Some(120_000), ..points(1_000) }, ["2m", "2m15s", "2m"]);
        check(1_800, Resolution { panel_step_ms: Some(5_000), ..points(1_800) }, ["5s", "1m", "5s"]);
        let both = Resolution { panel_step_ms: Some(300_000), ..min(1_000, MinStep::Ms(30_000)) };
        check(1_800, both, ["30s", "5m30s", "30s"]);
        check(1_800, Resolution { scrape_interval_ms: Some(30_000), ..points(1_000) }, ["30s", "2m", "30s"]);
        check(3_600, Resolution { factor: 3, ..points(100) }, ["1m30s", "1m", "1m30s"]);
        check(0, points(100), ["15s", "1m", "15s"]);
        check(-5, points(100), ["15s", "1m", "15s"]);
        check(365 * 86_400, min(1_000_000, MinStep::Ms(1_000)), ["1h", "1h1s", "1h"]);
    }

    #[test]
    fn no_query_asks_for_too_many_points() {
        for days in 1..2_000 {
            let range = TimeRange { from_ms: 0, to_ms: days * 86_400_000 };
            let resolution = Resolution { points: u64::MAX, min_step: MinStep::Ms(1), ..Resolution::default() };
            assert!(range.length_ms() / Steps::of(&range, &resolution).step_ms <= POINTS_MAX, "{days}");
        }
    }

    #[test]
    fn durations_are_read() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse_duration_ms(text), expected, "{text}");
        check("15s", Some(15_000));
        check(">10s", Some(10_000));
        check("1m30s", Some(90_000));
        check("100ms", Some(100));
        check("1.5h", Some(5_400_000));
        check("30", Some(30_000));
        check("1M", Some(2_592_000_000));
        check("", None);
        check("5x", None);
        check("é", None);
        check("99999999999999999999y", None);
    }
}
