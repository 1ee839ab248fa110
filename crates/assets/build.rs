//! Makes the pages' files with npm and esbuild, or takes them from the folder that `SKEP_WEB_ASSETS` names, and writes the
//! table that `lib.rs` includes.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What the bundle is made from, relative to `web/`. Templates are not among them: askama compiles those.
const INPUTS: [&str; 4] = ["src", "build.mjs", "package.json", "package-lock.json"];
/// The files that decide what `npm ci` installs.
const LOCK: [&str; 2] = ["package.json", "package-lock.json"];
/// Names a folder with finished files, as `web/build.mjs` writes them, for builds without npm.
const PREPARED: &str = "SKEP_WEB_ASSETS";

fn main() {
    // This line alone fails the build; a status beside it would bury the sentence under cargo's report of the process.
    if let Err(reason) = run() {
        println!("cargo::error={reason}");
    }
}

fn run() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={PREPARED}");
    let out = PathBuf::from(variable("OUT_DIR")?);
    let assets = match env::var_os(PREPARED) {
        Some(folder) => prepared(Path::new(&folder))?,
        None => bundled(&out)?,
    };
    write(&out.join("table.rs"), &table(&assets)?)
}

fn prepared(folder: &Path) -> Result<PathBuf, String> {
    let folder = fs::canonicalize(folder).map_err(|e| format!("{PREPARED}={}: {e}", folder.display()))?;
    println!("cargo::rerun-if-changed={}", folder.display());
    Ok(folder)
}

fn bundled(out: &Path) -> Result<PathBuf, String> {
    let web = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../../web");
    for input in INPUTS {
        println!("cargo::rerun-if-changed={}", web.join(input).display());
    }
    let modules = out.join("npm");
    install(&web, &modules)?;
    let assets = out.join("assets");
    let script = web.join("build.mjs");
    let bundle = Command::new("node").arg(&script).arg(&modules).arg(&assets).output();
    succeed("node web/build.mjs", bundle)?;
    Ok(assets)
}

/// Runs `npm ci`, unless the packages of this very lock file are there: a changed style must not ask the registry.
fn install(web: &Path, modules: &Path) -> Result<(), String> {
    let wanted = LOCK.map(|name| fs::read_to_string(web.join(name)).unwrap_or_default()).concat();
    let stamp = modules.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    fs::create_dir_all(modules).map_err(|e| format!("{}: {e}", modules.display()))?;
    for name in LOCK {
        fs::copy(web.join(name), modules.join(name)).map_err(|e| format!("web/{name}: {e}"))?;
    }
    let arguments = ["ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"];
    succeed("npm ci", Command::new("npm").args(arguments).current_dir(modules).output())?;
    write(&stamp, &wanted)
}

/// A sentence if the command could not be started or failed.
fn succeed(what: &str, output: std::io::Result<std::process::Output>) -> Result<(), String> {
    let hint = format!(
        "the pages are bundled with Node 20 and npm at build time: install them, or set {PREPARED} to a folder that \
         web/build.mjs made elsewhere"
    );
    match output {
        Err(e) => Err(format!("{what} could not be started ({e}); {hint}")),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
            Err(format!("{what} failed: {said}; {hint}"))
        }
        Ok(_) => Ok(()),
    }
}

/// Rust source: a constant for each role's file name and the table of all files, by name.
fn table(assets: &Path) -> Result<String, String> {
    let path = assets.join("manifest.tsv");
    let manifest = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut constants = String::new();
    let mut rows = String::new();
    for line in manifest.lines() {
        let [role, name, content_type] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("{}: expected three columns: {line:?}", path.display()));
        };
        let file = |suffix: &str| format!("include_bytes!({:?})", assets.join(format!("{name}{suffix}")));
        let constant = role.to_uppercase();
        let _ = writeln!(constants, "/// File name of the {role}.\npub const {constant}: &str = {name:?};");
        let _ = writeln!(
            rows,
            "Asset {{ name: {constant}, content_type: {content_type:?}, plain: {}, gzip: {}, brotli: {} }},",
            file(""),
            file(".gz"),
            file(".br")
        );
    }
    Ok(format!("{constants}\n/// All files.\npub static ALL: &[Asset] = &[\n{rows}];\n"))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|e| format!("{name}: {e}"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
