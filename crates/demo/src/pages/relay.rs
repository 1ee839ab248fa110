//! The Hubble relay.

use super::NODES;
use crate::activity::Activity::{Packets, Timers};
use crate::schema::{Page, SECONDS, constant, durations, during, flow};
use crate::timeline::Event;

const SERVICE: &str = "observer.Observer";

pub(crate) fn describe(page: &mut Page) {
    let peers = page.gauge("hubble_relay_pool_peer_connection_status", "Peers by the state of their connection.");
    peers.row(&[("status", "READY")], during(Event::Restart, NODES, -1.0));
    peers.row(&[("status", "TRANSIENT_FAILURE")], during(Event::Restart, 0.0, 1.0));
    for status in ["IDLE", "CONNECTING", "SHUTDOWN", "NIL_CONNECTION"] {
        peers.row(&[("status", status)], constant(0.0));
    }
    calls(page);
}

/// The gRPC server's calls: flows are streamed to the people who watch, the status is asked for by a probe.
fn calls(page: &mut Page) {
    const METHODS: [(&str, &str, f64); 3] =
        [("server_stream", "GetFlows", 0.004), ("unary", "ServerStatus", 0.1), ("unary", "GetNodes", 0.002)];
    let labels = |kind, method| [("grpc_type", kind), ("grpc_service", SERVICE), ("grpc_method", method)];
    let started = page.counter("grpc_server_started_total", "Calls that began.");
    for (kind, method, rate) in METHODS {
        started.row(&labels(kind, method), flow(Timers, rate).tied(method));
    }
    let handled = page.counter("grpc_server_handled_total", "Calls that ended, by code.");
    for (kind, method, rate) in METHODS {
        let [a, b, c] = labels(kind, method);
        handled.row(&[a, b, c, ("grpc_code", "OK")], flow(Timers, rate * 0.996).tied(method));
        handled.row(&[a, b, c, ("grpc_code", "Unavailable")], flow(Timers, rate * 0.004).tied(method));
    }
    let received = page.counter("grpc_server_msg_received_total", "Messages that came in.");
    for (kind, method, rate) in METHODS {
        received.row(&labels(kind, method), flow(Timers, rate).tied(method));
    }
    page.counter("grpc_server_msg_sent_total", "Messages that went out.")
        .row(&labels("server_stream", "GetFlows"), flow(Packets, 41.0))
        .row(&labels("unary", "ServerStatus"), flow(Timers, 0.1).tied("ServerStatus"));
    page.histogram("grpc_server_handling_seconds", "Time that calls took, in seconds.")
        .row(&labels("unary", "ServerStatus"), durations(Timers, 0.1, SECONDS, 0.0016).tied("ServerStatus"));
}
