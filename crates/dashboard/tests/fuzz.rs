//! The corpus of the fuzz target, replayed.

#![allow(clippy::unwrap_used)]
// The target is public for the package that fuzzes it.
#![allow(unreachable_pub)]

#[path = "../fuzz/src/lib.rs"]
mod target;

use std::path::Path;

#[test]
fn inputs_are_shown() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/dashboard");
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "the corpus is empty");
    inputs.iter().for_each(|input| target::dashboard(&std::fs::read(input).unwrap()));
}
