//! Alerts for Alertmanagers elsewhere, as Prometheus sends them: all that a rule says, to each of them, in the order in
//! which it was said.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use client::config::HttpConfig;
use client::{Client as Http, Network, Transport};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use model::{Alert, AlertSink, CollectError, Collector, Families, Labels, MetricKind, Timestamp};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::AGENT;
use crate::outgoing::to_json;

/// Alerts that wait; Prometheus' default. The oldest give way: newer ones say what is so now.
const QUEUE_MAX: usize = 10_000;

/// Alerts in one request; Prometheus' default.
const BATCH_MAX: usize = 256;

/// What the queue may still take when the process stops; the whole process has 5 s.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Changes an alert's labels, or says that it is not sent.
pub type Rewrite = Arc<dyn Fn(&Labels) -> Option<Labels> + Send + Sync>;

/// An Alertmanager elsewhere.
#[derive(Clone)]
pub struct Destination {
    /// Where its API takes alerts.
    pub url: Uri,
    /// How it is reached.
    pub http: HttpConfig,
    /// The longest time of one request.
    pub timeout: Duration,
    /// What alerts for it are changed by.
    pub rewrite: Rewrite,
}

/// The Alertmanagers in force and what waits for them.
#[derive(Default)]
struct State {
    /// Whether the configuration names any; else nothing waits.
    is_on: bool,
    destinations: Vec<Destination>,
    queue: VecDeque<Alert>,
    dropped: u64,
    counts: BTreeMap<String, Counts>,
    /// Those of the destinations, so that connections live from one request to the next.
    transports: Vec<Arc<Transport>>,
    is_sending: bool,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    sent: u64,
    errors: u64,
    requests: u64,
    seconds: f64,
}

/// Sends alerts to Alertmanagers elsewhere. Share it by `Arc`.
pub struct External {
    state: Mutex<State>,
    network: Network,
    wake: Notify,
    /// Wakes who waits for an empty queue.
    idle: Notify,
}

impl External {
    /// Starts the task that sends; call it in a tokio runtime. It ends when nobody else holds this.
    pub fn start() -> Arc<Self> {
        let external = Arc::new(Self {
            state: Mutex::default(),
            network: Network::default(),
            wake: Notify::new(),
            idle: Notify::new(),
        });
        let weak = Arc::downgrade(&external);
        tokio::spawn(async move {
            while let Some(external) = weak.upgrade() {
                external.turn().await;
            }
        });
        external
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts Alertmanagers in force; `is_on` tells whether the configuration names any, found or not.
    pub fn set(&self, is_on: bool, destinations: Vec<Destination>) {
        let transports = destinations.iter().map(|destination| self.network.transport(&destination.http)).collect();
        let mut state = self.state();
        state.counts.retain(|url, _| destinations.iter().any(|destination| destination.url.to_string() == *url));
        for destination in &destinations {
            state.counts.entry(destination.url.to_string()).or_default();
        }
        (state.is_on, state.destinations, state.transports) = (is_on, destinations, transports);
        if !is_on {
            state.queue.clear();
        }
    }

    /// The addresses of all Alertmanagers in force.
    pub fn urls(&self) -> Vec<String> {
        let mut urls: Vec<String> = self.state().destinations.iter().map(|d| d.url.to_string()).collect();
        urls.sort();
        urls.dedup();
        urls
    }

    /// Waits a little until everything is sent, for the end of the process.
    pub async fn drain(&self) {
        let empty = async {
            loop {
                let idle = self.idle.notified();
                if self.is_idle() {
                    return;
                }
                idle.await;
            }
        };
        if timeout(STOP_MAX, empty).await.is_err() {
            tracing::warn!(waiting = self.state().queue.len(), "alerts for Alertmanagers elsewhere were not sent");
        }
    }

    fn is_idle(&self) -> bool {
        let state = self.state();
        state.queue.is_empty() && !state.is_sending
    }

    /// Sends what waits, one batch, or waits for something to send.
    async fn turn(&self) {
        let batch: Vec<Alert> = {
            let mut state = self.state();
            let count = state.queue.len().min(BATCH_MAX);
            state.is_sending = count > 0;
            state.queue.drain(..count).collect()
        };
        if batch.is_empty() {
            self.idle.notify_waiters();
            // Now and then it is seen whether anybody still needs this.
            let _ = timeout(Duration::from_secs(5), self.wake.notified()).await;
            return;
        }
        let count = batch.len() as u64;
        if !self.send_all(&batch).await {
            self.state().dropped += count;
            tracing::error!(count, "alerts were taken by no Alertmanager elsewhere");
        }
        self.state().is_sending = false;
    }

    /// Sends a batch to all; whether anybody took it.
    async fn send_all(&self, batch: &[Alert]) -> bool {
        let destinations = self.state().destinations.clone();
        let mut running = JoinSet::new();
        let mut taken = false;
        for destination in destinations {
            let alerts: Vec<Posted> = batch.iter().filter_map(|alert| posted(alert, &destination.rewrite)).collect();
            // One that wants none of them has missed nothing.
            if alerts.is_empty() {
                taken = true;
                continue;
            }
            let client = Http::over(self.network.transport(&destination.http));
            running.spawn(post(client, destination, alerts));
        }
        while let Some(done) = running.join_next().await {
            let Ok(done) = done else { continue };
            taken |= done.error.is_none();
            self.count(&done);
        }
        taken
    }

    fn count(&self, done: &Done) {
        if let Some(error) = &done.error {
            tracing::error!(alertmanager = done.url, count = done.alerts, %error, "alerts were not taken");
        }
        let mut state = self.state();
        // One that is gone since is not counted.
        let Some(counts) = state.counts.get_mut(&done.url) else { return };
        counts.requests += 1;
        counts.seconds += done.duration.as_secs_f64();
        counts.sent += done.alerts;
        counts.errors += if done.error.is_some() { done.alerts } else { 0 };
    }
}

/// How a request went.
struct Done {
    url: String,
    alerts: u64,
    error: Option<String>,
    duration: Duration,
}

async fn post(client: Http, destination: Destination, alerts: Vec<Posted>) -> Done {
    let started = Instant::now();
    let url = destination.url.to_string();
    let mut request = Request::new(Full::new(Bytes::from(to_json(&alerts))));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = destination.url;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let error = match client.send(request, destination.timeout).await {
        Ok((head, _)) if head.status.is_success() => None,
        Ok((head, answer)) => Some(format!("bad response status {}: {answer}", head.status)),
        Err(failure) => Some(failure.to_string()),
    };
    Done { url, alerts: alerts.len() as u64, error, duration: started.elapsed() }
}

/// An alert as the API takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    annotations: BTreeMap<String, String>,
    ends_at: String,
    starts_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    labels: BTreeMap<String, String>,
}

fn posted(alert: &Alert, rewrite: &Rewrite) -> Option<Posted> {
    let map = |labels: &Labels| labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let labels = rewrite(&alert.labels)?;
    Some(Posted {
        annotations: map(&alert.annotations),
        ends_at: time(alert.ends_at),
        starts_at: time(alert.starts_at),
        generator_url: alert.generator_url.clone(),
        labels: map(&labels),
    })
}

fn time(millis: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

impl AlertSink for External {
    fn send(&self, alerts: Vec<Alert>) {
        let mut state = self.state();
        if !state.is_on {
            return;
        }
        state.queue.extend(alerts);
        let over = state.queue.len().saturating_sub(QUEUE_MAX);
        state.queue.drain(..over);
        state.dropped += over as u64;
        drop(state);
        if over > 0 {
            tracing::warn!(over, "the queue of alerts for Alertmanagers elsewhere is full; the oldest are dropped");
        }
        self.wake.notify_one();
    }
}

type Read = fn(&Counts) -> f64;

const FAMILIES: [(&str, &str, Read); 3] = [
    ("prometheus_notifications_sent_total", "Total number of alerts sent.", |counts| counts.sent as f64),
    ("prometheus_notifications_errors_total", "Total number of sent alerts affected by errors.", |counts| {
        counts.errors as f64
    }),
    ("skep_external_alertmanager_requests_total", "Requests made to Alertmanagers elsewhere.", |counts| {
        counts.requests as f64
    }),
];

impl Collector for External {
    fn name(&self) -> &'static str {
        "external_alertmanagers"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let state = self.state();
        let found = state.destinations.len() as f64;
        let help = "Alertmanagers that are sent alerts.";
        families.gauge("prometheus_notifications_alertmanagers_discovered", help, found);
        families.gauge(
            "prometheus_notifications_queue_length",
            "Alerts that wait to be sent.",
            state.queue.len() as f64,
        );
        families.gauge("prometheus_notifications_queue_capacity", "Alerts that may wait.", QUEUE_MAX as f64);
        families.counter(
            "prometheus_notifications_dropped_total",
            "Alerts that no Alertmanager elsewhere took.",
            state.dropped as f64,
        );
        for (name, help, read) in FAMILIES.iter().filter(|_| !state.counts.is_empty()) {
            let family = families.family(*name, MetricKind::Counter, *help);
            for (url, counts) in &state.counts {
                family.with([("alertmanager", url.clone())], read(counts));
            }
        }
        if !state.counts.is_empty() {
            let help = "Seconds that requests to Alertmanagers elsewhere took.";
            let family = families.family("skep_external_alertmanager_seconds_total", MetricKind::Counter, help);
            for (url, counts) in &state.counts {
                family.with([("alertmanager", url.clone())], counts.seconds);
            }
        }
        Ok(())
    }
}
