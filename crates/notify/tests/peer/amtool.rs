//! The real amtool against skep.

use std::process::Command;

use crate::sides::{Side, start_own};

const CONFIG: &str = "route: {receiver: a, group_by: [alertname], routes: [{receiver: b, matchers: ['x=~\"1|2\"']}, {receiver: \"c d\", match: {y: \"1\"}, continue: true}]}
receivers: [{name: a},{name: b, webhook_configs: [{url: 'http://user:secret@127.0.0.1:1/x'}]},{name: c d}]
inhibit_rules: [{source_matchers: [s=crit], target_matchers: [s=warn], equal: [e]}]
time_intervals: [{name: office, time_intervals: [{times: [{start_time: 09:00, end_time: '17:00'}], weekdays: ['monday:friday']}]}]
";

/// What it prints; it must succeed.
fn amtool(side: &Side, arguments: &[&str]) -> Option<String> {
    let program = testkit::peer("amtool")?;
    let home = tempfile::tempdir().unwrap();
    let url = format!("--alertmanager.url=http://{}", side.address);
    let output = Command::new(program).arg(url).args(arguments).env("HOME", home.path()).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    Some(out)
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_works() {
    let side = start_own(|_| CONFIG.to_owned()).await;
    let run = |arguments: &[&str]| amtool(&side, arguments).unwrap_or_default();
    if testkit::peer("amtool").is_none() {
        return;
    }
    run(&["alert", "add", "alertname=A", "x=1", "--annotation=summary=hot"]);
    run(&["alert", "add", "B", "x=9"]);
    let listed = testkit::poll_until("two alerts", || {
        let listed = run(&["alert", "query", "-o", "simple"]);
        (listed.lines().count() == 3).then_some(listed)
    });
    assert!(listed.contains("hot") && listed.contains("active"), "{listed}");
    assert_eq!(run(&["alert", "query", "-o", "simple", "x=9"]).lines().count(), 2);

    let id = run(&["silence", "add", "x=9", "-c", "why", "-a", "me", "-d", "2h"]).trim().to_owned();
    assert_eq!(run(&["silence", "query", "-q"]).trim(), id);
    assert!(run(&["alert", "query", "-o", "json", "--silenced"]).contains(&id));
    assert_eq!(run(&["alert", "query", "-o", "simple"]).lines().count(), 2, "silenced ones are left out");
    let updated = run(&["silence", "update", "-d", "3h", "-c", "longer", &id]);
    assert!(updated.contains("longer"), "{updated}");
    let silences = run(&["silence", "query", "-o", "extended"]);
    assert!(silences.contains("longer") && silences.contains("me"), "{silences}");
    let ids = run(&["silence", "query", "-q"]);
    for id in ids.lines() {
        run(&["silence", "expire", id]);
    }
    assert_eq!(run(&["silence", "query", "-q"]), "");
    assert!(!run(&["silence", "query", "--expired", "-q"]).is_empty());

    let shown = run(&["config", "show"]);
    assert!(!shown.contains("secret@"), "{shown}");
    assert_eq!(run(&["config", "routes", "test", "x=2"]).trim(), "b");
    assert_eq!(run(&["config", "routes", "test", "y=1"]).trim(), "c d");
    assert_eq!(run(&["config", "routes", "test", "z=1"]).trim(), "a");
    assert!(run(&["config", "routes", "show"]).contains("{x=~\"1|2\"}"));
    assert!(run(&["cluster", "show"]).contains("disabled"));
}
