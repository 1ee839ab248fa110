//! What keeps notifications back: inhibition and time intervals.

use std::collections::BTreeMap;

use yaml::{Place, Section};

use super::routes::matchers_of;
use crate::inhibit::InhibitRule;
use crate::interval::{self, Span, TimeInterval};

pub(super) fn inhibit_rules(section: &Section<'_>) -> Vec<InhibitRule> {
    section.list("inhibit_rules").iter().filter_map(inhibit_rule).collect()
}

fn inhibit_rule(place: &Place<'_>) -> Option<InhibitRule> {
    let section = place.section()?;
    // Alertmanager names its metrics by it.
    let _ = section.string("name");
    let mut equal = Vec::new();
    for place in section.list("equal") {
        let Some(name) = place.string() else { continue };
        if name.is_empty() {
            place.error("invalid label name \"\" in equal list", "");
        }
        equal.push(name);
    }
    let rule = InhibitRule {
        source: matchers_of(&section, ["source_match", "source_match_re", "source_matchers"]),
        target: matchers_of(&section, ["target_match", "target_match_re", "target_matchers"]),
        equal,
    };
    section.finish();
    Some(rule)
}

/// Those under `time_intervals` and under its older name.
pub(super) fn time_intervals(section: &Section<'_>) -> BTreeMap<String, Vec<TimeInterval>> {
    let mut named = BTreeMap::new();
    for place in ["mute_time_intervals", "time_intervals"].into_iter().flat_map(|key| section.list(key)) {
        let Some(section) = place.section() else { continue };
        let name = section.string("name").unwrap_or_default();
        if name.is_empty() {
            place.error("missing name in time interval", "");
        }
        let parts = section.list("time_intervals").iter().filter_map(time_interval).collect();
        section.finish();
        if named.insert(name.clone(), parts).is_some() {
            place.error(format!("time interval {name:?} is not unique"), "");
        }
    }
    named
}

fn time_interval(place: &Place<'_>) -> Option<TimeInterval> {
    let section = place.section()?;
    let location = section.get("location");
    let zone = location.as_ref().map(|place| {
        let zone = place.string().map(|name| interval::location(&name));
        zone.and_then(|zone| zone.map_err(|message| place.error(message, "such as Europe/Berlin")).ok())
    });
    let interval = TimeInterval {
        times: section.list("times").iter().filter_map(time_range).collect(),
        weekdays: spans(&section, "weekdays", interval::weekdays),
        days_of_month: spans(&section, "days_of_month", interval::days_of_month),
        months: spans(&section, "months", interval::months),
        years: spans(&section, "years", interval::years),
        location: zone.flatten().unwrap_or(jiff::tz::TimeZone::UTC),
    };
    section.finish();
    Some(interval)
}

fn spans(section: &Section<'_>, key: &'static str, read: fn(&str) -> Result<Span, String>) -> Vec<Span> {
    let mut spans = Vec::new();
    for place in section.list(key) {
        match place.string().map(|text| read(&text)) {
            Some(Ok(span)) => spans.push(span),
            Some(Err(message)) => place.error(message, ""),
            None => {}
        }
    }
    spans
}

fn time_range(place: &Place<'_>) -> Option<Span> {
    let section = place.section()?;
    let read = |key| {
        let place = section.get(key);
        let text = place.as_ref().and_then(Place::string).unwrap_or_default();
        let minutes = interval::minutes(&text);
        if minutes.is_none() {
            let place = place.as_ref().unwrap_or(section.place());
            place.error(format!("couldn't parse {key} {text:?}, invalid format"), "write HH:MM, from 00:00 to 24:00");
        }
        minutes
    };
    let (start, end) = (read("start_time"), read("end_time"));
    section.finish();
    let range = (start?, end?);
    if range.0 >= range.1 {
        place.error("start time cannot be equal or greater than end time", "write two entries for a night");
    }
    Some(range)
}
