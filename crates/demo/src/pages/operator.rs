//! The operator.

use super::VERSION;
use super::agent_kubernetes::{modules, work_queues};
use crate::activity::Activity::{Churn, Cluster, Faults, Timers};
use crate::schema::{Page, SECONDS, constant, durations, flow, fraction, level};

pub(crate) fn describe(page: &mut Page) {
    page.gauge("cilium_operator_version", "The operator's version.")
        .row(&[("version", VERSION), ("revision", "5c1f3a9e"), ("arch", "amd64")], constant(1.0));
    identities(page);
    addresses(page);
    page.gauge("cilium_operator_unmanaged_pods", "Pods that no Cilium agent looks after.").row(&[], constant(0.0));
    page.counter("cilium_operator_errors_warnings_total", "Log lines of level warning and error.")
        .row(&[("level", "error"), ("subsystem", "operator")], flow(Faults, 0.000_2))
        .row(&[("level", "warning"), ("subsystem", "k8s-client")], flow(Faults, 0.002));
    client(page);
    work_queues(page, "cilium_operator", "queue_name", &["ciliumnode", "lb-services"]);
    modules(page, "cilium_operator");
}

fn identities(page: &mut Page) {
    let entries = page.gauge("cilium_operator_identity_gc_entries", "Identities seen by the last collection.");
    entries.row(&[("status", "alive"), ("identity_type", "crd")], level(Cluster, 58.0, 1.2, 1.0));
    entries.row(&[("status", "deleted"), ("identity_type", "crd")], level(Churn, 0.0, 0.4, 0.6));
    page.gauge("cilium_operator_identity_gc_runs", "Collections of identities.")
        .row(&[("outcome", "success"), ("identity_type", "crd")], constant(2_016.0))
        .row(&[("outcome", "fail"), ("identity_type", "crd")], constant(0.0));
    page.gauge("cilium_operator_identity_gc_latency", "Time that the last collection took, in seconds.")
        .row(&[("outcome", "success"), ("identity_type", "crd")], fraction(Cluster, 0.011, 0.002, 0.004));
    page.counter("cilium_operator_endpoint_gc_objects", "Endpoint objects that were collected.")
        .row(&[("outcome", "success")], flow(Churn, 0.002))
        .row(&[("outcome", "fail")], flow(Faults, 0.000_05));
    page.histogram("cilium_operator_ces_queueing_delay_seconds", "Time that endpoint slices waited, in seconds.")
        .row(&[("queue", "standard")], durations(Churn, 0.04, SECONDS, 0.21));
    page.counter("cilium_operator_ces_sync_total", "Endpoint slices that were written.")
        .row(&[("outcome", "success"), ("failure_type", "")], flow(Churn, 0.04))
        .row(&[("outcome", "fail"), ("failure_type", "transient")], flow(Faults, 0.000_6));
    page.histogram("cilium_operator_number_of_ceps_per_ces", "Endpoints in an endpoint slice.")
        .row(&[], durations(Churn, 0.04, &[1.0, 10.0, 25.0, 50.0, 100.0, 200.0, 500.0, 1_000.0], 22.0));
}

fn addresses(page: &mut Page) {
    page.gauge("cilium_operator_lbipam_ips_available", "Addresses of a pool that are free.")
        .row(&[("pool", "edge")], constant(11.0));
    page.gauge("cilium_operator_lbipam_ips_used", "Addresses of a pool that are given out.")
        .row(&[("pool", "edge")], constant(5.0));
    page.gauge("cilium_operator_lbipam_conflicting_pools", "Pools that overlap.").row(&[], constant(0.0));
    page.gauge("cilium_operator_lbipam_services_matching", "Services that a pool serves.").row(&[], constant(5.0));
    page.gauge("cilium_operator_lbipam_services_unsatisfied", "Services that got no address.").row(&[], constant(0.0));
}

fn client(page: &mut Page) {
    let calls = page.counter("cilium_operator_k8s_client_api_calls_total", "Calls to the Kubernetes API.");
    for (method, code, rate) in
        [("GET", "200", 0.4), ("PUT", "200", 0.5), ("PATCH", "200", 0.04), ("DELETE", "200", 0.01)]
    {
        let labels = [("host", "10.96.0.1:443"), ("method", method), ("return_code", code)];
        calls.row(&labels, flow(Cluster, rate));
    }
    page.histogram("cilium_operator_k8s_client_api_latency_time_seconds", "Time of API calls, in seconds.").row(
        &[("path", "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"), ("method", "PUT")],
        durations(Timers, 0.5, SECONDS, 0.0079),
    );
}
