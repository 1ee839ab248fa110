//! A server whose targets have everything that can be wrong with targets, to see how the pages tell of it.

use std::fs;
use std::path::Path;

use anyhow::Result;
use testkit::{Exporter, Reply, Server, ServerBuilder, poll_until};

/// A page on which one label has a value for every request, as careless programs have it.
const REQUESTS: usize = 400;

/// Alerts of every kind, at every hour: one fires, one is inhibited by it, one is muted, one waits, one fails.
const RULES: &str = r#"
groups:
- name: kinds
  interval: 1s
  rules:
  - {alert: Loud, expr: vector(7) > 5, labels: {severity: critical}, annotations: {summary: "it is {{ $value }}"}}
  - {alert: Quiet, expr: vector(1), labels: {severity: warning}}
  - {alert: Asleep, expr: vector(1), labels: {severity: info}}
  - {alert: Patient, expr: vector(1), for: 30d, labels: {severity: warning}}
  - {alert: Broken, expr: "vector(1) * on () group_left () (label_replace(vector(1), \"a\", \"1\", \"\", \"\") or vector(1))"}
"#;

/// Who is told of them: nobody, and one who never answers.
const NOTIFICATIONS: &str = r#"
route:
  receiver: nobody
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  routes:
  - {matchers: [alertname="Asleep"], receiver: nobody, group_by: [alertname], mute_time_intervals: [always]}
time_intervals: [{name: always, time_intervals: [{times: [{start_time: "00:00", end_time: "24:00"}]}]}]
inhibit_rules: [{source_matchers: [alertname="Loud"], target_matchers: [alertname="Quiet"]}]
receivers: [{name: nobody}, {name: somebody-else, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}]
"#;

/// The server, and the exporters that it reads.
pub(crate) struct Troubled {
    pub(crate) server: Server,
    _exporters: Vec<Exporter>,
}

/// Starts it with its files in `folder`, and waits until every target was read once.
pub(crate) fn start(skep: &Path, folder: &Path) -> Result<Troubled> {
    let large: String = (0..REQUESTS)
        .map(|i| format!("http_requests_total{{method=\"GET\",path=\"/user/{i}\"}} {i}\nhttp_latency_seconds{{path=\"/user/{i}\"}} 0.{i}\n"))
        .collect();
    let pages = [large, "small 1\n".to_owned(), "broken{a=\"b} 1\n".to_owned()];
    let exporters: Vec<Exporter> =
        pages.into_iter().map(|page| Exporter::start(Reply::Page(page))).collect::<Result<_, _>>()?;
    let address: Vec<String> = exporters.iter().map(Exporter::target).collect();
    let config = folder.join("prometheus.yml");
    fs::write(&config, text(&address[0], &address[1], &address[2]))?;
    fs::write(folder.join("rules.yml"), RULES)?;
    let alertmanager = folder.join("alertmanager.yml");
    fs::write(&alertmanager, NOTIFICATIONS)?;
    fs::write(folder.join("bad.json"), "[{\"targets\": \"web:80\"}]")?;
    let builder = ServerBuilder::new(skep, folder.join("data"))
        .arg("--config")
        .arg(&config)
        .arg("--alertmanager-config")
        .arg(alertmanager);
    let server = builder.start()?;
    poll_until("scrapes", || {
        let page = server.get("/metrics").ok()?.body;
        let scrapes = page.lines().find_map(|line| line.strip_prefix("skep_scrapes_total "))?.parse::<f64>().ok()?;
        (scrapes >= 8.0).then_some(())
    });
    Ok(Troubled { server, _exporters: exporters })
}

fn text(large: &str, small: &str, broken: &str) -> String {
    format!(
        "probes: {{enabled: false}}
host: {{enabled: false}}
cilium: {{enabled: false}}
rule_files: [rules.yml]
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: careless
  sample_limit: 300
  static_configs: [{{targets: ['{large}'], labels: {{team: shop}}}}]
- job_name: crowded
  target_limit: 1
  static_configs: [{{targets: ['{small}', '127.0.0.1:2']}}]
- job_name: broken
  static_configs: [{{targets: ['{broken}', '127.0.0.1:1']}}]
- job_name: selective
  static_configs:
  - {{targets: ['{small}'], labels: {{environment: production}}}}
  - {{targets: ['staging-1.example:9100', 'staging-2.example:9100'], labels: {{environment: staging}}}}
  relabel_configs:
  - {{source_labels: [environment], regex: production, action: keep}}
- job_name: discovered
  consul_sd_configs: [{{server: 'consul.example:8500'}}]
  file_sd_configs: [{{files: ['*.json']}}]
- job_name: kubernetes-pods
  kubernetes_sd_configs: [{{role: pod}}]
"
    )
}
