//! A machine of files below `testdata`, with what each of them must become in `testdata/expected.txt`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use host::Config;

use crate::page::{Page, name_of};

pub(crate) fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

pub(crate) fn config() -> Config {
    let testdata = testdata();
    let mut config = Config {
        proc_path: testdata.join("proc"),
        sys_path: testdata.join("sys"),
        root_path: testdata.join("root"),
        ..Config::default()
    };
    config.collectors.remove("uname");
    config
}

/// What depends on the machine that runs the test, although the files do not.
pub(crate) const LIVE: [&str; 8] = [
    "node_filesystem_avail_bytes",
    "node_filesystem_files",
    "node_filesystem_files_free",
    "node_filesystem_free_bytes",
    "node_filesystem_size_bytes",
    "node_scrape_collector_duration_seconds",
    "node_time_seconds",
    "node_time_zone_offset_seconds",
];

pub(crate) fn is_live(series: &str) -> bool {
    LIVE.contains(&name_of(series))
}

/// To write the file anew after a change that is meant: `SKEP_BLESS=1 cargo test -p host`, then read the difference.
#[test]
fn files_become_what_is_expected() {
    let page = Page::collect(&config());
    let mut found = String::new();
    for (series, value) in page.series.iter().filter(|(series, _)| !is_live(series)) {
        writeln!(found, "{series} {value}").unwrap();
    }
    let path = testdata().join("expected.txt");
    if std::env::var_os("SKEP_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

/// A file with nonsense fails its collector and none of the others, and the error says where and what.
#[test]
fn one_damaged_file_fails_one_collector() {
    let check = |file: &str, content: &str, collector: &str, expected_error: &str| {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path().join("proc");
        copy(&testdata().join("proc"), &proc);
        std::fs::write(proc.join(file), content).unwrap();
        let host = host::Host::new(&Config { proc_path: proc, ..config() });
        model::Collector::collect(&host, &mut model::Families::default()).unwrap();
        let failures = host.failures();
        let names: Vec<&str> = failures.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [collector], "{file}");
        assert!(failures[0].1.contains(expected_error), "{}", failures[0].1);
        assert!(failures[0].1.contains(file), "{}", failures[0].1);
    };
    check("loadavg", "0.1 x 0.3", "loadavg", "a number was expected: \"x\"");
    check("loadavg", "", "loadavg", "three numbers were expected");
    check("meminfo", "MemTotal 12 kB", "meminfo", "a colon was expected");
    check("meminfo", "MemTotal: 12 pages", "meminfo", "an unknown unit");
    check("diskstats", "8 0", "diskstats", "a name were expected");
    check("net/dev", "\n\n eth0: 1 2 3\n", "netdev", "sixteen columns were expected");
    check("net/snmp", "Ip: Forwarding\nTcp: 1\n", "netstat", "values of the same protocol");
    check("net/softnet_stat", "zz\n", "softnet", "a hexadecimal number was expected");
    check("net/arp", "header\n192.0.2.1 0x1\n", "arp", "six columns were expected");
    check("pressure/io", "some avg10=0.00\n", "pressure", "total= was expected");
    check("vmstat", "pgfault\n", "vmstat", "a name and a number were expected");
    check("1/mountinfo", "1 2 3\n", "filesystem", "a mount table was expected");
    check("sys/fs/file-nr", "1 2\n", "filefd", "three numbers were expected");
    check("net/stat/nf_conntrack", "found\nxyz\n", "conntrack", "a hexadecimal number was expected");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
