//! The shell around every page, and the answer that carries it.

use std::io::Write;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use model::status::AlertState;

use crate::files::accepts;
use crate::format::When;
use crate::params::{Params, encode};
use crate::problem::Problem;
use crate::range::{self, PRESETS, TimeRange};
use crate::{Ui, live};

/// Pages are made anew for each request: this level is a tenth smaller than the fastest for half a millisecond more, higher ones
/// gain little.
const PAGE_COMPRESSION: Compression = Compression::new(4);

/// The navigation: path, word, icon (a symbol of `shell.html`).
pub(crate) const PAGES: [(&str, &str, &str); 8] = [
    ("/", "Overview", "overview"),
    ("/dashboards", "Dashboards", "dashboards"),
    ("/query", "Query", "query"),
    ("/targets", "Targets", "targets"),
    ("/cilium", "Cilium", "cilium"),
    ("/bpf", "eBPF", "bpf"),
    ("/alerts", "Alerts", "alerts"),
    ("/storage", "Storage", "storage"),
];

/// What the shell of every page shows.
pub(crate) struct Shell {
    pub(crate) prefix: String,
    pub(crate) path: &'static str,
    pub(crate) title: String,
    pub(crate) node: String,
    pub(crate) version: String,
    pub(crate) open_to_network: bool,
    pub(crate) read_only_reason: String,
    pub(crate) reload_problem: String,
    pub(crate) firing: usize,
    pub(crate) now: When,
    pub(crate) newest: Option<When>,
    /// Seconds without news after which the script calls the connection lost.
    pub(crate) patience: u64,
    /// `from=..&to=..` for the links of the navigation.
    pub(crate) range_query: String,
    pub(crate) range: Option<TimeRange>,
    /// What else the address says, which the picker must not lose.
    pub(crate) kept: Vec<(String, String)>,
    /// The same, encoded.
    pub(crate) kept_query: String,
}

impl Shell {
    /// The shell of the page at `path`.
    pub(crate) fn new(ui: &Ui, params: &Params, path: &'static str, title: &str) -> Self {
        let state = &ui.state;
        let now = state.clock.now();
        let status = state.store.status();
        let kept = params.without(&["from", "to"]);
        let range = TimeRange::read(params, now, status.min_time).ok();
        Self {
            prefix: state.config.prefix.clone(),
            path,
            title: title.to_owned(),
            node: state.config.node.clone(),
            version: state.config.version.clone(),
            open_to_network: state.config.open_to_network,
            read_only_reason: status.read_only_reason,
            reload_problem: state.reload_problem.borrow().clone(),
            firing: ui.alerts_in(AlertState::Firing),
            now: When::new(now),
            newest: status.max_time.map(When::new),
            patience: 2 * live::HEARTBEAT.as_secs() + state.config.interval.as_secs(),
            range_query: range.as_ref().map(TimeRange::query).unwrap_or_default(),
            range,
            kept_query: encode(kept.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            kept,
        }
    }

    /// The ranges of the picker: words, `from`, whether it is the one shown.
    pub(crate) fn presets(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> + '_ {
        let from = self.range.as_ref().filter(|range| range.is_live()).map(|range| range.from);
        PRESETS.iter().map(move |(words, preset)| (*words, *preset, range::Bound::parse(preset) == from))
    }
}

impl Ui {
    /// The time range of an address.
    pub(crate) fn range(&self, params: &Params) -> Result<TimeRange, Problem> {
        TimeRange::read(params, self.state.clock.now(), self.state.store.status().min_time)
    }

    /// How many alerts are in a state.
    pub(crate) fn alerts_in(&self, state: AlertState) -> usize {
        let groups = self.state.rules.groups();
        let rules = groups.iter().flat_map(|group| &group.rules);
        rules.filter_map(|rule| rule.alerting.as_ref()).flat_map(|a| &a.alerts).filter(|a| a.state == state).count()
    }
}

/// An HTML answer, compressed if the client takes that.
pub(crate) fn respond(status: StatusCode, headers: &HeaderMap, html: askama::Result<String>) -> Response {
    match html {
        Ok(html) => with_body(status, headers, "text/html; charset=utf-8", html.into_bytes()),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be rendered; the log says why.\n").into_response()
        }
    }
}

/// An answer that changes from request to request, compressed if the client takes that.
pub(crate) fn with_body(status: StatusCode, headers: &HeaderMap, content_type: &str, plain: Vec<u8>) -> Response {
    with_packed(status, content_type, Packed::new(plain, accepts(headers, "gzip")))
}

/// A body as it goes over the wire. Large ones are packed on the thread that made them, since that takes milliseconds.
pub(crate) struct Packed {
    bytes: Vec<u8>,
    is_gzip: bool,
}

impl Packed {
    /// Compresses a body where that is wanted.
    pub(crate) fn new(plain: Vec<u8>, wanted: bool) -> Self {
        match wanted.then(|| gzip(&plain)) {
            Some(Ok(bytes)) => Self { bytes, is_gzip: true },
            _ => Self { bytes: plain, is_gzip: false },
        }
    }
}

/// The same of a body that is packed already.
pub(crate) fn with_packed(status: StatusCode, content_type: &str, body: Packed) -> Response {
    let mut response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        // Not `no-store`: a browser may keep a left page in memory and show it at once on the way back.
        .header(CACHE_CONTROL, "no-cache")
        .header(VARY, "accept-encoding, hx-request");
    if body.is_gzip {
        response = response.header(CONTENT_ENCODING, "gzip");
    }
    response.body(Body::from(body.bytes)).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn gzip(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), PAGE_COMPRESSION);
    encoder.write_all(plain)?;
    encoder.finish()
}
