//! Configurations are judged as `promtool check config` judges them.

use std::fs;
use std::path::Path;
use std::process::Command;

use yaml::{Problem, Report, Severity};

use super::load;

/// Pieces of configurations with the verdicts that the peer was seen to give.
const CASES: &str = include_str!("../../../tests/fixtures/config/judged.txt");

/// Puts a piece into a whole file.
fn whole(place: &str, piece: &str) -> String {
    let piece = piece.replace("\\n", "\n").replace("\\t", "\t");
    let keys = |head: &str, indent: usize| {
        let piece = if piece == "{}" { "" } else { &piece };
        let lines: Vec<String> = piece.split('\n').map(|line| format!("{:indent$}{line}", "")).collect();
        format!("{head}\n{}\n", lines.join("\n"))
    };
    match place {
        "root" => format!("{piece}\n"),
        "global" => keys("global:", 2),
        "scrape" | "http" => keys("scrape_configs:\n- job_name: a", 2),
        "relabel" => format!("scrape_configs:\n- job_name: a\n  relabel_configs:\n  - {piece}\n"),
        "am" => keys("alerting:\n  alertmanagers:\n  - scheme: http", 4).replace("\n    scheme", "\n    #"),
        "rw" => keys("remote_write:\n- url: http://h/w", 2),
        "rr" => keys("remote_read:\n- url: http://h/r", 2),
        name => {
            let name = if name == "sdhttp" { "http" } else { name };
            format!("scrape_configs:\n- job_name: a\n  {name}_sd_configs:\n  - {piece}\n")
        }
    }
}

/// Errors of a file that is only looked at.
fn errors(folder: &Path, text: &str) -> Vec<Problem> {
    let path = folder.join("f.yml");
    fs::write(&path, text).unwrap();
    let report = Report::strict();
    load(Some(&path), &report);
    report.into_problems().into_iter().filter(|problem| problem.severity == Severity::Error).collect()
}

fn cases() -> Vec<(bool, String)> {
    let case = |line: &str| {
        let (verdict, rest) = line.split_once('|')?;
        let (place, piece) = rest.split_once('|')?;
        // Where we differ, and know it, the verdict has a star.
        let good = verdict.trim_end_matches('*') == "good";
        Some((good != verdict.ends_with('*'), whole(place, piece)))
    };
    CASES.lines().filter(|line| !line.starts_with('#')).filter_map(case).collect()
}

#[test]
fn pieces_are_judged_as_the_peer_judges_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut differing = Vec::new();
    for (good, text) in cases() {
        let errors = errors(folder.path(), &text);
        if errors.is_empty() != good {
            let said: Vec<String> = errors.iter().map(|problem| problem.message.clone()).collect();
            differing.push(format!("expected {}:\n{text}{said:?}", if good { "good" } else { "bad" }));
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

/// What the peer says of a file, in words; nothing where it is good.
fn verdict(promtool: &Path, folder: &Path, text: &str) -> Option<String> {
    let path = folder.join("peer.yml");
    fs::write(&path, text).unwrap();
    let output = Command::new(promtool).args(["check", "config", "--syntax-only"]).arg(&path).output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "))
}

/// Files of a newer release that the peer judges differently: they have keys that are not in 3.5, or lost a check since.
const OF_ANOTHER_RELEASE: [&str; 7] = [
    "azure_",
    "global_disable_extra",
    "global_enable_scrape_native",
    "local_enable_scrape_native",
    "labelmap",
    "openstack_",
    "outscale_",
];

fn fixtures() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/config");
    let Ok(entries) = fs::read_dir(&folder) else {
        eprintln!("SKIPPED: {} is absent", folder.display());
        return Vec::new();
    };
    let mut files: Vec<(String, String)> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yml"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn real_files_are_judged_as_the_peer_judges_them() {
    let files = fixtures();
    let Some(promtool) = testkit::peer("promtool") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut differing = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| !OF_ANOTHER_RELEASE.iter().any(|start| name.starts_with(start)))
    {
        let (ours, theirs) = (errors(folder.path(), text), verdict(&promtool, folder.path(), text));
        if ours.is_empty() != theirs.is_none() {
            differing.push(format!("{name}: ours {ours:?}, promtool: {theirs:?}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
