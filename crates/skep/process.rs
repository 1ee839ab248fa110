//! What the program says of itself: to the API, and as `skep_*` metrics.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use api::{Build, Runtime};
use model::{Clock, CollectError, Collector, Families, Live, MetricKind, SystemClock, Timestamp};
use tokio::sync::watch;

use crate::alertmanagers::Alertmanagers;
use crate::settings::Settings;

/// The Prometheus whose API this is: clients such as Grafana switch their features on by this number.
const COMPATIBLE_VERSION: &str = "3.5.0";

/// The process as a whole; it outlives every reload.
pub(crate) struct Process {
    settings: Live<Settings>,
    started: Timestamp,
    hostname: String,
    ready: AtomicBool,
    config_good: AtomicBool,
    config_read: AtomicI64,
    config_text: RwLock<String>,
    /// Why the files were not taken over at the last reload; empty if they were.
    problem: watch::Sender<String>,
    /// Where alerts are sent beside the receivers here.
    alertmanagers: OnceLock<Arc<Alertmanagers>>,
}

impl Process {
    pub(crate) fn new(settings: Settings, hostname: String, config_text: String) -> Self {
        let started = SystemClock.now();
        Self {
            settings: Live::new(settings),
            started,
            hostname,
            ready: AtomicBool::new(false),
            config_good: AtomicBool::new(true),
            config_read: AtomicI64::new(started),
            config_text: RwLock::new(config_text),
            problem: watch::Sender::default(),
            alertmanagers: OnceLock::new(),
        }
    }

    /// Tells where alerts are sent, once.
    pub(crate) fn set_alertmanagers(&self, alertmanagers: Arc<Alertmanagers>) {
        let _ = self.alertmanagers.set(alertmanagers);
    }

    /// From now on `/-/ready` says yes.
    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Notes how a reload went: settings and text of the configuration that are in force now, or why those before still are.
    pub(crate) fn reloaded(&self, result: Result<(Settings, String), String>) {
        self.config_good.store(result.is_ok(), Ordering::Relaxed);
        self.problem.send_replace(result.as_ref().err().cloned().unwrap_or_default());
        if let Ok((settings, text)) = result {
            self.settings.set(settings);
            self.config_read.store(SystemClock.now(), Ordering::Relaxed);
            *self.config_text.write().unwrap_or_else(PoisonError::into_inner) = text;
        }
    }

    /// Why the last reload was refused; empty if it was not.
    pub(crate) fn problem(&self) -> watch::Receiver<String> {
        self.problem.subscribe()
    }
}

impl api::Process for Process {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn config(&self) -> String {
        self.config_text.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn flags(&self) -> Vec<(String, String)> {
        let settings = &self.settings.get();
        let text = |value: Option<String>| value.unwrap_or_default();
        let path =
            |value: &Option<std::path::PathBuf>| value.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
        let flags = [
            ("alertmanager-config", path(&settings.alertmanager_config)),
            ("config.file", path(&settings.config_file)),
            ("memory-budget", format!("{}B", settings.budget.bytes)),
            ("query.lookback-delta", model::format_duration(settings.engine.lookback)),
            ("query.max-concurrency", settings.engine.concurrency.to_string()),
            ("query.max-samples", settings.engine.samples_max.to_string()),
            ("query.timeout", model::format_duration(settings.engine.timeout)),
            ("storage.remote.read-concurrent-limit", settings.read.concurrency.to_string()),
            ("storage.remote.read-max-bytes-in-frame", settings.read.frame_bytes.to_string()),
            ("storage.remote.read-sample-limit", settings.read.samples.to_string()),
            ("storage.tsdb.path", settings.data_dir.display().to_string()),
            ("storage.tsdb.retention.size", text(settings.retention_size.map(|bytes| format!("{bytes}B")))),
            ("storage.tsdb.retention.time", text(settings.retention_time.map(model::format_duration))),
            ("web.cors.origin", settings.cors.to_string()),
            ("web.enable-admin-api", settings.enable_admin_api.to_string()),
            ("web.enable-lifecycle", settings.enable_lifecycle.to_string()),
            ("web.external-url", text(settings.external_url.clone())),
            ("web.listen-address", settings.listen.clone()),
            ("web.route-prefix", text(settings.route_prefix.clone())),
        ];
        flags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn build(&self) -> Build {
        Build {
            version: COMPATIBLE_VERSION.to_owned(),
            revision: concat!("skep ", env!("CARGO_PKG_VERSION")).to_owned(),
            ..Build::default()
        }
    }

    fn runtime(&self) -> Runtime {
        let folder = std::env::current_dir().map(|p| p.display().to_string()).unwrap_or_default();
        Runtime {
            started: self.started,
            working_directory: folder,
            hostname: self.hostname.clone(),
            config_good: self.config_good.load(Ordering::Relaxed),
            config_read: self.config_read.load(Ordering::Relaxed),
            threads: status_number("Threads:").unwrap_or_default(),
            retention: self.settings.get().retention(),
        }
    }

    fn alertmanagers(&self) -> Vec<String> {
        self.alertmanagers.get().map(|elsewhere| elsewhere.urls()).unwrap_or_default()
    }
}

impl Collector for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        let seconds = |ms: Timestamp| ms as f64 / 1000.0;
        families
            .family("skep_build_info", MetricKind::Gauge, "Constant 1 with the version of the program.")
            .with([("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let good = self.config_good.load(Ordering::Relaxed);
        // Rules and dashboards of Prometheus ask for the second name.
        for name in ["skep_config_last_reload_successful", "prometheus_config_last_reload_successful"] {
            families.gauge(name, "Whether the last reload was good.", f64::from(good));
        }
        let read = seconds(self.config_read.load(Ordering::Relaxed));
        for name in [
            "skep_config_last_reload_success_timestamp_seconds",
            "prometheus_config_last_reload_success_timestamp_seconds",
        ] {
            families.gauge(name, "When the configuration in force was read.", read);
        }
        families.gauge("process_start_time_seconds", "When the process started.", seconds(self.started));
        if let Some(kibibytes) = status_number("VmRSS:") {
            let bytes = (kibibytes << 10) as f64;
            families.gauge("process_resident_memory_bytes", "Resident memory of the process.", bytes);
        }
        if let Some(seconds) = cpu_seconds() {
            families.counter("process_cpu_seconds_total", "User and system CPU time of the process.", seconds);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            families.gauge("process_open_fds", "Open file descriptors of the process.", open.count() as f64);
        }
        Ok(())
    }
}

/// A number of `/proc/self/status`.
fn status_number(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// User and system time of all threads, from the kernel's count of ticks.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// All of the program's own metrics as one target.
pub(crate) struct SelfMetrics(pub(crate) Vec<Arc<dyn Collector>>);

impl Collector for SelfMetrics {
    fn name(&self) -> &'static str {
        "skep"
    }

    fn collect(&self, families: &mut Families) -> Result<(), CollectError> {
        self.0.iter().try_for_each(|collector| collector.collect(families))
    }
}
