//! Cilium's metrics endpoints on this node, recognised by the metric families that they show.

use std::time::Duration;

/// What the section `cilium` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether Cilium is looked for.
    pub enabled: bool,
    /// `host:port` of each place to look at.
    pub addresses: Vec<String>,
    /// Time between looks, and the scrape interval of what is found.
    pub interval: Duration,
    /// `host:port` of Hubble relay's metrics; it usually runs in the pod network, where nobody can guess it.
    pub relay: Option<String>,
    /// The node's name; the host name where it is not given.
    pub node: Option<String>,
    /// The namespace of Cilium's pods.
    pub namespace: String,
}

/// Port 9962 agent, 9963 operator, 9964 envoy, 9965 Hubble, 9966 relay by default.
pub const PORTS: std::ops::RangeInclusive<u16> = 9962..=9966;

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            addresses: PORTS.map(|port| format!("127.0.0.1:{port}")).collect(),
            // The official dashboards use windows of one minute, most of them with `rate`.
            interval: Duration::from_secs(10),
            relay: None,
            node: None,
            namespace: "kube-system".to_owned(),
        }
    }
}

impl Config {
    /// Decodes the section `cilium`; problems go to the report, and a default stands in.
    pub fn decode(section: &yaml::Section<'_>) -> Self {
        let mut config = Self::default();
        if let Some(enabled) = section.boolean("enabled") {
            config.enabled = enabled;
        }
        config
    }
}
