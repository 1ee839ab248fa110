//! Brings one notification to one receiver, again and again until it is taken or out of date.

use std::sync::Arc;
use std::time::Duration;

use model::status::Health;
use model::{Clock, KeyValue, Labels, Live, Timestamp};
use template::Library;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::attempts::{Attempt, Attempts};
use crate::client::{Client, Error};
use crate::config::{Config, Integration};
use crate::decide::Reason;
use crate::group::Told;
use crate::inbox::Inbox;
use crate::log::{Entry, Log};
use crate::payload::Message;
use crate::quiet::Quiet;
use crate::silence::Silences;
use crate::speech::Speech;
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
    pub(crate) quiet: Quiet,
    /// In force.
    pub(crate) config: Live<Arc<Config>>,
    pub(crate) board: Board,
    pub(crate) client: Client,
    pub(crate) attempts: Attempts,
    turns: Semaphore,
}

impl Shared {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        external_url: String,
        config: Config,
        store: Arc<dyn KeyValue>,
        attempts: Attempts,
    ) -> Self {
        let log = Arc::new(Log::open(store.clone(), clock.now()));
        Self {
            clock,
            external_url,
            inbox: Inbox::default(),
            log,
            silences: Silences::open(store.clone()),
            quiet: Quiet::open(store),
            config: Live::new(Arc::new(config)),
            board: Board::default(),
            client: Client::default(),
            attempts,
            turns: Semaphore::new(REQUESTS_MAX),
        }
    }
}

/// A notification for one integration of a receiver.
pub(crate) struct Delivery {
    pub(crate) shared: Arc<Shared>,
    pub(crate) receiver: String,
    pub(crate) integration: Arc<Integration>,
    pub(crate) library: Arc<Library>,
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

/// What was sent, and what was wrong with its templates.
pub(crate) type Sent = Result<Option<String>, Error>;

impl Delivery {
    /// Whether the receiver knows; then the log knows too.
    pub(crate) async fn run(self) -> bool {
        let this = Arc::new(self);
        let known = match this.heard() {
            Some(told) => Self::send(&this, &Arc::new(told)).await,
            // The end of alerts is not told here, but it counts as told.
            None => true,
        };
        if known {
            let now = this.shared.clock.now();
            let repeat = i64::try_from(this.repeat_interval.as_millis()).unwrap_or(i64::MAX);
            let entry = Entry::new(&this.told, now, now.saturating_add(repeat.saturating_mul(2)));
            let key = log_key(&this.group_key, &this.receiver, &this.integration.name);
            this.shared.log.put(&key, entry, now).await;
        }
        known
    }

    /// What the receiver wants to hear; `None` if only ends would be told to somebody who does not want to hear of them.
    fn heard(&self) -> Option<Vec<Told>> {
        let is_heard = |told: &&Told| self.integration.send_resolved || !told.resolved;
        let told: Vec<Told> = self.told.iter().filter(is_heard).cloned().collect();
        (!told.is_empty()).then_some(told)
    }

    async fn send(this: &Arc<Self>, told: &Arc<Vec<Told>>) -> bool {
        let deadline = Instant::now() + this.group_interval.max(WINDOW_MIN);
        let (receiver, integration) = (&this.receiver, &this.integration.name);
        let mut backoff = BACKOFF_MIN;
        let mut said = String::new();
        let mut count = 0;
        loop {
            count += 1;
            let (attempt, sent) = Self::attempt(this, told, deadline).await;
            let wait = jittered(backoff);
            let goes_on = sent.as_ref().is_err_and(Error::is_temporary) && Instant::now() + wait < deadline;
            let pause = if goes_on { wait } else { deadline.saturating_duration_since(Instant::now()) };
            let next = sent.is_err().then(|| later(this.shared.clock.now(), pause));
            let given_up = sent.is_err() && !goes_on;
            this.shared.attempts.record(Attempt { count, next, given_up, ..attempt }).await;
            let Err(error) = sent else { return true };
            if given_up {
                this.shared.board.update(receiver, integration, |status| status.failed += 1);
                tracing::error!(receiver, integration, group = this.group_key, %error, "a notification was not taken");
                return false;
            }
            // A receiver that is down for an hour says the same a hundred times.
            let words = error.to_string();
            if words != said {
                tracing::warn!(receiver, integration, error = words, "a notification is tried again");
                said = words;
            }
            sleep(wait).await;
            backoff = (backoff * 3 / 2).min(BACKOFF_MAX);
        }
    }

    /// What is to be kept of an attempt, and how it went.
    async fn attempt(this: &Arc<Self>, told: &Arc<Vec<Told>>, deadline: Instant) -> (Attempt, Result<(), Error>) {
        // Nobody closes the semaphore.
        let _turn = this.shared.turns.acquire().await;
        let (began, started) = (this.shared.clock.now(), Instant::now());
        let limit = deadline.saturating_duration_since(started).min(this.integration.timeout.unwrap_or(ATTEMPT_MAX));
        let sent = Self::compose_and_send(this, told, limit).await;
        let (receiver, integration) = (&this.receiver, &this.integration.name);
        if let Ok(Some(problem)) = &sent {
            tracing::error!(receiver, integration, problem, "a notification was sent without what its template says");
        }
        let attempt = this.account(this.reason.text(), told, began, started, &sent);
        this.shared.board.update(receiver, integration, |status| {
            status.attempts += 1;
            status.last_attempt = Some(began);
            status.last_duration = started.elapsed();
            status.health = if matches!(sent, Ok(None)) { Health::Good } else { Health::Bad };
            status.last_error.clone_from(&attempt.problem);
            status.sent += u64::from(sent.is_ok());
        });
        (attempt, sent.map(drop))
    }

    /// An attempt that has ended, for the log.
    pub(crate) fn account(
        &self,
        reason: &str,
        told: &[Told],
        began: Timestamp,
        started: Instant,
        sent: &Sent,
    ) -> Attempt {
        let problem = match sent {
            Ok(problem) => problem.clone().unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        let attempt = Attempt {
            at: began,
            receiver: self.receiver.clone(),
            integration: self.integration.name.clone(),
            group: self.group_key.clone(),
            reason: reason.to_owned(),
            count: 1,
            taken: sent.is_ok(),
            problem,
            millis: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..Attempt::default()
        };
        attempt.about(&self.group_labels, told)
    }

    /// Words the notification where templates may take their time, and sends it.
    pub(crate) async fn compose_and_send(this: &Arc<Self>, told: &Arc<Vec<Told>>, limit: Duration) -> Sent {
        let (delivery, told) = (this.clone(), told.clone());
        let composed = spawn_blocking(move || {
            let speech = delivery.speech(&told);
            let parcel = delivery.integration.kind.compose(&speech)?;
            Ok::<_, Error>((parcel, speech.problem()))
        });
        let (parcel, problem) = composed.await.unwrap_or_else(|e| Err(Error::Settings(e.to_string())))?;
        this.shared.client.send(parcel, &this.integration.http, limit).await?;
        Ok(problem.map(|problem| format!("sent, but a template failed: {problem}")))
    }

    fn speech<'a>(&'a self, told: &'a [Told]) -> Speech<'a> {
        let message = Message {
            receiver: &self.receiver,
            reason: self.reason,
            told,
            group_labels: &self.group_labels,
            group_key: &self.group_key,
            external_url: &self.shared.external_url,
        };
        Speech::new(message, &self.library, self.shared.clock.now())
    }
}

/// The time after a pause.
fn later(now: Timestamp, pause: Duration) -> Timestamp {
    now.saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

/// Between half and one and a half of a time, so that receivers that failed together are not asked together.
fn jittered(time: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0u8) % 1000;
    time / 2 + time * u32::try_from(random).unwrap_or(0) / 1000
}
