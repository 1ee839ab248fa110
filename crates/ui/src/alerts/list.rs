//! What fires, what is pending, and what nobody is told of and why.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{AlertState, AlertStatus, NotificationsView, NotifiedAlert, SilenceView};
use model::{Labels, Timestamp, fingerprint};

use super::one::spell;
use super::{Alert, Tab, left, matchers, rule_link};
use crate::Ui;
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
    /// Whose alerts alone are shown, as links of notifications ask for it; empty for everybody's.
    receiver: String,
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

/// An alert with what is known of its way to people.
pub(super) struct Row {
    pub(super) alert: Alert,
    pub(super) kind: Kind,
    pub(super) state: State3,
    /// Why nobody is told.
    pub(super) reason: String,
    /// The silence that holds, to look at it.
    pub(super) silence: String,
    pub(super) group: String,
    /// The page of its rule; empty where another program sent it.
    pub(super) rule: String,
    /// Who is told.
    pub(super) receivers: Vec<String>,
    pub(super) runbook: String,
    /// The labels by which receivers know it, and their number.
    pub(super) whole: Labels,
    pub(super) fingerprint: u64,
    /// A new silence for exactly this alert.
    pub(super) hush: String,
    /// Annotations that stand in no other place.
    pub(super) more: Vec<(String, String)>,
}

/// What an alert is to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
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
    let receiver = params.get("receiver").unwrap_or_default().to_owned();
    rows.retain(|row| receiver.is_empty() || row.receivers.contains(&receiver));
    let words = params.get("q").unwrap_or_default().to_lowercase();
    rows.retain(|row| words.split_whitespace().all(|word| row.text().contains(word)));
    let chosen = params.get("state").and_then(|word| Kind::ALL.into_iter().find(|kind| kind.state().word == word));
    let kinds = kinds(&rows, chosen, &words, &receiver);
    rows.retain(|row| chosen.is_none_or(|kind| row.kind == kind));
    let total = rows.len();
    rows.truncate(ROWS_MAX);
    let hidden = total - rows.len();
    let rules = ui.state.rules.groups().iter().map(|group| group.rules.len()).sum();
    let sections = sections(rows);
    let all = words.is_empty() && chosen.is_none() && receiver.is_empty();
    let page = Page { shell, tab: Tab::Alerts, words, receiver, kinds, sections, all, total, hidden, rules, told };
    respond(StatusCode::OK, &headers, page.render())
}

fn kinds(rows: &[Row], chosen: Option<Kind>, words: &str, receiver: &str) -> Vec<KindCount> {
    let count = |kind| rows.iter().filter(|row| row.kind == kind).count();
    let kinds = Kind::ALL.into_iter().map(|kind| {
        let is_chosen = chosen == Some(kind);
        let state = kind.state();
        let pairs = [("receiver", receiver), ("q", words), ("state", if is_chosen { "" } else { state.word })];
        let link = encode(pairs.into_iter().filter(|(_, value)| !value.is_empty()));
        KindCount { count: count(kind), link, chosen: is_chosen, state }
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
    /// Its number in addresses.
    fn number(&self) -> String {
        spell(self.fingerprint)
    }

    /// What is searched.
    fn text(&self) -> String {
        let pairs = |pairs: &[(String, String)]| pairs.iter().map(|(n, v)| format!("{n}={v} ")).collect::<String>();
        let Self { alert, group, reason, .. } = self;
        let receivers = self.receivers.join(" ");
        let (labels, texts) = (pairs(&alert.labels), pairs(&alert.annotations));
        format!("{} {} {group} {receivers} {reason} {labels} {texts}", alert.name, self.state.word).to_lowercase()
    }
}

impl Ui {
    /// All alerts: those of rules, and those that others sent.
    pub(super) fn rows(&self, view: &NotificationsView, prefix: &str, now: Timestamp) -> Vec<Row> {
        let mut told: HashMap<&Labels, Vec<&NotifiedAlert>> = HashMap::new();
        for alert in &view.alerts {
            told.entry(&alert.labels).or_default().push(alert);
        }
        let silences = view.silences.iter().map(|silence| (silence.id.as_str(), silence)).collect();
        let scene = Scene { silences, prefix, now };
        let mut rows = Vec::new();
        for group in self.state.rules.groups() {
            for (place, rule) in group.rules.iter().enumerate() {
                let alerts = rule.alerting.iter().flat_map(|alerting| &alerting.alerts);
                for alert in alerts.filter(|alert| alert.state != AlertState::Inactive) {
                    let whole = whole(&view.external_labels, &alert.labels);
                    let ways = told.remove(&whole).unwrap_or_default();
                    let link = rule_link(prefix, &group.file, &group.name, place, &rule.name);
                    rows.push(Row { group: group.name.clone(), rule: link, ..scene.row(alert, whole, &ways) });
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
            rows.push(Row { group: "sent by another program".to_owned(), ..scene.row(&alert, labels.clone(), &ways) });
        }
        rows.sort_by(|a, b| {
            let key = |row: &Row| (rank(&row.alert.severity), row.alert.severity.clone(), row.kind);
            let place = |row: &Row| (row.group.clone(), row.alert.name.clone(), row.alert.since.ms);
            key(a).cmp(&key(b)).then_with(|| place(a).cmp(&place(b))).then_with(|| a.alert.labels.cmp(&b.alert.labels))
        });
        rows
    }
}

/// The labels by which receivers know an alert of a rule.
pub(super) fn whole(external: &Labels, labels: &Labels) -> Labels {
    Labels::from_pairs(external.iter().chain(labels.iter()))
}

/// The form of a silence for exactly these labels.
pub(super) fn hush(prefix: &str, whole: &Labels) -> String {
    let lines: Vec<String> = matchers::exactly(whole).collect();
    format!("{prefix}/alerts/silence?{}", encode(lines.iter().map(|line| ("m", line.as_str()))))
}

/// What all rows share.
struct Scene<'a> {
    silences: HashMap<&'a str, &'a SilenceView>,
    prefix: &'a str,
    now: Timestamp,
}

impl Scene<'_> {
    /// A row but for where its rule stands.
    fn row(&self, alert: &AlertStatus, whole: Labels, ways: &[&NotifiedAlert]) -> Row {
        let (kind, reason, silence) = judge(alert.state, ways, &self.silences, self.now);
        let mut receivers: Vec<String> = ways.iter().map(|way| way.receiver.clone()).collect();
        receivers.sort_unstable();
        receivers.dedup();
        let shown = Alert::new(alert, self.now);
        let runbook = alert.annotations.get("runbook_url").filter(|url| is_address(url)).unwrap_or_default().to_owned();
        let is_extra = |(name, text): &&(String, String)| name != "runbook_url" && *text != shown.summary;
        let fingerprint = fingerprint(&whole);
        Row {
            more: shown.annotations.iter().filter(is_extra).cloned().collect(),
            kind,
            state: kind.state(),
            reason,
            silence,
            group: String::new(),
            rule: String::new(),
            receivers,
            runbook,
            hush: hush(self.prefix, &whole),
            whole,
            fingerprint,
            alert: shown,
        }
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
    let is_quiet = |way: &&NotifiedAlert| {
        let is_muted = !way.muted_by.is_empty() || way.quiet_until.is_some();
        is_muted || way.inhibited_by.is_some() || !way.silenced_by.is_empty()
    };
    let Some(first) = ways.first().filter(|_| ways.iter().all(is_quiet)) else {
        return (Kind::Firing, none(), none());
    };
    if let Some(other) = &first.inhibited_by {
        return (Kind::Inhibited, format!("while {other} fires"), none());
    }
    if let Some(id) = first.silenced_by.first() {
        let reason = silences.get(id.as_str()).map(|silence| {
            let left = left(silence.ends_at, now);
            let comment = if silence.comment.is_empty() { none() } else { format!(": {}", silence.comment) };
            format!("for {left} more, by {}{comment}", silence.author)
        });
        return (Kind::Silenced, reason.unwrap_or_default(), id.clone());
    }
    let reason = match first.quiet_until {
        Some(end) if first.muted_by.is_empty() => format!("quiet hours, {} more", left(end, now)),
        _ => format!("in the time interval {}", first.muted_by.join(", ")),
    };
    (Kind::Muted, reason, none())
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
            quiet_until: None,
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
        let asleep = NotifiedAlert { quiet_until: Some(7_200_000), ..way(false, false, false) };
        check(Firing, &[asleep], Kind::Muted, "quiet hours, 2 h more");
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
