//! Targets that stand in records of names, asked of a real name server; the same names are asked for by Prometheus.
//!
//! A system asks the servers of its `/etc/resolv.conf` on port 53, so both programs run in a mount namespace with a file of
//! their own, and the name server takes an address of the loopback that nobody else has.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::{Exporter, NameRecord, NameServer, Prometheus, Reply, Server, poll_until};

use crate::{ALONE, builder, json, wait_for_value};

const PORT: u16 = 53;

/// The number of records of a name whose answer does not fit a datagram.
const MANY: u32 = 300;

/// What the targets of a job are, by its name.
fn jobs(port: &str) -> String {
    let job = |(name, config): (&str, String)| {
        format!(
            "- job_name: {name}\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  dns_sd_configs: [{{{config}, refresh_interval: 1s}}]\n"
        )
    };
    let jobs = [
        ("a", format!("names: [hosts.skep.test], type: A, port: {port}")),
        ("aaaa", "names: [hosts.skep.test], type: AAAA, port: 9100".to_owned()),
        ("srv", "names: [_metrics._tcp.skep.test, _more._tcp.skep.test.]".to_owned()),
        ("mx", "names: [skep.test], type: MX, port: 25".to_owned()),
        ("ns", "names: [skep.test], type: NS, port: 53".to_owned()),
        ("searched", "names: [hosts], type: a, port: 1".to_owned()),
        ("many", "names: [many.skep.test], type: A, port: 2".to_owned()),
    ];
    jobs.map(job).concat()
}

/// A name server on port 53 of an address of the loopback that this process alone uses; nothing where that may not be.
fn name_server() -> Option<NameServer> {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, a.max(64), b, c.max(2));
    let may_mount = Command::new("unshare").args(["--mount", "--", "true"]).output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: records of names need a mount namespace, which may not be made here");
        return None;
    }
    match NameServer::start(IpAddr::V4(address), PORT) {
        Ok(server) => Some(server),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse || error.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("SKIPPED: records of names need a name server on {address}:{PORT}: {error}");
            None
        }
        Err(error) => panic!("{address}:{PORT}: {error}"),
    }
}

/// A command that runs a program with this file as `/etc/resolv.conf`.
fn resolving_by(file: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "sh", "-ec", "mount --bind \"$0\" /etc/resolv.conf; exec \"$@\""]).arg(file);
    command
}

/// Labels before relabelling of all targets, each as JSON, and their number a job.
fn discovered(answer: &Value) -> BTreeSet<String> {
    let targets = answer["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
    let shown = |target: &Value| {
        let mut labels = target["discoveredLabels"].as_object().cloned().unwrap_or_default();
        // Settings of the job, which are no part of the discovery.
        labels.retain(|name, _| name == "job" || name == "__address__" || name.starts_with("__meta_"));
        Value::from(labels).to_string()
    };
    targets.iter().map(shown).collect()
}

/// Waits until both have these targets, given as `JOB ADDRESS`; the one of the peer have the same labels.
fn check(server: &Server, peer: Option<&Prometheus>, expected: &[String]) {
    let path = "/api/v1/targets?state=active";
    let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    let ours = || discovered(&json(&server.get(path).unwrap()));
    let addresses = |targets: &BTreeSet<String>| {
        let of = |target: &String| {
            let labels: Value = serde_json::from_str(target).unwrap();
            format!("{} {}", labels["job"].as_str().unwrap(), labels["__address__"].as_str().unwrap())
        };
        targets.iter().map(of).collect::<BTreeSet<_>>()
    };
    let is_expected =
        |targets: &BTreeSet<String>| addresses(targets).iter().map(String::as_str).eq(expected.iter().copied());
    poll_until(&format!("targets {expected:?}"), || is_expected(&ours()).then_some(()));
    let Some(peer) = peer else { return };
    poll_until(&format!("Prometheus to have {expected:?}"), || {
        let theirs = discovered(&serde_json::from_str(&peer.get(path).unwrap()).unwrap());
        is_expected(&theirs).then(|| assert_eq!(ours(), theirs))
    });
}

/// A number that the metrics of a server say.
fn metric(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in\n{page}"))
}

#[test]
fn records_of_names_are_targets_as_prometheus_has_them() {
    let Some(names) = name_server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let resolv: PathBuf = folder.path().join("resolv.conf");
    // Nobody listens on the first address.
    let text = format!("search skep.test\nnameserver 127.255.255.253\nnameserver {}\n", names.address().ip());
    std::fs::write(&resolv, text).unwrap();
    let exporter = Exporter::start(Reply::Page("found 4\n".to_owned())).unwrap();
    let target = exporter.target();
    let port = target.rsplit_once(':').unwrap().1;
    let number: u16 = port.parse().unwrap();
    let host = |name: &str, port| NameRecord::Srv(name.to_owned(), port);
    names.set("hosts.skep.test.", [NameRecord::A(Ipv4Addr::LOCALHOST), NameRecord::Aaaa(Ipv6Addr::LOCALHOST)]);
    names.set("_metrics._tcp.skep.test.", [host("hosts.skep.test.", number)]);
    names.set("_more._tcp.skep.test.", [host("Other.skep.test.", 7), host("hosts.skep.test.", 8)]);
    names.set("skep.test.", [NameRecord::Mx("mail.skep.test.".to_owned()), NameRecord::Ns("ns.skep.test.".to_owned())]);
    names.set("many.skep.test.", (1..=MANY).map(|i| NameRecord::A(Ipv4Addr::from(0x7f00_0000 + i))));

    let config = format!("scrape_configs:\n{}", jobs(port));
    let server =
        builder(folder.path(), &format!("{ALONE}{config}")).within(resolving_by(&resolv)).start().expect("skep starts");
    let peer = testkit::peer("prometheus").map(|program| {
        let mut command = resolving_by(&resolv);
        command.arg(program);
        Prometheus::start_by(command, folder.path(), &config, &[]).unwrap()
    });
    let many = (1..=MANY).map(|i| format!("many {}:2", Ipv4Addr::from(0x7f00_0000 + i)));
    let steady =
        || ["mx mail.skep.test:25".to_owned(), "ns ns.skep.test:53".to_owned()].into_iter().chain(many.clone());
    let first = [
        format!("a 127.0.0.1:{port}"),
        "aaaa [::1]:9100".to_owned(),
        format!("srv hosts.skep.test:{port}"),
        "srv Other.skep.test:7".to_owned(),
        "srv hosts.skep.test:8".to_owned(),
        "searched 127.0.0.1:1".to_owned(),
    ];
    let all: Vec<String> = first.into_iter().chain(steady()).collect();
    check(&server, peer.as_ref(), &all);
    for job in ["a", "srv"] {
        wait_for_value(&server, &format!("found{{job=\"{job}\",instance=~\".*:{port}\"}}"), 4.0);
    }

    // Records come and go, and names do.
    names.set("hosts.skep.test.", [NameRecord::A(Ipv4Addr::LOCALHOST), NameRecord::A(Ipv4Addr::new(127, 9, 9, 9))]);
    names.set("_metrics._tcp.skep.test.", []);
    names.remove("_more._tcp.skep.test.");
    let second = [
        format!("a 127.0.0.1:{port}"),
        format!("a 127.9.9.9:{port}"),
        "searched 127.0.0.1:1".to_owned(),
        "searched 127.9.9.9:1".to_owned(),
    ];
    let all: Vec<String> = second.into_iter().chain(steady()).collect();
    check(&server, peer.as_ref(), &all);

    // A server that cannot answer takes no target away.
    let pages = || {
        let ours = ("skep", server.get("/metrics").unwrap().body);
        let theirs = peer.as_ref().map(|peer| ("Prometheus", peer.get("/metrics").unwrap()));
        [Some(ours), theirs].into_iter().flatten()
    };
    let failures = "prometheus_sd_dns_lookup_failures_total";
    let count = |page: &str, job: &str| {
        metric(page, &format!("prometheus_sd_discovered_targets{{config=\"{job}\",name=\"scrape\"}}"))
    };
    for (program, page) in pages() {
        assert_eq!(metric(&page, failures), 0.0, "{program}");
        assert!(metric(&page, "prometheus_sd_dns_lookups_total") >= 8.0, "{program}");
        assert_eq!((count(&page, "a"), count(&page, "many")), (2.0, f64::from(MANY)), "{program}");
    }
    names.fail(&["skep.test."]);
    names.set("hosts.skep.test.", []);
    poll_until("failed look-ups in both", || pages().all(|(_, page)| metric(&page, failures) >= 16.0).then_some(()));
    let page = server.get("/metrics").unwrap().body;
    assert_eq!(metric(&page, "skep_sd_failing{job=\"srv\"}"), 1.0);
    let targets = server.get("/targets").unwrap().body;
    assert!(targets.contains("could not resolve"), "the page says why");
    check(&server, peer.as_ref(), &all);
    names.fail(&[]);
    check(&server, peer.as_ref(), &steady().collect::<Vec<_>>());
    poll_until("nothing to fail", || {
        let page = server.get("/metrics").unwrap().body;
        (metric(&page, "skep_sd_failing{job=\"srv\"}") == 0.0).then_some(())
    });
}
