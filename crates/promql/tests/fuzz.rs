//! The corpora of the fuzz targets, replayed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// The targets are public for the package that fuzzes them.
#![allow(unreachable_pub)]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::Path;

fn check(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "the corpus of {target} is empty");
    inputs.iter().for_each(|input| run(&fs::read(input).unwrap()));
}

#[test]
fn syntax() {
    check("syntax", targets::syntax);
}

#[test]
fn evaluation() {
    check("evaluation", targets::evaluation);
}
