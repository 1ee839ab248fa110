//! The room's front door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::status::QuietHours;
use model::{Alert, AlertSink, Clock, CollectError, Collector, Families, Journal, KeyValue, StorageError, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::attempts::{Attempt, Attempts};
use crate::config::Config;
use crate::delivery::Shared;
use crate::dispatcher::{Dispatcher, Order};
use crate::quiet::QuietError;
use crate::silence::{Silence, SilenceError};
use crate::status::{ReceiverStatus, collect};
use crate::trial::{self, Trial};
use crate::view::GroupView;

/// Orders that may wait; they are rare and each is taken within milliseconds.
const ORDERS_MAX: usize = 8;

/// Takes alerts and tells people. Share it by `Arc`.
pub struct Notifier {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    refused: AtomicU64,
    started_at: Timestamp,
}

impl Notifier {
    /// Starts the dispatcher; call it in a tokio runtime. `external_url` is where people find this server; `store` keeps
    /// what was told, so that a restart neither repeats nor loses it.
    pub fn start(config: Config, external_url: String, clock: Arc<dyn Clock>, store: Arc<dyn KeyValue>) -> Self {
        Self::start_with_journal(config, external_url, clock, store, None)
    }

    /// As [`Self::start`], with a journal that keeps every attempt to tell somebody something.
    pub fn start_with_journal(
        config: Config,
        external_url: String,
        clock: Arc<dyn Clock>,
        store: Arc<dyn KeyValue>,
        journal: Option<Arc<dyn Journal>>,
    ) -> Self {
        let shared = Arc::new(Shared::new(clock, external_url, config, store, Attempts::new(journal)));
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        tokio::spawn(Dispatcher::new(shared.clone(), receiver).run());
        Self { started_at: shared.clock.now(), shared, orders, refused: AtomicU64::new(0) }
    }

    /// The newest attempts since `from`, the newest first, at most so many. It blocks.
    pub fn attempts(&self, from: Timestamp, limit: usize) -> Result<Vec<Attempt>, StorageError> {
        self.attempts_that(from, limit, &mut |_| true)
    }

    /// As [`Self::attempts`], of those that fit. It blocks.
    pub fn attempts_that(
        &self,
        from: Timestamp,
        limit: usize,
        fits: &mut dyn FnMut(&Attempt) -> bool,
    ) -> Result<Vec<Attempt>, StorageError> {
        self.shared.attempts.newest(from, limit, fits)
    }

    /// All quiet hours, with when they end or begin next.
    pub fn quiet_hours(&self) -> Vec<QuietHours> {
        self.shared.quiet.all(self.now())
    }

    /// Adds quiet hours or changes those with their id, and gives the id. They are on the disk when this returns; it blocks.
    pub fn set_quiet_hours(&self, hours: QuietHours) -> Result<String, QuietError> {
        self.shared.quiet.set(hours)
    }

    /// Removes quiet hours. That is on the disk when this returns; it blocks.
    pub fn remove_quiet_hours(&self, id: &str) -> Result<(), QuietError> {
        self.shared.quiet.remove(id)
    }

    /// Takes a new configuration: all alerts are grouped anew, what was told stays known.
    pub async fn reload(&self, config: Config) {
        if self.orders.send(Order::Reload(Box::new(config))).await.is_err() {
            tracing::error!("the dispatcher of notifications is gone; the new configuration has no effect");
        }
    }

    /// Stops, after a short wait for notifications that are under way.
    pub async fn stop(&self) {
        let (stopped, wait) = oneshot::channel();
        if self.orders.send(Order::Stop(stopped)).await.is_ok() {
            let _ = wait.await;
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.shared.config.get()
    }

    /// All groups with the alerts that fire; empty when the dispatcher is gone.
    pub async fn groups(&self) -> Vec<GroupView> {
        let (answer, groups) = oneshot::channel();
        let asked = self.orders.send(Order::Show(answer)).await.is_ok();
        if asked { groups.await.unwrap_or_default() } else { Vec::new() }
    }

    /// All silences; expired ones for as long as they are kept.
    pub fn silences(&self) -> Vec<Silence> {
        self.shared.silences.all(self.now())
    }

    /// Adds or changes a silence, and gives its id. It is on the disk when this returns; it blocks.
    pub fn set_silence(&self, silence: Silence) -> Result<String, SilenceError> {
        self.shared.silences.set(silence, self.now())
    }

    /// Ends a silence now. That is on the disk when this returns; it blocks.
    pub fn expire_silence(&self, id: &str) -> Result<(), SilenceError> {
        self.shared.silences.expire(id, self.now())
    }

    /// Tests a receiver: each of its integrations is told of a test alert, and how that went is given back within half a
    /// minute, in the order of the configuration. `None` if no receiver has this name. The button of a page calls it.
    pub async fn test(&self, receiver: &str) -> Option<Vec<Trial>> {
        let config = self.config();
        let receiver = config.receivers.iter().find(|known| known.name == receiver)?;
        Some(trial::test(&self.shared, &config, receiver).await)
    }

    /// When it was started.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// The time by the notifier's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Every receiver and how its last attempt went.
    pub fn status(&self) -> Vec<ReceiverStatus> {
        self.shared.board.all()
    }
}

impl AlertSink for Notifier {
    fn send(&self, alerts: Vec<Alert>) {
        let refused = self.shared.inbox.add(alerts);
        if refused > 0 {
            self.refused.fetch_add(refused as u64, Ordering::Relaxed);
            tracing::error!(refused, "alerts were not taken: too many wait; they come again while they fire");
        }
    }
}

impl Collector for Notifier {
    fn name(&self) -> &'static str {
        "notify"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        collect(&self.status(), families);
        let help = "Alerts that were not taken because too many waited.";
        families.counter("skep_notification_alerts_refused_total", help, self.refused.load(Ordering::Relaxed) as f64);
        Ok(())
    }
}
