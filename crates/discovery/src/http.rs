//! `http_sd_configs`: a server that answers with groups of targets in JSON.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::Transport;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::{Counters, Discovery, Found, Group, HttpSdConfig, groups, publish};

/// An answer of a hundred thousand targets stays below.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// The label of the URL that told of a target.
const META_URL: &str = "__meta_url";

const PROGRAM: &str = concat!("skep/", env!("CARGO_PKG_VERSION"));

/// A server of targets for one job.
pub(crate) struct Server {
    pub(crate) job: String,
    pub(crate) config: HttpSdConfig,
    pub(crate) transport: Arc<Transport>,
    pub(crate) counters: Arc<Counters>,
}

impl Discovery for Server {
    async fn run(self, found: watch::Sender<Arc<Found>>) {
        let mut ticks = tokio::time::interval(self.config.refresh);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = found.closed() => return,
                _ = ticks.tick() => {}
            }
            let answer = tokio::select! {
                () = found.closed() => return,
                answer = tokio::time::timeout(self.config.refresh, self.ask()) => answer,
            };
            let groups = answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.config.refresh)));
            // What cannot be asked keeps what it told before.
            let now = match groups {
                Ok(groups) => Found { groups, ..Found::default() },
                Err(reason) => {
                    self.counters.http_failure();
                    let note = format!("job {:?}: {}: {reason}", self.job, self.config.url);
                    Found { notes: vec![note], groups: found.borrow().groups.clone(), ..Found::default() }
                }
            };
            publish(&found, &self.job, now);
        }
    }
}

impl Server {
    async fn ask(&self) -> Result<Vec<Group>, String> {
        let uri: Uri = self.config.url.parse().map_err(|error| format!("{error}"))?;
        let request = Request::get(uri)
            .header(USER_AGENT, PROGRAM)
            .header(ACCEPT, "application/json")
            .header("X-Prometheus-Refresh-Interval-Seconds", seconds(self.config.refresh))
            .body(Full::<Bytes>::default())
            .map_err(|error| error.to_string())?;
        let answer = self.transport.send(request).await.map_err(|failure| failure.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("server returned HTTP status {}", answer.status()));
        }
        let kind =
            answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        if !is_json(&kind) {
            return Err(format!("unsupported content type {kind:?}"));
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        let groups = groups::from_json(&body, &[(META_URL, &self.config.url)])?;
        Ok(Group::numbered(&self.job, &self.config.url, groups))
    }
}

fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}

/// `application/json`, with the charset of UTF-8 or none.
fn is_json(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let Some(rest) = kind.strip_prefix("application/json") else { return false };
    let charset = rest.strip_prefix(';').map(str::trim_start);
    rest.is_empty() || matches!(charset, Some("charset=utf-8" | "charset=\"utf-8\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let check = |kind, expected| assert_eq!(is_json(kind), expected, "{kind}");
        check("application/json", true);
        check("Application/JSON; charset=UTF-8", true);
        check("application/json;charset=\"utf-8\"", true);
        check("application/json; charset=latin1", false);
        check("application/jsonp", false);
        check("text/plain", false);
        check("", false);
    }
}
