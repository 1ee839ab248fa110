//! Commands, folders and packages of the machine that xtask runs on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Debian packages the tests need, with the program or file that shows that each is there.
const PACKAGES: &[(&str, &str)] = &[
    ("bpftool", "/usr/sbin/bpftool"),
    ("chromium", "/usr/bin/chromium"),
    ("clang-19", "/usr/bin/clang-19"),
    ("ethtool", "/usr/sbin/ethtool"),
    ("iperf3", "/usr/bin/iperf3"),
    ("iproute2", "/usr/sbin/ip"),
    ("libbpf-dev", "/usr/include/bpf/bpf_helpers.h"),
    ("linux-libc-dev", "/usr/include/linux/bpf.h"),
    ("llvm-19", "/usr/bin/llvm-strip-19"),
    ("nftables", "/usr/sbin/nft"),
    ("procps", "/usr/bin/kill"),
    ("python3-aiosmtpd", "/usr/lib/python3/dist-packages/aiosmtpd/__init__.py"),
    ("util-linux", "/usr/bin/setpriv"),
];

/// The project's top folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.to_path_buf(), Path::to_path_buf)
}

/// The folder that cargo builds into. Commands run in the top folder, so a relative one begins there.
pub(crate) fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A command in the project's top folder.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// When the first step was announced.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Says what begins now, and how long all before it took.
pub(crate) fn announce(step: &str) {
    let seconds = BEGUN.elapsed().as_secs();
    eprintln!("\n==> {}:{:02} {step}", seconds / 60, seconds % 60);
}

/// Runs a command and fails with its text when it fails.
pub(crate) fn execute(program: &str, args: &[&str]) -> Result<()> {
    let shown = format!("{program} {}", args.join(" "));
    announce(&shown);
    let status = command(program, args).status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Installs the packages that are missing, if this is root on a Debian; otherwise says what will be skipped.
pub(crate) fn install_packages() -> Result<()> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(_, shows)| !Path::new(shows).exists()).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        eprintln!("not installed, and this is not root on a Debian: {}; what needs them is skipped", missing.join(" "));
        return Ok(());
    }
    execute("apt-get", &["update", "-qq"])?;
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(&missing);
    let status = command("apt-get", &args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status()
        .context("cannot start apt-get")?;
    if !status.success() {
        bail!("apt-get install {}: {status}", missing.join(" "));
    }
    Ok(())
}

/// Whether the effective user is root.
pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
}
