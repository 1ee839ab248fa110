//! The rooms of a running process, each built on those before it, and how they are wired.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use boards::{Look, Shelf, Unnamed};
use model::status::{Health, TargetStatus, Targets as _};
use model::{Clock, Collector, Labels, Live, SystemClock, Timestamp};
use probes::{ProbesThread, Reduced};
use promql::Engine;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tsdb::Db;

use crate::alertmanagers::Alertmanagers;
use crate::backup;
use crate::budget::Ledger;
use crate::config::Config;
use crate::notifications::Notifications;
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
    pub(crate) notifications: Arc<Notifications>,
    pub(crate) alertmanagers: Arc<Alertmanagers>,
    /// Changes of alerts.
    pub(crate) history: Arc<rules::History>,
    engine: Arc<Engine>,
    probes: Arc<ProbesThread>,
    remote: remote::State,
    reader: remote::Reader,
    ledger: Arc<Ledger>,
    snapshots: Arc<Snapshots>,
    boards: Arc<Shelf>,
    /// What `/metrics` shows.
    collectors: Vec<Arc<dyn Collector>>,
    clock: Arc<dyn Clock>,
    /// `global.external_labels`
    external_labels: Live<Labels>,
    /// This machine's name.
    node: String,
    /// Where people find this server, without a slash at the end.
    external_url: String,
}

impl Rooms {
    /// Builds them over an open store; scrapes run on the threads of `collecting`. Nothing is collected or evaluated yet.
    pub(crate) async fn build(
        settings: &Settings,
        probes: Arc<ProbesThread>,
        collecting: &Handle,
        config: &Config,
        store: Arc<Db>,
        node: String,
        address: SocketAddr,
    ) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let external_url = settings.external_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let external_url = external_url.trim_end_matches('/').to_owned();
        let process = Arc::new(Process::new(settings.clone(), node.clone(), config.text.clone()));
        let engine = Arc::new(Engine::new(settings.engine.clone()));
        let external_labels = Live::new(config.scrape.global.external_labels.clone());
        let shares = settings.budget.shares();
        let defaults = scrape::Options::default();
        let options = scrape::Options {
            version: VERSION.to_owned(),
            body_size_bytes_max: shares.page_bytes.min(defaults.body_size_bytes_max),
            pages_bytes_max: shares.pages_bytes.min(defaults.pages_bytes_max),
            target_series_max: shares.target_series,
            extra_metrics: settings.extra_scrape_metrics,
        };
        let scrape = {
            let _tasks = collecting.enter();
            scrape::Manager::new(store.clone(), clock.clone(), options)
        };
        let catalog = open_catalog(settings).await?;
        let boards = open_boards(settings, &catalog, &clock).await?;
        let history = open_history(settings, clock.now()).await?;
        let labels = external_labels.clone();
        let attempts = open_attempts(settings).await?;
        let notifications =
            Arc::new(Notifications::new(external_url.clone(), clock.clone(), catalog, labels, attempts));
        let alertmanagers = Alertmanagers::new(notifications.clone());
        process.set_alertmanagers(alertmanagers.clone());
        let rules = Arc::new(rules::Manager::new(
            engine.clone(),
            store.clone(),
            store.clone(),
            clock.clone(),
            alertmanagers.clone(),
            rules::Options {
                external_labels: external_labels.clone(),
                external_url: external_url.clone(),
                history: Some(history.clone()),
                own_file: Some(settings.data_dir.join("rules").join("own.yml")),
                outage_tolerance: settings.alerts.outage_tolerance,
                for_grace_period: settings.alerts.for_grace_period,
                resend_delay: settings.alerts.resend_delay,
                ..rules::Options::default()
            },
        ));
        tell_of_agent(&probes, &scrape);
        let remote = remote::State::new(store.clone(), remote::Limits::within(shares.remote_bytes, shares.series));
        let reader = remote::Reader::new(store.clone(), external_labels.clone(), settings.read);
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
        collectors.push(notifications.clone());
        collectors.push(alertmanagers.clone());
        collectors.push(boards.clone());
        Ok(Self {
            process,
            store,
            scrape,
            rules,
            notifications,
            alertmanagers,
            history,
            engine,
            probes,
            remote,
            reader,
            ledger,
            snapshots,
            boards,
            collectors,
            clock,
            external_labels,
            node,
            external_url,
        })
    }

    /// Puts a configuration in force where `running` is; at the start nothing is. Own collectors go through the same loop as
    /// pages of exporters. With host, probes and Cilium off nothing is collected but what the file names, so that skep can
    /// stand in for a Prometheus exactly.
    pub(crate) async fn apply(
        &self,
        config: &Config,
        running: Option<&Config>,
        groups: Vec<rules::Group>,
        notifications: Option<notify::Config>,
    ) {
        let global = &config.scrape.global;
        self.external_labels.set(global.external_labels.clone());
        self.engine.set_subquery_step(global.evaluation_interval);
        self.notifications.apply(notifications).await;
        self.alertmanagers.apply(&config.alerting);
        if running.is_none_or(|running| running.host != config.host) {
            let host = || Arc::new(host::Host::new(&config.host)) as Arc<dyn Collector>;
            self.collect("node", config.host.enabled.then(host).into_iter().collect());
        }
        if running.is_some() {
            self.apply_probes(&config.probes).await;
        }
        let own = config.host.enabled || config.probes.enabled || config.cilium.enabled;
        self.collect("skep", own.then(|| self.own()).into_iter().collect());
        self.scrape.apply(&config.scrape);
        self.scrape.set_cilium(&config.cilium);
        self.rules.apply(groups).await;
    }

    /// Lets the probes start, and collects from them once they did.
    pub(crate) fn start_probes(
        &self,
        config: &probes::Config,
        told: impl FnOnce(Result<Reduced, probes::Error>) + Send + 'static,
    ) {
        self.probes.start(config, told);
        self.collect_probes(config);
    }

    /// The folder of dashboards in force is looked at, now and whenever its interval has passed.
    pub(crate) async fn follow(&self, folder: Option<PathBuf>) {
        let boards = self.boards.clone();
        let looked = spawn_blocking(move || {
            boards.follow(folder);
            boards.look(Look::AtOnce);
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "looking at the folder of dashboards broke off");
        }
    }

    /// Looks at the folder of dashboards again and again until the stop; never, where the interval is zero.
    pub(crate) fn keep_following(&self, every: Duration, mut stopping: watch::Receiver<bool>) {
        if every.is_zero() {
            return;
        }
        let boards = self.boards.clone();
        tokio::spawn(async move {
            while tokio::time::timeout(every, stopping.wait_for(|stop| *stop)).await.is_err() {
                let boards = boards.clone();
                if let Err(error) = spawn_blocking(move || boards.look(Look::Patient)).await {
                    tracing::error!(%error, "looking at the folder of dashboards broke off");
                }
            }
        });
    }

    /// Loading programs and taking them out again takes a moment.
    async fn apply_probes(&self, config: &probes::Config) {
        let (probes, wanted) = (self.probes.clone(), config.clone());
        if let Err(error) = spawn_blocking(move || probes.apply(&wanted)).await {
            tracing::error!(%error, "starting the probes broke off");
        }
        self.collect_probes(config);
    }

    fn collect_probes(&self, config: &probes::Config) {
        self.collect("probes", config.enabled.then(|| self.probes.clone() as Arc<dyn Collector>).into_iter().collect());
    }

    fn collect(&self, job: &str, collectors: Vec<Arc<dyn Collector>>) {
        let labels = Labels::from_pairs([("instance", &self.node)]);
        self.scrape.set_collectors(job, &labels, OWN_INTERVAL, collectors);
    }

    /// What skep tells of itself.
    fn own(&self) -> Arc<dyn Collector> {
        let probes = self.probes.name();
        let own = self.collectors.iter().filter(|collector| collector.name() != probes).cloned().collect();
        Arc::new(SelfMetrics(own))
    }

    /// Pages, API and lifecycle over these rooms.
    pub(crate) fn router(
        &self,
        settings: &Settings,
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
            external_labels: self.external_labels.clone(),
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
            notifications: self.notifications.clone(),
            probes: self.probes.clone(),
            store: self.store.clone(),
            memory: self.ledger.clone(),
            boards: self.boards.clone(),
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
        let notifications = self.notifications.clone();
        let alertmanager = notify::router(Arc::new(move || notifications.notifier()));
        let remote = remote::router(self.remote.clone()).merge(self.reader.clone().router()).merge(alertmanager);
        let guard = ui::guard::Guard::new(&settings.listen, settings.external_url.as_deref());
        web::router(api, remote, ui, settings.cors.clone(), &prefix, guard, lifecycle)
    }
}

/// The probe of Cilium's maps leaves the agent's names to the agent as long as one is scraped, by whatever job.
fn tell_of_agent(probes: &ProbesThread, scrape: &Arc<scrape::Manager>) {
    let scrape = Arc::downgrade(scrape);
    probes.surroundings().ask_for_agent(move || {
        let targets = scrape.upgrade().map(|scrape| scrape.active()).unwrap_or_default();
        targets.iter().any(|target| is_agent(target) && target.health != Health::Bad)
    });
}

/// The job of what was found, or the port that Cilium's agent has by default.
fn is_agent(target: &TargetStatus) -> bool {
    target.job == "cilium-agent" || target.url.contains(":9962/")
}

/// How far back changes of alerts are kept, and with how many bytes: a thousand a day.
const HISTORY: catalog::Bounds = catalog::Bounds { age: Duration::from_secs(90 * 86_400), bytes: 32 << 20 };

async fn open_history(settings: &Settings, now: Timestamp) -> Result<Arc<rules::History>> {
    let folder = settings.data_dir.join("alert-history");
    let from = now - i64::try_from(HISTORY.age.as_millis())?;
    let open = move || -> Result<rules::History> {
        Ok(rules::History::open(Arc::new(catalog::Journal::open(&folder, HISTORY)?), from)?)
    };
    Ok(Arc::new(spawn_blocking(open).await?.context("cannot open the history of alerts")?))
}

/// What receivers were told, and how that went.
async fn open_attempts(settings: &Settings) -> Result<Arc<catalog::Journal>> {
    let folder = settings.data_dir.join("notification-log");
    let journal = spawn_blocking(move || catalog::Journal::open(&folder, HISTORY)).await?;
    Ok(Arc::new(journal.context("cannot open the log of notifications")?))
}

async fn open_catalog(settings: &Settings) -> Result<Arc<catalog::Catalog>> {
    let folder = settings.data_dir.join("catalog");
    let catalog = spawn_blocking(move || catalog::Catalog::open(&folder)).await?.context("cannot open the catalog")?;
    Ok(Arc::new(catalog))
}

/// The shelf lies beside the catalog, which is its index.
async fn open_boards(
    settings: &Settings,
    catalog: &Arc<catalog::Catalog>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Shelf>> {
    let folder = settings.data_dir.join(backup::DASHBOARDS);
    let unnamed = match catalog.state() {
        catalog::State::Open => Unnamed::Remove,
        catalog::State::Recovered(_) => Unnamed::Adopt,
        catalog::State::ReadOnly(_) => Unnamed::Leave,
    };
    let (catalog, clock) = (catalog.clone(), clock.clone());
    let shelf = spawn_blocking(move || Shelf::open(&folder, catalog, clock, unnamed)).await?;
    Ok(Arc::new(shelf.context("cannot open the dashboards")?))
}
