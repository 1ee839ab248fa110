//! Bad input: each a clear message, nothing else disturbed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};

use testkit::{Exporter, Reply, ServerBuilder, poll_until};

use crate::{ALONE, SKEP, builder, job, json, start, wait_for_value};

#[test]
fn bad_targets_say_why_and_disturb_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let good = Exporter::start(Reply::Page("fine 1\n".to_owned())).unwrap();
    let damaged = Exporter::start(Reply::Page("ok 1\nbroken{a=\"1\" 2\n".to_owned())).unwrap();
    let endless = Exporter::start(Reply::Endless).unwrap();
    let hanging = Exporter::start(Reply::Hang).unwrap();
    let failing = Exporter::start(Reply::Status(503)).unwrap();
    let jobs = [
        job("good", &good.target()),
        job("damaged", &damaged.target()),
        job("endless", &endless.target()),
        job("hanging", &hanging.target()),
        job("failing", &failing.target()),
        job("absent", "127.0.0.1:1"),
    ];
    let server = start(folder.path(), &format!("{ALONE}scrape_configs:\n{}", jobs.concat()));
    wait_for_value(&server, "up{job=\"good\"}", 1.0);
    wait_for_value(&server, "fine", 1.0);
    let expected = [
        ("damaged", "line 2"),
        ("endless", ""),
        ("hanging", "within the scrape timeout"),
        ("failing", "503"),
        ("absent", "refused"),
    ];
    for (name, reason) in expected {
        wait_for_value(&server, &format!("up{{job=\"{name}\"}}"), 0.0);
        let error = poll_until(&format!("the error of {name}"), || {
            let targets = json(&server.get("/api/v1/targets").unwrap());
            let targets = targets["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
            let target = targets.into_iter().find(|target| target["labels"]["job"] == name)?;
            let error = target["lastError"].as_str().unwrap_or_default().to_owned();
            (!error.is_empty()).then_some(error)
        });
        assert!(error.contains(reason), "{name}: {error}");
    }
    // Two more scrapes of the good one: it is not held up by the others.
    let before = good.requests();
    poll_until("further scrapes of the good target", || (good.requests() > before + 1).then_some(()));
}

/// Starts with a configuration and wants exit code 2 and these texts on stderr.
fn refused(config: &str, rules: &str, expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), rules).unwrap();
    let (code, said) = builder(folder.path(), config).run().unwrap();
    assert_eq!(code, Some(2), "{said}");
    for text in expected {
        assert!(said.contains(text), "{text:?} is missing in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn bad_files_are_refused_with_file_line_and_column() {
    refused("scrape_configs: [", "", &["skep.yml:2:1: error: not valid YAML"]);
    refused(
        "globl: {}\nscrape_configs:\n- job_name: a\n  scrape_intervall: 5s\n",
        "",
        &["skep.yml:1:1: error: unknown key \"globl\"", "skep.yml:4:3: error: unknown key \"scrape_intervall\""],
    );
    refused("rule_files: ['folders*/rules.yml']\n", "", &["skep.yml:1:14: error: invalid rule file path"]);
    refused(
        "rule_files: [rules.yml]\n",
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum(\n    fro: 5m\n",
        &["rules.yml:5:", "rules.yml:6:5: error: unknown key \"fro\""],
    );
}

#[test]
fn an_unreadable_configuration_and_an_occupied_port() {
    let folder = tempfile::tempdir().unwrap();
    let missing = ServerBuilder::new(SKEP, folder.path()).arg("--config").arg("/no/such.yml").run().unwrap();
    assert_eq!(missing.0, Some(2));
    assert!(missing.1.contains("/no/such.yml: error: cannot be read: No such file"), "{}", missing.1);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let occupied = ServerBuilder::new(SKEP, folder.path()).arg("--listen").arg(&address).run().unwrap();
    assert_eq!(occupied.0, Some(1), "{}", occupied.1);
    assert!(occupied.1.contains(&address), "{}", occupied.1);
    assert!(occupied.1.contains("in use"), "{}", occupied.1);
}

#[test]
fn hostile_requests_get_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), ALONE);
    let deep = "(".repeat(100_000);
    let cases = [
        ("/api/v1/query?query=sum(".to_owned(), 400),
        ("/api/v1/query_range?query=1&start=0&end=1e12&step=1".to_owned(), 400),
        ("/api/v1/query".to_owned(), 400),
        ("/no/such/page".to_owned(), 404),
        (format!("/api/v1/query?query={}", &deep[..8000]), 400),
    ];
    for (path, status) in cases {
        let response = server.get(&path).unwrap();
        assert_eq!(response.status, status, "{}: {}", &path[..path.len().min(80)], response.body);
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let response = server.post("/api/v1/query", &form, format!("query={deep}").as_bytes()).unwrap();
    assert_eq!(response.status, 400, "{}", response.body);
    assert_eq!(server.post("/api/v1/write", &[], b"not snappy").unwrap().status, 400);
    assert_eq!(server.get("/-/healthy").unwrap().status, 200);
}

/// `skep check config` of a text beside a rule file.
fn check(config: &str, rules: &str, expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skep.yml");
    fs::write(&file, config).unwrap();
    fs::write(folder.path().join("rules.yml"), rules).unwrap();
    let output = Command::new(SKEP).args(["check", "config"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{config}: {said}");
    for text in expected {
        assert!(said.contains(text), "{text:?} is missing in:\n{said}");
    }
}

#[test]
fn a_check_reads_the_files_that_a_file_names() {
    let rules = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum(\n";
    check("rule_files: [rules.yml]\n", rules, &["rules.yml:5:"]);
    check("notifications: {config_file: none.yml}\n", "", &["none.yml: error: cannot be read"]);
}

/// A check reads files of targets, too, and finds fault with what promtool finds fault with.
#[test]
fn files_of_targets_are_judged_as_the_peer_judges_them() {
    let promtool = testkit::peer("promtool");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skep.yml");
    let check = |name: &str, text: &str, expected: &str| {
        let config = format!("scrape_configs:\n- job_name: f\n  file_sd_configs: [{{files: ['{name}']}}]\n");
        fs::write(&file, config).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        let output = Command::new(SKEP).args(["check", "config"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), expected.is_empty(), "{text}: {said}");
        assert!(said.contains(expected), "{text}: {expected:?} is missing in {said}");
        if let Some(promtool) = &promtool {
            let output = Command::new(promtool).args(["check", "config"]).arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), expected.is_empty(), "promtool: {text}: {said}");
        }
    };
    check("a.yml", "- targets: ['a:1', b]\n  labels: {x: y}\n- labels: {a: b}\n- {}\n", "");
    check("a.yml", "", "");
    check("a.yml", "- targets: a\n", "a.yml:1:12: error: expected a list, found \"a\" (at [0].targets); write [a, b]");
    check("a.yml", "- target: [a]\n", "unknown key \"target\"");
    check("a.yml", "targets: [a]\n", "expected a list");
    check("a.yml", "a: [\n", "not valid YAML");
    check("a.yml", "- ~\n", "nil target group item found");
    check("a.yml", "- targets: [a]\n  labels: {'': b}\n", "\"\" is not a valid label name");
    check("a.yml", "- targets: ['http://a/x']\n", "\"http://a/x\" is not a valid hostname");
    check("a.yml", "- targets: ['']\n", "no address");
    check("a.yml", "- targets: [a]\n  labels: {__scrape_interval__: 0s}\n", "scrape interval cannot be 0");
    check("b.json", "[{\"targets\": [\"a\"], \"labels\": null}]", "");
    check("b.json", "[{\"targets\": [\"a\"],}]", "trailing comma");
    check("b.json", "[{\"targets\": \"a\"}]", "targets must be a list");
    check("b.json", "[{\"targets\": [], \"x\": 1}]", "unknown key \"x\"");
    check("b.json", "{}", "not a list");
    fs::remove_file(folder.path().join("b.json")).unwrap();
    let output = Command::new(SKEP).args(["check", "config"]).arg(&file).output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("no such file is there"));
}

#[test]
fn a_file_without_an_end_is_refused() {
    let output = Command::new(SKEP).args(["check", "config", "/dev/zero"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/zero: error: larger than"));
}

#[test]
fn output_that_nobody_takes_is_no_failure() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skep.yml");
    fs::write(&file, ALONE).unwrap();
    let check = Command::new(SKEP).args(["check", "config"]).arg(&file).stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(check.code(), Some(0));
    let data = folder.path().join("data");
    let mut command = Command::new(SKEP);
    command.arg("--data-dir").arg(&data).args(["--listen", "127.0.0.1:0", "--log.format=json"]);
    let mut child = command.stdout(full()).stderr(full()).spawn().unwrap();
    poll_until("its own samples in the log", || data.join("log").read_dir().ok()?.next().map(drop));
    assert!(end(&mut child).success());
}

#[test]
fn a_stop_during_the_start_is_a_clean_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(SKEP);
    command.arg("demo").arg("--data-dir").arg(folder.path().join("data")).args(["--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("writing a day of history")));
    assert!(end(&mut child).success());
    assert!(said.any(|line| line.contains("stopping before the start was complete")));
}

fn end(child: &mut Child) -> ExitStatus {
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    child.wait().unwrap()
}
