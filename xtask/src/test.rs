//! `cargo xtask test`: all that has to pass, cheapest first.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::machine::{announce, command, execute, install_packages, root, target};
use testkit::{PEERS_VARIABLE, ServerBuilder};

pub(crate) fn run() -> Result<()> {
    install_packages()?;
    run_checks()?;
    let peers = peers();
    // Named kinds leave out the examples in documents, of which there are none: looking for them compiles every room again.
    let args = ["test", "--workspace", "--lib", "--bins", "--tests", "--examples", "--quiet", "--no-fail-fast"];
    let mut tests = command("cargo", &args);
    if let Some(folder) = &peers {
        tests.env(PEERS_VARIABLE, folder);
    }
    announce("cargo test --workspace");
    let status = tests.status().context("cannot start cargo test")?;
    if !status.success() {
        bail!("cargo test: {status}");
    }
    crate::fuzz::run(crate::fuzz::SECONDS, crate::fuzz::TESTS_SEED)?;
    // The integration tests have built the binary, with features of theirs: `cargo build` would build half of it again.
    pages()
}

/// Real Prometheus, node_exporter and Alertmanager for the tests that compare with them; without them those tests say
/// that they skip.
pub(crate) fn peers() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(PEERS_VARIABLE) {
        return Some(PathBuf::from(folder));
    }
    let fetch = root().join("../shared/peers/fetch-peers");
    let folder = target().join("peers");
    if folder.join("prometheus").exists() {
        return Some(folder);
    }
    if !fetch.exists() {
        eprintln!("skipped: comparisons with real peers, {} is not there", fetch.display());
        return None;
    }
    let shown = folder.to_string_lossy().into_owned();
    match execute(&fetch.to_string_lossy(), &[&shown]) {
        Ok(()) => Some(folder),
        Err(error) => {
            eprintln!("skipped: comparisons with real peers: {error:#}");
            None
        }
    }
}

fn run_checks() -> Result<()> {
    execute("cargo", &["fmt", "--all", "--check"])?;
    if Path::new("/usr/bin/clang-19").exists() {
        crate::ebpf::run(true)?;
    } else {
        eprintln!("skipped: the BPF objects are not compared, clang-19 is not installed");
    }
    execute("npm", &["ci", "--prefix", "web", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])?;
    execute("npm", &["run", "--prefix", "web", "--silent", "check"])?;
    execute("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
}

/// The browser tests alone.
pub(crate) fn browser() -> Result<()> {
    install_packages()?;
    execute("cargo", &["build", "--quiet"])?;
    pages()
}

/// Pages in a real Chromium, against the real binary with the demo's data. Prints the runner's closing line last.
fn pages() -> Result<()> {
    if !Path::new("/usr/bin/chromium").exists() {
        eprintln!("skipped: browser tests, chromium is not installed");
        return Ok(());
    }
    let folder = root().join("tests/browser");
    let npm = command("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&folder)
        .status()
        .context("cannot start npm")?;
    if !npm.success() {
        bail!("npm ci in tests/browser: {npm}");
    }
    let data = tempfile::tempdir()?;
    let binary = target().join("debug/skep");
    let server = ServerBuilder::with_command(&binary, "demo", data.path()).start()?;
    let pid = server.pid().to_string();
    let troubled_data = tempfile::tempdir()?;
    let troubled = crate::troubled::start(&binary, troubled_data.path())?;
    let args = ["run.mjs", server.url(), &pid, troubled.server.url()];
    announce(&format!("node tests/browser/{}", args.join(" ")));
    let status = command("node", &args).current_dir(&folder).status();
    drop((server, troubled));
    let status = status.context("cannot start node")?;
    if !status.success() {
        bail!("the browser tests failed: {status}");
    }
    Ok(())
}
