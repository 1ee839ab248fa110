//! The section `cilium`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use yaml::{Place, Section};

/// Port 9962 agent, 9963 operator, 9964 envoy, 9965 Hubble, 9966 relay by default.
const PORTS: RangeInclusive<u16> = 9962..=9966;

/// Each address costs a connection attempt an interval; more than a handful is a job for `scrape_configs`.
const ADDRESSES_MAX: usize = 32;

/// Hosts are looked at on five ports each; a larger cluster is a matter for Kubernetes' own discovery.
const HOSTS_MAX: usize = 32;

/// What the section `cilium` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether Cilium is looked for.
    pub enabled: bool,
    /// `host:port` of each place to look at.
    pub addresses: Vec<String>,
    /// Further hosts, by name or address, each of which is looked at on all of Cilium's ports.
    pub hosts: Vec<String>,
    /// Time between looks, and the scrape interval of what is found.
    pub interval: Duration,
    /// `host:port` of Hubble relay's metrics; it usually runs in the pod network, where nobody can guess it.
    pub relay: Option<String>,
    /// The node's name; the host name where it is not given.
    pub node: Option<String>,
    /// The namespace of Cilium's pods.
    pub namespace: String,
    /// The cluster's name; dashboards of Hubble's metrics select on it.
    pub cluster: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            addresses: PORTS.map(|port| format!("127.0.0.1:{port}")).collect(),
            hosts: Vec::new(),
            // The official dashboards look at windows of one minute, most of them through `rate`.
            interval: Duration::from_secs(10),
            relay: None,
            node: None,
            namespace: "kube-system".to_owned(),
            // Cilium's own default.
            cluster: "default".to_owned(),
        }
    }
}

impl Config {
    /// Decodes the section `cilium`; problems go to the report, and a default stands in.
    pub fn decode(section: &Section<'_>) -> Self {
        let defaults = Self::default();
        let config = Self {
            enabled: section.boolean("enabled").unwrap_or(defaults.enabled),
            addresses: section.get("addresses").map_or(defaults.addresses, |place| addresses(&place)),
            hosts: section.get("hosts").map_or(defaults.hosts, |place| hosts(&place)),
            interval: interval(section).unwrap_or(defaults.interval),
            relay: section.get("relay").and_then(|place| address(&place)),
            node: section.string("node").filter(|node| !node.is_empty()),
            namespace: section.string("namespace").unwrap_or(defaults.namespace),
            cluster: section.string("cluster").unwrap_or(defaults.cluster),
        };
        section.finish();
        config
    }
}

impl Config {
    /// Every `host:port` that is looked at, each once.
    pub(super) fn places(&self) -> Vec<String> {
        let mut places = self.addresses.clone();
        for host in &self.hosts {
            let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
            places.extend(PORTS.map(|port| format!("{host}:{port}")));
        }
        let mut seen = HashSet::new();
        places.retain(|place| seen.insert(place.clone()));
        places
    }
}

fn interval(section: &Section<'_>) -> Option<Duration> {
    let place = section.get("interval")?;
    let interval = place.duration()?;
    if interval.is_zero() {
        place.error("the interval must be longer than 0", "10s suits the official dashboards");
        return None;
    }
    Some(interval)
}

fn addresses(place: &Place<'_>) -> Vec<String> {
    let places = place.list();
    if places.len() > ADDRESSES_MAX {
        place.error(format!("more than {ADDRESSES_MAX} addresses"), "list further targets under scrape_configs");
    }
    places.iter().filter_map(address).collect()
}

fn hosts(place: &Place<'_>) -> Vec<String> {
    let places = place.list();
    if places.len() > HOSTS_MAX {
        place.error(format!("more than {HOSTS_MAX} hosts"), "list further targets under scrape_configs");
    }
    places.iter().filter_map(host).collect()
}

fn host(place: &Place<'_>) -> Option<String> {
    let text = place.string()?;
    let is_host = text.parse::<IpAddr>().is_ok() || (!text.is_empty() && !text.contains([':', '/', ' ', '[']));
    if !is_host {
        place.error(format!("not a host: {text:?}"), "write a name or an IP address; host:port goes under addresses");
    }
    is_host.then_some(text)
}

fn address(place: &Place<'_>) -> Option<String> {
    let text = place.string()?;
    let port =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() || text.contains('/') {
        place.error(format!("not an address: {text:?}"), "write host:port, such as 127.0.0.1:9962");
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use yaml::{Place, Report};

    use super::*;

    fn check(text: &str, expected: &[&str]) -> Config {
        let report = Report::default();
        let node = yaml::parse("f.yml", text).unwrap();
        let config = Config::decode(&Place::root(&node, "f.yml", &report).section().unwrap());
        let got: Vec<_> = report.problems().iter().map(ToString::to_string).collect();
        assert_eq!(got, expected, "{text}");
        config
    }

    #[test]
    fn decodes() {
        assert_eq!(check("", &[]), Config::default());
        let config = check(
            "{enabled: false, addresses: ['[::1]:1'], hosts: [w1, 'fd00::1'], interval: 5s, relay: 'r:2', node: n, namespace: c, cluster: k}",
            &[],
        );
        let expected = Config {
            enabled: false,
            addresses: vec!["[::1]:1".to_owned()],
            hosts: vec!["w1".to_owned(), "fd00::1".to_owned()],
            interval: Duration::from_secs(5),
            relay: Some("r:2".to_owned()),
            node: Some("n".to_owned()),
            namespace: "c".to_owned(),
            cluster: "k".to_owned(),
        };
        assert_eq!(config, expected);
        let places = config.places();
        assert_eq!(
            (places.len(), &*places[0], &*places[1], &*places[10]),
            (11, "[::1]:1", "w1:9962", "[fd00::1]:9966")
        );
        check(
            "{hosts: ['h:1', n]}",
            &[
                "f.yml:1:10: error: not a host: \"h:1\" (at hosts[0]); write a name or an IP address; host:port goes under addresses",
            ],
        );
        check(
            "{addresses: [x, 'http://h:1'], interval: 0s, nod: n}",
            &[
                "f.yml:1:14: error: not an address: \"x\" (at addresses[0]); write host:port, such as 127.0.0.1:9962",
                "f.yml:1:17: error: not an address: \"http://h:1\" (at addresses[1]); write host:port, such as 127.0.0.1:9962",
                "f.yml:1:42: error: the interval must be longer than 0 (at interval); 10s suits the official dashboards",
                "f.yml:1:46: error: unknown key \"nod\" (at nod); did you mean \"node\"?",
            ],
        );
    }
}
