//! Runs test scripts: our own, and upstream's where they lie beside the workspace.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may stop at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use promql::script::{Remark, run};

/// Upstream's scripts are of release 3.14. Where it decides otherwise than 3.5.3, which skep follows (seen on the peer): the median of values with NaN.
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
        "{}: {} passed, {} skipped, {} decided otherwise by 3.14, {} failed",
        path.display(),
        report.passed,
        report.skipped.len(),
        excused.len(),
        failed.len()
    );
    for remark in report.skipped.iter().chain(excused) {
        println!("  skipped: {remark}");
    }
    for remark in &report.unread {
        println!("  UNREAD: {remark}");
    }
    for remark in &failed {
        println!("  FAILED: {remark}");
    }
    failed.len() + report.unread.len()
}

#[test]
fn own_scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/promql");
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
    let excused = |remark: &Remark| DECIDED_OTHERWISE.contains(&remark.query.as_str());
    let failed: usize = paths.iter().map(|path| check(path, excused)).sum();
    assert_eq!(failed, 0);
}

/// What a script comes to: passed, skipped, failed, unread.
fn check_counts(script: &str, expected: [usize; 4]) {
    let report = run(script).unwrap_or_else(|e| panic!("{e}"));
    let counts = [report.passed, report.skipped.len(), report.failed.len(), report.unread.len()];
    assert_eq!(counts, expected, "{script}\n{report:?}");
}

#[test]
fn constructs_of_the_language() {
    let load = "load 1m\n  m{a=\"b\"} 1+1x10 # rises\n  n 1 _x2 stale -2e0 +Inf\n\n";
    let cases = [
        ("eval instant at 2m m\n  m{a=\"b\"} 3 # a comment\n", [1, 0, 0, 0]),
        ("eval instant m\n  m{a=\"b\"} 1", [1, 0, 0, 0]),
        ("eval instant at 1m 1 + 1\n  2\neval instant at 1m m\n  m{a=\"b\"} 2\nclear\n", [2, 0, 0, 0]),
        ("# before\neval instant at 1m30s n\n# inside\n  n 1\n", [1, 0, 0, 0]),
        ("eval instant at -1m m\n", [1, 0, 0, 0]),
        ("eval instant at 3m n\n", [1, 0, 0, 0]),
        ("eval range from -1m to 1m step 1m m\n  m{a=\"b\"} _ 1 2\n", [1, 0, 0, 0]),
        ("eval range from 0 to 5m step 1m n\n  n 1 1 1 _ -2 +Inf\n", [1, 0, 0, 0]),
        ("eval_fail instant at 1m m + on () group_left\n", [1, 0, 0, 0]),
        ("eval instant at 1m rate(m)\n  expect fail regex: expected type range vector.*\n", [1, 0, 0, 0]),
        ("eval instant at 1m \"a\"\n  expect string 'a'\n", [1, 0, 0, 0]),
        ("eval instant at 1m m[1m]\n  expect range vector from 1m to 1m step 1m\n  m{a=\"b\"} 2\n", [1, 0, 0, 0]),
        (
            "eval instant at 5m rate(m[5m])\n  expect info\n  expect no_warn\n  {a=\"b\"} 0.016666666666666666\n",
            [1, 0, 0, 0],
        ),
        ("eval_ordered instant at 1m sort_desc({__name__=~\"m|n\"})\n  m{a=\"b\"} 2\n  n 1\n", [1, 0, 0, 0]),
        ("eval_ordered instant at 1m sort({__name__=~\"m|n\"})\n  m{a=\"b\"} 2\n  n 1\n", [0, 0, 1, 0]),
        ("eval instant at 1m first_over_time(m[5m])\n  {a=\"b\"} 1\n", [0, 1, 0, 0]),
        ("eval instant at 1m start()\n  60\n", [0, 1, 0, 0]),
        ("eval instant at 1m rate(m[1m] smoothed)\n  {a=\"b\"} 1\n", [0, 1, 0, 0]),
        (
            "load 1m\n  h {{schema:1 count:2 sum:3}}x5\n\neval instant at 1m h\n  h {{count:2}}\n\neval instant at 1m n\n  n 1\n",
            [1, 1, 0, 0],
        ),
        (
            "load_with_nhcb 1m\n  h_bucket{le=\"+Inf\"} 1\n\neval instant h\n  h {{}}\n\neval instant h_bucket\n  h_bucket{le=\"+Inf\"} 1\n",
            [1, 1, 0, 0],
        ),
        ("load 1m\n  k 1@new\n\neval instant at 1m k\n  k 1\n", [0, 1, 0, 1]),
        ("load_later 1m\n  k 1\n\neval instant at 1m k\n  k 1\n", [0, 1, 0, 1]),
        ("eval instant at 1m m\n  expect later\n", [0, 0, 0, 1]),
        ("wrong\n\neval instant at 1m n\n  n 1\n", [1, 0, 0, 1]),
    ];
    cases.iter().for_each(|(script, expected)| check_counts(&format!("{load}{script}"), *expected));
    assert_eq!(run("nothing\n").unwrap_err().to_string(), "line 1: unknown command \"nothing\"");
}
