//! `scrape_config_files`: further files with `scrape_configs`.

use std::path::{Path, PathBuf};

use yaml::{Place, Section};

use super::{Global, job};

/// Jobs of all files that the patterns name, those of a pattern by their paths.
pub(super) fn decode(root: &Section<'_>, global: &Global, jobs: &mut job::Jobs) {
    for place in root.list("scrape_config_files") {
        let Some(pattern) = place.string() else { continue };
        for path in paths(&place, &pattern) {
            read(&place, &path, global, jobs);
        }
    }
}

/// Whether there are jobs of other files; their number decides nothing.
pub(super) fn any(root: &Section<'_>) -> bool {
    let patterns = root.get("scrape_config_files").filter(|place| !place.node().is_null());
    patterns.is_some_and(|place| matches!(&place.node().value, yaml::Value::Sequence(nodes) if !nodes.is_empty()))
}

fn paths(place: &Place<'_>, pattern: &str) -> Vec<PathBuf> {
    if pattern.rsplit_once('/').is_some_and(|(folders, _)| folders.contains('*')) {
        let hint = "* may stand in the last part of a path only";
        place.error(format!("invalid scrape config file path {pattern:?}"), hint);
        return Vec::new();
    }
    let folder = Path::new(place.file()).parent().unwrap_or(Path::new(""));
    match glob::glob(&folder.join(pattern).to_string_lossy()) {
        Ok(paths) => paths.filter_map(Result::ok).collect(),
        Err(error) => {
            place.error(format!("not a pattern of files: {error}"), "");
            Vec::new()
        }
    }
}

fn read(place: &Place<'_>, path: &Path, global: &Global, jobs: &mut job::Jobs) {
    let name = path.display().to_string();
    let report = place.report();
    let Some(text) = yaml::read(path, report) else { return };
    let Some(node) = yaml::parse_first(&name, &text, report) else { return };
    let Some(section) = Place::root(&node, &name, report).section() else { return };
    jobs.decode(&section.list("scrape_configs"), global);
    section.finish();
}

/// Files that the jobs were read from, for whoever watches them.
pub(super) fn patterns(root: &Section<'_>) -> Vec<String> {
    let folder = Path::new(root.place().file()).parent().unwrap_or(Path::new("")).to_owned();
    let beside = |pattern: &String| folder.join(pattern).display().to_string();
    root.strings("scrape_config_files").iter().map(beside).collect()
}
