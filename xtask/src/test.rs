//! `cargo xtask test`: all that has to pass, cheapest first.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::machine::{command, execute, install_packages, root, target};
use testkit::ServerBuilder;

pub(crate) fn run() -> Result<()> {
    install_packages()?;
    run_checks()?;
    execute("cargo", &["test", "--workspace", "--quiet"])?;
    browser()
}

fn run_checks() -> Result<()> {
    execute("cargo", &["fmt", "--all", "--check"])?;
    if Path::new("/usr/bin/clang-19").exists() {
        crate::ebpf::run(true)?;
    } else {
        eprintln!("skipped: the BPF objects are not compared, clang-19 is not installed");
    }
    execute("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
}

/// Pages in a real Chromium, against the real binary with the demo's data. Prints the runner's closing line last.
fn browser() -> Result<()> {
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
    execute("cargo", &["build", "--quiet"])?;
    let data = std::env::temp_dir().join(format!("skep-browser-{}", std::process::id()));
    let binary = target().join("debug/skep");
    let server = ServerBuilder::with_command(&binary, "demo", &data).start()?;
    let pid = server.pid().to_string();
    eprintln!("\n==> node tests/browser/run.mjs {} {pid}", server.url());
    let status = command("node", &["run.mjs", server.url(), &pid]).current_dir(&folder).status();
    drop(server);
    let _ = std::fs::remove_dir_all(&data);
    let status = status.context("cannot start node")?;
    if !status.success() {
        bail!("the browser tests failed: {status}");
    }
    Ok(())
}
