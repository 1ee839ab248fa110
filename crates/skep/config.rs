//! The configuration file: a `prometheus.yml`, or one with skep's own sections beside Prometheus'.

mod alerting;
#[cfg(test)]
mod judged;
mod upstream;

pub(crate) use alerting::{Alerting, Set as AlertmanagerSet};

use std::path::{Path, PathBuf};
use std::time::Duration;

use yaml::{Place, Problem, Report, Section, Severity};

use crate::{budget, size};

/// What the file says, every room's part decoded by that room.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) scrape: scrape::Config,
    /// Patterns of rule files, made absolute against the configuration's folder.
    pub(crate) rule_files: Vec<String>,
    pub(crate) probes: probes::Config,
    pub(crate) host: host::Config,
    pub(crate) cilium: discovery::cilium::Config,
    pub(crate) web: Web,
    pub(crate) storage: Storage,
    /// `notifications.config_file`: an `alertmanager.yml`.
    pub(crate) notifications: Option<PathBuf>,
    /// `alerting`: Alertmanagers elsewhere.
    pub(crate) alerting: Alerting,
    /// `dashboards.path`: a folder of dashboards.
    pub(crate) dashboards: Option<PathBuf>,
    /// `builtin_rules`, where the file has it.
    pub(crate) builtin_rules: Option<rules::builtin::Config>,
    /// Where the keys stand that are read at the start only.
    at_start: Vec<Problem>,
    /// The file's text, as `/api/v1/status/config` shows it.
    pub(crate) text: String,
}

/// Keys that a reload does not change: what they name is bound, locked or laid out when the process starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtStart {
    Listen,
    ExternalUrl,
    Path,
    MemoryBudget,
}

impl AtStart {
    /// The path of the key.
    fn key(self) -> &'static str {
        match self {
            Self::Listen => "web.listen",
            Self::ExternalUrl => "web.external_url",
            Self::Path => "storage.path",
            Self::MemoryBudget => "storage.memory_budget",
        }
    }
}

/// The section `web`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Web {
    pub(crate) listen: Option<String>,
    pub(crate) external_url: Option<String>,
}

/// The section `storage`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Storage {
    pub(crate) path: Option<PathBuf>,
    pub(crate) retention_time: Option<Duration>,
    pub(crate) retention_size: Option<u64>,
    pub(crate) sync_interval: Option<Duration>,
    pub(crate) memory_budget: Option<u64>,
}

impl Config {
    /// The built-in rules that are on. Where nothing is collected but what the file names, skep stands in for a Prometheus and
    /// has the rules that the file names, unless it asks for more.
    pub(crate) fn built_in_rules(&self) -> rules::builtin::Config {
        let collects = self.host.enabled || self.probes.enabled || self.cilium.enabled;
        let default = || {
            let mut config = rules::builtin::Config::default();
            config.enabled = collects;
            config
        };
        self.builtin_rules.clone().unwrap_or_else(default)
    }

    /// The files that this configuration stands in and names, as patterns.
    pub(crate) fn files(&self, own: Option<&Path>, notifications: Option<&Path>) -> Vec<String> {
        let named = [own, notifications].into_iter().flatten().map(|path| path.display().to_string());
        named.chain(self.scrape.files.iter().cloned()).chain(self.rule_files.iter().cloned()).collect()
    }

    /// Says that a key changed and waits for the next start, and where it stands in this file, called `file`.
    pub(crate) fn waits(&self, key: AtStart, file: &str) -> Problem {
        let stands = self.at_start.iter().find(|place| place.path == key.key()).cloned();
        // A key that was taken out stands nowhere.
        stands.unwrap_or_else(|| waiting(file.to_owned(), None, key.key().to_owned()))
    }
}

fn waiting(file: String, position: Option<yaml::Position>, path: String) -> Problem {
    let message = "this changed, and is read at the start only".to_owned();
    Problem { severity: Severity::Warning, file, position, path, message, hint: "restart skep to use it".to_owned() }
}

/// The keys of a section that are read at the start only.
fn at_start(section: &Section<'_>, keys: &[&'static str]) -> Vec<Problem> {
    let places = keys.iter().filter_map(|key| section.get(key));
    places.map(|place| waiting(place.file().to_owned(), Some(place.node().position), place.path().to_owned())).collect()
}

/// Shortest and longest time that scraped samples may wait for the disk.
const SYNC_INTERVAL_MIN: Duration = Duration::from_secs(1);
const SYNC_INTERVAL_MAX: Duration = Duration::from_secs(600);

/// Reads and decodes the file. Everything that is wrong with it goes to the report; without a file, the defaults.
pub(crate) fn load(path: Option<&Path>, report: &Report) -> Config {
    let Some(path) = path else { return Config::default() };
    let Some(text) = yaml::read(path, report) else { return Config::default() };
    let name = path.display().to_string();
    let Some(node) = yaml::parse_first(&name, &text, report) else { return Config::default() };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut config = Place::root(&node, &name, report).section().map(|root| decode(&root, folder)).unwrap_or_default();
    config.text = text;
    config
}

/// Patterns as Prometheus allows them: `*` in the last part of a path only.
fn rule_files(root: &Section<'_>, folder: &Path) -> Vec<String> {
    let mut patterns = Vec::new();
    for place in root.list("rule_files") {
        let Some(pattern) = place.string() else { continue };
        if pattern.rsplit_once('/').is_some_and(|(folders, _)| folders.contains('*')) {
            place.error(format!("invalid rule file path {pattern:?}"), "* may stand in the last part of a path only");
        }
        patterns.push(beside(folder, &pattern));
    }
    patterns
}

fn decode(root: &Section<'_>, folder: &Path) -> Config {
    let mut config = Config { scrape: scrape::Config::decode(root), ..Config::default() };
    config.rule_files = rule_files(root, folder);
    if let Some(section) = root.section("probes") {
        config.probes = probes::Config::decode(&section);
        section.finish();
    }
    if let Some(section) = root.section("host") {
        config.host = host::Config::decode(&section);
        section.finish();
    }
    if let Some(section) = root.section("cilium") {
        // It finishes its section itself.
        config.cilium = discovery::cilium::Config::decode(&section);
    }
    if let Some(section) = root.section("web") {
        config.at_start.extend(at_start(&section, &["listen", "external_url"]));
        config.web = Web { listen: section.string("listen"), external_url: section.string("external_url") };
        always_on(&section);
        section.finish();
    }
    if let Some(section) = root.section("storage") {
        config.at_start.extend(at_start(&section, &["path", "memory_budget"]));
        config.storage = storage(&section, folder);
        section.finish();
    }
    if let Some(section) = root.section("builtin_rules") {
        config.builtin_rules = Some(rules::builtin::Config::decode(&section));
        section.finish();
    }
    if let Some(section) = root.section("notifications") {
        let enabled = section.boolean("enabled").unwrap_or(true);
        let file = section.string("config_file").filter(|_| enabled);
        config.notifications = file.map(|file| PathBuf::from(beside(folder, &file)));
        section.finish();
    }
    if let Some(section) = root.section("dashboards") {
        let enabled = section.boolean("enabled").unwrap_or(true);
        let path = section.string("path").filter(|_| enabled);
        config.dashboards = path.map(|path| PathBuf::from(beside(folder, &path)));
        section.finish();
    }
    if let Some(place) = root.get("hubble") {
        place.warn("flows are not built in this version of skep; the section has no effect", "");
    }
    config.alerting = alerting::decode(root);
    upstream::judge(root);
    root.finish();
    config
}

/// Paths in the file are relative to the file, as Prometheus has it.
fn beside(folder: &Path, file: &str) -> String {
    folder.join(file).display().to_string()
}

/// `web` and `storage` have the key `enabled` like every own section, but a skep without them would be nothing.
fn always_on(section: &Section<'_>) {
    if section.boolean("enabled") == Some(false)
        && let Some(place) = section.get("enabled")
    {
        place.error("this section cannot be switched off", "remove the line");
    }
}

/// Prometheus' `storage` and our own are one section with different keys.
fn storage(section: &Section<'_>, folder: &Path) -> Storage {
    always_on(section);
    let mut storage = Storage {
        path: section.string("path").map(|path| PathBuf::from(beside(folder, &path))),
        retention_time: section.duration("retention_time"),
        retention_size: section.get("retention_size").and_then(|place| decode_size(&place)),
        memory_budget: section.get("memory_budget").and_then(|place| decode_budget(&place)),
        sync_interval: section.get("sync_interval").and_then(|place| decode_sync_interval(&place)),
    };
    if let Some(exemplars) = section.section("exemplars") {
        exemplars.judge(&[("max_exemplars", yaml::Shape::Integer)]);
        if let Some(place) = exemplars.get("max_exemplars").filter(|place| !place.node().is_null()) {
            place.warn(
                "valid, but without effect in this version of skep",
                "the newest ten thousand exemplars are kept",
            );
        }
        exemplars.finish();
    }
    if let Some(tsdb) = section.section("tsdb") {
        // Samples of any time are taken, so that there is no window to set.
        tsdb.duration("out_of_order_time_window");
        if let Some(retention) = tsdb.section("retention") {
            storage.retention_time = retention.duration("time").or(storage.retention_time);
            storage.retention_size = retention.get("size").and_then(|p| decode_size(&p)).or(storage.retention_size);
            retention.not_built(&["percentage"]);
            retention.finish();
        }
        tsdb.not_built(&["stale_series_compaction_threshold"]);
        tsdb.finish();
    }
    storage
}

fn decode_size(place: &Place<'_>) -> Option<u64> {
    size::parse(&place.string()?).map_err(|e| place.error(e, "")).ok()
}

fn decode_budget(place: &Place<'_>) -> Option<u64> {
    budget::check(decode_size(place)?).map_err(|e| place.error(e, "")).ok()
}

fn decode_sync_interval(place: &Place<'_>) -> Option<Duration> {
    if place.node().as_text() == Some("always") {
        return Some(Duration::ZERO);
    }
    let interval = place.duration()?;
    if !(SYNC_INTERVAL_MIN..=SYNC_INTERVAL_MAX).contains(&interval) {
        place.error("out of range", "write a duration from 1s to 10m, or always");
        return None;
    }
    Some(interval)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Decodes a file's text and gives the problems, one a line.
    fn check(text: &str, expected: &[&str]) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skep.yml");
        fs::write(&path, text).unwrap();
        let report = Report::default();
        let config = load(Some(&path), &report);
        let prefix = format!("{}:", path.display());
        let got: Vec<String> = report.problems().iter().map(|p| p.to_string().replace(&prefix, "")).collect();
        assert_eq!(got, expected, "{text}");
        config
    }

    #[test]
    fn own_sections() {
        let config = check(
            "web: {listen: '127.0.0.1:1'}\nstorage: {retention_time: 30d, retention_size: 1GB, sync_interval: always, memory_budget: 64MB}\n\
             probes: {enabled: false}\nhost: {enabled: no}\ncilium: {enabled: false}\n\
             notifications: {config_file: am.yml}\ndashboards: {path: boards}\n",
            &[],
        );
        assert_eq!(config.web.listen.as_deref(), Some("127.0.0.1:1"));
        assert_eq!(config.storage.retention_size, Some(1 << 30));
        assert_eq!(config.storage.sync_interval, Some(Duration::ZERO));
        assert_eq!(config.storage.memory_budget, Some(64 << 20));
        assert!(!config.probes.enabled && !config.host.enabled && !config.cilium.enabled);
        assert!(config.notifications.unwrap().is_absolute() && config.dashboards.unwrap().is_absolute());
    }

    #[test]
    fn the_commented_file_says_the_defaults() {
        let text = include_str!("../../docs/skep.yml");
        let (told, defaults) = (check(text, &[]), Config::default());
        let own = |config: &Config| {
            let Config { probes, host, cilium, web, storage, notifications, dashboards, .. } = config;
            format!("{probes:?} {host:?} {cilium:?} {web:?} {storage:?} {notifications:?} {dashboards:?}")
        };
        assert_eq!(own(&told), own(&defaults));
        assert_eq!(told.built_in_rules(), defaults.built_in_rules());
        assert_eq!(told.scrape.global, defaults.scrape.global);
        assert!(told.scrape.jobs.is_empty() && told.rule_files.is_empty());
        // Keys without a default are there, too, and are good.
        let whole = text.replace("#: ", "").replace("scrape_configs: []\n", "");
        let listen = check(&whole, &[]).web.listen;
        assert_eq!(listen.as_deref(), Some("127.0.0.1:9090"));
    }

    /// What is valid and does nothing here is never passed over in silence.
    #[test]
    fn what_has_no_effect_is_said() {
        let no_effect = "valid, but without effect in this version of skep";
        let native = "native histograms are not built in this version of skep; classic ones are kept as they are";
        let one = |text: &str, place: &str, words: &str, path: &str, hint: &str| {
            let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
            check(text, &[&format!("{place}: warning: {words} (at {path}){hint}")]);
        };
        let job = |key: &str, words: &str, hint: &str| {
            let name = key.split(':').next().unwrap_or_default();
            let text = format!("scrape_configs:\n- job_name: a\n  {key}\n");
            one(&text, &format!("3:{}", name.len() + 5), words, &format!("scrape_configs[0].{name}"), hint);
        };
        job("native_histogram_bucket_limit: 5", native, "");
        job("native_histogram_min_bucket_factor: 1.1", native, "");
        job("scrape_native_histograms: true", native, "");
        job("convert_classic_histograms_to_nhcb: true", native, "");
        job("always_scrape_classic_histograms: true", native, "");
        job(
            "scrape_failure_log_file: x",
            "valid, but this version of skep writes no such file",
            "the log has what fails",
        );
        let proxies = "proxies of the scheme \"ftp\" are not spoken to; known: http, https, socks5, socks5h";
        job("proxy_url: ftp://h", proxies, "every request that goes through it will fail");
        check(
            "scrape_configs:\n- {job_name: a, native_histogram_bucket_limit: 0, scrape_native_histograms: false}\n",
            &[],
        );
        check("scrape_configs:\n- {job_name: a, proxy_url: 'socks5://u:p@h', extra_scrape_metrics: true}\n", &[]);
        one("global: {scrape_native_histograms: true}\n", "1:36", native, "global.scrape_native_histograms", "");
        one("remote_write: [{url: http://h}]\n", "1:15", no_effect, "remote_write", "samples stay here");
        one("remote_read: [{url: http://h}]\n", "1:14", no_effect, "remote_read", "queries read what is stored here");
        one("otlp: {promote_all_resource_attributes: true}\n", "1:7", no_effect, "otlp", "nothing is received by OTLP");
        one("tracing: {endpoint: h}\n", "1:10", no_effect, "tracing", "skep sends no traces of itself");
        one("runtime: {gogc: 5}\n", "1:10", no_effect, "runtime", "skep has no garbage collector");
        let kept = "the newest ten thousand exemplars are kept";
        one("storage: {exemplars: {max_exemplars: 5}}\n", "1:38", no_effect, "storage.exemplars.max_exemplars", kept);
        let unsigned = "requests are not signed for AWS";
        let text = "alerting: {alertmanagers: [{sigv4: {region: a}}]}\n";
        one(text, "1:36", no_effect, "alerting.alertmanagers[0].sigv4", unsigned);
        let old = "TLS 1.0 and 1.1 are broken (RFC 8996) and never spoken";
        let tls = "scrape_configs:\n- {job_name: a, tls_config: {min_version: TLS10}}\n";
        one(tls, "2:43", old, "scrape_configs[0].tls_config.min_version", "TLS12 is the oldest that is");
    }

    #[test]
    fn everything_wrong_at_once() {
        check(
            "scrap_configs: []\nstorage: {sync_interval: 1h, retention_size: big}\nweb: {enabled: false}\nremote_write: [{url: http://h}]\n",
            &[
                "3:16: error: this section cannot be switched off (at web.enabled); remove the line",
                "2:46: error: \"big\" is not a size such as 512MB or 8GiB (at storage.retention_size)",
                "2:26: error: out of range (at storage.sync_interval); write a duration from 1s to 10m, or always",
                "4:15: warning: valid, but without effect in this version of skep (at remote_write); samples stay here",
                "1:1: error: unknown key \"scrap_configs\" (at scrap_configs); did you mean \"scrape_configs\"?",
            ],
        );
    }
}
