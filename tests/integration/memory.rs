//! The memory budget in a real control group: what is written there is there after a kill, and reading the log back takes
//! little more memory than holding it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use model::Clock;
use testkit::{Server, ServerBuilder, WriteRequest};

use crate::{ALONE, SKEP, value};

/// The smallest container that skep is made for.
const LIMIT_BYTES: u64 = 64 << 20;

/// Together a million samples, a second apart, the last one now.
const SERIES: usize = 1000;
const SAMPLES: i64 = 1000;

/// Series of a request.
const SERIES_SENT: usize = 20;

/// The promise: a start takes at most this many times the memory that the running process took.
const PEAK_RATIO_MAX: f64 = 1.2;

/// A control group of version 1 or 2 with a limit; it is removed when dropped, after its processes ended.
struct Group(PathBuf);

impl Group {
    /// `None` where this process may not make one.
    fn new() -> Option<Self> {
        let name = format!("skep-test-{}", std::process::id());
        let hierarchies = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        hierarchies.into_iter().find_map(|(root, file)| {
            let group = Self(Path::new(root).join(&name));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join(file), LIMIT_BYTES.to_string()).ok()?;
            Some(group)
        })
    }

    /// Starts the program inside of the group.
    fn start(&self, folder: &Path) -> Server {
        let (script, config) = (folder.join("in-group"), folder.join("skep.yml"));
        let text = format!("#!/bin/sh\necho $$ > {}/cgroup.procs\nexec {SKEP} \"$@\"\n", self.0.display());
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&config, ALONE).unwrap();
        ServerBuilder::new(script, folder.join("data")).arg("--config").arg(config).start().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_million_samples_come_back_in_a_small_group() {
    let Some(group) = Group::new() else {
        eprintln!("SKIPPED: no control group of memory can be made here (root and a cgroup hierarchy are needed)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = group.start(folder.path());
    assert_eq!(value_of(&server.get("/metrics").unwrap().body, "skep_memory_budget_bytes "), f64::from(48 << 20));
    let newest = model::SystemClock.now();
    for first in (0..SERIES).step_by(SERIES_SENT) {
        let response = server.post("/api/v1/write", &WriteRequest::HEADERS, &request(first, newest).body()).unwrap();
        assert_eq!(response.status, 204, "{}", response.body);
    }
    let in_log = value_of(&server.get("/metrics").unwrap().body, "skep_tsdb_head_samples ");
    assert_eq!(in_log, (SERIES as i64 * SAMPLES) as f64, "samples that a start has to read from the log");
    let steady = memory(&server, "VmRSS:");
    server.kill().unwrap();

    let server = group.start(folder.path());
    let peak = memory(&server, "VmHWM:");
    let found = value(&server, "sum(count_over_time(written[20m]))");
    assert_eq!(found, Some((SERIES as i64 * SAMPLES) as f64));
    eprintln!("{in_log} samples in the log: {steady} KiB before the kill, at most {peak} KiB during the start");
    assert!(peak <= steady * PEAK_RATIO_MAX, "the start took {peak} KiB, the process before it {steady} KiB");
    server.stop().unwrap();
}

fn request(first: usize, newest: i64) -> WriteRequest {
    (first..first + SERIES_SENT).fold(WriteRequest::default(), |request, number| {
        let samples: Vec<(i64, f64)> =
            (0..SAMPLES).map(|i| (newest - (SAMPLES - i) * 1000, (i * number as i64) as f64)).collect();
        request.series(&[("__name__", "written"), ("job", "memory"), ("number", &number.to_string())], &samples)
    })
}

/// A line of the process's status, in KiB.
fn memory(server: &Server, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    value_of(&status, key)
}

fn value_of(text: &str, key: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{key} in {text}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}
