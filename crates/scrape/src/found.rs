//! Jobs for what discoveries find, as the ServiceMonitors of those systems would set them.

use discovery::cilium::{self, Endpoint};

use crate::config::Job;

/// One job an endpoint of Cilium. All but the relay's let the page's labels win: Hubble's pages carry labels of their
/// own such as `pod`.
pub(crate) fn cilium_jobs(config: &cilium::Config) -> Vec<Job> {
    let timeout = Job::default().timeout.min(config.interval);
    let job = |endpoint: &Endpoint| Job {
        name: endpoint.job().to_owned(),
        interval: config.interval,
        timeout,
        honor_labels: *endpoint != Endpoint::Relay,
        ..Job::default()
    };
    Endpoint::ALL.iter().map(job).collect()
}
