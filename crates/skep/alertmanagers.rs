//! Where alerts go beside the receivers of this process: Alertmanagers elsewhere, those of the configuration and those that
//! discoveries find for it.

use std::sync::{Arc, Mutex, PoisonError};

use client::Network;
use discovery::Updates;
use hyper::Uri;
use model::{Alert, AlertSink, CollectError, Collector, Families, Labels, LabelsBuilder, Live};
use notify::{Destination, External, Rewrite};
use tokio::task::AbortHandle;

use crate::config::{Alerting, AlertmanagerSet};

/// The label of a target's path.
const PATH_LABEL: &str = "__alerts_path__";

/// Sends alerts to Alertmanagers elsewhere. Share it by `Arc`.
pub(crate) struct Alertmanagers {
    external: Arc<External>,
    /// The receivers of this process.
    here: Arc<dyn AlertSink>,
    /// `alert_relabel_configs` of all alerts.
    rewrite: Live<Option<Rewrite>>,
    network: Network,
    counters: Arc<discovery::Counters>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    config: Alerting,
    finders: Vec<Finder>,
}

/// A discovery that runs.
struct Finder {
    config: discovery::Config,
    updates: Updates,
    /// The task that listens to it.
    listening: AbortHandle,
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Alertmanagers {
    /// None yet beside the receivers here; call it in a tokio runtime.
    pub(crate) fn new(here: Arc<dyn AlertSink>) -> Arc<Self> {
        Arc::new(Self {
            external: External::start(),
            here,
            rewrite: Live::default(),
            network: Network::default(),
            counters: Arc::default(),
            running: Mutex::default(),
        })
    }

    /// Puts a configuration in force; discoveries that it has unchanged keep what they found.
    pub(crate) fn apply(self: &Arc<Self>, config: &Alerting) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut running.finders);
        for discovery in config.sets.iter().flat_map(|set| &set.discoveries) {
            let finder = match before.iter().position(|finder| finder.config == *discovery) {
                Some(at) => before.swap_remove(at),
                None => self.find(discovery),
            };
            running.finders.push(finder);
        }
        running.config = config.clone();
        self.refresh(&running);
    }

    fn find(self: &Arc<Self>, config: &discovery::Config) -> Finder {
        let handle = tokio::runtime::Handle::current();
        let updates = config.spawn("alertmanagers", &self.network, &self.counters, &handle);
        let (weak, mut listened) = (Arc::downgrade(self), updates.clone());
        let task = tokio::spawn(async move {
            while listened.changed().await.is_ok() {
                let Some(this) = weak.upgrade() else { return };
                this.refresh(&this.running.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
        Finder { config: config.clone(), updates, listening: task.abort_handle() }
    }

    /// Tells the sender who is there.
    fn refresh(&self, running: &Running) {
        let config = &running.config;
        let destinations = config.sets.iter().flat_map(|set| {
            let found = set.discoveries.iter().filter_map(|d| running.finders.iter().find(|f| f.config == *d));
            let found: Vec<Labels> = found
                .flat_map(|finder| {
                    let found = finder.updates.borrow().clone();
                    found.groups.iter().flat_map(|group| group.targets.clone()).collect::<Vec<_>>()
                })
                .collect();
            set.targets.iter().chain(&found).filter_map(|labels| destination(set, labels)).collect::<Vec<_>>()
        });
        self.external.set(!config.sets.is_empty(), destinations.collect());
        self.rewrite.set(Some(rewrite(&config.alert_rules)));
    }

    /// The addresses that alerts are sent to.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.external.urls()
    }

    /// Waits a little until everything is sent.
    pub(crate) async fn stop(&self) {
        self.external.drain().await;
    }
}

/// What a target is after its relabelling; `None` where that drops it, or leaves no address.
fn destination(set: &AlertmanagerSet, labels: &Labels) -> Option<Destination> {
    let mut builder = LabelsBuilder::default();
    let prefix = set.path_prefix.trim_matches('/');
    let path = if prefix.is_empty() { "/api/v2/alerts".to_owned() } else { format!("/{prefix}/api/v2/alerts") };
    builder.set("__scheme__", &*set.scheme).set(PATH_LABEL, path);
    for (name, value) in labels {
        builder.set(name, value);
    }
    if !scrape::relabel(&mut builder, &set.target_rules) {
        return None;
    }
    let label = |name| builder.get(name).unwrap_or_default();
    let url = format!("{}://{}{}", label("__scheme__"), label("__address__"), label(PATH_LABEL));
    match url.parse::<Uri>() {
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Some(Destination {
            url: uri,
            http: set.http.clone(),
            timeout: set.timeout,
            rewrite: rewrite(&set.alert_rules),
        }),
        _ => {
            tracing::error!(url, "this is no address of an Alertmanager; alerts are not sent there");
            None
        }
    }
}

fn rewrite(rules: &[scrape::Rule]) -> Rewrite {
    let rules = rules.to_vec();
    Arc::new(move |labels| {
        if rules.is_empty() {
            return Some(labels.clone());
        }
        let mut builder = LabelsBuilder::default();
        for (name, value) in labels {
            builder.set(name, value);
        }
        scrape::relabel(&mut builder, &rules).then(|| builder.build())
    })
}

/// All alerts go through `alert_relabel_configs` first: to the receivers here as to the Alertmanagers elsewhere.
impl AlertSink for Alertmanagers {
    fn send(&self, alerts: Vec<Alert>) {
        let rewritten = match self.rewrite.get() {
            None => alerts,
            Some(rewrite) => alerts
                .into_iter()
                .filter_map(|alert| Some(Alert { labels: rewrite(&alert.labels)?, ..alert }))
                .collect(),
        };
        self.external.send(rewritten.clone());
        self.here.send(rewritten);
    }
}

impl Collector for Alertmanagers {
    fn name(&self) -> &'static str {
        "external_alertmanagers"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        self.external.collect(families)
    }
}
