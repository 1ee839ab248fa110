//! What each endpoint shows: names, types and label sets as Cilium 1.20 has them.
//!
//! Not shown is what the default configuration switches off or a cluster of this kind lacks: the key-value store,
//! IPsec, cluster mesh, BPF system call times, cloud IPAM. Two names are shown that no inventory of Cilium has,
//! `cilium_lb_active_connections` and the drop reason `NoEndpoint`: alert rules in use ask for them.

mod agent;
mod agent_kubernetes;
mod envoy;
mod hubble;
mod operator;
mod process;
mod relay;

use crate::Endpoint;
use crate::schema::Page;

/// The version that the node runs.
const VERSION: &str = "1.20.0";
/// Nodes of the cluster, this one included.
const NODES: f64 = 4.0;

/// The description of an endpoint's page.
pub(crate) fn describe(endpoint: Endpoint, seed: u64) -> Page {
    let mut page = Page::new(seed);
    match endpoint {
        Endpoint::Agent => {
            agent::describe(&mut page);
            agent_kubernetes::describe(&mut page);
            process::describe(&mut page, "cilium_process", &process::AGENT);
        }
        Endpoint::Operator => {
            operator::describe(&mut page);
            process::describe(&mut page, "cilium_operator_process", &process::OPERATOR);
        }
        Endpoint::Envoy => envoy::describe(&mut page),
        Endpoint::Hubble => hubble::describe(&mut page),
        Endpoint::Relay => {
            relay::describe(&mut page);
            process::describe(&mut page, "process", &process::RELAY);
        }
    }
    page
}
