//! The same alerts to receivers of every kind that both have: the same requests.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::{Clock, SystemClock};
use serde_json::{Value, json};
use testkit::{Asked, Web};

use crate::sides::sides;

/// Texts that both engines must render alike. Debian's build finds no zones but UTC where it runs here.
const TEXTS: [&str; 22] = [
    "{{ .Status | toUpper | title }} {{ .Receiver }} {{ .ExternalURL }} {{ .NotificationReason }}",
    "{{ len .Alerts.Firing }}/{{ .Alerts.Resolved | len }}/{{ .Alerts | len }}",
    "{{ range $i, $a := .Alerts }}{{ if $i }}, {{ end }}{{ .Labels.instance }}={{ .Status }}{{ end }}",
    "{{ .GroupLabels.SortedPairs.Values | join \" \" }}|{{ .CommonLabels.Names | join \",\" }}",
    "{{ .CommonLabels }}|{{ .CommonAnnotations.SortedPairs }}|{{ .GroupLabels }}",
    "{{ with .CommonLabels.Remove .GroupLabels.Names }}{{ .SortedPairs.Values | join \" \" }}{{ end }}",
    "{{ with (index .Alerts 0).Labels.Remove (stringSlice \"job\" \"alertname\") }}{{ .Values }}{{ end }}",
    "{{ (index .Alerts 0).StartsAt }} {{ (index .Alerts 0).EndsAt.IsZero }}",
    "{{ (index .Alerts 0).StartsAt.Format \"Mon, 02 Jan 2006 15:04:05 -0700 MST\" }}",
    "{{ (index .Alerts 0).StartsAt | tz \"UTC\" | date \"2006-01-02T15:04:05.000Z07:00 pm\" }}",
    "{{ ((index .Alerts 1).StartsAt.Sub (index .Alerts 0).StartsAt) | humanizeDuration }}",
    "{{ (index .Alerts 1).StartsAt.Sub (index .Alerts 0).StartsAt }}",
    "{{ (index .Alerts 0).StartsAt.Unix }} {{ (index .Alerts 0).StartsAt.Weekday }} {{ (index .Alerts 0).Fingerprint }}",
    "{{ humanizeDuration 123456.789 }} {{ humanizeDuration 0.0125 }} {{ printf \"%5.1f|%-4d|%q\" 3.14159 7 \"x\" }}",
    "{{ if match \"^High\" .GroupLabels.alertname }}{{ reReplaceAll \"H(i)gh\" \"<$1>\" .GroupLabels.alertname }}{{ end }}",
    "{{ toJson .CommonLabels }} {{ toJson (list 1 \"a\" true nil) }} {{ .Alerts.Firing | toJson }}",
    "{{ (dict \"a\" 1 \"b\" (list 1 2)).b }} {{ append (list 1) 2 }} {{ urlUnescape \"a%2Bb+c\" }}[{{ trimSpace \" x \" }}]",
    "{{ eq .Status \"firing\" }} {{ ne 1 2 }} {{ and .Status 0 }} {{ or \"\" \"b\" }} {{ not true }} {{ gt (len .Alerts) 1 }}",
    "{{ .CommonLabels.none }}[{{ (dict).x }}] {{ .GroupLabels.alertname | urlquery }} {{ \"<a>\" | html }} {{ \"a'\" | js }}",
    "{{- /* nothing */ -}} {{ $x := 1 }}{{ range .Alerts }}{{ $x = print $x \"-\" .Labels.instance }}{{ end }}{{ $x }}",
    "{{ template \"__subject\" . }} {{ template \"__alertmanagerURL\" . }}",
    "{{ toUpper \"ß ü\" }} {{ title \"a bC-d\" }} {{ toLower \"ABC\" }} {{ safeHtml \"<b>\" }} {{ join \"-\" (stringSlice \"a\" \"b\") }}",
];

fn config(address: &str) -> String {
    let url = |path: &str| format!("'http://{address}/{path}'");
    let defaults = concat!(env!("CARGO_MANIFEST_DIR"), "/src/defaults.tmpl");
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let fields: Vec<String> = TEXTS.iter().map(|text| format!("{{title: t, value: {}}}", quoted(text))).collect();
    let long = |count: usize| quoted(&format!("{{{{ printf \"%{count}dü\" 7 }}}}"));
    let html = quoted(
        "<b>{{ .CommonAnnotations.summary }}</b> <a href=\"{{ .ExternalURL }}?q={{ .CommonAnnotations.summary }}\" title={{ .Status }}>{{ .GroupLabels.alertname }}</a><!-- gone --><i style=\"color: {{ .Status }}\">{{ range .Alerts }}{{ .Annotations.description }}{{ end }}</i>",
    );
    format!(
        "templates: ['{defaults}']
route: {{receiver: all, group_by: [alertname], group_wait: 5s, group_interval: 2s, repeat_interval: 1h}}
receivers:
- name: all
  slack_configs:
  - {{api_url: {slack0}}}
  - {{api_url: {slack1}, send_resolved: true, channel: '#{{{{ .GroupLabels.alertname }}}}', username: u, color: c, title: {long2000}, title_link: l, pretext: p, text: x, short_fields: true, fields: [{{title: a, value: b, short: false}}, {fields}], actions: [{{type: button, text: T, url: 'http://b', style: primary}}, {{type: button, text: '{{{{ .Status }}}}', name: n, value: v, confirm: {{text: sure, title: t, ok_text: o, dismiss_text: d}}}}], footer: f, fallback: fb, callback_id: cb, icon_emoji: ':e:', icon_url: i, link_names: true, mrkdwn_in: [text], image_url: im, thumb_url: th}}
  - {{api_url: {slack2}, channel: C, message_text: 'm {{{{ .Status }}}}'}}
  discord_configs:
  - {{webhook_url: {discord0}}}
  - {{webhook_url: {discord1}, title: {long2000}, message: {long9000}, content: {long9000}, username: '{{{{ .Status }}}}', avatar_url: a}}
  telegram_configs:
  - {{api_url: {base}, bot_token: '1:t', chat_id: -12}}
  - {{api_url: {base}, bot_token: '2:t', chat_id: -12, message_thread_id: 7, parse_mode: MarkdownV2, disable_notifications: true, message: {long9000}}}
  - {{api_url: {base}, bot_token: '3:t', chat_id: 5, parse_mode: HTML, message: {html}}}
  - {{api_url: {base}, bot_token: '4:t', chat_id: 5, parse_mode: '', message: '{{{{ .CommonAnnotations.summary }}}}'}}
  pagerduty_configs:
  - {{routing_key: rk, url: {pager0}}}
  - {{routing_key: rk, url: {pager1}, severity: '{{{{ .CommonLabels.severity }}}}', class: c, component: co, group: g, client: cl, client_url: cu, description: {long2000}, source: src, details: {{a: x, firing: 'F {{{{ len .Alerts }}}}', num: '5', date: '2026-01-02', deep: {{q: '{{{{ .Status }}}}', r: [a, '1']}}, json: '{{\"a\": \"7\", \"e\": \"\"}}', empty: '', bad: '{{a', constant: 7}}, images: [{{src: s, alt: a, href: h}}], links: [{{href: h, text: t}}]}}
  opsgenie_configs:
  - {{api_key: k, api_url: {genie0}}}
  - {{api_key: k, api_url: {genie1}, message: {long2000}, description: D, source: S, details: {{a: b}}, responders: [{{name: 'a, b', type: teams}}, {{id: i, type: user}}, {{username: un, type: user}}], tags: 'a, b,c', note: N, priority: P2, update_alerts: true, entity: E, actions: 'x, y'}}
  msteams_configs: [{{webhook_url: {teams0}}}, {{webhook_url: {teams1}, title: T, summary: S, text: {long9000}}}]
  msteamsv2_configs: [{{webhook_url: {teams2}}}, {{webhook_url: {teams3}, title: T, text: X}}]
  webhook_configs:
  - {{url: {hook0}, max_alerts: 1}}
  - {{url: {hook1}, payload: {{num: '5', truth: true, s: '{{{{ .Status }}}}', l: ['{{{{ .Receiver }}}}', 2], a: '{{{{ toJson .Alerts }}}}'}}}}
",
        slack0 = url("slack0"),
        slack1 = url("slack1"),
        slack2 = url("slack2"),
        discord0 = url("discord0"),
        discord1 = url("discord1"),
        base = format!("'http://{address}'"),
        pager0 = url("pager0"),
        pager1 = url("pager1"),
        genie0 = url("genie0/"),
        genie1 = url("genie1"),
        teams0 = url("teams0"),
        teams1 = url("teams1"),
        teams2 = url("teams2"),
        teams3 = url("teams3"),
        hook0 = url("hook0"),
        hook1 = url("hook1"),
        fields = fields.join(", "),
        long2000 = long(2000),
        long9000 = long(9000),
    )
}

/// Answers as the services do.
fn web() -> Web {
    Web::start(None, |asked| {
        let json = vec![("content-type", "application/json".to_owned())];
        match asked.uri.path() {
            path if path.starts_with("/slack") => (200, Vec::new(), b"ok".to_vec()),
            path if path.starts_with("/bot") => (
                200,
                json,
                b"{\"ok\":true,\"result\":{\"message_id\":1,\"date\":1,\"chat\":{\"id\":1,\"type\":\"private\"}}}"
                    .to_vec(),
            ),
            _ => (202, json, b"{}".to_vec()),
        }
    })
    .unwrap()
}

/// What each address was asked, in order.
fn heard(web: &Web) -> BTreeMap<String, Vec<Value>> {
    let mut heard: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for asked in web.requests() {
        let Asked { method, uri, body, .. } = &asked;
        let body: Value = serde_json::from_str(body).unwrap();
        let entry = json!({ "method": method.as_str(), "type": asked.header("content-type"), "authorization": asked.header("authorization"), "body": body });
        heard.entry(uri.to_string()).or_default().push(entry);
    }
    heard
}

fn counts(webs: &[Web; 2]) -> [BTreeMap<String, usize>; 2] {
    webs.each_ref().map(|web| heard(web).into_iter().map(|(address, asked)| (address, asked.len())).collect())
}

/// Waits until both sides told their last receiver so often.
async fn until_told(webs: &[Web; 2], times: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let told = |web: &Web| web.requests().iter().filter(|asked| asked.uri.path() == "/hook0").count();
    while webs.iter().any(|web| told(web) < times) {
        assert!(Instant::now() < deadline, "{times}: {:?}", counts(webs));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn alert(instance: &str, start: i64, end: i64, annotations: &Value) -> Value {
    let time = |millis: i64| jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
    json!({ "labels": { "alertname": "High Load", "instance": instance, "job": "node", "severity": "critical" },
        "annotations": annotations, "startsAt": time(start), "endsAt": time(end), "generatorURL": "http://p/graph?g0.expr=a%3E1&g0.tab=1" })
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_of_all_kinds_hear_the_same() {
    let webs = [web(), web()];
    let next = Cell::new(0);
    let of_side = |_: &str| config(&webs[next.replace(1)].address());
    let Some(sides) = sides(of_side).await else { return };
    let now = SystemClock.now();
    let words = json!({ "summary": "load <5> & \"x\" javascript:y", "description": "it's ü\ntwo" });
    let fewer = json!({ "summary": "load <5> & \"x\" javascript:y" });
    let hour = now + 3_600_000;
    for step in 0..3 {
        // First both fire, then one has ended, then both.
        let over = SystemClock.now() - 1;
        let ends = [if step > 0 { over } else { hour }, if step > 1 { over } else { hour }];
        let alerts = json!([alert("n1", now - 500, ends[0], &words), alert("n2", now - 250, ends[1], &fewer)]);
        for side in &sides {
            side.post("/alerts", &alerts);
        }
        until_told(&webs, step + 1).await;
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while webs[0].requests().len() != webs[1].requests().len() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let [peer, own] = webs.each_ref().map(heard);
    println!("{} requests to {} addresses", peer.values().map(Vec::len).sum::<usize>(), peer.len());
    assert_eq!(peer.keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>());
    for (address, asked) in &peer {
        assert_eq!(asked, &own[address], "{address}");
    }
}
