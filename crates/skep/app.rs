//! The life of the process: start, reload, stop.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use axum::middleware::from_fn_with_state;
use model::{Clock, SystemClock};
use probes::{Capability, ProbesThread, Reduced};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tsdb::Db;
use yaml::Report;

use crate::access;
use crate::cli::ServeArgs;
use crate::config::{self, Config};
use crate::front::{self, Front, WebConfig};
use crate::listen;
use crate::notifications::Notifications;
use crate::rooms::Rooms;
use crate::settings::Settings;
use crate::simulation::{Scratch, Simulation};
use crate::watch::{Read, Watch};
use crate::web::{self, Order};

/// Sealing, retention and shortening the log are looked at this often; each look is cheap when there is nothing to do.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(2);

/// SIGTERM and SIGINT end the process within this time, whatever still runs.
const STOP_TIMEOUT: Duration = Duration::from_millis(4500);

/// Queries, appends and file reads run on blocking threads; each holds a stack, so that their number has a limit.
const BLOCKING_THREADS_MAX: usize = 64;

/// Connections that the kernel holds until they are accepted; a burst of clients larger than this meets refusals. The
/// standard library's 128 is less than a page of panels times a few people who come back after a restart.
const CONNECTIONS_WAITING_MAX: i32 = 1024;

/// Blocking work that ignores its cancellation does not hold the process any longer.
const BLOCKING_STOP_TIMEOUT: Duration = Duration::from_millis(400);

/// A blocking thread that nobody needs is given back after this time.
const BLOCKING_THREAD_KEPT: Duration = Duration::from_secs(2);

/// Parsing and appending pages, reading collectors: apart from what others wait for, so that no query keeps a page waiting.
/// More at once would only wait for each other at the log.
const COLLECTING_THREADS_MAX: usize = 16;

/// Longer than most intervals between scrapes, so that each finds the threads of the one before.
const COLLECTING_THREAD_KEPT: Duration = Duration::from_secs(90);

/// Everything that was decided before the first room is built.
pub(crate) struct Plan {
    /// When the files were read.
    read: Arc<Read>,
    args: ServeArgs,
    settings: Settings,
    config: Config,
    groups: Vec<rules::Group>,
    notifications: Option<notify::Config>,
    web: WebConfig,
    demo: bool,
}

/// A running process.
struct App {
    /// The command line, which goes before every file.
    args: ServeArgs,
    /// In force.
    settings: Settings,
    /// In force; keys that are read at the start only may wait in it.
    config: Config,
    rooms: Rooms,
    front: Front,
    simulation: Option<Simulation>,
}

impl Plan {
    /// Reads rule files and notification settings too, so that all problems are known before anything starts.
    pub(crate) fn new(
        read_at: SystemTime,
        args: ServeArgs,
        settings: Settings,
        config: Config,
        demo: bool,
        report: &Report,
    ) -> Self {
        let read = Arc::new(reading(read_at, &settings, &config));
        let groups = load_groups(&config, demo, report);
        let notifications = load_notifications(settings.alertmanager_config.as_deref(), report);
        let web = front::load(settings.web_config.as_deref(), report);
        Self { read, args, settings, config, groups, notifications, web, demo }
    }
}

impl Plan {
    /// Capabilities without which the files could not be reached once the others are given up.
    fn needs(&self) -> Vec<Capability> {
        let settings = &self.settings;
        let patterns = self.config.files(settings.config_file.as_deref(), settings.alertmanager_config.as_deref());
        let mut files = crate::watch::paths(&patterns);
        files.extend(settings.dashboards.iter().flat_map(|folder| boards::files(folder)));
        files.extend(self.web.files.iter().cloned());
        access::needed(&settings.data_dir, &files)
    }
}

/// Reads a file for `skep check config`, a `prometheus.yml` or an `alertmanager.yml`, and those that it names.
pub(crate) fn check_config(file: &Path, report: &Report) {
    if notify::is_config_file(file) {
        load_notifications(Some(file), report);
        return;
    }
    let config = config::load(Some(file), report);
    load_groups(&config, false, report);
    load_notifications(config.notifications.as_deref(), report);
}

/// Reads one rule file for `skep check rules`.
pub(crate) fn load_rule_file(path: &Path, report: &Report) -> Vec<rules::Group> {
    rules::load_file(path, report)
}

/// A folder of the demo's own, so that it never mixes with real data.
pub(crate) fn demo_data_dir() -> PathBuf {
    std::env::temp_dir().join(format!("skep-demo-{}", std::process::id()))
}

fn load_groups(config: &Config, demo: bool, report: &Report) -> Vec<rules::Group> {
    let mut groups = rules::load(&config.rule_files, Path::new(""), report);
    for group in &mut groups {
        group.interval.get_or_insert(config.scrape.global.evaluation_interval);
        group.query_offset.get_or_insert(config.scrape.global.rule_query_offset);
    }
    if demo {
        groups.extend(rules::decode("demo", demo::RULES, report));
    }
    let built_in = rules::builtin::groups(&config.built_in_rules(), &groups).into_iter().map(|mut group| {
        group.interval.get_or_insert(config.scrape.global.evaluation_interval);
        group.query_offset.get_or_insert(config.scrape.global.rule_query_offset);
        group
    });
    groups.extend(built_in.collect::<Vec<_>>());
    groups
}

/// The configuration is read, the files that it names are read next.
fn reading(at: SystemTime, settings: &Settings, config: &Config) -> Read {
    let file = settings.config_file.as_deref();
    let read = Read::new(at, &config.files(file, settings.alertmanager_config.as_deref()));
    match file {
        Some(file) => read.with(file, &config.text),
        None => read,
    }
}

fn load_notifications(path: Option<&Path>, report: &Report) -> Option<notify::Config> {
    path.and_then(|path| notify::load_file(path, report))
}

/// Runs until a signal or `/-/quit` ends it.
pub(crate) fn run(plan: Plan) -> Result<()> {
    // Capabilities belong to threads: those of the runtime get what is left here, so they come last.
    let listener = bind(&plan.settings.listen)?;
    let probes = set_apart(&plan.needs())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_THREAD_KEPT)
        .build()
        .context("cannot start threads")?;
    let collecting = start_collecting()?;
    let scratch = plan.demo.then(|| Scratch::new(&plan.settings)).flatten();
    let result = runtime.block_on(serve(plan, listener, probes, collecting.handle()));
    collecting.shutdown_timeout(BLOCKING_STOP_TIMEOUT);
    runtime.shutdown_timeout(BLOCKING_STOP_TIMEOUT);
    // It goes last, when nobody writes to it.
    drop(scratch);
    result
}

/// Threads for scrapes: one moves the bytes of all targets, because several would wake each other for each page more often
/// than they would help (a tenth of the processor's time at 20 targets and 100,000 samples a second).
fn start_collecting() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(1)
        .max_blocking_threads(COLLECTING_THREADS_MAX)
        .thread_keep_alive(COLLECTING_THREAD_KEPT)
        .build()
        .context("cannot start threads")
}

/// Makes the thread of the probes, which alone keeps more capabilities than the files (`also`) need.
fn set_apart(also: &[Capability]) -> Result<Arc<ProbesThread>> {
    let (probes, reduced) = ProbesThread::apart(also).context("cannot start a thread")?;
    tell_reduced("the process", &reduced);
    Ok(Arc::new(probes))
}

fn tell_reduced(whose: &str, reduced: &Result<Reduced, probes::Error>) {
    match reduced {
        Ok(reduced) if reduced.is_change() => tracing::info!("capabilities of {whose} from here on: {reduced}"),
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "{whose} keeps the capabilities that the process was started with"),
    }
}

async fn serve(
    plan: Plan,
    listener: std::net::TcpListener,
    probes: Arc<ProbesThread>,
    collecting: &Handle,
) -> Result<()> {
    let listener = TcpListener::from_std(listener).context("cannot listen")?;
    let address = listener.local_addr()?;
    let (stop, stopping) = watch::channel(false);
    let (orders, mut inbox) = mpsc::channel(web::ORDERS_MAX);
    let lifecycle = plan.settings.enable_lifecycle.then(|| orders.clone());
    let mut signals = Signals::new()?;
    let read = Arc::clone(&plan.read);
    let (mut app, router) = tokio::select! {
        built = build(plan, probes, collecting, address, stopping.clone(), lifecycle) => built?,
        // Replay and the demo's history take a while. Breaking them off loses nothing: a kill may, too.
        () = signals.stop() => {
            tracing::info!("stopping before the start was complete");
            let _ = stop.send(true);
            return Ok(());
        }
    };
    let lane = remote::Lane::start().context("cannot start a thread")?;
    let server = tokio::spawn(listen::serve(listener, router, lane, app.front.clone(), stopping.clone()));
    let rooms = &app.rooms;
    let (store, history, notifications) = (rooms.store.clone(), rooms.history.clone(), rooms.notifications.clone());
    let maintenance = tokio::spawn(maintain(store, history, notifications, stopping));
    app.rooms.process.set_ready();
    // Whoever started it may not listen to its output.
    let scheme = if app.front.now().tls.is_some() { "https" } else { "http" };
    let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
    app.rooms.start_probes(&app.config.probes, |reduced| tell_reduced("the probes", &reduced));

    obey(&mut app, &mut signals, &mut inbox, &read).await;
    tracing::info!("stopping");
    let _ = stop.send(true);
    let ended = tokio::time::timeout(STOP_TIMEOUT, async {
        let _ = server.await;
        let _ = maintenance.await;
        app.stop().await
    });
    match ended.await {
        Ok(result) => result,
        Err(_) => {
            tracing::error!("not everything ended within {STOP_TIMEOUT:?}; what was acknowledged is in the log");
            Ok(())
        }
    }
}

/// Does what signals, requests and changed files ask for, until one of them asks to stop.
async fn obey(app: &mut App, signals: &mut Signals, inbox: &mut mpsc::Receiver<Order>, read: &Read) {
    let mut watch = Watch::new(app.settings.auto_reload, app.files(), read);
    loop {
        let order = tokio::select! {
            order = signals.next() => order,
            order = inbox.recv() => order.unwrap_or(Order::Quit),
            () = watch.changed() => Order::Reload(oneshot::channel().0),
        };
        let Order::Reload(reply) = order else { return };
        let read_at = SystemTime::now();
        let result = app.reload(read_at).await;
        match &result {
            Ok((files, read)) => watch.know(files.clone(), read),
            Err(_) => watch.know_again(read_at),
        }
        // Whoever asked may have gone.
        let _ = reply.send(result.map(drop));
    }
}

/// Ready for the runtime: it does not block.
fn bind(listen: &str) -> Result<std::net::TcpListener> {
    let bound = match listen.strip_prefix(':').and_then(|port| port.parse().ok()) {
        // Go's spelling of "all interfaces" is an empty host. Where there is no IPv6, they are those of IPv4.
        Some(port) => std::net::TcpListener::bind(
            &[SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))][..],
        ),
        None => std::net::TcpListener::bind(listen),
    };
    let bound = bound.and_then(|listener| {
        rustix::net::listen(&listener, CONNECTIONS_WAITING_MAX)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "is another skep or Prometheus running? --listen takes another ADDR:PORT",
            io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE; --listen takes another one",
            _ => "--listen takes an ADDR:PORT of this machine",
        };
        anyhow!("cannot listen on {listen}: {error}; {hint}")
    })
}

async fn build(
    plan: Plan,
    probes: Arc<ProbesThread>,
    collecting: &Handle,
    address: SocketAddr,
    stopping: watch::Receiver<bool>,
    lifecycle: Option<mpsc::Sender<Order>>,
) -> Result<(App, axum::Router)> {
    let Plan { read: _, args, settings, mut config, groups, notifications, web, demo } = plan;
    let (mib, origin) = (settings.budget.bytes >> 20, settings.budget.origin);
    tracing::info!("the memory budget is {mib} MiB, {origin}");
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let store = open_store(&settings).await?;
    let simulation = match demo {
        true => Some(Simulation::start(&settings, &store, &mut config.cilium, &node, stopping.clone()).await?),
        false => None,
    };
    let rooms = Rooms::build(&settings, probes, collecting, &config, store, node, address).await?;
    rooms.apply(&config, None, groups, notifications).await;
    rooms.follow(settings.dashboards.clone()).await;
    rooms.keep_following(settings.auto_reload, stopping.clone());
    let open_to_network = !address.ip().is_loopback() && !web.has_login();
    if open_to_network {
        tracing::warn!(%address, "listening beyond this machine without a login: whoever reaches the port sees everything");
    }
    let router = rooms.router(&settings, open_to_network, stopping, lifecycle);
    let front = Front::new(web);
    let router = router.layer(from_fn_with_state(front.clone(), front::guard));
    Ok((App { args, settings, config, rooms, front, simulation }, router))
}

async fn open_store(settings: &Settings) -> Result<Arc<Db>> {
    let tsdb::Policy { retention_time, retention_size, sync_interval } = settings.policy();
    let shares = settings.budget.shares();
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let options = tsdb::Options {
        path: settings.data_dir.clone(),
        retention_time,
        retention_size,
        sync_interval,
        head_bytes_max: size(shares.head_bytes),
        head_series_max: size(shares.series),
        index_cache_bytes_max: size(shares.index_cache_bytes()),
        refresh_cache_bytes_max: size(shares.refresh_cache_bytes()),
        ..tsdb::Options::default()
    };
    let store = spawn_blocking(move || Db::open(options)).await?;
    let store = store.map_err(|error| {
        let hint = if error.to_string().contains("--data-dir") { "" } else { "; --data-dir takes another folder" };
        anyhow!("cannot open the store in {}: {error}{hint}", settings.data_dir.display())
    })?;
    let folder = settings.data_dir.display();
    tracing::info!(retention = settings.retention(), "samples are kept in {folder}");
    if is_of_prometheus(&settings.data_dir) {
        tracing::warn!(
            "{folder} has the samples of a Prometheus, too, which skep does not read: `promtool tsdb dump-openmetrics {folder} | skep import -` takes them over"
        );
    }
    Ok(Arc::new(store))
}

/// Whether a Prometheus kept its samples here: people give skep the flags that it had.
fn is_of_prometheus(folder: &Path) -> bool {
    ["wal", "chunks_head"].iter().all(|name| folder.join(name).is_dir())
}

/// Syncs the log and what is kept of alerts and notifications, and looks after blocks until the stop. Failures are logged;
/// the next round tries again.
async fn maintain(
    store: Arc<Db>,
    history: Arc<rules::History>,
    notifications: Arc<Notifications>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let interval = Some(store.policy().sync_interval).filter(|interval| !interval.is_zero());
        let pause = interval.unwrap_or(MAINTENANCE_INTERVAL).min(MAINTENANCE_INTERVAL);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let (store, history, notifications) = (Arc::clone(&store), Arc::clone(&history), Arc::clone(&notifications));
        let work = move || {
            if let Err(error) = history.sync() {
                tracing::error!(%error, "the history of alerts may not be on the disk; is it full or failing?");
            }
            if let Err(error) = notifications.sync() {
                tracing::error!(%error, "the log of notifications may not be on the disk; is it full or failing?");
            }
            if let Err(error) = store.maintain(SystemClock.now()) {
                tracing::error!(%error, "the store could not be maintained; is the disk full or failing?");
            }
        };
        match spawn_blocking(work).await {
            Ok(()) => {}
            Err(error) => tracing::error!(%error, "maintaining the store broke off"),
        }
    }
}

impl App {
    /// Reads the files again. A bad file leaves what runs in force and is told in full.
    /// The result are the files to watch from now on, which were read from `read_at` on.
    async fn reload(&mut self, read_at: SystemTime) -> Result<(Vec<String>, Read), String> {
        let report = Report::default();
        let mut config = config::load(self.settings.config_file.as_deref(), &report);
        let fresh = Settings::new(&self.args, &config, || self.settings.data_dir.clone());
        let (settings, waiting) = self.settings.reloaded(fresh);
        let read = reading(read_at, &settings, &config);
        let groups = load_groups(&config, self.simulation.is_some(), &report);
        let notifications = load_notifications(settings.alertmanager_config.as_deref(), &report);
        let web = front::load(self.settings.web_config.as_deref(), &report);
        let failed = report.has_errors();
        let problems: Vec<String> = report.into_problems().iter().map(ToString::to_string).collect();
        for problem in &problems {
            tracing::warn!("{problem}");
        }
        if failed {
            tracing::error!("the files were not reloaded; what ran before runs on");
            self.rooms.process.reloaded(Err(problems.join("\n")));
            return Err(problems.join("\n"));
        }
        if self.simulation.is_some() {
            // Its addresses are those of the simulated node.
            config.cilium = self.config.cilium.clone();
        }
        let file = settings.config_file.as_deref().unwrap_or(Path::new("")).display().to_string();
        for key in waiting {
            tracing::warn!("{}", config.waits(key, &file));
        }
        self.rooms.store.set_policy(settings.policy());
        self.rooms.apply(&config, Some(&self.config), groups, notifications).await;
        self.rooms.follow(settings.dashboards.clone()).await;
        self.front.replace(web);
        self.rooms.process.reloaded(Ok((settings.clone(), config.text.clone())));
        (self.settings, self.config) = (settings, config);
        tracing::info!("the files were reloaded");
        Ok((self.files(), read))
    }

    /// The files to watch.
    fn files(&self) -> Vec<String> {
        let settings = &self.settings;
        let mut files = self.config.files(settings.config_file.as_deref(), settings.alertmanager_config.as_deref());
        files.extend(self.front.now().files.iter().map(|file| file.display().to_string()));
        files
    }

    /// Ends the rooms in the order of the way of a sample, the store last.
    async fn stop(self) -> Result<()> {
        self.rooms.scrape.shutdown().await;
        self.rooms.rules.stop().await;
        tokio::join!(self.rooms.notifications.stop(), self.rooms.alertmanagers.stop());
        let store = self.rooms.store;
        spawn_blocking(move || store.close()).await?.context("the store did not close cleanly")?;
        Ok(())
    }
}

/// The signals a server listens to.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal that ends the process; a reload has nothing to act on yet.
    async fn stop(&mut self) {
        while !matches!(self.next().await, Order::Quit) {}
    }

    /// The next signal as an order.
    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.interrupt.recv() => Order::Quit,
            _ = self.terminate.recv() => Order::Quit,
            _ = self.hangup.recv() => Order::Reload(oneshot::channel().0),
        }
    }
}
