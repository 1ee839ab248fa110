//! What is ready to use: flags before the file, the file before the defaults.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::budget::{Budget, Shares};
use crate::cgroup;
use crate::cli::ServeArgs;
use crate::config::{AtStart, Config};
use crate::watch;

/// The port that Prometheus' clients expect, on the loopback until somebody decides otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:9090";

/// A year and a month: this month beside the same one last year.
const RETENTION_TIME_DEFAULT: Duration = Duration::from_secs(400 * 24 * 3600);

/// By default the store takes at most this much, and never more than a quarter of its filesystem.
const RETENTION_SIZE_MAX_DEFAULT: u64 = 8 << 30;

/// Of what queries may hold, answers of remote read that are no streams have this part.
const READ_PART: u64 = 6;

/// And answers that are kept for the next refresh this one, up to what the engine keeps by itself.
const KEPT_PART: u64 = 12;

/// What each of the queries that are evaluated at once has at least: the columns of some hundred series at a thousand steps.
const QUERY_BYTES_MIN: u64 = 1 << 20;

/// Somebody who asks for everything does not make the rules wait.
const CONCURRENCY_MIN: usize = 4;

/// What was decided for the process.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) alertmanager_config: Option<PathBuf>,
    /// `--web.config.file`
    pub(crate) web_config: Option<PathBuf>,
    /// The folder of dashboards that is followed.
    pub(crate) dashboards: Option<PathBuf>,
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: String,
    /// `None` keeps everything.
    pub(crate) retention_time: Option<Duration>,
    /// `None` is no limit.
    pub(crate) retention_size: Option<u64>,
    pub(crate) sync_interval: Option<Duration>,
    pub(crate) budget: Budget,
    pub(crate) external_url: Option<String>,
    pub(crate) route_prefix: Option<String>,
    pub(crate) cors: api::Cors,
    pub(crate) enable_lifecycle: bool,
    pub(crate) enable_admin_api: bool,
    /// Time between two looks at the files of the configuration; zero is never.
    pub(crate) auto_reload: Duration,
    /// `--enable-feature=extra-scrape-metrics`
    pub(crate) extra_scrape_metrics: bool,
    pub(crate) engine: promql::EngineOptions,
    pub(crate) read: remote::ReadLimits,
    pub(crate) alerts: AlertTimes,
}

/// What `--rules.alert.*` say: see [`rules::Options`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlertTimes {
    pub(crate) outage_tolerance: Duration,
    pub(crate) for_grace_period: Duration,
    pub(crate) resend_delay: Duration,
}

impl AlertTimes {
    fn new(args: &ServeArgs) -> Self {
        let defaults = rules::Options::default();
        Self {
            outage_tolerance: args.outage_tolerance.unwrap_or(defaults.outage_tolerance),
            for_grace_period: args.for_grace_period.unwrap_or(defaults.for_grace_period),
            resend_delay: args.resend_delay.unwrap_or(defaults.resend_delay),
        }
    }
}

impl Settings {
    /// Decides every setting. `data_dir` is where the data go when neither flag nor file says so.
    pub(crate) fn new(args: &ServeArgs, config: &Config, data_dir: impl FnOnce() -> PathBuf) -> Self {
        let data_dir = args.data_dir.clone().or(config.storage.path.clone()).unwrap_or_else(data_dir);
        let retention_time = args.retention_time.or(config.storage.retention_time).unwrap_or(RETENTION_TIME_DEFAULT);
        let budget = Budget::new(args.memory_budget.or(config.storage.memory_budget), cgroup::memory());
        let retention_size = args.retention_size.or(config.storage.retention_size);
        Self {
            config_file: args.config.clone(),
            alertmanager_config: args.alertmanager_config.clone().or(config.notifications.clone()),
            dashboards: args.dashboards.clone().or(config.dashboards.clone()),
            listen: args.listen.clone().or(config.web.listen.clone()).unwrap_or_else(|| LISTEN_DEFAULT.to_owned()),
            web_config: args.web_config.clone(),
            retention_time: (retention_time > Duration::ZERO).then_some(retention_time),
            retention_size: Some(retention_size.unwrap_or_else(|| default_size(&data_dir))).filter(|size| *size > 0),
            sync_interval: config.storage.sync_interval,
            budget,
            external_url: args.external_url.clone().or(config.web.external_url.clone()),
            route_prefix: args.route_prefix.clone(),
            cors: args.cors.clone(),
            enable_lifecycle: args.enable_lifecycle,
            enable_admin_api: args.enable_admin_api,
            auto_reload: args.auto_reload.unwrap_or(watch::INTERVAL_DEFAULT),
            extra_scrape_metrics: feature(args, "extra-scrape-metrics"),
            engine: engine(args, budget.shares()),
            read: read_limits(args, budget.shares()),
            alerts: AlertTimes::new(args),
            data_dir,
        }
    }

    /// These settings with what changes while the process runs taken from others, and the keys that wait for the next start.
    pub(crate) fn reloaded(&self, fresh: Self) -> (Self, Vec<AtStart>) {
        let changed = [
            (AtStart::Listen, self.listen != fresh.listen),
            (AtStart::ExternalUrl, self.external_url != fresh.external_url),
            (AtStart::Path, self.data_dir != fresh.data_dir),
            (AtStart::MemoryBudget, self.budget.bytes != fresh.budget.bytes),
        ];
        let waiting = changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect();
        let Self { alertmanager_config, dashboards, retention_time, retention_size, sync_interval, .. } = fresh;
        let changed = Self { alertmanager_config, dashboards, ..self.clone() };
        let settings = Self { retention_time, retention_size, sync_interval, ..changed };
        (settings, waiting)
    }

    /// What the store is told.
    pub(crate) fn policy(&self) -> tsdb::Policy {
        tsdb::Policy {
            retention_time: self.retention_time,
            retention_size: self.retention_size,
            sync_interval: self.sync_interval.unwrap_or(tsdb::Options::default().sync_interval),
        }
    }

    /// Retention as `/api/v1/status/runtimeinfo` shows it.
    pub(crate) fn retention(&self) -> String {
        let time = self.retention_time.map(model::format_duration);
        let size = self.retention_size.map(|bytes| format!("{:.1}GiB", bytes as f64 / f64::from(1 << 30)));
        [time, size].into_iter().flatten().collect::<Vec<_>>().join(" or ")
    }
}

fn engine(args: &ServeArgs, shares: Shares) -> promql::EngineOptions {
    let defaults = promql::EngineOptions::default();
    let kept = (shares.query_bytes / KEPT_PART).min(defaults.kept_bytes_max as u64);
    promql::EngineOptions {
        lookback: args.lookback.unwrap_or(defaults.lookback),
        timeout: args.query_timeout.unwrap_or(defaults.timeout),
        memory_max: shares.query_bytes - shares.query_bytes / READ_PART - kept,
        kept_bytes_max: size(kept),
        samples_max: args.query_samples.unwrap_or(defaults.samples_max),
        concurrency: args
            .query_concurrency
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or_else(|| concurrency(shares, &defaults)),
        experimental_functions: feature(args, "promql-experimental-functions"),
        delayed_name_removal: feature(args, "promql-delayed-name-removal"),
        per_step_stats: feature(args, "promql-per-step-stats"),
        ..defaults
    }
}

fn feature(args: &ServeArgs, name: &str) -> bool {
    args.features.iter().any(|feature| feature == name)
}

/// As many queries at once as Prometheus evaluates, fewer where there is little memory for them; the others wait.
fn concurrency(shares: Shares, defaults: &promql::EngineOptions) -> usize {
    size(shares.query_bytes / QUERY_BYTES_MIN).clamp(CONCURRENCY_MIN, defaults.concurrency)
}

fn read_limits(args: &ServeArgs, shares: Shares) -> remote::ReadLimits {
    let defaults = remote::ReadLimits::default();
    remote::ReadLimits {
        samples: args.read_samples.unwrap_or(defaults.samples),
        concurrency: args.read_concurrency.map_or(defaults.concurrency, size),
        frame_bytes: args.read_frame_bytes.map_or(defaults.frame_bytes, size),
        answers_bytes: size(shares.query_bytes / READ_PART),
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// `$STATE_DIRECTORY` of systemd, `/var/lib/skep` for root, else the user's data folder.
pub(crate) fn default_data_dir() -> PathBuf {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(state) = folder("STATE_DIRECTORY") {
        return state;
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/skep");
    }
    let data = folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share")));
    data.map_or_else(|| PathBuf::from("skep-data"), |data| data.join("skep"))
}

/// A quarter of the filesystem that holds the folder, or will hold it.
fn default_size(data_dir: &Path) -> u64 {
    let existing = data_dir.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    match rustix::fs::statvfs(existing) {
        Ok(stat) => (stat.f_blocks.saturating_mul(stat.f_frsize) / 4).min(RETENTION_SIZE_MAX_DEFAULT),
        Err(_) => RETENTION_SIZE_MAX_DEFAULT,
    }
}
