//! What the targets page and Cilium's page tell of real targets, good and bad, as a reader without scripts sees it.

use std::fmt::Write;

use testkit::{Exporter, Reply, Server, poll_until};

use super::{job, start};

/// The text of a page: without markup, white space folded.
fn text(server: &Server, path: &str) -> String {
    let response = server.get(path).unwrap();
    let mut text = String::new();
    let mut inside = false;
    for c in response.body.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("&#39;", "'").replace("&#34;", "\"")
}

/// Waits until a page says this, and gives its text.
#[track_caller]
fn wait_for_text(server: &Server, path: &str, expected: &str) -> String {
    poll_until(&format!("{path} to say {expected:?}"), || {
        let text = text(server, path);
        text.contains(expected).then_some(text)
    })
}

/// The address of the page of the target whose link follows this text.
fn inspect(server: &Server, after: &str) -> String {
    let body = server.get("/targets").unwrap().body;
    let rest = &body[body.find(after).unwrap_or_else(|| panic!("{after} is not on the page"))..];
    let begin = rest.find("/targets/inspect?id=").unwrap();
    rest[begin..].split('"').next().unwrap().to_owned()
}

#[test]
fn a_refused_page_says_what_there_is_too_much_of() {
    let mut page = String::new();
    for i in 0..50 {
        writeln!(page, "requests{{user=\"u{i}\",code=\"{}\"}} 1", i % 3).unwrap();
    }
    let exporter = Exporter::start(Reply::Page(page)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{}scrape_configs:\n{}  sample_limit: 20\n", super::ALONE, job("wide", &exporter.target()));
    let server = start(folder.path(), &config);
    wait_for_text(&server, "/targets", "sample limit exceeded");
    let path = inspect(&server, "data-job=\"wide\" data-order");
    let told = wait_for_text(&server, &path, "What there is too much of");
    assert!(told.contains("Label Different values user 50 code 3"), "{told}");
    assert!(told.contains("Metric Samples requests 50"), "{told}");
}

#[test]
fn a_dropped_target_names_the_rule_and_other_rules_can_be_tried() {
    let exporter = Exporter::start(Reply::Page("a 1\n".to_owned())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let rules = "  relabel_configs:\n  - {target_label: a, replacement: b}\n  - {source_labels: [role], regex: test, action: drop}\n";
    let config = format!(
        "{}scrape_configs:\n- job_name: roles\n  scrape_interval: 1s\n  scrape_timeout: 1s\n{rules}  static_configs:\n  \
         - {{targets: ['{}'], labels: {{role: web}}}}\n  - {{targets: ['127.0.0.1:1'], labels: {{role: test}}}}\n",
        super::ALONE,
        exporter.target()
    );
    let server = start(folder.path(), &config);
    let told = wait_for_text(&server, "/targets", "127.0.0.1:1 roles rule 2, drop, which read \"test\"");
    assert!(told.contains("Dropped 1"), "{told}");
    let path = inspect(&server, "id=\"dropped\"");
    let told = text(&server, &path);
    assert!(told.contains("This target is not collected: a rule drops it."), "{told}");
    assert!(told.contains("a not set → b"), "{told}");
    let tried = format!("{path}&tried=1&rules=-+%7Btarget_label%3A+z%2C+replacement%3A+%279%27%7D");
    let told = text(&server, &tried);
    assert!(
        told.contains(
            "Of 2 targets of this job these rules would collect 2 : 0 lost , 1 gained , 1 with other labels."
        ),
        "{told}"
    );
    assert!(told.contains("would be collected from http://127.0.0.1:1/metrics"), "{told}");
    let told = text(&server, &format!("{path}&tried=1&rules=-+%7Baction%3A+nope%7D"));
    assert!(told.contains("unknown relabel action \"nope\""), "{told}");
}

#[test]
fn cilium_is_recognised_under_any_job_and_its_absence_is_told() {
    let page = "cilium_version{version=\"1.20.0 abc\"} 1\ncilium_endpoint 3\ncilium_unheard_of 1\ngo_goroutines 9\n";
    let exporter = Exporter::start(Reply::Page(page.to_owned())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{}scrape_configs:\n{}", super::ALONE, job("my-own-name", &exporter.target()));
    let server = start(folder.path(), &config);
    let told = wait_for_text(&server, "/cilium", "Cilium 1.20.0");
    assert!(told.contains("Agent port 9962 · 3 of 164 families, 4 series, 1 of 1 up"), "{told}");
    assert!(told.contains("Not in this list yet 1 of 1"), "{told}");
    assert!(told.contains("prometheus.metrics: [\"+cilium_bpf_syscall_duration_seconds\"] Off by default."), "{told}");

    let folder = tempfile::tempdir().unwrap();
    let searched =
        "cilium: {addresses: ['127.0.0.1:1', '127.0.0.1:2']}\nhost: {enabled: false}\nprobes: {enabled: false}\n";
    let server = start(folder.path(), searched);
    wait_for_text(&server, "/cilium", "127.0.0.1:1 nothing listens 127.0.0.1:2 nothing listens");
}

#[test]
fn jobs_of_a_discovery_that_skep_lacks_are_named_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{}scrape_configs:\n- job_name: elsewhere\n  consul_sd_configs: [{{server: 'localhost:8500'}}]\n",
        super::ALONE
    );
    let server = start(folder.path(), &config);
    let told = text(&server, "/targets");
    assert!(told.contains("elsewhere consul_sd_configs") && told.contains("skep.yml:6"), "{told}");
}
