//! `alertmanager.yml`: what loads, what is warned of, every complaint with its place.

#![allow(clippy::unwrap_used, clippy::panic)]

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
        "global: {smtp_from: a, jira_api_url: a}\nroute: {receiver: a}\nreceivers: [{name: a}]\ntemplates: [a.tmpl]\n",
        true,
        &["am.yml:1:38: warning: valid, but without effect in this version of skep (at global.jira_api_url)"],
    );
}

/// A lost alert is worse than a failed start.
#[test]
fn refuses_receivers_that_it_lacks() {
    check(
        "route: {receiver: a}\nreceivers: [{name: a, jira_configs: [{}]}]\n",
        false,
        &[
            "am.yml:2:37: error: receiver \"a\": jira_configs is not built in this version of skep (at receivers[0].jira_configs); nobody would be told of its alerts; use webhook_configs",
        ],
    );
}

/// Every kind with all of its keys.
#[test]
fn reads_every_kind_of_receiver() {
    check(
        r##"
global:
  smtp_smarthost: 'mail.example.org:587'
  smtp_from: skep@example.org
  smtp_auth_username: u
  smtp_auth_password: p
  smtp_tls_config: {insecure_skip_verify: true}
  slack_api_url: https://hooks.example.org/x
  opsgenie_api_key: k
  telegram_bot_token: t
  pagerduty_url: http://127.0.0.1/v2/enqueue
route: {receiver: all}
receivers:
- name: all
  discord_configs: [{webhook_url: 'http://d/x', title: t, message: m, content: c, username: u, avatar_url: a, send_resolved: false, http_config: {}}]
  email_configs:
  - {to: a@example.org, from: b@example.org, smarthost: 'h:465', hello: h, auth_username: u, auth_password_file: p, auth_secret: s, auth_identity: i, headers: {subject: s}, html: '', text: t, require_tls: false, force_implicit_tls: true, tls_config: {}, threading: {enabled: true, thread_by_date: none}}
  gotify_configs: [{url: 'https://g', token: t, title: t, message: m, priority: '5', markdown: true}]
  healthchecks_configs: [{ping_url: 'https://hc/uuid', message: m, timeout: 5s}]
  msteams_configs: [{webhook_url_file: f, title: t, summary: s, text: x}]
  msteamsv2_configs: [{webhook_url: 'http://t', title: t, text: x}]
  ntfy_configs: [{url: 'https://n', topic: t, token: tk, title: t, message: m, priority: high, tags: 'a,b', click: c, icon: i, markdown: true, http_config: {basic_auth: {username: u, password: p}}}]
  opsgenie_configs: [{api_key: k, api_url: 'http://o', message: m, description: d, source: s, details: {a: b}, responders: [{type: team, name: n}], tags: t, note: n, priority: P1, entity: e, actions: a, update_alerts: true}]
  pagerduty_configs: [{routing_key: r, url: 'http://p', client: c, client_url: u, description: d, source: s, severity: e, class: c, component: c, group: g, details: {a: {b: [1, '{{ .Status }}']}}, images: [{src: s, alt: a, href: h}], links: [{href: h, text: t}], timeout: 5s}, {service_key: s}]
  pushover_configs: [{user_key: u, token_file: t, title: t, message: m, url: u, url_title: t, device: d, sound: s, priority: '1', retry: 1m, expire: 1h, ttl: 1h, monospace: true}]
  slack_configs:
  - {api_url: 'http://s', channel: '#c', username: u, color: c, title: t, title_link: l, pretext: p, text: x, fields: [{title: a, value: b, short: true}], short_fields: true, footer: f, fallback: b, callback_id: i, icon_emoji: e, icon_url: u, image_url: i, thumb_url: t, link_names: true, mrkdwn_in: [text], actions: [{type: button, text: t, url: u, confirm: {text: t}}], message_text: '', timeout: 5s}
  - {app_token: t, app_url: 'http://a'}
  - {}
  telegram_configs: [{bot_token: t, chat_id: -1, message_thread_id: 3, message: m, parse_mode: '', disable_notifications: true, api_url: 'http://t'}, {chat_id_file: f}]
  webhook_configs: [{url: 'http://w', max_alerts: 1, timeout: 5s, payload: {a: ['{{ .Receiver }}', true]}}]
"##,
        true,
        &[],
    );
}

#[test]
fn says_what_receivers_lack() {
    let one = |kind: &str, keys: &str, expected: &str| {
        let text = format!("route: {{receiver: a}}\nreceivers:\n- name: a\n  {kind}_configs:\n  - {{{keys}}}\n");
        let report = yaml::Report::default();
        assert!(decode("am.yml", &text, &report).is_none(), "{text}");
        let got: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
        let [got] = &got[..] else { panic!("{text}: {got:?}") };
        let expected = expected.replace("HERE", &format!("at receivers[0].{kind}_configs[0]"));
        assert_eq!(got.split_once(" error: ").unwrap().1, expected, "{text}");
        assert!(got.starts_with("am.yml:5:"), "{got}");
    };
    one(
        "slack",
        "",
        "no Slack API URL nor App token set either inline or in a file (HERE); write api_url, app_token, or slack_api_url below global",
    );
    one(
        "slack",
        "api_url: 'http://x', fields: [{title: a}]",
        "missing value in Slack field configuration (HERE.fields[0])",
    );
    one("slack", "api_url: 'http://x', chanel: a", "unknown key \"chanel\" (HERE.chanel); did you mean \"channel\"?");
    one("discord", "", "one of webhook_url or webhook_url_file must be configured (HERE)");
    one("telegram", "bot_token: a", "missing chat_id or chat_id_file on telegram_config (HERE)");
    one(
        "telegram",
        "bot_token: a, chat_id: 1, parse_mode: X",
        "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string (HERE.parse_mode)",
    );
    one("pushover", "token: a", "one of user_key or user_key_file must be configured (HERE)");
    one(
        "pushover",
        "token: a, user_key: b, html: true, monospace: true",
        "at most one of monospace & html must be configured (HERE)",
    );
    one("pagerduty", "", "missing service or routing key in PagerDuty config (HERE); write routing_key");
    one("opsgenie", "", "no global OpsGenie API Key set either inline or in a file (HERE); write api_key");
    one(
        "opsgenie",
        "api_key: a, api_key_file: b",
        "at most one of api_key & api_key_file must be configured (HERE.api_key_file); api_key is set too",
    );
    one(
        "opsgenie",
        "api_key: a, responders: [{type: x, name: b}]",
        "the type \"x\" of a responder does not match valid options team, teams, user, escalation, schedule (HERE.responders[0])",
    );
    one(
        "email",
        "to: a, from: b, smarthost: x",
        "address x: missing port in address (HERE.smarthost); write HOST:PORT",
    );
    one("email", "to: a, smarthost: 'x:1'", "no global SMTP from set (HERE); write from, or smtp_from below global");
    one(
        "email",
        "to: a, from: b, smarthost: 'x:1', headers: {To: a, to: b}",
        "duplicate header \"To\" in email config (HERE)",
    );
    one("ntfy", "", "missing topic in ntfy_config (HERE); write topic: NAME");
    one("gotify", "token: a", "missing url in gotify_config (HERE); write url: https://HOST of the server");
    one("healthchecks", "", "one of ping_url or ping_url_file must be configured (HERE)");
}

/// Alertmanager loads it too.
#[test]
fn broken_templates_are_told_and_load() {
    check(
        "route: {receiver: a}\nreceivers: [{name: a, discord_configs: [{webhook_url: 'http://d', title: '{{ .A'}]}]\n",
        true,
        &[
            "am.yml:2:74: warning: this template will fail: template: :1: unclosed action (at receivers[0].discord_configs[0].title); its notifications go out with plain facts instead",
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
