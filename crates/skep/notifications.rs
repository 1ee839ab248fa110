//! Where alerts go: to a notifier as long as the configuration names an `alertmanager.yml`, else to nobody.

use std::sync::Arc;

use model::{Alert, AlertSink, Clock, CollectError, Collector, Families, KeyValue, Live};
use notify::Notifier;

/// The notifier in force, which a reload starts, changes and stops.
pub(crate) struct Notifications {
    notifier: Live<Option<Arc<Notifier>>>,
    external_url: String,
    clock: Arc<dyn Clock>,
    store: Arc<dyn KeyValue>,
}

impl Notifications {
    /// Nobody is told anything yet.
    pub(crate) fn new(external_url: String, clock: Arc<dyn Clock>, store: Arc<dyn KeyValue>) -> Self {
        Self { notifier: Live::default(), external_url, clock, store }
    }

    /// Puts a configuration in force. What was told stays known, also to a notifier that comes after a time without one.
    pub(crate) async fn apply(&self, config: Option<notify::Config>) {
        match (self.notifier.get(), config) {
            (Some(notifier), Some(config)) => notifier.reload(config).await,
            (None, Some(config)) => {
                let (clock, store) = (Arc::clone(&self.clock), Arc::clone(&self.store));
                let notifier = Notifier::start(config, self.external_url.clone(), clock, store);
                self.notifier.set(Some(Arc::new(notifier)));
            }
            (_, None) => self.stop().await,
        }
    }

    /// The notifier in force.
    pub(crate) fn notifier(&self) -> Option<Arc<Notifier>> {
        self.notifier.get()
    }

    /// Stops, after a short wait for notifications that are under way.
    pub(crate) async fn stop(&self) {
        if let Some(notifier) = self.notifier.get() {
            self.notifier.set(None);
            notifier.stop().await;
        }
    }
}

impl AlertSink for Notifications {
    fn send(&self, alerts: Vec<Alert>) {
        if let Some(notifier) = self.notifier.get() {
            notifier.send(alerts);
        }
    }
}

impl Collector for Notifications {
    fn name(&self) -> &'static str {
        "notify"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        self.notifier.get().map_or(Ok(()), |notifier| notifier.collect(families))
    }
}
