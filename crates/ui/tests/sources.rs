//! What must not stand in the pages' sources, because the policy forbids it or an attacker would use it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web")
}

/// No file of a folder holds any of these texts.
fn check(folder: &str, forbidden: &[&str]) {
    let mut files = 0;
    for entry in fs::read_dir(web().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            for word in forbidden {
                assert!(!line.contains(word), "{}:{}: {word}: {line}", path.display(), number + 1);
            }
        }
        files += 1;
    }
    assert!(files > 5, "{folder} holds only {files} files");
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
