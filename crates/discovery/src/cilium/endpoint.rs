//! The endpoints, how their pages give them away, and the labels that the official dashboards select on.

use std::net::IpAddr;

use model::Labels;

use super::Config;

/// One of Cilium's metrics endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The agent on each node.
    Agent,
    /// The operator.
    Operator,
    /// The proxy on each node.
    Envoy,
    /// Hubble's metrics, served by the agent.
    Hubble,
    /// Hubble relay.
    Relay,
    /// The API server of a cluster mesh.
    ClusterMesh,
    /// What fills the cluster mesh's kvstore from other clusters.
    KvStoreMesh,
    /// The cluster mesh's etcd.
    Etcd,
}

/// What a page is by its families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recognized {
    Endpoint(Endpoint),
    /// No known family.
    Unknown,
}

/// Beginnings of family names, the more telling ones first: an agent's page may have families that begin as a
/// sibling's do, but no sibling's page has the agent's alone.
const SIGNS: [(&str, Recognized); 8] = [
    ("cilium_clustermesh_apiserver_", Recognized::Endpoint(Endpoint::ClusterMesh)),
    ("cilium_kvstoremesh_", Recognized::Endpoint(Endpoint::KvStoreMesh)),
    ("cilium_operator_", Recognized::Endpoint(Endpoint::Operator)),
    ("hubble_relay_", Recognized::Endpoint(Endpoint::Relay)),
    ("cilium_", Recognized::Endpoint(Endpoint::Agent)),
    ("hubble_", Recognized::Endpoint(Endpoint::Hubble)),
    ("envoy_", Recognized::Endpoint(Endpoint::Envoy)),
    ("etcd_", Recognized::Endpoint(Endpoint::Etcd)),
];

/// Looks at the names at the beginnings of lines; the page may be cut off anywhere.
pub(super) fn recognize(page: &[u8]) -> Recognized {
    let families: Vec<&[u8]> = page.split(|&byte| byte == b'\n').map(family).collect();
    let shown = |sign: &str| families.iter().any(|family| family.starts_with(sign.as_bytes()));
    let sign = SIGNS.iter().find(|(sign, _)| shown(sign));
    sign.map_or(Recognized::Unknown, |(_, recognized)| *recognized)
}

fn family(line: &[u8]) -> &[u8] {
    let comment = ["# HELP ", "# TYPE "].iter().find_map(|head| line.strip_prefix(head.as_bytes()));
    comment.unwrap_or(line)
}

impl Endpoint {
    /// All of them, in the order of their usual ports.
    pub const ALL: [Self; 8] = [
        Self::Agent,
        Self::Operator,
        Self::Envoy,
        Self::Hubble,
        Self::Relay,
        Self::ClusterMesh,
        Self::KvStoreMesh,
        Self::Etcd,
    ];

    /// The job that collects it, named as its ServiceMonitor.
    pub fn job(self) -> &'static str {
        match self {
            Self::Agent => "cilium-agent",
            Self::Operator => "cilium-operator",
            Self::Envoy => "cilium-envoy",
            Self::Hubble => "hubble",
            Self::Relay => "hubble-relay",
            Self::ClusterMesh => "clustermesh-apiserver",
            Self::KvStoreMesh => "kvstoremesh",
            Self::Etcd => "clustermesh-etcd",
        }
    }

    /// The label that ServiceMonitor or pod labels would give.
    fn app(self) -> (&'static str, &'static str) {
        match self {
            Self::Agent => ("k8s_app", "cilium"),
            Self::Operator => ("io_cilium_app", "operator"),
            Self::Envoy => ("k8s_app", "cilium-envoy"),
            Self::Hubble => ("k8s_app", "hubble"),
            Self::Relay => ("k8s_app", "hubble-relay"),
            Self::ClusterMesh | Self::KvStoreMesh | Self::Etcd => ("k8s_app", "clustermesh-apiserver"),
        }
    }

    /// The workload whose pod serves it: Hubble's metrics come from the agent, and the cluster mesh is one pod.
    fn workload(self) -> &'static str {
        match self {
            Self::Agent | Self::Hubble => "cilium",
            Self::KvStoreMesh | Self::Etcd => Self::ClusterMesh.job(),
            other => other.job(),
        }
    }

    /// Labels of the target, `__address__` among them. Pod names stand in for the real ones, which only the Kubernetes
    /// API knows. `node` is this machine; another one is called as its address calls it.
    pub fn labels(self, address: &str, node: &str, config: &Config) -> Labels {
        let (app, name) = self.app();
        let node = remote_host(address).unwrap_or(node);
        let pod = format!("{}-{node}", self.workload());
        Labels::from_pairs([
            ("__address__", address),
            (app, name),
            ("cluster", &config.cluster),
            ("namespace", &config.namespace),
            ("node", node),
            ("pod", &pod),
        ])
    }
}

/// The host of an address that is not this machine's loopback.
fn remote_host(address: &str) -> Option<&str> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let local = match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host == "localhost",
    };
    (!local).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(page: &str, expected: Recognized) {
        assert_eq!(recognize(page.as_bytes()), expected, "{page}");
    }

    #[test]
    fn families_decide() {
        use Recognized::{Endpoint as Is, Unknown};
        check("# HELP cilium_endpoint_state x\n", Is(Endpoint::Agent));
        check(
            "go_info 1\ncilium_version{version=\"1\"} 1\ncilium_clustermesh_remote_clusters 0\n",
            Is(Endpoint::Agent),
        );
        check("# TYPE cilium_operator_ipam_ips gauge\n", Is(Endpoint::Operator));
        check("# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n", Is(Endpoint::Envoy));
        check("hubble_drop_total{reason=\"x\"} 1\ngrpc_server_started_total 1\n", Is(Endpoint::Hubble));
        check("hubble_relay_pool_peer_connection_status{status=\"READY\"} 1\n", Is(Endpoint::Relay));
        check("cilium_clustermesh_apiserver_version 1\n", Is(Endpoint::ClusterMesh));
        check("cilium_kvstoremesh_version 1\n", Is(Endpoint::KvStoreMesh));
        check("# HELP etcd_server_has_leader x\ngo_info 1\n", Is(Endpoint::Etcd));
        check("go_info 1\nx{a=\"\ncilium\"} 1", Unknown);
        check("<html>\n", Unknown);
        check("", Unknown);
    }

    #[test]
    fn nodes_have_names() {
        let check = |address: &str, expected: &str| {
            let labels = Endpoint::Agent.labels(address, "here", &Config::default());
            assert_eq!((labels.get("node"), labels.get("pod")), (Some(expected), Some(&*format!("cilium-{expected}"))));
        };
        check("127.0.0.1:9962", "here");
        check("localhost:9962", "here");
        check("[::1]:9962", "here");
        check("worker-1:9962", "worker-1");
        check("10.0.0.7:9962", "10.0.0.7");
        check("[fd00::1]:9962", "fd00::1");
    }

    #[test]
    fn real_pages_are_recognized() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/exposition");
        let cases = [
            ("cilium-agent.txt", Recognized::Endpoint(Endpoint::Agent)),
            ("cilium-operator.txt", Recognized::Endpoint(Endpoint::Operator)),
            ("envoy.txt", Recognized::Endpoint(Endpoint::Envoy)),
            ("node-exporter.txt", Recognized::Unknown),
        ];
        for (name, expected) in cases {
            match std::fs::read(folder.join(name)) {
                Ok(page) => assert_eq!(recognize(&page), expected, "{name}"),
                Err(_) => eprintln!("SKIPPED: {name} is absent"),
            }
        }
    }
}
