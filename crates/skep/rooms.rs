//! The rooms of a running process, each built on those before it, and how they are wired.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use model::{Alert, AlertSink, Clock, Collector, Labels, SystemClock};
use notify::Notifier;
use probes::Probes;
use promql::{Engine, EngineOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tsdb::Db;

use crate::budget::Ledger;
use crate::config::Config;
use crate::prefix::Prefix;
use crate::process::{Process, SelfMetrics};
use crate::settings::Settings;
use crate::snapshots::Snapshots;
use crate::web::{self, Order};

/// How often own collectors are read.
const OWN_INTERVAL: Duration = Duration::from_secs(15);

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All rooms with a life of their own.
pub(crate) struct Rooms {
    pub(crate) process: Arc<Process>,
    pub(crate) store: Arc<Db>,
    pub(crate) scrape: Arc<scrape::Manager>,
    pub(crate) rules: Arc<rules::Manager>,
    pub(crate) notifier: Option<Arc<Notifier>>,
    engine: Arc<Engine>,
    probes: Arc<Probes>,
    remote: remote::State,
    reader: remote::Reader,
    ledger: Arc<Ledger>,
    snapshots: Arc<Snapshots>,
    /// What `/metrics` shows.
    collectors: Vec<Arc<dyn Collector>>,
    clock: Arc<dyn Clock>,
    /// This machine's name.
    node: String,
    /// Where people find this server, without a slash at the end.
    external_url: String,
}

/// Without an `alertmanager.yml` alerts are shown, and nobody is told.
struct Nobody;

impl AlertSink for Nobody {
    fn send(&self, _alerts: Vec<Alert>) {}
}

fn sink(notifier: Option<&Arc<Notifier>>) -> Arc<dyn AlertSink> {
    match notifier {
        Some(notifier) => notifier.clone(),
        None => Arc::new(Nobody),
    }
}

impl Rooms {
    /// Builds them over an open store. Nothing is collected or evaluated yet.
    pub(crate) async fn build(
        settings: &Settings,
        config: &Config,
        notifications: Option<notify::Config>,
        store: Arc<Db>,
        node: String,
        address: SocketAddr,
    ) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let external_url = settings.external_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let external_url = external_url.trim_end_matches('/').to_owned();
        let process = Arc::new(Process::new(settings.clone(), node.clone(), config.text.clone()));
        let engine = Arc::new(Engine::new(EngineOptions {
            subquery_step: config.scrape.global.evaluation_interval,
            ..settings.engine.clone()
        }));
        let shares = settings.budget.shares();
        let defaults = scrape::Options::default();
        let options = scrape::Options {
            version: VERSION.to_owned(),
            body_size_bytes_max: shares.page_bytes.min(defaults.body_size_bytes_max),
            pages_bytes_max: shares.pages_bytes.min(defaults.pages_bytes_max),
            target_series_max: shares.target_series,
        };
        let scrape = scrape::Manager::new(store.clone(), clock.clone(), options);
        let catalog = open_catalog(settings).await?;
        let notifier = notifications
            .map(|config| Arc::new(Notifier::start(config, external_url.clone(), clock.clone(), catalog.clone())));
        let rules = Arc::new(rules::Manager::new(
            engine.clone(),
            store.clone(),
            store.clone(),
            clock.clone(),
            sink(notifier.as_ref()),
            rules::Options {
                external_labels: config.scrape.global.external_labels.clone(),
                external_url: external_url.clone(),
                evaluation_interval: config.scrape.global.evaluation_interval,
                ..rules::Options::default()
            },
        ));
        let probes = start_probes(config.probes.clone()).await?;
        let remote = remote::State::new(store.clone(), remote::Limits::within(shares.remote_bytes, shares.series));
        let labels = config.scrape.global.external_labels.clone();
        let reader = remote::Reader::new(store.clone(), labels, settings.read);
        let mut collectors: Vec<Arc<dyn Collector>> =
            vec![process.clone(), store.clone(), scrape.clone(), rules.clone(), remote.collector(), probes.clone()];
        let ledger = Arc::new(Ledger {
            budget: settings.budget,
            store: store.clone(),
            engine: engine.clone(),
            scrape: scrape.clone(),
            remote: remote.clone(),
        });
        collectors.push(ledger.clone());
        collectors.push(engine.clone());
        let snapshots = Arc::new(Snapshots::new(&settings.data_dir));
        collectors.push(snapshots.clone());
        collectors.push(Arc::new(reader.clone()));
        collectors.extend(notifier.clone().map(|notifier| notifier as Arc<dyn Collector>));
        Ok(Self {
            process,
            store,
            scrape,
            rules,
            notifier,
            engine,
            probes,
            remote,
            reader,
            ledger,
            snapshots,
            collectors,
            clock,
            node,
            external_url,
        })
    }

    /// Starts collecting. Own collectors go through the same loop as pages of exporters. With host, probes and Cilium off
    /// nothing is collected but what the file names, so that skep can stand in for a Prometheus exactly.
    pub(crate) fn collect(&self, config: &Config, cilium: &discovery::cilium::Config) {
        let labels = Labels::from_pairs([("instance", &self.node)]);
        let add = |job: &str, collector| self.scrape.add_collector(job, &labels, OWN_INTERVAL, collector);
        if config.host.enabled {
            add("node", Arc::new(host::Host::new(&config.host)));
        }
        if config.probes.enabled {
            add("probes", self.probes.clone());
        }
        if config.host.enabled || config.probes.enabled || cilium.enabled {
            let probes = self.probes.name();
            let own = self.collectors.iter().filter(|collector| collector.name() != probes).cloned().collect();
            add("skep", Arc::new(SelfMetrics(own)));
        }
        self.scrape.apply(&config.scrape);
        self.scrape.add_cilium(cilium);
    }

    /// Pages, API and lifecycle over these rooms.
    pub(crate) fn router(
        &self,
        settings: &Settings,
        external_labels: Labels,
        open_to_network: bool,
        stopping: watch::Receiver<bool>,
        lifecycle: Option<mpsc::Sender<Order>>,
    ) -> Router {
        let api = api::State {
            storage: self.store.clone(),
            engine: self.engine.clone(),
            targets: self.scrape.clone(),
            rules: self.rules.clone(),
            store: self.store.clone(),
            process: self.process.clone(),
            collectors: self.collectors.clone(),
            external_labels,
            admin: settings
                .enable_admin_api
                .then(|| api::Admin { data: self.store.clone(), snapshots: self.snapshots.clone() }),
            clock: self.clock.clone(),
        };
        let prefix = Prefix::new(&self.external_url, settings.route_prefix.as_deref());
        let ui = ui::State {
            storage: self.store.clone(),
            engine: self.engine.clone(),
            targets: self.scrape.clone(),
            rules: self.rules.clone(),
            probes: self.probes.clone(),
            store: self.store.clone(),
            memory: self.ledger.clone(),
            clock: self.clock.clone(),
            stopping,
            reload_problem: self.process.problem(),
            config: ui::Config {
                prefix: prefix.external.clone(),
                open_to_network,
                version: VERSION.to_owned(),
                node: self.node.clone(),
                interval: OWN_INTERVAL,
            },
        };
        let remote = remote::router(self.remote.clone()).merge(self.reader.clone().router());
        let guard = ui::guard::Guard::new(&settings.listen, settings.external_url.as_deref());
        web::router(api, remote, ui, settings.cors.clone(), &prefix, guard, lifecycle)
    }
}

/// Loading programs reads the kernel's type information, which takes a moment.
async fn start_probes(config: probes::Config) -> Result<Arc<Probes>> {
    Ok(Arc::new(spawn_blocking(move || Probes::start(&config)).await?))
}

async fn open_catalog(settings: &Settings) -> Result<Arc<catalog::Catalog>> {
    let folder = settings.data_dir.join("catalog");
    let catalog = spawn_blocking(move || catalog::Catalog::open(&folder)).await?.context("cannot open the catalog")?;
    Ok(Arc::new(catalog))
}
