//! From what a discovery found to a target that can be scraped, or the reason why not.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, LabelsBuilder, format_duration, parse_duration};

use crate::config::Job;
use crate::error::ScrapeError;
use crate::relabel::relabel;
use crate::{ADDRESS, INSTANCE, JOB};

const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PATH: &str = "__metrics_path__";
const SCHEME: &str = "__scheme__";
const PARAM_PREFIX: &str = "__param_";
const META_PREFIX: &str = "__meta_";
/// Labels that begin so are for relabelling only; series do not get them.
const RESERVED_PREFIX: &str = "__";

/// Something that is scraped once an interval.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) job: Arc<Job>,
    /// Labels that its series get.
    pub(crate) labels: Labels,
    /// Labels before relabelling.
    pub(crate) discovered: Labels,
    /// Where the page is; empty for in-process collectors.
    pub(crate) url: String,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// A sentence for the targets page.
    pub(crate) note: String,
    /// Why it must not be scraped though it is there.
    pub(crate) forbidden: Option<ScrapeError>,
}

/// What became of a found target.
#[derive(Debug)]
pub(crate) enum Placed {
    Active(Target),
    /// Relabelling left it out; these are its labels before.
    Dropped(Labels),
    /// It cannot be scraped, and why.
    Invalid(String),
}

impl Target {
    /// Whether a running scrape of `other` can go on as one of this.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.job == other.job
            && self.labels == other.labels
            && self.discovered == other.discovered
            && self.url == other.url
            && (self.interval, self.timeout) == (other.interval, other.timeout)
            && self.note == other.note
            && self.forbidden.is_some() == other.forbidden.is_some()
    }

    /// Whether series of a page become the same series under `other`.
    pub(crate) fn maps_alike(&self, other: &Self) -> bool {
        let settings = |job: &Job| (job.honor_labels, job.limits, job.extra_metrics);
        self.labels == other.labels
            && settings(&self.job) == settings(&other.job)
            && self.job.metric_relabel == other.job.metric_relabel
    }
}

/// Applies the job's defaults and rules to what was found.
pub(crate) fn place(job: &Arc<Job>, found: &Labels, note: &str) -> Placed {
    let discovered = with_defaults(job, found);
    let mut labels = discovered.to_builder();
    if !relabel(&mut labels, &job.relabel) {
        return Placed::Dropped(discovered);
    }
    match finish(job, &mut labels) {
        Ok((url, interval, timeout)) => Placed::Active(Target {
            job: Arc::clone(job),
            labels: labels.retain(|name, _| !name.starts_with(RESERVED_PREFIX)).build(),
            discovered,
            url,
            interval,
            timeout,
            note: note.to_owned(),
            forbidden: None,
        }),
        Err(reason) => {
            let address = found.get(ADDRESS).unwrap_or_default();
            Placed::Invalid(format!("job {:?}: target {address:?} is not scraped: {reason}", job.name))
        }
    }
}

fn with_defaults(job: &Job, found: &Labels) -> Labels {
    let mut labels = found.to_builder();
    let mut default = |name: &str, value: String| {
        if labels.get(name).is_none() {
            labels.set(name, value);
        }
    };
    default(JOB, job.name.clone());
    default(INTERVAL, format_duration(job.interval));
    default(TIMEOUT, format_duration(job.timeout));
    default(PATH, job.metrics_path.clone());
    default(SCHEME, job.scheme.clone());
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            default(&format!("{PARAM_PREFIX}{name}"), first.clone());
        }
    }
    labels.build()
}

fn finish(job: &Job, labels: &mut LabelsBuilder) -> Result<(String, Duration, Duration), String> {
    let address = labels.get(ADDRESS).unwrap_or_default().to_owned();
    if address.is_empty() {
        return Err("no address".to_owned());
    }
    if address.contains('/') {
        return Err(format!("{address:?} is not a valid hostname"));
    }
    let duration = |name: &str, what: &str| {
        let text = labels.get(name).unwrap_or_default();
        let duration = parse_duration(text).map_err(|e| format!("error parsing scrape {what}: {e}"))?;
        if duration.is_zero() { Err(format!("scrape {what} cannot be 0")) } else { Ok(duration) }
    };
    let interval = duration(INTERVAL, "interval")?;
    let timeout = duration(TIMEOUT, "timeout")?;
    if timeout > interval {
        let (timeout, interval) = (format_duration(timeout), format_duration(interval));
        return Err(format!("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})"));
    }
    let url = url(job, labels, &address);
    labels.retain(|name, _| !name.starts_with(META_PREFIX));
    if labels.get(INSTANCE).is_none() {
        labels.set(INSTANCE, address);
    }
    Ok((url, interval, timeout))
}

fn url(job: &Job, labels: &LabelsBuilder, address: &str) -> String {
    let scheme = labels.get(SCHEME).unwrap_or_default();
    let path = labels.get(PATH).unwrap_or_default();
    let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
    let mut url = format!("{scheme}://{address}{slash}");
    encode(path, b"/-_.~$&+,:;=@!'()*%", &mut url);
    for (i, (name, value)) in query(job, labels).iter().enumerate() {
        url.push(if i == 0 { '?' } else { '&' });
        encode(name, b"-_.~", &mut url);
        url.push('=');
        encode(value, b"-_.~", &mut url);
    }
    url
}

/// The job's parameters, by name; the labels `__param_NAME` stand for the first value of each.
fn query(job: &Job, labels: &LabelsBuilder) -> Vec<(String, String)> {
    let mut query: Vec<(String, String)> = Vec::new();
    for (name, value) in labels.iter() {
        if let Some(name) = name.strip_prefix(PARAM_PREFIX) {
            query.push((name.to_owned(), value.to_owned()));
        }
    }
    query.sort();
    let mut all = Vec::new();
    for (name, first) in query {
        let more = job.params.iter().filter(|(n, _)| *n == name).flat_map(|(_, values)| values.iter().skip(1));
        let more: Vec<_> = more.map(|value| (name.clone(), value.clone())).collect();
        all.push((name, first));
        all.extend(more);
    }
    all
}

fn encode(text: &str, plain: &[u8], into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::{Action, Rule};

    fn rule(action: Action, source: &str, regex: &str, target: &str, replacement: &str) -> Rule {
        Rule {
            action,
            source_labels: vec![source.to_owned()],
            separator: ";".to_owned(),
            pattern: model::Pattern::new(regex).unwrap(),
            modulus: 0,
            target_label: target.to_owned(),
            replacement: replacement.to_owned(),
        }
    }

    fn check(job: Job, found: &[(&str, &str)], expected: &str) {
        let got = match place(&Arc::new(job), &Labels::from_pairs(found.iter().copied()), "") {
            Placed::Active(target) => format!("{} {}", target.url, target.labels),
            Placed::Dropped(labels) => format!("dropped {labels}"),
            Placed::Invalid(reason) => reason,
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn places_targets() {
        let job = || Job { name: "j".to_owned(), ..Job::default() };
        check(
            job(),
            &[(ADDRESS, "h:1"), ("x", "y"), ("__meta_z", "1")],
            r#"http://h:1/metrics {instance="h:1", job="j", x="y"}"#,
        );
        check(
            job(),
            &[(ADDRESS, "h:1"), ("job", "k"), ("instance", "i")],
            r#"http://h:1/metrics {instance="i", job="k"}"#,
        );
        check(job(), &[("x", "y")], r#"job "j": target "" is not scraped: no address"#);
        let params = Job {
            params: vec![
                ("m".to_owned(), vec!["a b".to_owned(), "c".to_owned()]),
                ("n".to_owned(), vec!["1".to_owned()]),
            ],
            metrics_path: "probe x".to_owned(),
            scheme: "https".to_owned(),
            ..job()
        };
        check(
            params,
            &[(ADDRESS, "h"), ("__param_n", "2&")],
            r#"https://h/probe%20x?m=a%20b&m=c&n=2%26 {instance="h", job="j"}"#,
        );
        let dropped = Job { relabel: vec![rule(Action::Drop, "x", "y", "", "$1")], ..job() };
        check(
            dropped,
            &[(ADDRESS, "h"), ("x", "y")],
            "dropped {__address__=\"h\", __metrics_path__=\"/metrics\", __scheme__=\"http\", __scrape_interval__=\"1m\", __scrape_timeout__=\"10s\", job=\"j\", x=\"y\"}",
        );
        let slower = Job { relabel: vec![rule(Action::Replace, "x", "(.*)", INTERVAL, "$1")], ..job() };
        check(
            slower,
            &[(ADDRESS, "h"), ("x", "5s")],
            r#"job "j": target "h" is not scraped: scrape timeout cannot be greater than scrape interval ("10s" > "5s")"#,
        );
    }
}
