//! `cargo xtask fuzz`: coverage-guided inputs for the store, from its decoders to the whole of it, for the language, for pages and dashboards.
//!
//! The targets lie in packages of their own, because sanitizers need the nightly toolchain. Each begins with the inputs
//! of `fuzz/corpus/TARGET`, which every `cargo test` replays, too.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::machine::{announce, command, root, target};

/// They share a target folder, so that what both depend on is built once.
const PACKAGES: [&str; 4] =
    ["crates/tsdb/fuzz", "crates/promql/fuzz", "crates/exposition/fuzz", "crates/dashboard/fuzz"];

/// The sanitizer wants its target named, so that build scripts are built without it.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// What libFuzzer needs to see which branches an input takes, and the address sanitizer for the codecs' `unsafe`.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Ccodegen-units=1";

/// Each target's share of `cargo xtask test`.
pub(crate) const SECONDS: u64 = 5;

/// An input that takes longer is a finding: a decoder must not be slowed down by what it reads.
const INPUT_SECONDS_MAX: &str = "10";

/// So is one that asks for more memory at once: the longest frame takes 32 MiB, and is read into twice as much.
const ALLOCATION_MB_MAX: u32 = 100;

/// The tests begin with the same numbers each time: what a run of theirs finds is found again by the next one.
pub(crate) const TESTS_SEED: u32 = 1;

/// Runs every target for so many seconds, from `seed` on; 0 stands for another one each time.
pub(crate) fn run(seconds: u64, seed: u32) -> Result<()> {
    if !has_nightly() {
        eprintln!("skipped: fuzzing, there is no nightly toolchain for {TRIPLE}");
        return Ok(());
    }
    let findings = target().join("fuzz/findings");
    std::fs::create_dir_all(&findings)?;
    for package in PACKAGES {
        let binaries = build(package)?;
        for target in targets(package)? {
            let place = Place { binary: binaries.join(&target), package: root().join(package), target };
            fuzz(&place, &findings, seconds, seed)?;
        }
    }
    Ok(())
}

/// Where a target lies.
struct Place {
    binary: PathBuf,
    package: PathBuf,
    target: String,
}

fn has_nightly() -> bool {
    let version = command("cargo", &["+nightly", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    cfg!(all(target_arch = "x86_64", target_env = "gnu")) && version.is_ok_and(|status| status.success())
}

/// Returns the folder of the binaries.
fn build(package: &str) -> Result<PathBuf> {
    let folder = target().join("fuzz");
    let manifest = format!("{package}/Cargo.toml");
    let args = ["+nightly", "build", "--release", "--quiet", "--target", TRIPLE, "--manifest-path", &manifest];
    announce(&format!("cargo {}", args.join(" ")));
    let status = command("cargo", &args)
        .env("RUSTFLAGS", RUSTFLAGS)
        .env("CARGO_TARGET_DIR", &folder)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the fuzz targets do not build: {status}");
    }
    Ok(folder.join(TRIPLE).join("release"))
}

/// The names of a package's targets: those of their sources.
fn targets(package: &str) -> Result<Vec<String>> {
    let folder = root().join(package).join("fuzz_targets");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

/// New inputs go to a folder of their own first, so that a run changes nothing in the project. A package may have a list of
/// words, `words.dict`.
fn fuzz(place: &Place, findings: &Path, seconds: u64, seed: u32) -> Result<()> {
    let Place { binary, package, target } = place;
    let inputs = findings.join(format!("{target}-inputs"));
    std::fs::create_dir_all(&inputs)?;
    let corpus = package.join("corpus").join(target);
    let words = package.join("words.dict");
    let artifacts = format!("-artifact_prefix={}/{target}-", findings.display());
    let mut args = vec![
        format!("-max_total_time={seconds}"),
        format!("-seed={seed}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        artifacts,
        "-rss_limit_mb=1024".to_owned(),
        format!("-malloc_limit_mb={ALLOCATION_MB_MAX}"),
        inputs.display().to_string(),
        corpus.display().to_string(),
    ];
    args.extend(words.exists().then(|| format!("-dict={}", words.display())));
    let output = command(&binary.to_string_lossy(), &[]).args(&args).output().context("cannot start a fuzz target")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{text}\nthe fuzz target {target} found an input, see {}", findings.display());
    }
    let done = text.lines().rev().find(|line| line.starts_with("Done")).unwrap_or("Done");
    eprintln!("fuzz {target}: {done}");
    Ok(())
}
