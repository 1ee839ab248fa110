//! Runs test scripts: our own, and upstream's where they lie beside the workspace.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may stop at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use promql::script::{Remark, run};

/// Upstream's scripts are of release 3.14; 3.5 does not know these functions and says so.
const UNKNOWN_TO_3_5: [&str; 7] = [
    "unknown function with name \"first_over_time\"",
    "unknown function with name \"ts_of_first_over_time\"",
    "unknown function with name \"step\"",
    "unknown function with name \"range\"",
    "unknown function with name \"min_of\"",
    "unknown function with name \"max_of\"",
    // `start()` and `end()`, which 3.5 reads as names of metrics.
    "unexpected \"(\"",
];

/// Where 3.14 decides otherwise than 3.5.3, which skep follows (seen on the peer): the median of values with NaN.
const DECIDED_OTHERWISE: [&str; 1] = ["mad_over_time(metric_nan[40s])"];

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    paths.sort();
    paths
}

fn check(path: &Path, excused: impl Fn(&Remark) -> bool) -> usize {
    let report = run(&fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (excused, failed): (Vec<_>, Vec<_>) = report.failed.iter().partition(|remark| excused(remark));
    println!(
        "{}: {} passed, {} skipped, {} not of 3.5, {} failed",
        path.display(),
        report.passed,
        report.skipped.len(),
        excused.len(),
        failed.len()
    );
    for remark in report.skipped.iter().chain(excused) {
        println!("  skipped: {remark}");
    }
    for remark in &failed {
        println!("  FAILED: {remark}");
    }
    failed.len()
}

#[test]
fn own_scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let failed: usize = scripts(&folder).iter().map(|path| check(path, |_| false)).sum();
    assert_eq!(failed, 0);
}

#[test]
fn upstream_scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/promql");
    let paths = scripts(&folder);
    if paths.is_empty() {
        println!("SKIPPED: upstream's scripts are not at {}", folder.display());
    }
    let excused = |remark: &Remark| {
        UNKNOWN_TO_3_5.iter().any(|name| remark.message.contains(name))
            || DECIDED_OTHERWISE.contains(&remark.query.as_str())
    };
    let failed: usize = paths.iter().map(|path| check(path, excused)).sum();
    assert_eq!(failed, 0);
}
