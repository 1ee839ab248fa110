//! Every attempt to tell somebody something: when, to whom, how long it took, what was answered, and when it is tried again.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::Timestamp;
use model::status::{AttemptPage, AttemptQuery, AttemptView};

use super::one::spell;
use super::{Pairs, Tab, left, pairs};
use crate::Ui;
use crate::format::{When, took};
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::targets::State3;

/// Attempts on a page.
const ROWS_MAX: usize = 100;

/// Alerts that are named in a row; the rest is counted.
const NAMES_MAX: usize = 5;

/// As far back as they are kept: 90 days.
pub(super) const DAYS_MILLIS: i64 = 90 * 86_400_000;

#[derive(Template)]
#[template(path = "alert_notifications.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    words: String,
    outcome: &'static str,
    rows: Vec<Row>,
    /// The page with older ones, if there are any.
    older: Option<String>,
    /// Whether anybody is told at all.
    told: bool,
}

/// An attempt in words.
pub(super) struct Row {
    pub(super) at: When,
    pub(super) state: State3,
    pub(super) receiver: String,
    pub(super) integration: String,
    pub(super) reason: String,
    pub(super) group: Pairs,
    /// Names of the first alerts with their numbers.
    pub(super) alerts: Vec<(String, String)>,
    pub(super) hidden: usize,
    /// `2 firing, 1 ended`.
    pub(super) counts: String,
    pub(super) took: String,
    /// Why it was not taken, or what was wrong though it was.
    pub(super) problem: String,
    /// When it is tried again.
    pub(super) next: String,
}

/// The word of an address, and what it means.
const OUTCOMES: [(&str, bool); 2] = [("taken", true), ("failed", false)];

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    let words = params.get("q").unwrap_or_default().to_owned();
    let outcome = params.get("outcome").and_then(|word| OUTCOMES.into_iter().find(|(name, _)| *name == word));
    let wanted = AttemptQuery {
        from: now - DAYS_MILLIS,
        to: params.get("before").and_then(|text| text.parse().ok()).unwrap_or(now),
        words: words.split_whitespace().map(str::to_owned).collect(),
        taken: outcome.map(|(_, taken)| taken),
        alert: None,
        limit: ROWS_MAX,
    };
    let found = match ui.attempts(wanted).await {
        Ok(found) => found,
        Err(problem) => return problem.respond(&ui, &headers),
    };
    let outcome = outcome.map_or("", |(word, _)| word);
    // Attempts of the same millisecond may be told on both pages; none is left out.
    let last = found.attempts.last().filter(|_| found.more).map(|attempt| attempt.at.to_string());
    let older = last.map(|last| {
        let pairs = [("q", words.as_str()), ("outcome", outcome), ("before", &last)];
        encode(pairs.into_iter().filter(|(_, value)| !value.is_empty()))
    });
    let rows = found.attempts.into_iter().map(|attempt| Row::new(attempt, now)).collect();
    let told = ui.state.notifications.view().await.is_some();
    let shell = Shell::new(&ui, &params, "/alerts", "Notifications");
    let page = Page { shell, tab: Tab::Notifications, words, outcome, rows, older, told };
    respond(StatusCode::OK, &headers, page.render())
}

impl Row {
    pub(super) fn new(attempt: AttemptView, now: Timestamp) -> Self {
        let state = match (attempt.taken, attempt.problem.is_empty(), attempt.given_up) {
            (true, true, _) => State3 { word: "taken", class: "good", icon: "check" },
            (true, false, _) => State3 { word: "taken in part", class: "warn", icon: "alert" },
            (false, _, false) => State3 { word: "failed", class: "bad", icon: "cross" },
            (false, _, true) => State3 { word: "given up", class: "bad", icon: "cross" },
        };
        let hidden = (attempt.firing + attempt.resolved).saturating_sub(attempt.alerts.len().min(NAMES_MAX));
        let alerts = attempt.alerts.iter().take(NAMES_MAX).map(|(number, name)| (spell(*number), name.clone()));
        Self {
            at: When::new(attempt.at),
            state,
            next: next(&attempt, now),
            counts: counts(attempt.firing, attempt.resolved),
            alerts: alerts.collect(),
            hidden,
            group: pairs(&attempt.group),
            receiver: attempt.receiver,
            integration: attempt.integration,
            reason: if attempt.count > 1 {
                format!("{}, attempt {}", attempt.reason, attempt.count)
            } else {
                attempt.reason
            },
            took: took(attempt.duration),
            problem: attempt.problem,
        }
    }
}

fn counts(firing: usize, resolved: usize) -> String {
    let parts = [(firing, "firing"), (resolved, "ended")].into_iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// When it is tried again, as it is known now: what lies in the past has its own row.
fn next(attempt: &AttemptView, now: Timestamp) -> String {
    match attempt.next {
        Some(next) if next > now && attempt.given_up => {
            format!("told again in {}, if it still fires then", left(next, now))
        }
        Some(next) if next > now => format!("tried again in {}", left(next, now)),
        Some(_) if attempt.given_up => "told again at the next look at its group".to_owned(),
        Some(next) => format!("tried again after {}", left(next, attempt.at)),
        None => String::new(),
    }
}

impl Ui {
    /// A part of the attempts.
    pub(super) async fn attempts(&self, wanted: AttemptQuery) -> Result<AttemptPage, Problem> {
        let found = self.state.notifications.attempts(wanted).await;
        found
            .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The notifications cannot be read", error))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_attempt_is_told() {
        let failed = |next, given_up| AttemptView {
            at: 10_000,
            problem: "503".to_owned(),
            firing: 1,
            count: 2,
            duration: Duration::from_millis(20),
            next: Some(next),
            given_up,
            ..AttemptView::default()
        };
        let check = |attempt: AttemptView, state: &str, next: &str| {
            let row = Row::new(attempt, 12_000);
            assert_eq!((row.state.word, row.next.as_str()), (state, next));
        };
        check(AttemptView { taken: true, ..AttemptView::default() }, "taken", "");
        check(AttemptView { taken: true, problem: "t".to_owned(), ..AttemptView::default() }, "taken in part", "");
        check(failed(15_000, false), "failed", "tried again in 3 s");
        check(failed(11_000, false), "failed", "tried again after 1 s");
        check(failed(72_000, true), "given up", "told again in 60 s, if it still fires then");
        check(failed(11_000, true), "given up", "told again at the next look at its group");
        assert_eq!(
            (counts(2, 0), counts(0, 1), counts(2, 1)),
            ("2 firing".into(), "1 ended".into(), "2 firing, 1 ended".into())
        );
    }
}
