//! The targets page: what is collected and with what success, what is not collected and why.

mod inspect;
mod list;
mod now;

pub(crate) use inspect::page as inspect;
pub(crate) use list::page;
pub(crate) use now::answer as now;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use model::Labels;
use model::status::{Health, TargetStatus};

/// A health as word, class and sign: colour is never the only difference.
#[derive(Clone, Copy)]
pub(crate) struct State3 {
    pub(crate) word: &'static str,
    pub(crate) class: &'static str,
    pub(crate) icon: &'static str,
}

impl From<Health> for State3 {
    fn from(health: Health) -> Self {
        match health {
            Health::Good => Self { word: "up", class: "good", icon: "check" },
            Health::Bad => Self { word: "down", class: "bad", icon: "cross" },
            Health::Unknown => Self { word: "waiting", class: "idle", icon: "clock" },
        }
    }
}

/// Names a target in addresses: a hash of its job and of its labels before relabelling, which are what stays the same while
/// rules change. Two targets of one job may share them, and differ in their URL then.
fn id_of(job: &str, discovered: &Labels, url: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (job, discovered.as_packed(), url).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn id(target: &TargetStatus) -> String {
    id_of(&target.job, &target.discovered_labels, &target.url)
}

/// A URL as people name the target: what nearly all of them share is left out.
fn short_url(url: &str) -> &str {
    let short = url.strip_prefix("http://").unwrap_or(url);
    short.strip_suffix("/metrics").unwrap_or(short)
}

/// A time within an interval: never a unit larger than seconds, so that a column lines up.
fn brief(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    match millis {
        _ if millis >= 10_000.0 => format!("{:.1} s", millis / 1000.0),
        _ if millis >= 1000.0 => format!("{:.2} s", millis / 1000.0),
        _ if millis >= 100.0 => format!("{millis:.0} ms"),
        _ if millis >= 10.0 => format!("{millis:.1} ms"),
        _ => format!("{millis:.2} ms"),
    }
}
