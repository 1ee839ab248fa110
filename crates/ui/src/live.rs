//! `/ui/live`: one event stream a page, which says that there is something new; the page then asks for it.
//!
//! An event `state` carries a [`Summary`] as JSON; its id is the newest sample's time. It is sent at once when an alert or a
//! target changed, and when samples arrived, no more often than skep collects, but for its first minute. A reader beyond [`SUBSCRIBERS_MAX`] gets 503
//! and asks `/ui/live/now` instead, once an interval.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use model::Timestamp;
use model::status::{AlertState, Health};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::Ui;

/// Open streams. Each holds a connection for as long as the page is looked at; sixteen is Prometheus' limit for its own.
pub(crate) const SUBSCRIBERS_MAX: usize = 16;
/// Time between comments that keep proxies from closing a silent stream, and tell the page that we live.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// Time between looks at what changed: the delay at which an alert shows up.
const LOOK: Duration = Duration::from_secs(1);
/// Shortest time between news of samples while collecting has just begun: each of the first ones fills something.
const FIRST_NEWS: Duration = Duration::from_secs(3);
/// Shortest wait of a browser before it connects again; up to as much again is added, so that all pages do not come back in
/// the same instant.
const RETRY: Duration = Duration::from_secs(2);

/// What pages are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    /// The newest sample's time.
    newest: Option<Timestamp>,
    firing: usize,
    pending: usize,
    up: usize,
    down: usize,
}

struct Subscriber {
    ui: Arc<Ui>,
    looks: Interval,
    stopping: watch::Receiver<bool>,
    /// What was sent last, and when; nothing was at first.
    sent: Option<(Summary, Instant)>,
    /// The newest time that the page knew when it came back.
    known: Option<Timestamp>,
    _place: OwnedSemaphorePermit,
}

/// The stream, or 503 where all places are taken.
pub(crate) async fn stream(State(ui): State<Arc<Ui>>, headers: HeaderMap) -> Response {
    let Ok(place) = Arc::clone(&ui.subscribers).try_acquire_owned() else {
        let text = format!("{SUBSCRIBERS_MAX} pages listen already; ask /ui/live/now from time to time.\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let known = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let events = events(Subscriber::new(ui, place, known));
    let beat = KeepAlive::new().interval(HEARTBEAT).text("");
    (
        [(header::CACHE_CONTROL, "no-store"), (header::HeaderName::from_static("x-accel-buffering"), "no")],
        Sse::new(events).keep_alive(beat),
    )
        .into_response()
}

/// The same, once, for pages without a stream.
pub(crate) async fn now(State(ui): State<Arc<Ui>>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(ui.summary())).into_response()
}

fn events(subscriber: Subscriber) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(subscriber, |mut subscriber| async move {
        let event = subscriber.next().await?;
        Some((Ok(event), subscriber))
    })
}

impl Subscriber {
    fn new(ui: Arc<Ui>, place: OwnedSemaphorePermit, known: Option<Timestamp>) -> Self {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopping = ui.state.stopping.clone();
        Self { ui, looks, stopping, sent: None, known, _place: place }
    }

    /// Waits for something worth telling; `None` when the process stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                () = stopped(&mut self.stopping) => return None,
                _ = self.looks.tick() => {}
            }
            let summary = self.ui.summary();
            if self.is_news(&summary) {
                return Some(self.event(summary));
            }
        }
    }

    fn is_news(&self, summary: &Summary) -> bool {
        let Some((last, at)) = &self.sent else { return true };
        let interval = self.ui.state.config.interval;
        let pause = if self.ui.has_just_begun(interval) { interval.min(FIRST_NEWS) } else { interval };
        let samples = summary.newest != last.newest && at.elapsed() >= pause;
        samples || Summary { newest: None, ..*summary } != Summary { newest: None, ..*last }
    }

    fn event(&mut self, summary: Summary) -> Event {
        let first = self.sent.replace((summary, Instant::now())).is_none();
        // A page that came back and missed nothing is told so by the same id: it then asks for nothing.
        let id = summary.newest.or(self.known).unwrap_or_default().to_string();
        let event = Event::default().event("state").id(id);
        let event = if first { event.retry(RETRY + jitter()) } else { event };
        event.json_data(summary).unwrap_or_default()
    }
}

impl Ui {
    fn summary(&self) -> Summary {
        let targets = self.state.targets.active();
        let with = |health| targets.iter().filter(|target| target.health == health).count();
        Summary {
            newest: self.state.store.status().max_time,
            firing: self.alerts_in(AlertState::Firing),
            pending: self.alerts_in(AlertState::Pending),
            up: with(Health::Good),
            down: with(Health::Bad),
        }
    }
}

/// Ready when the process stops; never if nobody can tell.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Zero to [`RETRY`]; the hasher's seed is random for each process and call.
fn jitter() -> Duration {
    let random = RandomState::new().hash_one(0u8);
    RETRY.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64)
}
