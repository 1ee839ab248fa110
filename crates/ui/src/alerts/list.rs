//! What fires, what is pending, and what nobody is told of and why.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{AlertState, AlertStatus, NotificationsView, NotifiedAlert, SilenceView};
use model::{Labels, Timestamp};

use super::{Alert, Tab, matchers, rule_link};
use crate::Ui;
use crate::format::ago;
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::targets::State3;

/// Alerts on a page; the rest is counted, and a filter finds it.
const ROWS_MAX: usize = 500;

#[derive(Template)]
#[template(path = "alerts.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    /// What is searched for.
    words: String,
    kinds: Vec<KindCount>,
    sections: Vec<Section>,
    /// Whether nothing is filtered out.
    all: bool,
    total: usize,
    hidden: usize,
    rules: usize,
    /// Whether anybody is told at all.
    told: bool,
}

struct KindCount {
    state: State3,
    count: usize,
    /// The page with these alone, or with all where it is chosen.
    link: String,
    chosen: bool,
}

/// Alerts of one severity.
struct Section {
    severity: String,
    rows: Vec<Row>,
}

struct Row {
    alert: Alert,
    kind: Kind,
    state: State3,
    /// Why nobody is told.
    reason: String,
    /// The silence that holds, to look at it.
    silence: String,
    group: String,
    rule: String,
    receivers: String,
    runbook: String,
    /// A new silence for exactly this alert.
    hush: String,
    /// Annotations that stand in no other place.
    more: Vec<(String, String)>,
}

/// What an alert is to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Firing,
    Pending,
    Silenced,
    Inhibited,
    Muted,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Firing, Self::Pending, Self::Silenced, Self::Inhibited, Self::Muted];

    fn state(self) -> State3 {
        match self {
            Self::Firing => AlertState::Firing.into(),
            Self::Pending => AlertState::Pending.into(),
            Self::Silenced => State3 { word: "silenced", class: "idle", icon: "hush" },
            Self::Inhibited => State3 { word: "inhibited", class: "idle", icon: "none" },
            Self::Muted => State3 { word: "muted", class: "idle", icon: "pause" },
        }
    }
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    let shell = Shell::new(&ui, &params, "/alerts", "Alerts");
    let view = ui.state.notifications.view().await;
    let told = view.is_some();
    let mut rows = ui.rows(&view.unwrap_or_default(), &shell.prefix, now);
    let words = params.get("q").unwrap_or_default().to_lowercase();
    rows.retain(|row| words.split_whitespace().all(|word| row.text().contains(word)));
    let chosen = params.get("state").and_then(|word| Kind::ALL.into_iter().find(|kind| kind.state().word == word));
    let kinds = kinds(&rows, chosen, &words);
    rows.retain(|row| chosen.is_none_or(|kind| row.kind == kind));
    let total = rows.len();
    rows.truncate(ROWS_MAX);
    let hidden = total - rows.len();
    let rules = ui.state.rules.groups().iter().map(|group| group.rules.len()).sum();
    let sections = sections(rows);
    let all = words.is_empty() && chosen.is_none();
    let page = Page { shell, tab: Tab::Alerts, words, kinds, sections, all, total, hidden, rules, told };
    respond(StatusCode::OK, &headers, page.render())
}

fn kinds(rows: &[Row], chosen: Option<Kind>, words: &str) -> Vec<KindCount> {
    let count = |kind| rows.iter().filter(|row| row.kind == kind).count();
    let kinds = Kind::ALL.into_iter().map(|kind| {
        let is_chosen = chosen == Some(kind);
        let state = kind.state();
        let state_pair = (!is_chosen).then_some(("state", state.word));
        let pairs = [Some(("q", words)).filter(|(_, words)| !words.is_empty()), state_pair];
        KindCount { count: count(kind), link: encode(pairs.into_iter().flatten()), chosen: is_chosen, state }
    });
    // What can only be with silences and the like is shown when there is some.
    kinds.filter(|kind| kind.count > 0 || kind.chosen || matches!(kind.state.word, "firing" | "pending")).collect()
}

fn sections(rows: Vec<Row>) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for row in rows {
        match sections.last_mut().filter(|section| section.severity == row.alert.severity) {
            Some(section) => section.rows.push(row),
            None => sections.push(Section { severity: row.alert.severity.clone(), rows: vec![row] }),
        }
    }
    sections
}

/// Worst first.
fn rank(severity: &str) -> u8 {
    match severity.to_ascii_lowercase().as_str() {
        "page" | "critical" | "error" | "high" => 0,
        "warning" | "medium" => 1,
        "info" | "low" => 2,
        "none" => 4,
        _ => 3,
    }
}

impl Row {
    /// What is searched.
    fn text(&self) -> String {
        let pairs = |pairs: &[(String, String)]| pairs.iter().map(|(n, v)| format!("{n}={v} ")).collect::<String>();
        let Self { alert, group, receivers, reason, .. } = self;
        let (labels, texts) = (pairs(&alert.labels), pairs(&alert.annotations));
        format!("{} {} {group} {receivers} {reason} {labels} {texts}", alert.name, self.state.word).to_lowercase()
    }
}

impl Ui {
    /// All alerts: those of rules, and those that others sent.
    fn rows(&self, view: &NotificationsView, prefix: &str, now: Timestamp) -> Vec<Row> {
        let mut told: HashMap<&Labels, Vec<&NotifiedAlert>> = HashMap::new();
        for alert in &view.alerts {
            told.entry(&alert.labels).or_default().push(alert);
        }
        let silences: HashMap<&str, &SilenceView> = view.silences.iter().map(|s| (s.id.as_str(), s)).collect();
        let mut rows = Vec::new();
        for group in self.state.rules.groups() {
            for (place, rule) in group.rules.iter().enumerate() {
                let alerts = rule.alerting.iter().flat_map(|alerting| &alerting.alerts);
                for alert in alerts.filter(|alert| alert.state != AlertState::Inactive) {
                    let whole = Labels::from_pairs(view.external_labels.iter().chain(alert.labels.iter()));
                    let ways = told.remove(&whole).unwrap_or_default();
                    let link = rule_link(prefix, &group.file, &group.name, place, &rule.name);
                    rows.push(row(alert, &whole, &ways, &silences, group.name.clone(), link, prefix, now));
                }
            }
        }
        for (labels, ways) in told {
            let Some(first) = ways.first() else { continue };
            let alert = AlertStatus {
                labels: labels.clone(),
                annotations: first.annotations.clone(),
                state: AlertState::Firing,
                active_at: first.starts_at,
                keep_firing_since: None,
                value: f64::NAN,
            };
            let group = "sent by another program".to_owned();
            rows.push(row(&alert, labels, &ways, &silences, group, String::new(), prefix, now));
        }
        rows.sort_by(|a, b| {
            let key = |row: &Row| (rank(&row.alert.severity), row.alert.severity.clone(), row.kind);
            let place = |row: &Row| (row.group.clone(), row.alert.name.clone(), row.alert.since.ms);
            key(a).cmp(&key(b)).then_with(|| place(a).cmp(&place(b))).then_with(|| a.alert.labels.cmp(&b.alert.labels))
        });
        rows
    }
}

#[expect(clippy::too_many_arguments, reason = "a row says as much")]
fn row(
    alert: &AlertStatus,
    whole: &Labels,
    ways: &[&NotifiedAlert],
    silences: &HashMap<&str, &SilenceView>,
    group: String,
    rule: String,
    prefix: &str,
    now: Timestamp,
) -> Row {
    let (kind, reason, silence) = judge(alert.state, ways, silences, now);
    let lines: Vec<String> = matchers::exactly(whole).collect();
    let hush = encode(lines.iter().map(|line| ("m", line.as_str())));
    let mut receivers: Vec<&str> = ways.iter().map(|way| way.receiver.as_str()).collect();
    receivers.sort_unstable();
    receivers.dedup();
    let shown = Alert::new(alert, now);
    let runbook = alert.annotations.get("runbook_url").filter(|url| is_address(url)).unwrap_or_default().to_owned();
    let is_extra = |(name, text): &&(String, String)| name != "runbook_url" && *text != shown.summary;
    Row {
        more: shown.annotations.iter().filter(is_extra).cloned().collect(),
        kind,
        state: kind.state(),
        reason,
        silence,
        group,
        rule,
        receivers: receivers.join(", "),
        runbook,
        hush: format!("{prefix}/alerts/silence?{hush}"),
        alert: shown,
    }
}

/// Addresses that a link may lead to: not those that would run as a script.
pub(super) fn is_address(url: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme))
}

/// What an alert is to people: one that is told on any way fires; else the reason of the first way counts.
fn judge(
    state: AlertState,
    ways: &[&NotifiedAlert],
    silences: &HashMap<&str, &SilenceView>,
    now: Timestamp,
) -> (Kind, String, String) {
    let none = String::new;
    if state == AlertState::Pending {
        return (Kind::Pending, none(), none());
    }
    let is_quiet =
        |way: &&NotifiedAlert| way.inhibited_by.is_some() || !way.silenced_by.is_empty() || !way.muted_by.is_empty();
    let Some(first) = ways.first().filter(|_| ways.iter().all(is_quiet)) else {
        return (Kind::Firing, none(), none());
    };
    if let Some(other) = &first.inhibited_by {
        return (Kind::Inhibited, format!("while {other} fires"), none());
    }
    if let Some(id) = first.silenced_by.first() {
        let reason = silences.get(id.as_str()).map(|silence| {
            let left = ago(2 * now - silence.ends_at, now);
            let left = left.trim_end_matches(" ago");
            let comment = if silence.comment.is_empty() { none() } else { format!(": {}", silence.comment) };
            format!("for {left} more, by {}{comment}", silence.author)
        });
        return (Kind::Silenced, reason.unwrap_or_default(), id.clone());
    }
    (Kind::Muted, format!("in the time interval {}", first.muted_by.join(", ")), none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_told() {
        let silence = SilenceView {
            id: "s".to_owned(),
            ends_at: 3_600_000,
            author: "me".to_owned(),
            comment: "work".to_owned(),
            ..SilenceView::default()
        };
        let silences = HashMap::from([("s", &silence)]);
        let way = |inhibited: bool, silenced: bool, muted: bool| NotifiedAlert {
            labels: Labels::empty(),
            annotations: Labels::empty(),
            starts_at: 0,
            receiver: "r".to_owned(),
            inhibited_by: inhibited.then(|| "Other".to_owned()),
            silenced_by: silenced.then(|| "s".to_owned()).into_iter().collect(),
            muted_by: muted.then(|| "nights".to_owned()).into_iter().collect(),
        };
        let check = |state, ways: &[NotifiedAlert], kind: Kind, reason: &str| {
            let ways: Vec<&NotifiedAlert> = ways.iter().collect();
            let got = judge(state, &ways, &silences, 0);
            assert_eq!((got.0, got.1.as_str()), (kind, reason));
        };
        use AlertState::{Firing, Pending};
        check(Pending, &[], Kind::Pending, "");
        check(Firing, &[], Kind::Firing, "");
        check(Firing, &[way(false, false, false)], Kind::Firing, "");
        check(Firing, &[way(true, true, false)], Kind::Inhibited, "while Other fires");
        check(Firing, &[way(false, true, false)], Kind::Silenced, "for 60 min more, by me: work");
        check(Firing, &[way(false, false, true)], Kind::Muted, "in the time interval nights");
        // Who is told on another way is told.
        check(Firing, &[way(true, false, false), way(false, false, false)], Kind::Firing, "");
    }

    #[test]
    fn severities_are_ranked() {
        let mut words = vec!["none", "", "info", "critical", "warning"];
        words.sort_by_key(|word| rank(word));
        assert_eq!(words, ["critical", "warning", "info", "", "none"]);
    }
}
