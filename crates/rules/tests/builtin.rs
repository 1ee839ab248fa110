//! The rules that come with skep: each fires for a machine in trouble, not before its time, and for no other machine; and
//! promtool finds the same.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use rules::unittest::{Settings, run};

/// The rule files with their tests.
fn chapters() -> Vec<(PathBuf, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("builtin");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let rules: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ext| ext == "yml")).collect();
    assert!(rules.len() > 6, "{rules:?}");
    rules.into_iter().map(|path| (folder.join("tests").join(path.file_name().unwrap()), path)).collect()
}

#[test]
fn every_rule_fires_when_it_should_and_only_then() {
    for (tests, rules) in chapters() {
        let report = yaml::Report::default();
        let groups = rules::load_file(&rules, &report);
        assert_eq!(report.problems(), [], "{}", rules.display());
        let names: Vec<&str> = groups.iter().flat_map(|group| &group.rules).map(|rule| rule.name.as_str()).collect();
        let outcome = run(&tests, &Settings::default(), |_| true);
        assert_eq!((outcome.failures, outcome.warnings), (Vec::new(), Vec::new()), "{}", tests.display());
        let tested: Vec<&str> = outcome.cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(tested, names, "{}: a test for each rule, in their order", tests.display());
        // A test that expects nothing would pass whatever the rule says.
        let text = std::fs::read_to_string(&tests).unwrap();
        for test in text.split("\n- name: ").skip(1) {
            assert!(test.contains("- exp_labels:"), "{}: {test}", tests.display());
        }
    }
}

#[test]
fn promtool_finds_the_same() {
    let Some(promtool) = testkit::peer("promtool") else { return };
    for (tests, rules) in chapters() {
        for (command, path) in
            [(vec!["check", "rules", "--lint=all", "--lint-fatal"], &rules), (vec!["test", "rules"], &tests)]
        {
            let said = Command::new(&promtool).args(&command).arg(path).output().unwrap();
            let text = String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
            assert!(said.status.success(), "{command:?} {}: {text}", path.display());
        }
    }
}
