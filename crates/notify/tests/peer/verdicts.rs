//! Configurations: what amtool's `check-config` takes loads, what it refuses does not.

use std::process::Command;

use notify::decode;

/// The recorded verdict of amtool 0.33.1; where amtool is there it is asked again.
fn check(text: &str, loads: bool) {
    let report = yaml::Report::default();
    let own = decode("am.yml", text, &report).is_some();
    assert_eq!(own, loads, "{text}\n{:?}", report.problems());
    let Some(program) = testkit::peer("amtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("am.yml");
    std::fs::write(&path, text).unwrap();
    let output = Command::new(program).arg("check-config").arg(&path).env("HOME", folder.path()).output().unwrap();
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.success(), loads, "{text}\n{says}");
}

/// A good configuration with this behind it.
fn with(extra: &str, loads: bool) {
    check(&format!("route: {{receiver: a}}\nreceivers: [{{name: a}}, {{name: b}}]\n{extra}\n"), loads);
}

fn route(settings: &str, loads: bool) {
    let intervals =
        "time_intervals: [{name: night, time_intervals: [{times: [{start_time: '00:00', end_time: '06:00'}]}]}]";
    check(
        &format!(
            "route:\n  receiver: a\n  routes:\n  - {settings}\nreceivers: [{{name: a}}, {{name: b}}]\n{intervals}\n"
        ),
        loads,
    );
}

#[test]
fn whole_files() {
    check("", false);
    check("route: {receiver: a}\n", false);
    check("receivers: [{name: a}]\n", false);
    check("route: {receiver: a}\nreceivers: [{name: a}]\n", true);
    check("route: {receiver: a}\nreceivers: [{name: b}]\n", false);
    check("route: {}\nreceivers: [{name: b}]\n", false);
    check("route: {receiver: a}\nreceivers: [{name: a}, {name: a}]\n", false);
    check("route: {receiver: a}\nreceivers: [{name: ''}, {name: a}]\n", false);
    check("route: {receiver: a, match: {a: b}}\nreceivers: [{name: a}]\n", false);
    check("route: {receiver: a, matchers: [a=b]}\nreceivers: [{name: a}]\n", false);
    check("route: {receiver: a, matchers: []}\nreceivers: [{name: a}]\n", true);
    check("route: {receiver: a, continue: true}\nreceivers: [{name: a}]\n", false);
    check(
        "route: {receiver: a, mute_time_intervals: [x]}\nreceivers: [{name: a}]\ntime_intervals: [{name: x}]\n",
        false,
    );
    check(
        "route: {receiver: a, active_time_intervals: [x]}\nreceivers: [{name: a}]\ntime_intervals: [{name: x}]\n",
        false,
    );
    check("route: [a]\nreceivers: [{name: a}]\n", false);
    check("route: {receiver: a}\nreceivers: [{name: a}]\n---\n}\n", true);
    check("route: {receiver: a}\nreceivers: [{name: a}]\n# \u{7f}\n", false);
    with("", true);
    with("global: {resolve_timeout: 5m}", true);
    with("global: {resolve_timeout: x}", false);
    with("global: {}", true);
    with("global:", true);
    with("global: {resolve_timeout: ~, opsgenie_api_url: ~, smtp_require_tls: ~}", true);
    with("global: {nothing: ~}", false);
    with("nothing: 1", false);
}

#[test]
fn routes() {
    route("{receiver: b}", true);
    route("{receiver: c}", false);
    route("{}", true);
    route("{matchers: [a=b], continue: true}", true);
    route("{matchers: a=b}", false);
    route("{matchers: [a]}", false);
    route("{match: {a: b}, match_re: {c: d.*}}", true);
    route("{match_re: {c: '('}}", false);
    route("{match: {'': d}}", false);
    route("{match: {'a b': d}}", false);
    route("{match_re: {'é': d}}", false);
    route("{matchers: ['\"a b\"=d']}", true);
    route("{group_by: [a, b]}", true);
    route("{group_by: [a, a]}", false);
    route("{group_by: ['...']}", true);
    route("{group_by: ['...', a]}", false);
    route("{group_by: []}", true);
    route("{group_by: ['']}", false);
    route("{group_by: ['a b']}", true);
    route("{group_wait: 0s, group_interval: 1s, repeat_interval: 1s}", true);
    route("{group_interval: 0s}", false);
    route("{repeat_interval: 0s}", false);
    route("{group_wait: 1}", false);
    route("{group_wait: ~, group_interval: , repeat_interval: ~, continue: ~}", true);
    route("{mute_time_intervals: [night], active_time_intervals: [night]}", true);
    route("{mute_time_intervals: [day]}", false);
    route("{active_time_intervals: [day]}", false);
    route("{object: 1}", false);
    route("{routes: [{receiver: b, routes: [{receiver: c}]}]}", false);
}

#[test]
fn inhibit_rules() {
    let rule = |settings: &str, loads| with(&format!("inhibit_rules: [{settings}]"), loads);
    rule("{}", true);
    rule("{name: x, source_matchers: [a=b], target_matchers: [c=d], equal: [x]}", true);
    rule("{source_match: {a: b}, source_match_re: {c: d}, target_match: {e: f}, target_match_re: {g: h}}", true);
    rule("{source_match_re: {c: '('}}", false);
    rule("{source_matchers: [a]}", false);
    rule("{equal: ['']}", false);
    rule("{equal: ['a b']}", true);
    rule("{equal: a}", false);
    rule("{sources: []}", false);
}

#[test]
fn time_intervals() {
    let interval = |settings: &str, loads| {
        with(&format!("time_intervals: [{{name: x, time_intervals: [{{{settings}}}]}}]"), loads);
        with(&format!("mute_time_intervals: [{{name: x, time_intervals: [{{{settings}}}]}}]"), loads);
    };
    with("time_intervals: [{name: x}, {name: x}]", false);
    with("time_intervals: [{name: x}]\nmute_time_intervals: [{name: x}]", false);
    with("time_intervals: [{time_intervals: []}]", false);
    with("time_intervals: [{name: ''}]", false);
    with("time_intervals: []", true);
    interval("", true);
    let times = |start: &str, end: &str, loads| {
        interval(&format!("times: [{{start_time: '{start}', end_time: '{end}'}}]"), loads);
    };
    times("00:00", "24:00", true);
    times("09:00", "17:00", true);
    times("17:00", "09:00", false);
    times("09:00", "09:00", false);
    times("9:00", "17:00", false);
    times("09:00", "24:01", false);
    times("09:60", "17:00", false);
    times("24:00", "24:00", false);
    times("", "17:00", false);
    interval("times: [{start_time: 09:00, end_time: 17:00}]", true);
    interval("times: [{start_time: '09:00'}]", false);
    interval("times: [{}]", false);
    interval("times: []", true);
    for (days, loads) in [
        ("monday", true),
        ("Monday", true),
        ("monday:friday", true),
        ("friday:monday", false),
        ("saturday:sunday", false),
        ("sunday:saturday", true),
        ("mon", false),
        ("1", false),
        ("monday:", false),
        ("a:b:c", false),
        ("", false),
        ("monday: friday", false),
        ("monday:monday", true),
    ] {
        interval(&format!("weekdays: ['{days}']"), loads);
    }
    for (days, loads) in [
        ("1", true),
        ("31", true),
        ("32", false),
        ("0", false),
        ("-1", true),
        ("-31", true),
        ("-32", false),
        ("1:5", true),
        ("5:1", false),
        ("-3:-1", true),
        ("-1:-3", false),
        ("1:-1", true),
        ("-5:5", false),
        ("-1:1", false),
        ("31:-31", false),
        ("20:-15", false),
        ("x", false),
        ("1:2:3", false),
        ("", false),
        ("5:-23", true),
        ("5:-24", false),
        ("27:-1", true),
        ("28:-1", false),
    ] {
        interval(&format!("days_of_month: ['{days}']"), loads);
    }
    for (months, loads) in [
        ("january", true),
        ("January", true),
        ("1", true),
        ("12", true),
        ("13", true),
        ("0", true),
        ("1:3", true),
        ("march:1", false),
        ("march:may", true),
        ("march:5", true),
        ("jan", false),
        ("", false),
        ("-1", true),
    ] {
        interval(&format!("months: ['{months}']"), loads);
    }
    for (years, loads) in [
        ("2026", true),
        ("2026:2030", true),
        ("2030:2026", false),
        ("x", false),
        ("", false),
        ("-1", true),
        ("0", true),
    ] {
        interval(&format!("years: ['{years}']"), loads);
    }
    for (location, loads) in [
        ("Europe/Berlin", true),
        ("UTC", true),
        ("Local", true),
        ("", true),
        ("Nowhere/City", false),
        ("europe/berlin", false),
    ] {
        interval(&format!("location: '{location}'"), loads);
    }
    interval("weekdays: []", true);
    interval("weekdays: monday", false);
    interval("days_of_month: [1]", true);
    interval("years: [2026]", true);
    interval("months: [1]", true);
    interval("hours: [1]", false);
}

#[test]
fn templates() {
    let folder = tempfile::tempdir().unwrap();
    let file = |text: &str, loads: bool| {
        std::fs::write(folder.path().join("t.tmpl"), text).unwrap();
        with(&format!("templates: ['{}/*.tmpl']", folder.path().display()), loads);
    };
    file("", true);
    file("{{ define \"x\" }}{{ .Status | toUpper }}{{ range .Alerts.Firing }}{{ .Labels.a }}{{ end }}{{ end }}", true);
    file("{{ end }}", false);
    file("{{ define \"x\" }}", false);
    file("{{ humanize 1 }}", false);
    file("{{ .CommonLabels.SortedPairs.Values | join \" \" }}{{ (index .Alerts 0).StartsAt.Format \"2006\" }}", true);
    with("templates: ['/nowhere/*.tmpl']", true);
    with("templates: /nowhere", false);
    with("templates: []", true);
}

#[test]
fn webhooks() {
    let hook = |settings: &str, loads| {
        check(&format!("route: {{receiver: a}}\nreceivers: [{{name: a, webhook_configs: [{settings}]}}]\n"), loads);
    };
    hook("{url: 'http://a/b'}", true);
    hook("{url: 'https://a/b', send_resolved: false, max_alerts: 3, timeout: 5s}", true);
    hook("{url_file: /x}", true);
    hook("{url: 'http://a/b', url_file: /x}", false);
    hook("{}", false);
    hook("{url: ''}", false);
    hook("{url: x}", false);
    hook("{url: 'ftp://x'}", false);
    hook("{url: ' http://a/b'}", false);
    hook("{url: 'http://'}", false);
    hook("{url: 'http://a/b', http_config: {basic_auth: {username: a, password: b}}}", true);
    hook("{url: 'http://a/b', http_config: {basic_auth: {username: a, password: b, password_file: c}}}", false);
    hook("{url: 'http://a/b', http_config: {authorization: {credentials: a}, basic_auth: {username: a}}}", false);
    hook("{url: 'http://a/b', max_alerts: -1}", false);
    hook("{url: 'http://a/b', max_alerts: x}", false);
    hook("{url: 'http://a/b', timeout: x}", false);
    hook("{url: 'http://a/b', nothing: x}", false);
}
