//! The request: its body under limits, then a thread that may block on the disk: the lane's, or another one.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use model::Durability;
use tokio::sync::SemaphorePermit;

use crate::counters::Tally;
use crate::lane::INLINE_BYTES_MAX;
use crate::media::Message;
use crate::{Error, Lane, Shared, State, ingest, media, v2};

/// Time in which a body must have come. Prometheus' senders give up after 30 s themselves.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// `POST /api/v1/write`.
pub(crate) async fn write(
    axum::extract::State(state): axum::extract::State<State>,
    lane: Option<Extension<Lane>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let lane = lane.map(|Extension(lane)| lane);
    let (tally, failure) = match take(&state.shared, lane.as_ref(), &headers, body).await {
        Ok((tally, complaint)) => (Some(tally), complaint),
        Err(error) => (None, Some(error)),
    };
    let mut response = match failure {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(error) => {
            report(&error);
            error.into_response()
        }
    };
    if let Some(tally) = tally {
        tally.say(response.headers_mut());
    }
    state.counters().request(response.status());
    response
}

/// Lost data and a failing disk are a person's business; what senders do wrong is theirs.
fn report(error: &Error) {
    match error {
        Error::Store(_) | Error::Internal => {
            tracing::error!(%error, "a remote write request could not be stored");
        }
        Error::Rejected(_) | Error::Limit(_) => {
            tracing::warn!(%error, "samples of a remote write request were refused");
        }
        _ => {
            tracing::debug!(%error, "a remote write request was refused");
        }
    }
}

/// Stores a request: what became of it, and what the sender is told though the rest was stored.
async fn take(
    shared: &Arc<Shared>,
    lane: Option<&Lane>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Tally, Option<Error>), Error> {
    let format = media::check(headers)?;
    let _place = shared.requests.try_acquire().map_err(|_| Error::Busy)?;
    let reading = tokio::time::timeout(BODY_TIMEOUT, read(shared, headers, body));
    let (packed, _bytes) = reading.await.map_err(|_| Error::BodyTimeout)??;
    shared.counters.received(packed.len());
    let length = decoded_length(&packed, shared.limits.message)?;
    let weight = u32::try_from(length).map_err(|_| too_long(length as u64, shared.limits.message))?;
    let room = Arc::clone(&shared.message_bytes).acquire_many_owned(weight).await.map_err(|_| Error::Internal)?;
    if let Some(lane) = lane.filter(|_| length <= INLINE_BYTES_MAX) {
        let stored = store(shared, format, &packed, length, Durability::Kernel);
        drop((packed, room));
        let stored = stored?;
        lane.synced(&shared.store).await?;
        return Ok(stored);
    }
    let writer = Arc::clone(&shared.writers).acquire_owned().await.map_err(|_| Error::Internal)?;
    let shared = Arc::clone(shared);
    let writing = tokio::task::spawn_blocking(move || {
        // The permits belong to the thread: a sender that hangs up does not make room for another one.
        let _held = (room, writer);
        store(&shared, format, &packed, length, Durability::Disk)
    });
    writing.await.map_err(|_| Error::Internal)?
}

/// Reads the body as long as it and all bodies together stay under their limits.
async fn read<'a>(
    shared: &'a Shared,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'a>>), Error> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0usize);
    let limit = shared.limits.body;
    if declared > limit {
        return Err(Error::BodyTooLarge(limit));
    }
    let mut packed = Vec::new();
    let mut held: Option<SemaphorePermit<'a>> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::Body(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if packed.len() + data.len() > limit {
            return Err(Error::BodyTooLarge(limit));
        }
        let weight = u32::try_from(data.len()).map_err(|_| Error::BodyTooLarge(limit))?;
        let more = shared.body_bytes.try_acquire_many(weight).map_err(|_| Error::Busy)?;
        match &mut held {
            Some(held) => held.merge(more),
            None => held = Some(more),
        }
        packed.extend_from_slice(&data);
    }
    Ok((packed, held))
}

/// What the block claims to hold, before any memory is taken for it.
fn decoded_length(packed: &[u8], limit: usize) -> Result<usize, Error> {
    match snap::raw::decompress_len(packed) {
        _ if packed.is_empty() => Err(Error::Snappy),
        Ok(length) if length <= limit => Ok(length),
        Ok(length) => Err(too_long(length as u64, limit)),
        Err(snap::Error::TooBig { given, .. }) => Err(too_long(given, limit)),
        Err(_) => Err(Error::Snappy),
    }
}

fn too_long(length: u64, limit: usize) -> Error {
    Error::DecodedTooLarge { length, limit }
}

fn store(
    shared: &Shared,
    format: Message,
    packed: &[u8],
    length: usize,
    durability: Durability,
) -> Result<(Tally, Option<Error>), Error> {
    let mut message = shared.messages.take(length);
    let unpacked = snap::raw::Decoder::new().decompress(packed, &mut message[..length]).map_err(|_| Error::Snappy);
    let result = unpacked.and_then(|length| {
        let (appender, known, message) = (shared.store.appender(), &shared.known, &message[..length]);
        match format {
            Message::V1 => ingest::write(appender, known, message, durability),
            Message::V2 => v2::write(appender, known, message, shared.limits.message, durability),
        }
    });
    shared.messages.give_back(message);
    let tally = result.as_ref().map_or_else(|_| Tally::default(), |outcome| outcome.tally);
    shared.counters.add(&tally);
    let outcome = result?;
    Ok((outcome.tally, outcome.complaint))
}
