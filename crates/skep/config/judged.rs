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
    // The cases are of syntax: the files that they name are there.
    for name in ["x", "y"] {
        fs::write(folder.join(name), "").unwrap();
    }
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

/// Keys of newer releases, which skep takes and the peer does not know.
const LATER_KEYS: [&str; 7] = [
    "extra_scrape_metrics",
    "health_filter",
    "label_name_preserve_multiple_underscores",
    "label_name_underscore_sanitization",
    "oci_sd_configs",
    "outscale_sd_configs",
    "scrape_native_histograms",
];

/// Files of a newer release that the peer judges differently: they have keys that are not in 3.5 or not in Debian's build of
/// it, or lost a check since.
const OF_ANOTHER_RELEASE: [&str; 9] = [
    "azure_",
    "conf.good",
    "global_disable_extra",
    "global_enable_scrape_native",
    "local_enable_scrape_native",
    "labelmap",
    "openstack_",
    "otlp_label_underscore",
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

/// Values that some keys take and others do not.
const ODD: [&str; 24] = [
    "~", "''", "[]", "{}", "x", "5", "-1", "true", "1h", "\"a/b\"", "http://h", "[a, b]", "{a: b}", "1.5", "'('",
    "[~]", "[{}]", "&a b", "*a", "!!str 5", "0x1f", "- a", "a: b", "1MB",
];

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A file with one to three lines deleted, doubled, moved, indented, or with another key or value.
    fn mutate(&mut self, text: &str, keys: &[String]) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for _ in 0..1 + self.below(3) {
            let (at, to) = (self.below(lines.len()), self.below(lines.len()));
            let Some(line) = lines.get(at).cloned() else { break };
            let keyed = key_of(&line).map(|key| (line[..line.find(key).unwrap_or(0)].to_owned(), key.to_owned()));
            match (self.below(7), keyed) {
                (0, _) => drop(lines.remove(at)),
                (1, _) => lines.insert(to, line),
                (2, _) => lines[at] = format!("{:1$}{line}", "", 1 + self.below(3)),
                (3, _) => lines[at] = line.strip_prefix("  ").unwrap_or(&line).to_owned(),
                (4, Some((before, key))) => lines[at] = format!("{before}{key}: {}", self.one(&ODD)),
                (5, Some((before, key))) => {
                    let other = format!("{before}{}", self.one(keys));
                    lines[at] = line.replacen(&format!("{before}{key}"), &other, 1);
                }
                (_, Some((before, _))) => lines[at] = format!("{before}{}: {}", self.one(keys), self.one(&ODD)),
                (_, None) => lines.swap(at, to),
            }
        }
        lines.join("\n") + "\n"
    }
}

/// The key of a line, if it has one.
fn key_of(line: &str) -> Option<&str> {
    let key = line.trim_start_matches([' ', '-']).split(':').next()?;
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (plain && line.contains(':')).then_some(key)
}

/// Good files with lines changed at random; `cargo xtask soak` makes it many.
#[test]
fn mutated_files_are_judged_as_the_peer_judges_them() {
    let is_of_another = |name: &str| OF_ANOTHER_RELEASE.iter().any(|start| name.starts_with(start));
    let good = fixtures().into_iter().filter(|(name, _)| name.contains("good") && !is_of_another(name));
    let files: Vec<String> = good.map(|(_, text)| text).collect();
    let Some(promtool) = testkit::peer("promtool").filter(|_| !files.is_empty()) else { return };
    let mut keys: Vec<String> =
        files.iter().flat_map(|text| text.lines().filter_map(key_of)).map(str::to_owned).collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| !LATER_KEYS.contains(&&**key));
    let folder = tempfile::tempdir().unwrap();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut differing = Vec::new();
    for _ in 0..60 * testkit::soak_factor() {
        let file = numbers.one(&files).clone();
        let text = numbers.mutate(&file, &keys);
        let (ours, theirs) = (errors(folder.path(), &text), verdict(&promtool, folder.path(), &text));
        if ours.is_empty() != theirs.is_none() {
            differing.push(format!("{text}ours {ours:?}, promtool: {theirs:?}"));
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}
