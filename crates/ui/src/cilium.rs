//! The Cilium page: which of its endpoints are collected, what each costs, and for every metric family whether it is there
//! and what would bring it.

mod catalogue;
mod release;
mod survey;

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::Timestamp;
use model::status::{AddressLook, Health, TargetStatus};

use self::catalogue::{CATALOGUE, ENDPOINTS, Endpoint, Family};
use self::release::Release;
use self::survey::{Survey, Surveyed, survey};
use crate::Ui;
use crate::format::{Unit, ago, literal, took};
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::targets::State3;

/// Why a metric of Cilium's is not there, and the Helm values that bring it: what it is called now, which releases have it,
/// what switches it on. `version` is the running one, or empty. `None` for names that are not Cilium's.
pub(crate) fn why_absent(name: &str, version: &str) -> Option<(String, String)> {
    let old = |old: &str| name == old || catalogue::is_part(name, old);
    if let Some(renamed) = CATALOGUE.renamed.iter().find(|renamed| old(renamed.old)) {
        let since = if renamed.since.is_empty() { String::new() } else { format!(" since Cilium {}", renamed.since) };
        let text = match renamed.new {
            "" => format!("{name} is gone{since}; nothing replaces it."),
            new => format!("{name} is called {new}{since}."),
        };
        return Some((text, String::new()));
    }
    let whole = CATALOGUE.families.iter().filter(|family| family.has(name));
    let family = whole.max_by_key(|family| !family.name.ends_with('*'))?;
    let endpoint = &ENDPOINTS[family.endpoint];
    let running = Release::parse(version);
    if family.span.excludes(running) {
        return Some((format!("{name} is not in Cilium {version}. {}", family.span.sentence(running)), String::new()));
    }
    let need = CATALOGUE.need(family);
    let sentence = need.map(|need| need.sentence).unwrap_or_default();
    let values = need.map(|need| need.values.replace("{name}", family.name)).unwrap_or_default();
    let (sentence, values) = if values.is_empty() && version.is_empty() {
        (format!("{sentence} Its endpoint: {}", endpoint.sentence), endpoint.values.to_owned())
    } else {
        (sentence.to_owned(), values)
    };
    Some((
        format!("{name} is not in the store. {sentence} {}", family.span.sentence(running)).trim_end().to_owned(),
        values,
    ))
}

#[derive(Template)]
#[template(path = "cilium.html")]
struct Page {
    shell: Shell,
    version: String,
    there: usize,
    known: usize,
    series: String,
    endpoints: Vec<EndpointView>,
    /// Where it was looked for; `None` where that is switched off.
    looks: Option<Vec<AddressLook>>,
    renamed: Vec<RenamedView>,
    /// Whether any endpoint is collected.
    any: bool,
}

struct EndpointView {
    facts: &'static Endpoint,
    state: State3,
    /// Whether a target shows it.
    collected: bool,
    targets: String,
    addresses: String,
    series: String,
    /// Of all of Cilium's series, 0 to 100.
    share: f64,
    families: String,
    rate: String,
    took: String,
    last: String,
    error: String,
    groups: Vec<GroupView>,
}

struct GroupView {
    name: &'static str,
    there: usize,
    total: usize,
    series: String,
    /// Of the endpoint's series, 0 to 100.
    share: f64,
    rows: Vec<RowView>,
}

struct RowView {
    name: String,
    link: String,
    kind: &'static str,
    labels: String,
    /// Its series, empty if there are none.
    series: String,
    values: String,
    sentence: String,
}

struct RenamedView {
    old: &'static str,
    new: &'static str,
    since: &'static str,
    here: bool,
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    let active = ui.state.targets.active();
    let surveyed = match ui.ask(move |asker| survey(asker, &active, now)).await {
        Ok(surveyed) => surveyed,
        Err(problem) => return problem.respond(&ui, &headers),
    };
    let page = Page::new(&ui, &params, surveyed, now);
    respond(StatusCode::OK, &headers, page.render())
}

impl Page {
    fn new(ui: &Ui, params: &Params, survey: Survey, now: Timestamp) -> Self {
        let total: u64 = survey.endpoints.iter().map(|endpoint| endpoint.series).sum();
        let prefix = &ui.state.config.prefix;
        let running = Release::parse(&survey.version);
        let endpoints: Vec<EndpointView> = survey
            .endpoints
            .iter()
            .enumerate()
            .map(|(place, surveyed)| EndpointView::new(place, surveyed, total, running, prefix, now))
            .collect();
        Self {
            shell: Shell::new(ui, params, "/cilium", "Cilium"),
            there: survey.endpoints.iter().map(|endpoint| endpoint.families.len()).sum(),
            known: CATALOGUE.families.len(),
            series: Unit::Short.text(total as f64),
            any: endpoints.iter().any(|endpoint| endpoint.collected),
            looks: ui.state.targets.cilium(),
            renamed: renamed(&survey),
            version: survey.version,
            endpoints,
        }
    }
}

fn renamed(survey: &Survey) -> Vec<RenamedView> {
    let view = |renamed: &catalogue::Renamed| RenamedView {
        old: renamed.old,
        new: renamed.new,
        since: renamed.since,
        here: survey.old.contains(renamed.old),
    };
    CATALOGUE.renamed.iter().map(view).collect()
}

impl EndpointView {
    /// Whether its families are worth a list: those of the cluster mesh are known by their beginnings alone.
    fn listed(&self) -> bool {
        self.collected || self.groups.len() > 2
    }

    fn new(
        place: usize,
        surveyed: &Surveyed,
        total: u64,
        running: Option<Release>,
        prefix: &str,
        now: Timestamp,
    ) -> Self {
        let targets = &surveyed.targets;
        let up = targets.iter().filter(|target| target.health == Health::Good).count();
        let count = targets.len() + surveyed.others;
        let known = CATALOGUE.families.iter().filter(|family| family.endpoint == place).count();
        let newest = targets.iter().filter_map(|target| target.last_scrape).max();
        let slowest = targets.iter().map(|target| target.last_scrape_duration).max();
        Self {
            facts: &ENDPOINTS[place],
            state: state(targets, count),
            collected: count > 0,
            targets: if targets.is_empty() { String::new() } else { format!("{up} of {} up", targets.len()) },
            addresses: addresses(targets),
            series: if count > 0 { surveyed.series.to_string() } else { String::new() },
            share: percent(surveyed.series, total),
            families: format!("{} of {known}", surveyed.families.len()),
            rate: rate(targets),
            took: slowest.map(took).unwrap_or_default(),
            last: newest.map(|at| ago(at, now)).unwrap_or_default(),
            error: targets.iter().map(|target| target.last_error.clone()).find(|e| !e.is_empty()).unwrap_or_default(),
            groups: groups(place, surveyed, running, prefix),
        }
    }
}

fn state(targets: &[TargetStatus], count: usize) -> State3 {
    let with = |health| targets.iter().any(|target| target.health == health);
    if with(Health::Bad) {
        Health::Bad.into()
    } else if with(Health::Good) || (count > 0 && targets.is_empty()) {
        Health::Good.into()
    } else if count > 0 {
        Health::Unknown.into()
    } else {
        State3 { word: "not there", class: "idle", icon: "none" }
    }
}

/// The first address, and how many more there are.
fn addresses(targets: &[TargetStatus]) -> String {
    let mut addresses = targets.iter().filter_map(|target| target.labels.get("instance"));
    match (addresses.next(), addresses.count()) {
        (None, _) => String::new(),
        (Some(first), 0) => first.to_owned(),
        (Some(first), more) => format!("{first} and {more} more"),
    }
}

/// Samples a second of all targets.
fn rate(targets: &[TargetStatus]) -> String {
    let rate = |target: &TargetStatus| target.samples as f64 / target.interval.as_secs_f64().max(0.001);
    let sum: f64 = targets.iter().map(rate).sum();
    if targets.is_empty() { String::new() } else { Unit::PerSecond.text(sum) }
}

/// Families by feature, in the order of the catalogue; names that it does not have come last.
fn groups(place: usize, surveyed: &Surveyed, running: Option<Release>, prefix: &str) -> Vec<GroupView> {
    let mut groups: Vec<GroupView> = Vec::new();
    for (i, family) in CATALOGUE.families.iter().enumerate().filter(|(_, family)| family.endpoint == place) {
        let row = RowView::known(family, surveyed.families.get(&i).copied(), surveyed.series > 0, running, prefix);
        match groups.iter_mut().find(|group| group.name == family.feature) {
            Some(group) => group.rows.push(row),
            None => groups.push(GroupView::new(family.feature, row)),
        }
    }
    for (name, count) in &surveyed.unknown {
        let row = RowView::unknown(name, *count, prefix);
        match groups.iter_mut().find(|group| group.name == OTHERS) {
            Some(group) => group.rows.push(row),
            None => groups.push(GroupView::new(OTHERS, row)),
        }
    }
    let sums = sums(place, surveyed);
    for group in &mut groups {
        let series = sums.get(group.name).copied().unwrap_or_default();
        group.there = group.rows.iter().filter(|row| !row.series.is_empty()).count();
        group.total = group.rows.len();
        group.series = if series > 0 { series.to_string() } else { String::new() };
        group.share = percent(series, surveyed.series);
    }
    groups
}

/// The group of names that the catalogue does not have.
const OTHERS: &str = "Not in this list yet";

fn sums(place: usize, surveyed: &Surveyed) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::from([(OTHERS, surveyed.unknown.values().sum())]);
    for (i, family) in CATALOGUE.families.iter().enumerate().filter(|(_, family)| family.endpoint == place) {
        *sums.entry(family.feature).or_default() += surveyed.families.get(&i).copied().unwrap_or_default();
    }
    sums
}

impl GroupView {
    fn new(name: &'static str, row: RowView) -> Self {
        Self { name, there: 0, total: 0, series: String::new(), share: 0.0, rows: vec![row] }
    }
}

impl RowView {
    /// `running` is the release of Cilium, where it is known.
    fn known(family: &Family, series: Option<u64>, is_collected: bool, running: Option<Release>, prefix: &str) -> Self {
        let need = CATALOGUE.need(family).filter(|_| series.is_none());
        let plain = family.name.trim_end_matches('*');
        let releases = family.span.sentence(running);
        // What an endpoint that is not there would show by default comes with it. What no setting brings to this release is
        // said by its number alone.
        let is_default = !is_collected && matches!(family.needs, "on" | "shown" | "event");
        let need = need.filter(|_| !family.span.excludes(running));
        let sentence = match need {
            Some(need) if !is_default => format!("{releases} {}", need.sentence).trim_start().to_owned(),
            _ if series.is_none() => releases,
            _ => String::new(),
        };
        Self {
            name: family.name.to_owned(),
            link: link(prefix, &selector(family)),
            kind: family.kind,
            labels: family.labels.replace(',', ", "),
            series: series.map(|count| count.to_string()).unwrap_or_default(),
            values: need.map(|need| need.values.replace("{name}", plain)).unwrap_or_default(),
            sentence,
        }
    }

    fn unknown(name: &str, series: u64, prefix: &str) -> Self {
        Self {
            name: name.to_owned(),
            link: link(prefix, name),
            kind: "",
            labels: String::new(),
            series: series.to_string(),
            values: String::new(),
            sentence: String::new(),
        }
    }
}

/// What shows the family on the query page.
fn selector(family: &Family) -> String {
    match (family.name.strip_suffix('*'), family.kind) {
        (Some(start), _) => format!("{{__name__=~{},job=~\".*\"}}", literal(&format!("{start}.+"))),
        (None, "histogram") => format!("rate({}_count[5m])", family.name),
        (None, "counter") => format!("rate({}[5m])", family.name),
        (None, _) => family.name.to_owned(),
    }
}

fn link(prefix: &str, expr: &str) -> String {
    format!("{prefix}/query?{}", encode([("expr", expr)]))
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 100.0).min(100.0) }
}
