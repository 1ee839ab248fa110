//! The discoveries of a scrape job: those that skep has are decoded, all others are judged and named.

mod kubernetes;
mod others;

use std::path::{Path, PathBuf};
use std::time::Duration;

use client::config::HttpConfig;
use client::decode::url;
use model::Labels;
use yaml::{Place, Section};

use crate::file::{list, read};

/// The refresh intervals that Prometheus has where none is given.
const FILE_REFRESH: Duration = Duration::from_secs(300);
const HTTP_REFRESH: Duration = Duration::from_secs(60);
const DNS_REFRESH: Duration = Duration::from_secs(30);

/// One discovery of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    /// `file_sd_configs`
    File(FileConfig),
    /// `http_sd_configs`
    Http(Box<HttpSdConfig>),
    /// `dns_sd_configs`
    Dns(DnsConfig),
}

/// An entry of `file_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// Files, as patterns with `*` in the last part of the path.
    pub patterns: Vec<PathBuf>,
    /// `refresh_interval`: files are read again after this time though nothing about them changed.
    pub refresh: Duration,
}

/// An entry of `http_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSdConfig {
    /// `url`
    pub url: String,
    /// `refresh_interval`
    pub refresh: Duration,
    /// How the server is reached.
    pub http: HttpConfig,
}

/// An entry of `dns_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// `names`
    pub names: Vec<String>,
    /// `type`
    pub kind: RecordKind,
    /// `port`, for records that have none.
    pub port: i64,
    /// `refresh_interval`
    pub refresh: Duration,
}

/// The types of records that hold targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Addresses of IPv4.
    A,
    /// Addresses of IPv6.
    Aaaa,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
    /// Hosts with ports.
    Srv,
}

/// A discovery that is configured and that skep does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its key, such as `consul_sd_configs`.
    pub key: &'static str,
    /// `FILE:LINE`
    pub place: String,
}

/// What a section says of discoveries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Discoveries {
    /// Those to run.
    pub configs: Vec<Config>,
    /// Those that cannot be run.
    pub missing: Vec<Missing>,
}

impl Config {
    /// Targets that stand in files now.
    pub fn targets_in_files(&self) -> Vec<Labels> {
        let Self::File(config) = self else { return Vec::new() };
        let groups = list(&config.patterns).into_iter().filter_map(|path| read(&path, "").ok()).flatten();
        groups.flat_map(|group| group.targets).collect()
    }
}

impl Discoveries {
    /// Decodes all keys that end in `_sd_configs`, which then are known in the section.
    pub fn decode(section: &Section<'_>) -> Self {
        let mut all = Self::default();
        all.add(section, "file_sd_configs", |place| Some(Config::File(file(place)?)));
        all.add(section, "http_sd_configs", |place| Some(Config::Http(Box::new(http(place)?))));
        all.add(section, "dns_sd_configs", |place| Some(Config::Dns(dns(place)?)));
        for (key, judge) in others::ALL {
            all.judge(section, key, *judge);
        }
        all
    }

    fn add(&mut self, section: &Section<'_>, key: &'static str, decode: fn(&Place<'_>) -> Option<Config>) {
        self.configs.extend(entries(section, key).iter().filter_map(decode));
    }

    fn judge(&mut self, section: &Section<'_>, key: &'static str, judge: others::Judge) {
        for place in entries(section, key) {
            let Some(entry) = place.section() else { continue };
            judge(&entry);
            entry.finish();
            let line = place.node().position.line;
            self.missing.push(Missing { key, place: format!("{}:{line}", place.file()) });
            let hint = "write the targets to a file that file_sd_configs reads, or serve them to http_sd_configs";
            place.warn(format!("skep has no discovery for {key}: nothing that it would find is collected"), hint);
        }
    }
}

fn entries<'a>(section: &Section<'a>, key: &'static str) -> Vec<Place<'a>> {
    let mut places = section.list(key);
    places.retain(|place| {
        let empty = place.node().is_null();
        if empty {
            place.error(format!("empty or null section in {key}"), "fill it in, or remove it");
        }
        !empty
    });
    places
}

/// The refresh interval; a key without a value, and 0, ask for the default.
fn refresh(section: &Section<'_>, default: Duration) -> Duration {
    let place = section.get("refresh_interval").filter(|place| !place.node().is_null());
    place.and_then(|place| place.duration()).filter(|interval| !interval.is_zero()).unwrap_or(default)
}

fn file(place: &Place<'_>) -> Option<FileConfig> {
    let section = place.section()?;
    let files = section.list("files");
    if files.is_empty() {
        place.error("file service discovery config must contain at least one path name", "add files");
    }
    let folder = Path::new(place.file()).parent().unwrap_or(Path::new(""));
    let patterns = files.iter().filter_map(|place| pattern(place, folder)).collect();
    if place.is_strict() {
        files.iter().for_each(|place| check_files(place, folder));
    }
    let refresh = refresh(&section, FILE_REFRESH);
    section.finish();
    Some(FileConfig { patterns, refresh })
}

/// Reads the files of a pattern, which a server would do again and again.
fn check_files(place: &Place<'_>, folder: &Path) {
    let Some(pattern) = place.node().as_text().map(|text| folder.join(text)) else { return };
    let paths = list(std::slice::from_ref(&pattern));
    if paths.is_empty() {
        place.warn("no such file is there", "the job has no targets until it is");
    }
    for problem in paths.iter().filter_map(|path| read(path, "").err()) {
        place.flaw(format!("a file of targets cannot be used: {problem}"), "");
    }
}

/// A path that ends in `.json`, `.yml` or `.yaml`, with at most one `*`, which stands in its last part.
fn pattern(place: &Place<'_>, folder: &Path) -> Option<PathBuf> {
    let text = place.string()?;
    let lower = text.to_ascii_lowercase();
    let ending = [".json", ".yml", ".yaml"].iter().find_map(|ending| lower.strip_suffix(ending));
    let stars_stand_well = ending.is_some_and(|rest| {
        let folders = rest.rsplit_once('/').map_or("", |(folders, _)| folders);
        !rest.is_empty() && !folders.contains('*')
    });
    if !stars_stand_well {
        let hint = "files end in .json, .yml or .yaml, and * may stand in the last part of a path only";
        place.error(format!("path name {text:?} is not valid for file discovery"), hint);
        return None;
    }
    Some(folder.join(text))
}

fn http(place: &Place<'_>) -> Option<HttpSdConfig> {
    let section = place.section()?;
    let address = section.get("url").filter(|place| place.node().as_text() != Some(""));
    if address.is_none() {
        place.error("URL is missing", "add url: http://HOST/PATH");
    }
    let url = address.and_then(|place| url::decode_http(&place));
    let config = HttpConfig::decode(&section);
    let refresh = refresh(&section, HTTP_REFRESH);
    section.finish();
    Some(HttpSdConfig { url: url?.text, refresh, http: config })
}

fn dns(place: &Place<'_>) -> Option<DnsConfig> {
    let section = place.section()?;
    let names = section.strings("names");
    if names.is_empty() {
        place.error("DNS-SD config must contain at least one SRV record name", "add names");
    }
    let kind = section.get("type").map_or(Some(RecordKind::Srv), |place| record_kind(&place));
    let port = section.get("port").filter(|place| !place.node().is_null()).and_then(|place| place.integer());
    if kind.is_some_and(|kind| kind != RecordKind::Srv) && port.unwrap_or_default() == 0 {
        place.error("a port is required in DNS-SD configs for all record types except SRV", "add port");
    }
    let refresh = refresh(&section, DNS_REFRESH);
    section.finish();
    Some(DnsConfig { names, kind: kind?, port: port.unwrap_or_default(), refresh })
}

fn record_kind(place: &Place<'_>) -> Option<RecordKind> {
    let word = place.string()?;
    let kind = match &*word.to_uppercase() {
        "A" => RecordKind::A,
        "AAAA" => RecordKind::Aaaa,
        "MX" => RecordKind::Mx,
        "NS" => RecordKind::Ns,
        "SRV" => RecordKind::Srv,
        _ => {
            place.error(format!("invalid DNS-SD records type {word}"), "known: A, AAAA, MX, NS, SRV");
            return None;
        }
    };
    Some(kind)
}
