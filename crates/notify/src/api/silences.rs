//! Silences.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::{Labels, Timestamp};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{Failure, Parameters, Source, answer, notifier, read_body, read_time, time};
use crate::{Silence, SilenceError, SilenceMatcher, SilenceState};

/// All that fit: active ones by their end, then pending ones by their start, then expired ones, the latest first.
pub(super) async fn list(State(source): State<Source>, query: RawQuery) -> Result<Response, Failure> {
    let filter = Parameters::new(query).filter()?;
    let notifier = notifier(&source)?;
    let now = notifier.now();
    let mut silences = notifier.silences();
    silences.retain(|silence| filter.takes(&labels(silence)));
    silences.sort_by_key(|silence| match silence.state(now) {
        state @ SilenceState::Active => (state, silence.ends_at),
        state @ SilenceState::Pending => (state, silence.starts_at),
        state @ SilenceState::Expired => (state, -silence.ends_at),
    });
    Ok(answer(&silences.iter().map(|silence| shown(silence, now)).collect::<Vec<Value>>()))
}

/// What a silence's matchers ask for, as labels that a filter can look at.
fn labels(silence: &Silence) -> Labels {
    Labels::from_pairs(silence.matchers.iter().map(|matcher| (&matcher.name, &matcher.value)))
}

pub(super) async fn one(State(source): State<Source>, Path(id): Path<String>) -> Result<Response, Failure> {
    check_id(&id)?;
    let notifier = notifier(&source)?;
    let silence = notifier.silences().into_iter().find(|silence| silence.id == id).ok_or(Failure::NotFound)?;
    Ok(answer(&shown(&silence, notifier.now())))
}

pub(super) async fn expire(State(source): State<Source>, Path(id): Path<String>) -> Result<Response, Failure> {
    check_id(&id)?;
    let notifier = notifier(&source)?;
    spawn_blocking(move || notifier.expire_silence(&id)).await.map_err(|e| Failure::Internal(e.to_string()))??;
    Ok(StatusCode::OK.into_response())
}

/// Adds a silence, or changes the one with its id.
pub(super) async fn set(State(source): State<Source>, body: Bytes) -> Result<Response, Failure> {
    let silence = read(&read_body(&body)?)?;
    let notifier = notifier(&source)?;
    let bad = |message: &str| Err(Failure::Bad(format!("Failed to create silence: {message}")));
    if silence.starts_at >= silence.ends_at {
        return bad("start time must be before end time");
    }
    if silence.ends_at < notifier.now() {
        return bad("end time can't be in the past");
    }
    let set = spawn_blocking(move || notifier.set_silence(silence)).await;
    let id = set.map_err(|e| Failure::Internal(e.to_string()))?.map_err(|error| match error {
        SilenceError::NotFound => Failure::Unknown(error.to_string()),
        error => error.into(),
    })?;
    Ok(answer(&json!({ "silenceID": id })))
}

impl From<SilenceError> for Failure {
    fn from(error: SilenceError) -> Self {
        match error {
            SilenceError::NotFound => Self::NotFound,
            SilenceError::Invalid(_) | SilenceError::TooMany => Self::Bad(error.to_string()),
            SilenceError::Storage(_) => Self::Internal(error.to_string()),
        }
    }
}

fn check_id(id: &str) -> Result<(), Failure> {
    let groups: Vec<&str> = id.split('-').collect();
    let is_uuid = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.concat().bytes().all(|b| b.is_ascii_hexdigit());
    let message = || format!("silenceID in path must be of type uuid: {id:?}");
    if is_uuid { Ok(()) } else { Err(Failure::Shape(601, message())) }
}

fn read(body: &Value) -> Result<Silence, Failure> {
    let required = |name: &str| Failure::Shape(602, format!("{name} in body is required"));
    let text = |name: &str| body[name].as_str().map(str::to_owned).ok_or_else(|| required(name));
    let comment = text("comment")?;
    let created_by = text("createdBy")?;
    let ends_at = read_time(&body["endsAt"], "endsAt")?.ok_or_else(|| required("endsAt"))?;
    let matchers = body["matchers"].as_array().ok_or_else(|| required("matchers"))?;
    if matchers.is_empty() {
        return Err(Failure::Shape(612, "matchers in body should have at least 1 items".to_owned()));
    }
    let matchers =
        matchers.iter().enumerate().map(|(i, matcher)| read_matcher(i, matcher)).collect::<Result<_, _>>()?;
    if body["startsAt"].is_null() {
        return Err(required("startsAt"));
    }
    let starts_at = read_time(&body["startsAt"], "startsAt")?.unwrap_or(0);
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    let annotations = body["annotations"].as_object().into_iter().flatten();
    let annotations = annotations
        .map(|(name, value)| {
            let value = value
                .as_str()
                .ok_or_else(|| Failure::Shape(601, format!("annotations.{name} in body must be of type string")));
            Ok((name.clone(), value?.to_owned()))
        })
        .collect::<Result<_, Failure>>()?;
    Ok(Silence { id, matchers, starts_at, ends_at, updated_at: 0, created_by, comment, annotations })
}

fn read_matcher(index: usize, matcher: &Value) -> Result<SilenceMatcher, Failure> {
    let required = |name: &str| Failure::Shape(602, format!("matchers.{index}.{name} in body is required"));
    let text = |name: &str| matcher[name].as_str().map(str::to_owned).ok_or_else(|| required(name));
    Ok(SilenceMatcher {
        is_regex: matcher["isRegex"].as_bool().ok_or_else(|| required("isRegex"))?,
        name: text("name")?,
        value: text("value")?,
        is_equal: matcher["isEqual"].as_bool().unwrap_or(true),
    })
}

fn shown(silence: &Silence, now: Timestamp) -> Value {
    let mut shown = json!({
        "id": silence.id,
        "status": { "state": silence.state(now).text() },
        "updatedAt": time(silence.updated_at),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": time(silence.ends_at),
        "matchers": silence.matchers,
        "startsAt": time(silence.starts_at),
    });
    if !silence.annotations.is_empty() {
        shown["annotations"] = json!(silence.annotations);
    }
    shown
}
