//! The room's front door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Alert, AlertSink, Clock, CollectError, Collector, Families, KeyValue};
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::delivery::Shared;
use crate::dispatcher::{Dispatcher, Order};
use crate::log::Log;
use crate::status::{ReceiverStatus, collect};

/// Orders that may wait; they are rare and each is taken within milliseconds.
const ORDERS_MAX: usize = 8;

/// Takes alerts and tells people. Share it by `Arc`.
pub struct Notifier {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    refused: AtomicU64,
}

impl Notifier {
    /// Starts the dispatcher; call it in a tokio runtime. `external_url` is where people find this server; `store` keeps
    /// what was told, so that a restart neither repeats nor loses it.
    pub fn start(config: Config, external_url: String, clock: Arc<dyn Clock>, store: Arc<dyn KeyValue>) -> Self {
        let log = Log::open(store, clock.now());
        let shared = Arc::new(Shared::new(clock, external_url, log));
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        tokio::spawn(Dispatcher::new(shared.clone(), config, receiver).run());
        Self { shared, orders, refused: AtomicU64::new(0) }
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
