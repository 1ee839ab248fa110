//! Remote read: series for another Prometheus, which asks as it would ask its own store.
//!
//! In: `POST /api/v1/read`, a snappy block around a protobuf `ReadRequest`. Out: all samples in one packed message, or, to
//! those that take them, chunks as a stream that is made while it is sent: one series at a time is in memory. Never: a
//! thread that waits for a slow reader, an answer larger than its limit.

mod chunk;
mod request;
mod response;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, Limited};
use model::{
    CollectError, Collector, Families, Hints, Labels, Live, MetricKind, Queryable, Samples, Selection, Series,
    StorageError,
};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::put::put_bytes;
use crate::wire::WireError;
use request::{Form, Query, Request};
use response::Frames;

/// Longest request, packed and unpacked: a thousand matchers with long patterns.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Time in which a request must have come.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A reader that takes nothing for so long is given up, so that it does not keep the place of another one.
const READER_TIMEOUT: Duration = Duration::from_secs(60);

/// Frames of small series are sent together until they have so many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces that are made before the reader took the last one.
const PIECES_AHEAD: usize = 1;

/// Prometheus' own limits, and one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Samples of an answer that is one message; 0 is no limit.
    pub samples: u64,
    /// Requests answered at once; others wait. 0 is no limit.
    pub concurrency: usize,
    /// Bytes of a frame of a stream; a chunk more is possible.
    pub frame_bytes: usize,
    /// Bytes of all answers that are one message and are being made.
    pub answers_bytes: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { samples: 50_000_000, concurrency: 10, frame_bytes: 1 << 20, answers_bytes: 64 << 20 }
    }
}

/// What the route shares.
#[derive(Clone)]
pub struct Reader {
    storage: Arc<dyn Queryable>,
    external_labels: Live<Labels>,
    limits: ReadLimits,
    places: Arc<Semaphore>,
    /// KiB of answers that may still be held.
    room: Arc<Semaphore>,
    counters: Arc<Counters>,
}

/// What readers got since the start.
#[derive(Debug, Default)]
struct Counters {
    answered: AtomicU64,
    refused: AtomicU64,
    broken_off: AtomicU64,
}

/// Whether somebody waits for an answer that is being made; dropped with the request.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Why a request was not answered.
#[derive(Debug, Error)]
enum Error {
    #[error("the request is longer than {REQUEST_BYTES_MAX} bytes")]
    TooLong,
    #[error("the request did not arrive in time")]
    Late,
    #[error("snappy: corrupt input")]
    Snappy,
    #[error(transparent)]
    Message(#[from] WireError),
    #[error("{1} {0} are the most in a request")]
    TooMany(&'static str, usize),
    #[error("a matcher is not UTF-8")]
    Text,
    #[error(
        "server does not support any of the requested response types: [{0}]; supported: map[SAMPLES:{{}} STREAMED_XOR_CHUNKS:{{}}]"
    )]
    Form(String),
    #[error("{0}")]
    Matcher(String),
    #[error("exceeded sample limit ({0})")]
    Samples(u64),
    #[error(
        "answers of remote read may hold {0} bytes together; ask for less, take streamed chunks, or raise --memory-budget"
    )]
    Memory(usize),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the request could not be processed")]
    Internal,
}

impl Error {
    /// As upstream, which answers matchers that cannot be with 500.
    fn status(&self) -> StatusCode {
        match self {
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Memory(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Matcher(_) | Self::Storage(_) | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let headers =
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        (self.status(), headers, format!("{self}\n")).into_response()
    }
}

impl Reader {
    /// Answers from this store; `external_labels` are what series get that lack them.
    pub fn new(storage: Arc<dyn Queryable>, external_labels: Live<Labels>, limits: ReadLimits) -> Self {
        let places = if limits.concurrency == 0 { Semaphore::MAX_PERMITS } else { limits.concurrency };
        let (places, room) = (Semaphore::new(places), Semaphore::new(limits.answers_bytes >> 10));
        let (places, room, counters) = (Arc::new(places), Arc::new(room), Arc::default());
        Self { storage, external_labels, limits, places, room, counters }
    }

    /// The route `POST /api/v1/read`.
    pub fn router(self) -> Router {
        Router::new().route("/api/v1/read", post(read)).with_state(self)
    }

    async fn answer(self, body: Body) -> Result<Response, Error> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Error::Internal)?;
        let receiving = tokio::time::timeout(REQUEST_TIMEOUT, Limited::new(body, REQUEST_BYTES_MAX).collect());
        let packed = receiving.await.map_err(|_| Error::Late)?.map_err(|_| Error::TooLong)?.to_bytes();
        let labels = self.external_labels.get();
        let request = Request::read(&unpack(&packed)?, &labels)?;
        if request.form == Form::Samples {
            let waiting = Waiting(Arc::default());
            let gone = Arc::clone(&waiting.0);
            let making = spawn_blocking(move || self.samples(&request.queries, &labels, &gone));
            let answer = making.await.map_err(|_| Error::Internal)??;
            drop((waiting, place));
            let packed = [(header::CONTENT_ENCODING, "snappy"), (header::CONTENT_TYPE, "application/x-protobuf")];
            return Ok((packed, answer).into_response());
        }
        let stream = Stream::new(self, request.queries, labels);
        let (first, stream) = stream.next().await?;
        let (tell, told) = mpsc::channel(PIECES_AHEAD);
        let whole = Arc::new(AtomicBool::new(first.is_none()));
        if let Some(first) = first {
            let sending = stream.send(first, tell, Arc::clone(&whole));
            tokio::spawn(async move {
                sending.await;
                drop(place);
            });
        }
        let media = HeaderValue::from_static("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse");
        Ok(([(header::CONTENT_TYPE, media)], stream_body(told, whole)).into_response())
    }

    /// The packed `ReadResponse`, unless the reader has gone.
    fn samples(&self, queries: &[Query], external: &Labels, gone: &AtomicBool) -> Result<Vec<u8>, Error> {
        let mut held = Held { reader: self, permit: None, kibibytes: 0 };
        let mut message = Vec::new();
        for query in queries {
            let (mut result, mut read, mut samples) = (Vec::new(), 0, Samples::default());
            for series in self.select(query)? {
                if gone.load(Ordering::Relaxed) {
                    return Err(StorageError::Canceled.into());
                }
                samples.clear();
                series.read(&mut samples)?;
                read += samples.len() as u64;
                if self.limits.samples > 0 && read > self.limits.samples {
                    return Err(Error::Samples(self.limits.samples));
                }
                if !samples.is_empty() {
                    let labels = response::labels(series.labels(), external);
                    response::put_series(&mut result, &labels, &samples);
                }
                held.grow_to(message.len() + result.len())?;
            }
            put_bytes(&mut message, 1, &result);
        }
        snap::raw::Encoder::new().compress_vec(&message).map_err(|_| Error::Internal)
    }

    /// Notes that a stream ended before its end.
    fn break_off(&self, reason: &str) {
        self.counters.broken_off.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(reason, "an answer of remote read broke off");
    }

    /// The series of a query by their labels.
    fn select(&self, query: &Query) -> Result<Vec<Box<dyn Series>>, StorageError> {
        if query.end < query.start {
            return Ok(Vec::new());
        }
        let (min_time, max_time) = (query.start, query.end);
        let selection = Selection { matchers: &query.matchers, min_time, max_time, hints: Hints::default() };
        let mut set = self.storage.select(&selection)?;
        for warning in &set.warnings {
            tracing::warn!(warning, "an answer of remote read is not whole");
        }
        set.series.sort_by(|a, b| a.labels().cmp(b.labels()));
        Ok(set.series)
    }
}

async fn read(Shared(reader): Shared<Reader>, body: Body) -> Response {
    let counters = Arc::clone(&reader.counters);
    match reader.answer(body).await {
        Ok(answer) => {
            counters.answered.fetch_add(1, Ordering::Relaxed);
            answer
        }
        Err(error) => {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%error, "a request of remote read was refused");
            error.into_response()
        }
    }
}

impl Collector for Reader {
    fn name(&self) -> &'static str {
        "remote_read"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let counters = &self.counters;
        let requests = families.family(
            "skep_remote_read_requests_total",
            MetricKind::Counter,
            "Requests of remote read: answered, refused, and of those answered as streams the ones that broke off.",
        );
        let outcomes =
            [("answered", &counters.answered), ("refused", &counters.refused), ("broken_off", &counters.broken_off)];
        for (outcome, count) in outcomes {
            requests.with([("outcome", outcome)], count.load(Ordering::Relaxed) as f64);
        }
        Ok(())
    }
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, Error> {
    match snap::raw::decompress_len(packed) {
        Ok(length) if length > REQUEST_BYTES_MAX => Err(Error::TooLong),
        Ok(_) if !packed.is_empty() => snap::raw::Decoder::new().decompress_vec(packed).map_err(|_| Error::Snappy),
        _ => Err(Error::Snappy),
    }
}

/// Memory of an answer that is being made.
struct Held<'r> {
    reader: &'r Reader,
    permit: Option<OwnedSemaphorePermit>,
    kibibytes: usize,
}

impl Held<'_> {
    /// Counts the answer twice, because it is held whole while it is packed.
    fn grow_to(&mut self, bytes: usize) -> Result<(), Error> {
        let wanted = (bytes >> 9) + 1;
        let more = u32::try_from(wanted.saturating_sub(self.kibibytes)).unwrap_or(u32::MAX);
        let refused = |_| Error::Memory(self.reader.limits.answers_bytes);
        let permit = Arc::clone(&self.reader.room).try_acquire_many_owned(more).map_err(refused)?;
        self.kibibytes = self.kibibytes.max(wanted);
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
        Ok(())
    }
}

/// A stream of frames that is being made.
struct Stream {
    reader: Reader,
    external_labels: Labels,
    queries: std::iter::Enumerate<std::vec::IntoIter<Query>>,
    /// The number of the query that is being answered, and its series that are left.
    query: u64,
    series: std::vec::IntoIter<Box<dyn Series>>,
    frames: Option<Frames>,
}

impl Stream {
    fn new(reader: Reader, queries: Vec<Query>, external_labels: Labels) -> Self {
        let queries = queries.into_iter().enumerate();
        Self { reader, external_labels, queries, query: 0, series: Vec::new().into_iter(), frames: None }
    }

    /// Makes the next piece on a thread that may block; `None` at the end.
    async fn next(mut self) -> Result<(Option<Bytes>, Self), Error> {
        let making = spawn_blocking(move || {
            let piece = self.piece()?;
            Ok((Some(piece).filter(|piece| !piece.is_empty()).map(Bytes::from), self))
        });
        making.await.map_err(|_| Error::Internal)?
    }

    fn piece(&mut self) -> Result<Vec<u8>, StorageError> {
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES {
            if let Some(frame) = self.frames.as_mut().and_then(Frames::next) {
                piece.extend(frame);
            } else if let Some(series) = self.series.next() {
                let mut samples = Samples::default();
                series.read(&mut samples)?;
                let labels = response::labels(series.labels(), &self.external_labels);
                self.frames = Some(Frames::new(labels, samples, self.query, self.reader.limits.frame_bytes));
            } else if let Some((number, query)) = self.queries.next() {
                self.query = number as u64;
                self.series = self.reader.select(&query)?.into_iter();
            } else {
                break;
            }
        }
        Ok(piece)
    }

    /// Sends piece after piece, and says that it is whole.
    async fn send(self, first: Bytes, to: mpsc::Sender<Bytes>, whole: Arc<AtomicBool>) {
        let (mut piece, mut stream) = (Some(first), self);
        while let Some(bytes) = piece {
            match tokio::time::timeout(READER_TIMEOUT, to.send(bytes)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => return stream.reader.break_off(&format!("its reader took nothing for {READER_TIMEOUT:?}")),
            }
            let reader = stream.reader.clone();
            (piece, stream) = match stream.next().await {
                Ok(next) => next,
                Err(error) => return reader.break_off(&error.to_string()),
            };
        }
        whole.store(true, Ordering::Release);
    }
}

/// The pieces that are told; without the word that they are all, the connection breaks off behind them, so that nobody
/// takes a part for the whole.
fn stream_body(told: mpsc::Receiver<Bytes>, whole: Arc<AtomicBool>) -> Body {
    let broken = move || {
        let is_whole = whole.swap(true, Ordering::Acquire);
        (!is_whole).then(|| Err(io::Error::other("the answer is not whole")))
    };
    Body::from_stream(ReceiverStream::new(told).map(Ok).chain(tokio_stream::iter(std::iter::from_fn(broken))))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(is_whole: bool, expected: Option<&[u8]>) {
        let (tell, told) = mpsc::channel(1);
        let whole = Arc::new(AtomicBool::new(is_whole));
        tell.send(Bytes::from_static(b"piece")).await.unwrap();
        drop(tell);
        let collected = stream_body(told, whole).collect().await.map(http_body_util::Collected::to_bytes);
        assert_eq!(collected.ok().as_deref(), expected, "{is_whole}");
    }

    #[tokio::test]
    async fn a_part_is_not_taken_for_the_whole() {
        check(true, Some(b"piece")).await;
        check(false, None).await;
    }
}
