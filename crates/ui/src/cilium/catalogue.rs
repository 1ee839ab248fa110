//! What Cilium's endpoints can show, as data: `families.tsv`, `needs.tsv`, `renamed.tsv`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::release::{Release, Span};

/// A family that an endpoint may show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// Place in [`ENDPOINTS`].
    pub(super) endpoint: usize,
    pub(super) feature: &'static str,
    pub(super) kind: &'static str,
    /// Its name; `*` at the end stands for any end.
    pub(super) name: &'static str,
    pub(super) labels: &'static str,
    pub(super) needs: &'static str,
    /// The releases that have it.
    pub(super) span: Span,
}

/// What makes families appear.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Helm values, empty if there is nothing to set; `{name}` stands for the family.
    pub(super) values: &'static str,
    pub(super) sentence: &'static str,
}

/// A name of the past.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renamed {
    pub(super) old: &'static str,
    pub(super) new: &'static str,
    pub(super) since: &'static str,
}

/// An endpoint of Cilium.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// As in `families.tsv`.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) port: &'static str,
    /// The job under which skep collects it when it finds it itself.
    pub(super) job: &'static str,
    /// Beginnings of names that no other endpoint shows.
    pub(super) sign: &'static str,
    /// Helm values that open it.
    pub(super) values: &'static str,
    pub(super) sentence: &'static str,
}

pub(super) const ENDPOINTS: [Endpoint; 8] = [
    Endpoint {
        id: "agent",
        title: "Agent",
        port: "9962",
        job: "cilium-agent",
        sign: "cilium_",
        values: "prometheus.enabled: true",
        sentence: "Off by default; on every node's host network.",
    },
    Endpoint {
        id: "operator",
        title: "Operator",
        port: "9963",
        job: "cilium-operator",
        sign: "cilium_operator_",
        values: "operator.prometheus.enabled: true",
        sentence: "On by default; on the host network of the node that runs the operator.",
    },
    Endpoint {
        id: "envoy",
        title: "Envoy",
        port: "9964",
        job: "cilium-envoy",
        sign: "envoy_",
        values: "envoy.prometheus.enabled: true",
        sentence: "On by default where envoy.enabled runs the proxy as a DaemonSet.",
    },
    Endpoint {
        id: "hubble",
        title: "Hubble",
        port: "9965",
        job: "hubble",
        sign: "hubble_",
        values: "hubble.metrics.enabled: [dns, drop, flow, icmp, port-distribution, tcp]",
        sentence: "Exists only where hubble.metrics.enabled names a handler.",
    },
    Endpoint {
        id: "relay",
        title: "Hubble relay",
        port: "9966",
        job: "hubble-relay",
        sign: "hubble_relay_",
        values: "hubble.relay.enabled: true, hubble.relay.prometheus.enabled: true",
        sentence: "In the pod network: set cilium.relay in skep's configuration to its host:port.",
    },
    Endpoint {
        id: "clustermesh",
        title: "Cluster mesh",
        port: "9962",
        job: "clustermesh-apiserver",
        sign: "cilium_clustermesh_apiserver_",
        values: "clustermesh.useAPIServer: true, clustermesh.apiserver.metrics.enabled: true",
        sentence: "In the pod network: list its host:port under cilium.addresses.",
    },
    Endpoint {
        id: "kvstoremesh",
        title: "KVStoreMesh",
        port: "9964",
        job: "kvstoremesh",
        sign: "cilium_kvstoremesh_",
        values: "clustermesh.apiserver.metrics.kvstoremesh.enabled: true",
        sentence: "In the pod of the cluster mesh.",
    },
    Endpoint {
        id: "etcd",
        title: "Mesh etcd",
        port: "9963",
        job: "clustermesh-etcd",
        sign: "etcd_",
        values: "clustermesh.apiserver.metrics.etcd.enabled: true",
        sentence: "In the pod of the cluster mesh.",
    },
];

/// All of it, read once.
pub(super) struct Catalogue {
    pub(super) families: Vec<Family>,
    pub(super) renamed: Vec<Renamed>,
    needs: HashMap<&'static str, Need>,
}

/// The catalogue of the program.
pub(super) static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue {
    families: rows(include_str!("families.tsv")).filter_map(|row| family(&row)).collect(),
    renamed: rows(include_str!("renamed.tsv")).filter_map(|row| renamed(&row)).collect(),
    needs: rows(include_str!("needs.tsv")).filter_map(|row| need(&row)).collect(),
});

fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn family(row: &[&'static str]) -> Option<Family> {
    let &[endpoint, feature, kind, name, labels, needs, since, until] = row else { return None };
    let endpoint = ENDPOINTS.iter().position(|one| one.id == endpoint)?;
    let kind = match kind {
        "c" => "counter",
        "g" => "gauge",
        "h" => "histogram",
        _ => return None,
    };
    let span = Span { since: Release::parse(since), until: Release::parse(until) };
    Some(Family { endpoint, feature, kind, name, labels, needs, span })
}

fn renamed(row: &[&'static str]) -> Option<Renamed> {
    let &[old, new, since] = row else { return None };
    Some(Renamed { old, new, since })
}

fn need(row: &[&'static str]) -> Option<(&'static str, Need)> {
    let &[key, values, sentence] = row else { return None };
    Some((key, Need { values, sentence }))
}

impl Family {
    /// Whether a series of this name belongs to it.
    pub(super) fn has(&self, series: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(start) => series.starts_with(start),
            None => series == self.name || is_part(series, self.name),
        }
    }
}

/// Whether a series is one of a histogram's.
pub(super) fn is_part(series: &str, family: &str) -> bool {
    series.strip_prefix(family).is_some_and(|end| matches!(end, "_bucket" | "_sum" | "_count"))
}

impl Catalogue {
    pub(super) fn need(&self, family: &Family) -> Option<&Need> {
        self.needs.get(family.needs)
    }
}

/// Whose a target is by the names that it shows; the more telling beginnings first.
pub(super) fn owner<'a>(names: &(impl Iterator<Item = &'a str> + Clone)) -> Option<usize> {
    let mut order: Vec<usize> = (0..ENDPOINTS.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(ENDPOINTS[i].sign.len()));
    order.into_iter().find(|&i| names.clone().any(|name| name.starts_with(ENDPOINTS[i].sign)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_line_is_read_and_every_need_is_known() {
        let lines = |text: &'static str| rows(text).count();
        assert_eq!(CATALOGUE.families.len(), lines(include_str!("families.tsv")));
        assert_eq!(CATALOGUE.renamed.len(), lines(include_str!("renamed.tsv")));
        assert_eq!(CATALOGUE.needs.len(), lines(include_str!("needs.tsv")));
        let mut seen = HashSet::new();
        for family in &CATALOGUE.families {
            assert!(CATALOGUE.need(family).is_some(), "{family:?}");
            assert!(family.span.since.zip(family.span.until).is_none_or(|(since, until)| since <= until), "{family:?}");
            assert!(seen.insert((family.endpoint, family.name)), "twice: {family:?}");
        }
        for (place, endpoint) in ENDPOINTS.iter().enumerate() {
            assert!(CATALOGUE.families.iter().any(|family| family.endpoint == place), "{}", endpoint.id);
        }
    }

    #[test]
    fn names_find_their_family_and_their_endpoint() {
        let find = |name: &str| CATALOGUE.families.iter().find(|family| family.has(name)).map(|family| family.name);
        for (name, expected) in [
            ("cilium_policy_implementation_delay_bucket", Some("cilium_policy_implementation_delay")),
            ("cilium_drop_count_total", Some("cilium_drop_count_total")),
            ("cilium_process_open_fds", Some("cilium_process_*")),
            ("cilium_endpoint", Some("cilium_endpoint")),
            ("cilium_no_such_thing", None),
        ] {
            assert_eq!(find(name), expected, "{name}");
        }
        for (names, expected) in [
            (&["cilium_version", "go_goroutines"][..], Some("agent")),
            (&["cilium_operator_version"], Some("operator")),
            (&["hubble_relay_pool_peer_connection_status", "hubble_x"], Some("relay")),
            (&["hubble_drop_total"], Some("hubble")),
            (&["go_goroutines"], None),
        ] {
            assert_eq!(owner(&names.iter().copied()).map(|i| ENDPOINTS[i].id), expected, "{names:?}");
        }
    }
}
