//! The list of silences.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::Timestamp;
use model::status::SilenceView;

use super::quiet::Hours;
use super::{Tab, left, matchers};
use crate::Ui;
use crate::format::{When, ago};
use crate::page::{Shell, respond};
use crate::params::{Params, encode};
use crate::targets::State3;

#[derive(Template)]
#[template(path = "alert_silences.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    /// Those that hold or wait, then those that ended lately, each under its title.
    lists: Vec<(&'static str, Vec<Row>)>,
    /// Whether none holds or waits.
    none: bool,
    quiet: Vec<Hours>,
    /// Whether there are receivers, without which nothing is told anyway.
    told: bool,
}

struct Row {
    id: String,
    state: State3,
    lines: Vec<String>,
    author: String,
    comment: String,
    starts: When,
    ends: When,
    /// `in 2 h`, `ended 3 min ago`.
    left: String,
    /// How many alerts it keeps quiet.
    alerts: usize,
    /// The form with the same matchers.
    edit: String,
}

/// The handler.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let now = ui.state.clock.now();
    let view = ui.state.notifications.view().await;
    let told = view.is_some();
    let mut view = view.unwrap_or_default();
    view.silences.sort_by_key(|silence| (silence.ends_at, silence.id.clone()));
    let count = |id: &str| view.alerts.iter().filter(|alert| alert.silenced_by.iter().any(|by| by == id)).count();
    let (rows, mut ended): (Vec<Row>, Vec<Row>) =
        view.silences.iter().map(|silence| Row::new(silence, count(&silence.id), now)).partition(|r| r.ends.ms > now);
    ended.reverse();
    let shell = Shell::new(&ui, &params, "/alerts", "Silences");
    let none = rows.is_empty();
    let lists = vec![("Active and waiting", rows), ("Ended within five days", ended)];
    let quiet = view.quiet_hours.iter().map(|hours| Hours::new(hours, &view.alerts, now)).collect();
    let page = Page { shell, tab: Tab::Silences, lists, none, quiet, told };
    respond(StatusCode::OK, &headers, page.render())
}

impl Row {
    fn new(silence: &SilenceView, alerts: usize, now: Timestamp) -> Self {
        let lines: Vec<String> = silence.matchers.iter().map(matchers::spell).collect();
        let is_over = silence.ends_at <= now;
        let id = (!is_over).then_some(("id", silence.id.as_str()));
        let texts = [("comment", silence.comment.as_str()), ("author", silence.author.as_str())];
        let pairs = lines.iter().map(|line| ("m", line.as_str())).chain(texts).chain(id);
        let (state, left) = if is_over {
            let left = format!("ended {}", ago(silence.ends_at, now));
            (State3 { word: "ended", class: "idle", icon: "check" }, left)
        } else if silence.starts_at > now {
            let left = format!("begins in {}", left(silence.starts_at, now));
            (State3 { word: "waits", class: "warn", icon: "clock" }, left)
        } else {
            let left = format!("{} left", left(silence.ends_at, now));
            (State3 { word: "active", class: "good", icon: "hush" }, left)
        };
        Self {
            id: silence.id.clone(),
            state,
            author: silence.author.clone(),
            comment: silence.comment.clone(),
            starts: When::new(silence.starts_at),
            ends: When::new(silence.ends_at),
            left,
            alerts,
            edit: encode(pairs.collect::<Vec<_>>()),
            lines,
        }
    }
}
