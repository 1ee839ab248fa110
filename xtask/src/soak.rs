//! `cargo xtask soak`: the long forms of the tests, for a night or a release.

use anyhow::Result;
use testkit::{PEERS_VARIABLE, SOAK_VARIABLE};

use crate::machine::command;

/// Times as much as in `cargo xtask test`: 200 kills of the store become 10,000, 20,000 crash images a million, 400 cases
/// beside the naive store 20,000, 30 kills of the catalog 1,500; the script that is compared with Alertmanager takes a
/// quarter of an hour.
const FACTOR: &str = "50";

/// Seconds for each fuzz target.
const FUZZ_SECONDS: u64 = 600;

/// The packages whose tests have a long form.
const PACKAGES: [&str; 3] = ["--package=tsdb", "--package=catalog", "--package=notify"];

pub(crate) fn run() -> Result<()> {
    let mut args = vec!["test", "--release", "--no-fail-fast"];
    args.extend(PACKAGES);
    eprintln!("\n==> {SOAK_VARIABLE}={FACTOR} cargo {}", args.join(" "));
    let mut tests = command("cargo", &args);
    tests.env(SOAK_VARIABLE, FACTOR);
    if let Some(folder) = crate::test::peers() {
        tests.env(PEERS_VARIABLE, folder);
    }
    let status = tests.status()?;
    let fuzzed = crate::fuzz::run(FUZZ_SECONDS, 0);
    anyhow::ensure!(status.success(), "cargo test: {status}");
    fuzzed
}
