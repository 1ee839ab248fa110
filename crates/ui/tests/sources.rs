//! What must not stand in the pages' sources, because the policy forbids it or an attacker would use it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let below = |path: PathBuf| if path.is_dir() { files_below(&path) } else { vec![path] };
    fs::read_dir(folder).unwrap().flat_map(|entry| below(entry.unwrap().path())).collect()
}

/// No file of a folder holds any of these texts.
fn check(folder: &str, forbidden: &[&str]) {
    let files = files_below(&web().join(folder));
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        for (number, line) in text.lines().enumerate() {
            for word in forbidden {
                assert!(!line.contains(word), "{}:{}: {word}: {line}", path.display(), number + 1);
            }
        }
    }
    assert!(files.len() > 5, "{folder} holds only {} files", files.len());
}

#[test]
fn scripts_make_no_markup_from_text() {
    check(
        "src",
        &[
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
            "parseHTML",
            "srcdoc",
        ],
    );
}

#[test]
fn templates_escape_everything_and_hold_no_code() {
    check(
        "templates",
        &[
            "|safe",
            "| safe",
            "escape none",
            "|escape",
            "style=",
            "<style",
            "javascript:",
            "hx-on",
            "hx-vals=\"js",
            "onclick",
            "onload",
            "onerror",
        ],
    );
}

#[test]
fn no_other_host_is_named() {
    check("templates", &["http://", "https://", "href=\"//", "src=\"//"]);
    check("src", &["https://", "`http://", "//cdn"]);
    check("src/style", &["http:", "https:", "url("]);
}

#[test]
fn every_script_of_the_pages_is_a_file() {
    let shell = fs::read_to_string(web().join("templates/shell.html")).unwrap();
    for tag in shell.split("<script").skip(1) {
        assert!(tag.contains("src=\""), "{tag}");
    }
}
