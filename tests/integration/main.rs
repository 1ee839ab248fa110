//! The real program, started as a user starts it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod admin;
mod alert_pages;
mod alert_restart;
mod alerting;
mod backup;
mod bad_input;
mod bombs;
mod cilium_maps;
mod clients;
mod dashboards;
mod demo;
mod discovery;
mod faces;
mod hostile;
mod import;
mod kept;
mod kill;
mod lifecycle;
mod memory;
mod names;
mod peers;
mod privileges;
mod remote_read;
mod remote_write;
mod shelf;
mod web;

use std::path::Path;

use serde_json::Value;
use testkit::{Response, Server, ServerBuilder, poll_until};

/// The program under test.
const SKEP: &str = env!("CARGO_BIN_EXE_skep");

/// Own collectors off, so that only what the test names is collected.
const ALONE: &str = "probes: {enabled: false}\nhost: {enabled: false}\ncilium: {enabled: false}\n";

/// A server with this configuration; the data lie beside it.
fn start(folder: &Path, config: &str) -> Server {
    builder(folder, config).start().expect("skep starts")
}

fn builder(folder: &Path, config: &str) -> ServerBuilder {
    let file = folder.join("skep.yml");
    std::fs::write(&file, config).expect("write the configuration");
    ServerBuilder::new(SKEP, folder.join("data")).arg("--config").arg(file)
}

/// A scrape job with one target, read every second.
fn job(name: &str, target: &str) -> String {
    format!(
        "- job_name: {name}\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs: [{{targets: ['{target}']}}]\n"
    )
}

fn json(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|e| panic!("{e}: {}", response.body))
}

/// The result list of an instant query; empty while there is none.
fn vector(server: &Server, expression: &str) -> Vec<Value> {
    let response = server.query(expression, None).expect("the server answers");
    json(&response)["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// The value of the first series of an instant query.
fn value(server: &Server, expression: &str) -> Option<f64> {
    vector(server, expression).first()?["value"][1].as_str()?.parse().ok()
}

/// Waits until an expression has this value.
#[track_caller]
fn wait_for_value(server: &Server, expression: &str, expected: f64) {
    poll_until(&format!("{expression} to be {expected}"), || {
        (value(server, expression) == Some(expected)).then_some(())
    });
}
