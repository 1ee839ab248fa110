//! What the agent shows of Kubernetes, its API limiter and its modules.

use model::MetricKind;

use crate::activity::Activity::{self, Churn, Cluster, Faults, Timers};
use crate::schema::{Model, Page, SECONDS, constant, durations, flow, fraction, level};

/// Bounds of client-go's work queue histograms, in seconds.
const QUEUE_SECONDS: &[f64] = &[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0];

/// Name behind the prefix, kind, help, and the model of each queue's row.
type QueueMetric = (&'static str, MetricKind, &'static str, fn() -> Model);

pub(crate) fn describe(page: &mut Page) {
    events(page);
    client(page);
    work_queues(page, "cilium_k8s", "name", &["endpointslice", "node", "networkpolicy"]);
    limiter(page);
    modules(page, "cilium");
    page.gauge("cilium_feature_datapath_network", "Whether a mode of the network is in use.")
        .row(&[("mode", "overlay-vxlan")], constant(1.0))
        .row(&[("mode", "direct-routing")], constant(0.0));
}

fn events(page: &mut Page) {
    let scopes = [
        ("CiliumEndpoint", 0.030),
        ("CiliumNetworkPolicy", 0.004),
        ("CiliumNode", 0.008),
        ("Endpoint", 0.045),
        ("Namespace", 0.003),
        ("NetworkPolicy", 0.003),
        ("Node", 0.020),
        ("Pod", 0.060),
        ("Service", 0.012),
    ];
    let handled = page.counter("cilium_kubernetes_events_total", "Events of Kubernetes that were handled.");
    for (scope, rate) in scopes {
        for (action, share) in [("create", 0.2), ("update", 0.65), ("delete", 0.15)] {
            let labels = [("scope", scope), ("action", action), ("status", "success")];
            handled.row(&labels, flow(Cluster, rate * share));
        }
    }
    let received = page.counter("cilium_kubernetes_events_received_total", "Events of Kubernetes that were received.");
    for (scope, action, valid, equal, rate) in [
        ("CiliumEndpoint", "update", "true", "false", 0.030),
        ("Endpoint", "update", "true", "false", 0.045),
        ("Endpoint", "update", "true", "true", 0.36),
        ("Node", "update", "true", "true", 0.10),
        ("Pod", "create", "true", "false", 0.012),
        ("Pod", "update", "true", "false", 0.060),
        ("Pod", "update", "true", "true", 0.08),
        ("Service", "update", "true", "false", 0.012),
        ("CiliumNetworkPolicy", "update", "false", "false", 0.000_4),
        ("CiliumNetworkPolicy", "update", "false", "true", 0.000_4),
    ] {
        let labels = [("scope", scope), ("action", action), ("valid", valid), ("equal", equal)];
        received.row(&labels, flow(Cluster, rate));
    }
    page.counter("cilium_k8s_terminating_endpoints_events_total", "Events of endpoints that are about to go.")
        .row(&[], flow(Cluster, 0.004));
}

fn client(page: &mut Page) {
    let calls = page.counter("cilium_k8s_client_api_calls_total", "Calls to the Kubernetes API.");
    for (method, code, rate) in [
        ("GET", "200", 0.21),
        ("POST", "201", 0.02),
        ("PUT", "200", 0.11),
        ("PUT", "409", 0.003),
        ("PATCH", "200", 0.05),
        ("DELETE", "200", 0.01),
    ] {
        let labels = [("host", "10.96.0.1:443"), ("method", method), ("return_code", code)];
        calls.row(&labels, flow(Cluster, rate));
    }
    let took = page.histogram("cilium_k8s_client_api_latency_time_seconds", "Time of API calls, in seconds.");
    for (method, path, activity, rate, median) in [
        ("GET", "/version", Timers, 0.1, 0.0038),
        ("GET", "/apis/cilium.io/v2/ciliumnodes/{name}", Cluster, 0.09, 0.0064),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}", Timers, 0.1, 0.0087),
        ("PATCH", "/apis/cilium.io/v2/namespaces/{namespace}/ciliumendpoints/{name}", Churn, 0.05, 0.011),
        ("POST", "/apis/cilium.io/v2/ciliumidentities", Churn, 0.01, 0.013),
    ] {
        took.row(&[("path", path), ("method", method)], durations(activity, rate, SECONDS, median));
    }
    page.histogram("cilium_k8s_client_rate_limiter_duration_seconds", "Time that API calls waited, in seconds.").row(
        &[],
        durations(Cluster, 0.4, &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0], 0.000_02),
    );
}

/// The work queues of client-go under `<prefix>_workqueue_*`.
pub(crate) fn work_queues(page: &mut Page, prefix: &str, label: &'static str, queues: &[&str]) {
    let metrics: [QueueMetric; 5] = [
        ("adds_total", MetricKind::Counter, "Items put into a work queue.", || flow(Cluster, 0.09).into()),
        ("retries_total", MetricKind::Counter, "Items put into a work queue again.", || flow(Faults, 0.002).into()),
        ("depth", MetricKind::Gauge, "Items that wait in a work queue.", || level(Cluster, 0.0, 0.12, 0.3).into()),
        ("unfinished_work_seconds", MetricKind::Gauge, "Time for which items are in work, in seconds.", || {
            fraction(Cluster, 0.0, 0.000_3, 0.000_1).into()
        }),
        ("work_duration_seconds", MetricKind::Histogram, "Time that items took, in seconds.", || {
            durations(Cluster, 0.09, QUEUE_SECONDS, 0.000_7)
        }),
    ];
    for (metric, kind, help, model) in metrics {
        let family = page.family(format!("{prefix}_workqueue_{metric}").into(), kind, help);
        for queue in queues {
            family.row(&[(label, queue)], model());
        }
    }
}

fn limiter(page: &mut Page) {
    const CALLS: [&str; 3] = ["endpoint-create", "endpoint-delete", "endpoint-list"];
    let mut gauges = |name: &'static str, help: &'static str, values: &[(&str, f64)]| {
        let family = page.gauge(name, help);
        for call in CALLS {
            for &(value, amount) in values {
                // What is measured moves, what is set stays.
                let sway = if matches!(value, "mean" | "estimated") { amount * 0.1 } else { 0.0 };
                family.row(&[("api_call", call), ("value", value)], fraction(Churn, amount, sway * 0.2, sway));
            }
        }
    };
    gauges("cilium_api_limiter_rate_limit", "Limits of API calls.", &[("limit", 0.5), ("burst", 4.0)]);
    gauges(
        "cilium_api_limiter_requests_in_flight",
        "API calls in work, and how many may be.",
        &[("in-flight", 0.0), ("limit", 4.0)],
    );
    gauges(
        "cilium_api_limiter_processing_duration_seconds",
        "Time that API calls take, in seconds.",
        &[("mean", 0.21), ("estimated", 0.5)],
    );
    gauges(
        "cilium_api_limiter_wait_duration_seconds",
        "Time that API calls wait, in seconds.",
        &[("mean", 0.000_09), ("min", 0.0), ("max", 15.0)],
    );
    let factor = page.gauge("cilium_api_limiter_adjustment_factor", "How far the limits are moved by the load.");
    for call in CALLS {
        factor.row(&[("api_call", call)], fraction(Churn, 1.4, -0.01, 0.2));
    }
    let requests = page.counter("cilium_api_limiter_processed_requests_total", "API calls that passed the limiter.");
    for (call, rate) in CALLS.into_iter().zip([0.02, 0.02, 0.005]) {
        let labels = [("api_call", call), ("outcome", "success"), ("return_code", "200")];
        requests.row(&labels, flow(Churn, rate));
    }
}

/// Jobs and health of the program's modules under `<prefix>_hive_*`.
pub(crate) fn modules(page: &mut Page, prefix: &str) {
    const JOBS: [(&str, &str, Activity, f64); 4] = [
        ("job-controlplane.device-reloader", "reload", Churn, 0.01),
        ("job-datapath.node-neighbors", "refresh", Timers, 0.033),
        ("job-controlplane.auth-gc", "gc", Timers, 0.0033),
        ("job-infra.metrics", "collect", Timers, 0.2),
    ];
    page.gauge(format!("{prefix}_hive_status"), "Modules by health.")
        .row(&[("status", "ok")], constant(96.0))
        .row(&[("status", "degraded")], level(Faults, 0.0, 0.04, 0.0))
        .row(&[("status", "stopped")], constant(3.0));
    let runs = page.counter(format!("{prefix}_hive_jobs_runs_total"), "Runs of jobs.");
    for (module, job, activity, rate) in JOBS {
        runs.row(&[("module_id", module), ("job_name", job)], flow(activity, rate));
    }
    let last = page.gauge(
        format!("{prefix}_hive_jobs_timer_last_run_duration_seconds"),
        "Time that the last run of a timer took, in seconds.",
    );
    for (module, job, ..) in JOBS {
        last.row(&[("module_id", module), ("job_name", job)], fraction(Timers, 0.0008, 0.0, 0.0006));
    }
    let took =
        page.histogram(format!("{prefix}_hive_jobs_timer_run_duration_seconds"), "Time that timers took, in seconds.");
    for (module, job, activity, rate) in &JOBS[1..3] {
        took.row(&[("module_id", module), ("job_name", job)], durations(*activity, *rate, SECONDS, 0.0021));
    }
}
