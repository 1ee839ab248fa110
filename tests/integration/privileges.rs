//! What the process may still do once it runs: nothing that no enabled probe needs, in any of its threads.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use testkit::{ServerBuilder, poll_until};

use crate::{ALONE, SKEP, vector};

/// Attach programs to devices, which the probes of devices keep for those that come later.
const NET_ADMIN: u64 = 1 << 12;

/// The name of every thread, its effective and its permitted capabilities, and whether new programs could get others.
fn threads(pid: u32) -> Vec<(String, (u64, u64, bool))> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let read = |text: String| {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        let set = |name| u64::from_str_radix(&field(name), 16).unwrap();
        (field("Name:"), (set("CapEff:"), set("CapPrm:"), field("NoNewPrivs:") == "0"))
    };
    texts.map(read).collect()
}

/// All threads have `expected` from the start on; that of the probes has what it needs once they run.
fn check_threads(pid: u32, expected: u64, of_probes: u64) {
    let are = |is_probes: bool, wanted: u64| {
        let those = threads(pid).into_iter().filter(|(name, _)| (name == "probes") == is_probes);
        let those: Vec<_> = those.map(|(_, sets)| sets).collect();
        !those.is_empty() && those.iter().all(|sets| *sets == (wanted, wanted, false))
    };
    assert!(are(false, expected), "{:x?}", threads(pid));
    poll_until("the capabilities of the probes", || are(true, of_probes).then_some(()));
    assert!(are(false, expected), "{:x?}", threads(pid));
}

fn check(config: &str, of_probes: u64) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skep.yml");
    fs::write(&file, config).unwrap();
    let server = ServerBuilder::new(SKEP, folder.path().join("data")).arg("--config").arg(&file).start().unwrap();
    // By then every pool has threads.
    poll_until("its own metrics", || server.get("/api/v1/query?query=1").is_ok().then_some(()));
    assert!(threads(server.pid()).len() > 2, "{:?}", threads(server.pid()));
    check_threads(server.pid(), 0, of_probes);
}

#[test]
fn threads_keep_what_the_probes_need() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root has capabilities to give up");
        return;
    }
    check(ALONE, 0);
    let off = "host: {enabled: false}\ncilium: {enabled: false}\n";
    let others = "drops: {enabled: false}, tcp: {enabled: false}, udp: {enabled: false}, bpf: {enabled: false}, \
                  cilium: {enabled: false}";
    check(&format!("{off}probes: {{xdp: {{devices: [none]}}, tc: {{enabled: false}}, {others}}}\n"), NET_ADMIN);
}

/// A folder and a configuration of somebody else, closed to all others: whoever starts skep as root wants them used.
#[test]
fn files_of_others_stay_within_reach() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root has capabilities to give up");
        return;
    }
    const DAC_OVERRIDE: u64 = 1 << 1;
    const NOBODY: Option<u32> = Some(65534);
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    let file = home.join("skep.yml");
    fs::write(&file, ALONE).unwrap();
    for path in [&home, &file] {
        std::os::unix::fs::chown(path, NOBODY, NOBODY).unwrap();
    }
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let server = ServerBuilder::new(SKEP, home.join("data")).arg("--config").arg(&file).start().unwrap();
    check_threads(server.pid(), DAC_OVERRIDE, 0);
    fs::write(&file, format!("{ALONE}global: {{scrape_interval: 7s}}\n")).unwrap();
    server.signal("HUP").unwrap();
    let is_read =
        || server.get("/api/v1/status/config").ok().filter(|reply| reply.body.contains("scrape_interval: 7s"));
    poll_until("the new configuration", is_read);
}

/// A probe that a reload switches on cannot be loaded any more, and says so.
#[test]
fn a_probe_that_is_switched_on_later_asks_for_a_restart() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: probes need root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skep.yml");
    fs::write(&file, ALONE).unwrap();
    let server = ServerBuilder::new(SKEP, folder.path().join("data")).arg("--config").arg(&file).start().unwrap();
    fs::write(&file, "host: {enabled: false}\ncilium: {enabled: false}\n").unwrap();
    server.signal("HUP").unwrap();
    let query = "skep_probe_state{probe=\"xdp\",state=\"unsupported\"} == 1";
    poll_until("the state of the probe", || (!vector(&server, query).is_empty()).then_some(()));
    let page = server.get("/").unwrap().body;
    assert!(page.contains("restart skep to run this probe"), "{page}");
    assert!(Path::new(&format!("/proc/{}", server.pid())).exists());
}

#[test]
fn the_doctor_speaks_to_scripts() {
    let output = Command::new(SKEP).args(["doctor", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["healthy"], output.status.success(), "{report}");
    assert_eq!(report["machine"][0]["key"], "kernel", "{report}");
    let probes = report["features"].as_array().unwrap().iter().filter_map(|feature| feature["key"].as_str());
    let probes: Vec<&str> = probes.filter(|key| key.starts_with("probe:")).collect();
    assert_eq!(probes.len(), probes::ALL.len(), "{probes:?}");
    // A flag of one command is none of another.
    assert_eq!(Command::new(SKEP).args(["check", "config", "x", "--json"]).status().unwrap().code(), Some(2));
}
