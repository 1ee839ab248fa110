//! Alertmanager's API version 2, so that its tools and everything that sends alerts to it work with skep.
//!
//! Answers and errors are those of Alertmanager 0.33, JSON all of them.

mod alerts;
mod silences;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, RawQuery};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::{Labels, Matcher, Pattern, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Notifier, matchers};

/// A request with alerts; some thousand alerts with long annotations.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Gives the notifier in force; there is none while the configuration names no `alertmanager.yml`.
pub type Source = Arc<dyn Fn() -> Option<Arc<Notifier>> + Send + Sync>;

/// The routes below `/api/v2`.
pub fn router(source: Source) -> Router {
    Router::new()
        .route("/api/v2/alerts", get(alerts::list).post(alerts::add))
        .route("/api/v2/alerts/groups", get(alerts::groups))
        .route("/api/v2/receivers", get(status::receivers))
        .route("/api/v2/silence/{id}", get(silences::one).delete(silences::expire))
        .route("/api/v2/silences", get(silences::list).post(silences::set))
        .route("/api/v2/status", get(status::status))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(source)
}

/// Why a request has no good answer.
#[derive(Debug)]
enum Failure {
    /// 400 with a text.
    Bad(String),
    /// 404 without one.
    NotFound,
    /// 404 with a text: the body names what is not there.
    Unknown(String),
    /// 422: what the description of the API does not allow.
    Shape(u16, String),
    /// 500 with a text.
    Internal(String),
    /// 503: no notifications are configured.
    Off,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(message) => reply(StatusCode::BAD_REQUEST, &message),
            Self::Unknown(message) => reply(StatusCode::NOT_FOUND, &message),
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::Shape(code, message) => {
                reply(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "code": code, "message": message }))
            }
            Self::Internal(message) => reply(StatusCode::INTERNAL_SERVER_ERROR, &message),
            Self::Off => reply(
                StatusCode::SERVICE_UNAVAILABLE,
                "no notifications are configured: name an alertmanager.yml with --alertmanager-config",
            ),
        }
    }
}

fn reply<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    let mut body = serde_json::to_string(value).unwrap_or_default();
    body.push('\n');
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

fn answer<T: Serialize>(value: &T) -> Response {
    reply(StatusCode::OK, value)
}

fn notifier(source: &Source) -> Result<Arc<Notifier>, Failure> {
    source().ok_or(Failure::Off)
}

/// The parameters of a request.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn new(RawQuery(query): RawQuery) -> Self {
        let query = query.unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into(), value.into())).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// A switch that is on where nothing is said of it.
    fn switch(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name) {
            None
            | Some(
                "true" | "True" | "TRUE" | "t" | "T" | "1" | "yes" | "y" | "ok" | "checked" | "selected" | "enabled"
                | "on",
            ) => Ok(true),
            Some(_) => Ok(false),
        }
    }

    /// What labels must fit.
    fn filter(&self) -> Result<Filter, Failure> {
        let texts = self.0.iter().filter(|(name, _)| name == "filter");
        let all = texts.map(|(_, text)| matchers::parse_one(text)).collect::<Result<_, _>>();
        Ok(Filter(all.map_err(Failure::Bad)?))
    }

    /// What names of receivers must match.
    fn receiver(&self) -> Result<Option<Pattern>, Failure> {
        let pattern = self.get("receiver").filter(|pattern| !pattern.is_empty());
        let pattern = pattern.map(|pattern| Pattern::new(&format!("^(?:{pattern})$"))).transpose();
        pattern.map_err(|e| Failure::Bad(format!("failed to parse receiver param: {e}")))
    }
}

/// Matchers that must all hold.
struct Filter(Vec<Matcher>);

impl Filter {
    fn takes(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.matches_labels(labels))
    }
}

/// A time as the API writes it, in milliseconds.
fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

/// A time as people and programs write it; years before 1970 are no time, as Go's zero time is none.
fn read_time(value: &Value, name: &str) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = value.as_str() else {
        let message = format!("{name} in body must be of type date-time: {value}");
        return if value.is_null() { Ok(None) } else { Err(Failure::Shape(601, message)) };
    };
    let read = text
        .parse::<jiff::Timestamp>()
        .map_err(|e| Failure::Bad(format!("parsing {name} body from \"\" failed, because {e}")));
    Ok(Some(read?.as_millisecond()).filter(|at| *at > 0))
}

/// A request's body.
fn read_body(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|e| Failure::Bad(format!("parsing body body from \"\" failed, because {e}")))
}
