//! The tree of routes.

use std::collections::HashSet;
use std::time::Duration;

use model::{MatchOp, Matcher};
use yaml::{Place, Section};

use crate::matchers;
use crate::route::{GroupBy, Route};

/// What routes may name.
pub(super) struct Names<'a> {
    pub(super) receivers: HashSet<&'a str>,
    pub(super) intervals: HashSet<&'a str>,
}

pub(super) fn root_route(place: &Place<'_>, names: &Names<'_>) -> Option<Route> {
    let section = place.section()?;
    let mut route = Route::root("");
    settings(&section, &mut route, names);
    if route.receiver.is_empty() {
        place.error("root route must specify a default receiver", "");
    }
    // Empty lists say nothing.
    if !route_matchers(&section).is_empty() {
        place.error("root route must not have any matchers", "make it a route below the root");
    }
    if route.goes_on {
        place.error("cannot have continue in root route", "no route stands behind it");
    }
    for (key, intervals) in [("mute", &route.mute), ("active", &route.active)] {
        if !intervals.is_empty() {
            place.error(format!("root route must not have any {key} time intervals"), "make it a route below the root");
        }
    }
    finish_route(&section, route, names)
}

fn child_route(place: &Place<'_>, index: usize, parent: &Route, names: &Names<'_>) -> Option<Route> {
    let section = place.section()?;
    let mut route = parent.child(index, route_matchers(&section));
    settings(&section, &mut route, names);
    finish_route(&section, route, names)
}

fn finish_route(section: &Section<'_>, mut route: Route, names: &Names<'_>) -> Option<Route> {
    let children = section.list("routes");
    route.routes = children.iter().enumerate().filter_map(|(i, place)| child_route(place, i, &route, names)).collect();
    section.finish();
    Some(route)
}

fn settings(section: &Section<'_>, route: &mut Route, names: &Names<'_>) {
    if let Some(place) = section.get("receiver")
        && let Some(name) = place.string().filter(|name| !name.is_empty())
    {
        if !names.receivers.contains(name.as_str()) {
            place.error(format!("undefined receiver {name:?} used in route"), "add it to receivers");
        }
        route.receiver = name;
    }
    if let Some(place) = section.get("group_by") {
        route.group_by = group_by(&place);
    }
    route.mute = intervals(section, "mute_time_intervals", names);
    route.active = intervals(section, "active_time_intervals", names);
    route.goes_on = section.boolean("continue").unwrap_or(false);
    route.group_wait = section.duration("group_wait").unwrap_or(route.group_wait);
    route.group_interval = positive(section, "group_interval").unwrap_or(route.group_interval);
    route.repeat_interval = positive(section, "repeat_interval").unwrap_or(route.repeat_interval);
}

fn positive(section: &Section<'_>, key: &'static str) -> Option<Duration> {
    let place = section.get(key)?;
    let duration = place.duration()?;
    if duration.is_zero() {
        place.error(format!("{key} cannot be zero"), "");
    }
    Some(duration)
}

fn group_by(place: &Place<'_>) -> GroupBy {
    let mut names = Vec::new();
    for entry in place.list() {
        let Some(name) = entry.string() else { continue };
        if name.is_empty() {
            entry.error("invalid label name \"\" in group_by list", "");
        }
        if names.contains(&name) {
            entry.error(format!("duplicated label {name:?} in group_by"), "");
        }
        names.push(name);
    }
    if !names.iter().any(|name| name == "...") {
        return GroupBy::Labels(names);
    }
    if names.len() > 1 {
        place.error("cannot have wildcard group_by (`...`) and other labels at the same time", "");
    }
    GroupBy::All
}

/// The names of time intervals; all of them must be there.
fn intervals(section: &Section<'_>, key: &'static str, names: &Names<'_>) -> Vec<String> {
    let mut intervals = Vec::new();
    for place in section.list(key) {
        let Some(name) = place.string() else { continue };
        if !names.intervals.contains(name.as_str()) {
            place.error(format!("undefined time interval {name:?} used in route"), "add it to time_intervals");
        }
        intervals.push(name);
    }
    intervals
}

fn route_matchers(section: &Section<'_>) -> Vec<Matcher> {
    matchers_of(section, ["match", "match_re", "matchers"])
}

/// Matchers under the keys of equality, of patterns and of both together.
pub(super) fn matchers_of(section: &Section<'_>, keys: [&'static str; 3]) -> Vec<Matcher> {
    let mut all = Vec::new();
    for (key, op) in [(keys[0], MatchOp::Equal), (keys[1], MatchOp::Match)] {
        for (name, value) in section.get(key).map(|place| place.entries()).unwrap_or_default() {
            let (Some(label), Some(text)) = (name.string(), value.string()) else { continue };
            if !model::is_valid_label_name(&label) {
                name.error(
                    format!("invalid label name {label:?}"),
                    "other names can stand in matchers alone, in quotes",
                );
            }
            // Alertmanager keeps these patterns with their anchors, and group keys show them.
            let text = if op == MatchOp::Match { format!("^(?:{text})$") } else { text };
            match Matcher::new(op, label, text) {
                Ok(matcher) => all.push(matcher),
                Err(e) => value.error(e.to_string(), ""),
            }
        }
    }
    for place in section.list(keys[2]) {
        match place.string().map(|text| matchers::parse(&text)) {
            Some(Ok(matchers)) => all.extend(matchers),
            Some(Err(message)) => place.error(message, "such as severity=\"critical\""),
            None => {}
        }
    }
    all
}
