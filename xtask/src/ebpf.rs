//! `cargo xtask ebpf [--check]`: builds the eBPF programs, or checks that the committed objects are what the sources give.
//!
//! The objects are committed so that `cargo build` needs no clang. They are the same bytes on every machine with this
//! compiler: paths are mapped to the workspace root, and debug sections, which carry more than BTF, are stripped.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, bail, ensure};

use crate::machine::root;

/// Another version gives other bytes.
const CLANG: &str = "clang-19";
const STRIP: &str = "llvm-strip-19";
const SOURCE_SUFFIX: &str = ".bpf.c";

/// Compiles every `ebpf/src/*.bpf.c`. With `check` nothing is written, and an object that differs is an error.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let root = root();
    let scratch = tempfile::tempdir()?;
    let mut stale = Vec::new();
    for source in sources(&root)? {
        let built = compile(&root, &source, scratch.path())?;
        let object = root.join("ebpf/objects").join(built.file_name().unwrap_or_default());
        let same = fs::read(&object).is_ok_and(|old| fs::read(&built).is_ok_and(|new| old == new));
        let shown = object.strip_prefix(&root).unwrap_or(&object).display().to_string();
        match (same, check) {
            (true, _) => println!("{shown}: unchanged"),
            (false, true) => stale.push(shown),
            (false, false) => {
                fs::copy(&built, &object).with_context(|| format!("write {shown}"))?;
                println!("{shown}: written");
            }
        }
    }
    ensure!(stale.is_empty(), "not what the sources give: {}; run `cargo xtask ebpf` and commit", stale.join(", "));
    Ok(())
}

/// Sources relative to the root, because the compiler writes the name it is given into the object.
fn sources(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = root.join("ebpf/src");
    let mut sources = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let name = entry?.file_name();
        if name.to_string_lossy().ends_with(SOURCE_SUFFIX) {
            sources.push(Path::new("ebpf/src").join(name));
        }
    }
    ensure!(!sources.is_empty(), "no {SOURCE_SUFFIX} file in {}", folder.display());
    sources.sort();
    Ok(sources)
}

fn compile(root: &Path, source: &Path, scratch: &Path) -> anyhow::Result<PathBuf> {
    let name = source.file_stem().map(Path::new).unwrap_or(source);
    let object = scratch.join(name).with_extension("bpf.o");
    let mut clang = Command::new(CLANG);
    clang.args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-I", "ebpf/include"]);
    // `asm/types.h` lies in the folder of the build machine's architecture.
    clang.args(["-idirafter", &format!("/usr/include/{}-linux-gnu", env::consts::ARCH)]);
    clang.arg(format!("-ffile-prefix-map={}=.", root.display())).arg("-fdebug-compilation-dir=.");
    clang.arg("-c").arg(source).arg("-o").arg(&object);
    finish(clang.current_dir(root))?;
    finish(Command::new(STRIP).arg("-g").arg(&object))?;
    Ok(object)
}

fn finish(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let line = || command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    let shown = format!("{program} {}", line());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{status}: {shown}"),
        Err(error) => bail!("{program}: {error}; install it: apt-get install clang-19 llvm-19 libbpf-dev"),
    }
}
