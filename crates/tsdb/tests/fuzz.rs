//! The inputs that fuzzing found worth keeping, replayed on the stable toolchain.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// The targets are public for the package that fuzzes them.
#![allow(unreachable_pub)]

use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod targets;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "{} has no inputs", folder.display());
    for file in files {
        run(&std::fs::read(&file).unwrap());
    }
}

#[test]
fn damaged_folders() {
    replay("damage", targets::damage);
}

#[test]
fn the_whole_store() {
    replay("store", targets::store);
}

#[test]
fn text_of_history() {
    replay("history", targets::history);
}
