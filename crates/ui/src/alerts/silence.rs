//! The form of a silence, with a preview of what it would keep quiet.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::status::{AlertState, SilenceLine, SilenceView};
use model::{Labels, Timestamp, parse_duration};

use super::fields::Fields;
use super::list::whole;
use super::{Alert, Tab, fields, matchers, one};
use crate::Ui;
use crate::page::{Shell, respond};
use crate::params::Params;
use crate::problem::Problem;

/// What is offered beside a text of one's own.
const DURATIONS: [&str; 6] = ["30m", "2h", "8h", "1d", "3d", "1w"];

/// Alerts in the preview; the rest is counted.
const PREVIEW_MAX: usize = 20;

#[derive(Template)]
#[template(path = "alert_silence.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    form: Form,
    error: String,
    matching: Vec<Alert>,
    hidden: usize,
    told: bool,
    durations: [&'static str; 6],
}

/// What somebody typed.
#[derive(Default)]
struct Form {
    /// Of the silence that is changed; empty for a new one.
    id: String,
    lines: String,
    duration: String,
    author: String,
    comment: String,
}

impl Form {
    fn read(params: &Params) -> Self {
        let text = |name| params.get(name).unwrap_or_default().to_owned();
        let mut lines = params.all("m").collect::<Vec<_>>().join("\n");
        if let Some(typed) = params.get("matchers") {
            lines = typed.replace('\r', "");
        }
        let duration = params.get("duration").unwrap_or("2h").trim().to_owned();
        Self { id: text("id"), lines, duration, author: text("author"), comment: text("comment") }
    }

    /// The silence that it describes, and the reason why it is none.
    fn silence(&self, old: Option<&SilenceView>, now: Timestamp) -> Result<SilenceView, String> {
        let matchers = matchers::read(&self.lines)?;
        if matchers.is_empty() {
            return Err("Write at least one matcher, such as alertname=\"HostMemoryLow\".".to_owned());
        }
        let empty = Labels::empty();
        if matchers::fits(&matchers, &empty) {
            return Err("These matchers fit every alert, also one without labels: name a value.".to_owned());
        }
        let duration = parse_duration(&self.duration).map_err(|e| format!("The duration cannot be read: {e}."))?;
        if duration.is_zero() {
            return Err("The duration is nothing; write one such as 2h or 1d.".to_owned());
        }
        let length = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        // One that holds already keeps its beginning, so that it is changed rather than ended and made anew.
        let starts_at = old.map_or(now, |old| old.starts_at);
        Ok(SilenceView {
            id: self.id.clone(),
            matchers,
            starts_at,
            ends_at: now.max(starts_at).saturating_add(length),
            updated_at: now,
            author: if self.author.trim().is_empty() { "somebody on the page".to_owned() } else { self.author.clone() },
            comment: self.comment.clone(),
        })
    }
}

/// The handler of the form.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let mut form = Form::read(&params);
    // Links in notifications name the alert alone.
    if let Some(fingerprint) = params.get("alert").filter(|_| form.lines.is_empty()).and_then(one::read) {
        let labels = ui.labels_of(fingerprint).await.unwrap_or_default();
        form.lines = matchers::exactly(&labels).collect::<Vec<_>>().join("\n");
    }
    // A form that is opened without a matcher has no mistake yet.
    let error = match form.silence(None, ui.state.clock.now()) {
        Err(error) if !form.lines.trim().is_empty() => error,
        _ => String::new(),
    };
    show(&ui, &params, form, error, StatusCode::OK, &headers).await
}

async fn show(
    ui: &Arc<Ui>,
    params: &Params,
    form: Form,
    error: String,
    status: StatusCode,
    headers: &HeaderMap,
) -> Response {
    let view = ui.state.notifications.view().await;
    let told = view.is_some();
    let external = view.unwrap_or_default().external_labels;
    let lines = matchers::read(&form.lines).unwrap_or_default();
    let mut matching = ui.matching(&lines, &external);
    let hidden = matching.len().saturating_sub(PREVIEW_MAX);
    matching.truncate(PREVIEW_MAX);
    let title = if form.id.is_empty() { "New silence" } else { "Change a silence" };
    let mut shell = Shell::new(ui, params, "/alerts", title);
    shell.range = None;
    let page = Page { shell, tab: Tab::None, form, error, matching, hidden, told, durations: DURATIONS };
    respond(status, headers, page.render())
}

/// The handler that keeps it.
pub(crate) async fn save(State(ui): State<Arc<Ui>>, headers: HeaderMap, Fields(params): Fields) -> Response {
    let form = Form::read(&params);
    let old = ui.state.notifications.view().await.unwrap_or_default().silences;
    let old = old.iter().find(|silence| silence.id == form.id);
    let result = match form.silence(old, ui.state.clock.now()) {
        Ok(silence) => ui.state.notifications.set_silence(silence).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(_) => fields::see_other(&ui, "/alerts/silences"),
        Err(error) => show(&ui, &params, form, error, StatusCode::UNPROCESSABLE_ENTITY, &headers).await,
    }
}

/// The handler that ends one.
pub(crate) async fn expire(State(ui): State<Arc<Ui>>, headers: HeaderMap, Fields(params): Fields) -> Response {
    let Some(id) = params.get("id").map(str::to_owned) else {
        return Problem::bad_request("Which silence?", "The form names no id.").respond(&ui, &headers);
    };
    let result = ui.state.notifications.expire_silence(id).await;
    fields::done(&ui, &headers, result, "/alerts/silences")
}

impl Ui {
    /// Alerts of rules that fit all lines.
    fn matching(&self, lines: &[SilenceLine], external: &Labels) -> Vec<Alert> {
        if lines.is_empty() {
            return Vec::new();
        }
        let now = self.state.clock.now();
        let rules = self.state.rules.groups().into_iter().flat_map(|group| group.rules);
        let alerts = rules.filter_map(|rule| rule.alerting).flat_map(|alerting| alerting.alerts);
        let fitting = alerts
            .filter(|alert| alert.state != AlertState::Inactive)
            .filter(|alert| matchers::fits(lines, &whole(external, &alert.labels)));
        fitting.map(|alert| Alert::new(&alert, now)).collect()
    }
}
