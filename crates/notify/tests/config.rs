//! `alertmanager.yml`: what loads, what is warned of, every complaint with its place.

use notify::decode;

fn check(text: &str, loads: bool, expected: &[&str]) {
    let report = yaml::Report::default();
    let config = decode("am.yml", text, &report);
    let got: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
    assert_eq!(got, expected, "{text}");
    assert_eq!(config.is_some(), loads, "{text}");
}

#[test]
fn reads_routes_and_webhooks() {
    check(
        r#"
global: {resolve_timeout: 10m}
route:
  receiver: a
  group_by: ['...']
  routes:
  - matchers: [severity="critical", team=~"x|y"]
    receiver: b
    continue: true
  - match: {team: z}
    receiver: b
receivers:
- name: a
- name: b
  webhook_configs:
  - url: https://user@example.org/x?y=z
    send_resolved: false
    max_alerts: 3
    timeout: 5s
    http_config: {authorization: {credentials: s3cret}}
  - url_file: url
"#,
        true,
        &[],
    );
}

#[test]
fn warns_of_what_is_not_built() {
    check(
        "global: {smtp_from: a}\nroute: {receiver: a}\nreceivers: [{name: a}]\ntemplates: [a.tmpl]\n",
        true,
        &[
            "am.yml:1:21: warning: valid, but without effect in this version of skep (at global.smtp_from)",
            "am.yml:4:12: warning: valid, but without effect in this version of skep (at templates)",
        ],
    );
}

/// A lost alert is worse than a failed start.
#[test]
fn refuses_receivers_that_it_lacks() {
    check(
        "route: {receiver: a}\nreceivers: [{name: a, slack_configs: [{}]}]\n",
        false,
        &[
            "am.yml:2:38: error: receiver \"a\": slack_configs is not built in this version of skep (at receivers[0].slack_configs); nobody would be told of its alerts; use webhook_configs",
        ],
    );
}

#[test]
fn says_everything_at_once() {
    check(
        "route:\n  receiver: b\n  group_by: [a, a]\n  group_interval: 0s\n  matchers: [a=b]\n  routes: [{matchers: [x], recever: a}]\nreceivers:\n- name: a\n  webhook_configs: [{}, {url: 'ftp://x'}]\n- name: a\n",
        false,
        &[
            "am.yml:9:21: error: one of url or url_file must be configured (at receivers[0].webhook_configs[0])",
            "am.yml:9:31: error: unsupported scheme \"ftp\" for URL (at receivers[0].webhook_configs[1].url); such as http://127.0.0.1:8080/alerts",
            "am.yml:10:3: error: notification config name \"a\" is not unique (at receivers[1])",
            "am.yml:2:13: error: undefined receiver \"b\" used in route (at route.receiver); add it to receivers",
            "am.yml:3:17: error: duplicated label \"a\" in group_by (at route.group_by[1])",
            "am.yml:4:19: error: group_interval cannot be zero (at route.group_interval)",
            "am.yml:2:3: error: root route must not have any matchers (at route); make it a route below the root",
            "am.yml:6:24: error: bad matcher format: x (at route.routes[0].matchers[0]); such as severity=\"critical\"",
            "am.yml:6:28: error: unknown key \"recever\" (at route.routes[0].recever); did you mean \"receiver\"?",
        ],
    );
    check("receivers: []\n", false, &["am.yml:1:1: error: no routes provided; write a route with a receiver"]);
}
