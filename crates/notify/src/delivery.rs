//! Brings one notification to one receiver, again and again until it is taken or out of date.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::status::Health;
use model::{Clock, KeyValue, Labels, Live};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::client::{Client, Error};
use crate::config::{Config, Webhook};
use crate::decide::Reason;
use crate::group::Told;
use crate::inbox::Inbox;
use crate::log::{Entry, Log};
use crate::payload::{Message, encode};
use crate::silence::Silences;
use crate::status::Board;

/// The first wait after a failure; each further one is half as long again.
const BACKOFF_MIN: Duration = Duration::from_millis(500);

/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Shorter group intervals still leave a receiver this long to answer.
const WINDOW_MIN: Duration = Duration::from_secs(10);

/// An attempt of a webhook that names no time limit, so that a hanging receiver is asked again within the window.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// Requests under way at once; a thousand groups that fire together wait their turn.
const REQUESTS_MAX: usize = 32;

/// What the dispatcher and all deliveries share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) external_url: String,
    pub(crate) inbox: Inbox,
    pub(crate) log: Arc<Log>,
    pub(crate) silences: Silences,
    /// In force.
    pub(crate) config: Live<Arc<Config>>,
    pub(crate) board: Board,
    pub(crate) client: Client,
    turns: Semaphore,
}

impl Shared {
    pub(crate) fn new(clock: Arc<dyn Clock>, external_url: String, config: Config, store: Arc<dyn KeyValue>) -> Self {
        let log = Arc::new(Log::open(store.clone(), clock.now()));
        Self {
            clock,
            external_url,
            inbox: Inbox::default(),
            log,
            silences: Silences::open(store),
            config: Live::new(Arc::new(config)),
            board: Board::default(),
            client: Client::default(),
            turns: Semaphore::new(REQUESTS_MAX),
        }
    }
}

/// A notification for one integration of a receiver.
pub(crate) struct Delivery {
    pub(crate) shared: Arc<Shared>,
    pub(crate) receiver: String,
    pub(crate) integration: String,
    pub(crate) webhook: Webhook,
    pub(crate) reason: Reason,
    pub(crate) told: Arc<Vec<Told>>,
    pub(crate) group_key: String,
    pub(crate) group_labels: Labels,
    pub(crate) group_interval: Duration,
    pub(crate) repeat_interval: Duration,
}

/// The key under which the log keeps what an integration was told of a group.
pub(crate) fn log_key(group_key: &str, receiver: &str, integration: &str) -> String {
    format!("{receiver}/{integration}/{group_key}")
}

impl Delivery {
    /// Whether the receiver knows; then the log knows too.
    pub(crate) async fn run(self) -> bool {
        let known = match self.body() {
            Some(body) => self.send(&body).await,
            // The end of alerts is not told here, but it counts as told.
            None => true,
        };
        if known {
            let now = self.shared.clock.now();
            let repeat = i64::try_from(self.repeat_interval.as_millis()).unwrap_or(i64::MAX);
            let entry = Entry::new(&self.told, now, now.saturating_add(repeat.saturating_mul(2)));
            let key = log_key(&self.group_key, &self.receiver, &self.integration);
            self.shared.log.put(&key, entry, now).await;
        }
        known
    }

    /// The message; `None` if only ends would be told to somebody who does not want to hear of them.
    fn body(&self) -> Option<Bytes> {
        let firing: Vec<Told>;
        let told = if self.webhook.send_resolved {
            &self.told[..]
        } else {
            firing = self.told.iter().filter(|told| !told.resolved).cloned().collect();
            &firing
        };
        if told.is_empty() {
            return None;
        }
        let message = Message {
            receiver: &self.receiver,
            reason: self.reason,
            told,
            group_labels: &self.group_labels,
            group_key: &self.group_key,
            external_url: &self.shared.external_url,
        };
        Some(Bytes::from(encode(&message, self.webhook.max_alerts)))
    }

    async fn send(&self, body: &Bytes) -> bool {
        let deadline = Instant::now() + self.group_interval.max(WINDOW_MIN);
        let mut backoff = BACKOFF_MIN;
        loop {
            let error = match self.attempt(body, deadline).await {
                Ok(()) => return true,
                Err(error) => error,
            };
            let wait = jittered(backoff);
            if !error.is_temporary() || Instant::now() + wait >= deadline {
                self.shared.board.update(&self.receiver, &self.integration, |status| status.failed += 1);
                tracing::error!(receiver = self.receiver, integration = self.integration, group = self.group_key, %error,
                    "a notification was not taken");
                return false;
            }
            tracing::warn!(receiver = self.receiver, integration = self.integration, %error, "a notification is tried again");
            sleep(wait).await;
            backoff = (backoff * 3 / 2).min(BACKOFF_MAX);
        }
    }

    async fn attempt(&self, body: &Bytes, deadline: Instant) -> Result<(), Error> {
        let Ok(_turn) = self.shared.turns.acquire().await else {
            return Err(Error::Connection("the process stops".to_owned()));
        };
        let (began, started) = (self.shared.clock.now(), Instant::now());
        let limit = deadline.saturating_duration_since(started).min(self.webhook.timeout.unwrap_or(ATTEMPT_MAX));
        let result = self.shared.client.post(&self.webhook, body.clone(), limit).await;
        self.shared.board.update(&self.receiver, &self.integration, |status| {
            status.attempts += 1;
            status.last_attempt = Some(began);
            status.last_duration = started.elapsed();
            status.health = if result.is_ok() { Health::Good } else { Health::Bad };
            status.last_error = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            status.sent += u64::from(result.is_ok());
        });
        result
    }
}

/// Between half and one and a half of a time, so that receivers that failed together are not asked together.
fn jittered(time: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0u8) % 1000;
    time / 2 + time * u32::try_from(random).unwrap_or(0) / 1000
}
