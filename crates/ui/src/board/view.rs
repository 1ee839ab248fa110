//! What an address asks a dashboard for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use boards::Held;
use dashboard::{
    Choice, Clock, Dashboard, Now, Part, Place, Scope, Selected, Span, TimeRange, panel_range, parts, resolve,
};
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use model::Timestamp;
use model::status::TargetStatus;

use super::vars::{Context, Variables};
use crate::Ui;
use crate::ask::Asker;
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::range::{DEFAULT_FROM, default_from};

/// Columns of the grid, and the pixels between them.
const COLUMNS: u32 = 24;
const GAP: f64 = 8.0;
/// Pixels of a panel beside its picture: padding, and the axis.
const FRAME: f64 = 16.0;
/// Longest time that is shown: what a calendar has.
const MILLIS_MAX: i64 = 253_402_300_799_999;

/// Time, zone and the rest of an address.
pub(super) struct View {
    pub(super) held: Arc<Held>,
    pub(super) params: Params,
    pub(super) range: TimeRange,
    pub(super) now: Now,
    pub(super) clock: Clock,
    /// `from=..&to=..` as it was asked for.
    pub(super) time: String,
    /// The same two.
    pub(super) span: Span,
    pub(super) prefix: String,
    pub(super) scrape_ms: u64,
    /// When collecting began, where that is so short a time ago that series may be missing for it alone.
    pub(super) begun: Option<Timestamp>,
}

/// A panel of the page.
pub(super) struct Spot<'a> {
    pub(super) key: String,
    pub(super) shown: dashboard::ShownPanel<'a>,
    /// What its row is repeated for.
    pub(super) row: Option<(&'a str, Choice)>,
}

/// A section of the page with its panels.
pub(super) struct Band<'a> {
    pub(super) part: Part<'a>,
    pub(super) spots: Vec<Spot<'a>>,
}

impl Ui {
    /// The dashboard of an address.
    pub(super) fn held(&self, uid: &str) -> Result<Arc<Held>, Problem> {
        let found = self.state.boards.get(uid).map_err(|error| Problem::internal(error.to_string()))?;
        found.ok_or_else(|| {
            let detail = format!("Nothing is kept under the uid {uid:?}. Look for it among the dashboards.");
            Problem::new(axum::http::StatusCode::NOT_FOUND, "There is no such dashboard", detail)
        })
    }

    /// What an address asks a dashboard for.
    pub(super) fn view(&self, held: Arc<Held>, params: Params) -> Result<View, Problem> {
        let dashboard = Arc::clone(&held.dashboard);
        let zone = zone(&params, &dashboard);
        let time_ms = self.state.clock.now();
        let now = Now { time_ms: time_ms - delay(&dashboard), zone: zone.clone(), week_start: week_start(&dashboard) };
        let own = own_span(&dashboard, time_ms, self.state.store.status().min_time);
        let text = |name, own: String| params.get(name).map_or(own, str::to_owned);
        let span = Span { from: text("from", own.from), to: text("to", own.to) };
        let unreadable =
            |error: dashboard::TimeError| Problem::bad_request("The time range cannot be read", error.to_string());
        let range = resolve(&span, &now).map_err(unreadable)?;
        if range.from_ms >= range.to_ms || range.from_ms < -MILLIS_MAX || range.to_ms > MILLIS_MAX {
            let detail = format!("from={} does not lie before to={}.", span.from, span.to);
            return Err(Problem::bad_request("The time range ends before it begins", detail));
        }
        let time = encode([("from", span.from.as_str()), ("to", span.to.as_str())]);
        let interval = usual_interval(&self.state.targets.active(), self.state.config.interval);
        let is_young = range.to_ms >= self.started && self.has_just_begun(interval);
        Ok(View {
            held,
            params,
            range,
            clock: Clock { zone, now_ms: time_ms as f64 },
            now,
            time,
            span,
            prefix: self.state.config.prefix.clone(),
            scrape_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            begun: is_young.then_some(self.started),
        })
    }
}

/// The time that a dashboard opens with: its own, or less where the store does not reach back that far yet.
fn own_span(dashboard: &Dashboard, now: Timestamp, oldest: Option<Timestamp>) -> Span {
    let own = &dashboard.time;
    let young = default_from(now, oldest);
    let reach = |from: &str| from.strip_prefix("now-").and_then(dashboard::parse_duration_ms);
    let is_wider = own.to == "now" && reach(&own.from) > reach(young);
    if is_wider && young != DEFAULT_FROM { Span { from: young.to_owned(), ..own.clone() } } else { own.clone() }
}

/// The distance of scrapes that nine of ten samples keep: windows that span four of it, as `$__rate_interval` does, hold enough
/// of almost every series. `own` where nothing was scraped yet.
fn usual_interval(targets: &[TargetStatus], own: Duration) -> Duration {
    let mut weighed: Vec<(Duration, u64)> = targets.iter().map(|target| (target.interval, target.samples)).collect();
    weighed.sort_unstable();
    let all: u64 = weighed.iter().map(|(_, samples)| samples).sum();
    let mut seen = 0;
    let found = weighed.iter().find(|(_, samples)| {
        seen += samples;
        seen > 0 && seen.saturating_mul(10) >= all.saturating_mul(9)
    });
    found.map_or(own, |(interval, _)| *interval)
}

/// The zone that the reader sees: the address', which the script fills in, else the dashboard's. What is no zone is passed over.
fn zone(params: &Params, dashboard: &Dashboard) -> TimeZone {
    let named = |name: &str| match name {
        "" | "browser" => None,
        name if name.eq_ignore_ascii_case("utc") => Some(TimeZone::UTC),
        name => TimeZone::get(name).ok(),
    };
    params.get("tz").and_then(named).or_else(|| named(&dashboard.zone)).unwrap_or(TimeZone::UTC)
}

fn week_start(dashboard: &Dashboard) -> Option<Weekday> {
    match dashboard.week_start.as_str() {
        "sunday" => Some(Weekday::Sunday),
        "saturday" => Some(Weekday::Saturday),
        _ => None,
    }
}

fn delay(dashboard: &Dashboard) -> i64 {
    let delay = dashboard::parse_duration_ms(&dashboard.now_delay).unwrap_or(0);
    i64::try_from(delay).unwrap_or(0).min(MILLIS_MAX)
}

impl View {
    pub(super) fn dashboard(&self) -> &Dashboard {
        &self.held.dashboard
    }

    /// The variables, asked for; with `chosen_only`, without the lists that nobody needs for what is chosen.
    pub(super) fn variables(&self, asker: &Asker, chosen_only: bool) -> Variables {
        let scope = Scope::new(self.range.clone(), self.clock.zone.clone());
        let context = Context { asker, params: &self.params, range: &self.range, chosen_only };
        Variables::read(self.dashboard(), &context, scope)
    }

    /// The page's sections and panels, and how many are left out.
    pub(super) fn bands(&self, variables: &Variables) -> (Vec<Band<'_>>, usize) {
        let (parts, omitted) = parts(self.dashboard(), |name| variables.selected(name));
        let mut seen: HashMap<i64, usize> = HashMap::new();
        let mut key = |id: i64| {
            let count = seen.entry(id).or_insert(0);
            *count += 1;
            if *count == 1 { id.to_string() } else { format!("{id}.{}", *count - 1) }
        };
        let mut bands = Vec::with_capacity(parts.len());
        for part in parts {
            let spot = |shown: &dashboard::ShownPanel<'_>| key(shown.panel.id);
            let keys: Vec<String> = part.panels.iter().map(spot).collect();
            let shown = part.panels.iter().cloned().zip(keys);
            let spots = shown.map(|(shown, key)| Spot { key, shown, row: part.value.clone() }).collect();
            bands.push(Band { part, spots });
        }
        (bands, omitted)
    }

    /// The time of a panel.
    pub(super) fn range_of(&self, panel: &dashboard::Panel, scope: &Scope) -> TimeRange {
        let fill = |text: &str| scope.fill(text, dashboard::Syntax::Plain).unwrap_or_default();
        panel_range(&self.range, &fill(&panel.time_from), &fill(&panel.time_shift), &self.now)
    }

    /// The width of a panel's picture in pixels; 0, not known.
    pub(super) fn width(&self, place: Place) -> u32 {
        let Some(whole) = self.params.get("w").and_then(|text| text.parse::<f64>().ok()) else { return 0 };
        let whole = whole.clamp(0.0, 10_000.0);
        if self.params.has("narrow") || self.params.has("solo") {
            return (whole - FRAME).max(1.0) as u32;
        }
        let column = (whole - GAP * f64::from(COLUMNS - 1)) / f64::from(COLUMNS);
        let own = column * f64::from(place.w) + GAP * f64::from(place.w.saturating_sub(1));
        (own - FRAME).max(1.0) as u32
    }
}

impl Spot<'_> {
    /// What names stand for in this panel.
    pub(super) fn scope(&self, variables: &Variables) -> Scope {
        let mut scope = variables.scope.clone();
        for (name, choice) in [&self.row, &self.shown.value].into_iter().flatten() {
            // A value of a variable of many is written as one of many, in patterns say.
            let many = scope.get(name).is_some_and(|selected| selected.many);
            scope.set(name, Selected { choices: vec![choice.clone()], many, ..Selected::default() });
        }
        scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_decides_on_the_zone_then_the_dashboard() {
        let check = |query: &str, own: &str, expected: &str| {
            let dashboard = Dashboard { zone: own.to_owned(), ..Dashboard::default() };
            let zone = zone(&Params::parse(Some(query)), &dashboard);
            assert_eq!(zone.iana_name(), Some(expected), "{query} {own}");
        };
        check("", "", "UTC");
        check("", "browser", "UTC");
        check("", "utc", "UTC");
        check("", "Asia/Tokyo", "Asia/Tokyo");
        check("tz=Europe/Berlin", "browser", "Europe/Berlin");
        check("tz=Europe/Berlin", "Asia/Tokyo", "Europe/Berlin");
        check("tz=utc", "Asia/Tokyo", "UTC");
        check("tz=nowhere", "Asia/Tokyo", "Asia/Tokyo");
        check("tz=nowhere", "neither", "UTC");
    }

    #[test]
    fn nine_of_ten_samples_decide() {
        let check = |targets: &[(u64, u64)], expected: u64| {
            let target = |(seconds, samples): &(u64, u64)| TargetStatus {
                interval: Duration::from_secs(*seconds),
                samples: *samples,
                ..TargetStatus::default()
            };
            let targets: Vec<TargetStatus> = targets.iter().map(target).collect();
            assert_eq!(usual_interval(&targets, Duration::from_secs(15)).as_secs(), expected);
        };
        check(&[], 15);
        check(&[(60, 0)], 15);
        check(&[(60, 100)], 60);
        check(&[(300, 5), (10, 100)], 10);
        check(&[(60, 50), (10, 50)], 60);
    }
}
