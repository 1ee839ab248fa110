//! Template files. No receiver of this version uses them, but what Alertmanager would not load is no configuration.

use std::path::Path;

use client::decode::beside;
use template::{CallError, Functions, Template, Value};
use yaml::{Place, Section};

/// What the templates of Alertmanager 0.33 know beside Go's own functions.
const NAMES: [&str; 20] = [
    "append",
    "date",
    "dict",
    "humanizeDuration",
    "join",
    "list",
    "match",
    "now",
    "reReplaceAll",
    "safeHtml",
    "safeUrl",
    "since",
    "stringSlice",
    "title",
    "toJson",
    "toLower",
    "toUpper",
    "trimSpace",
    "tz",
    "urlUnescape",
];

/// Knows the names only: for parsing.
struct Names;

impl Functions for Names {
    fn has(&self, name: &str) -> bool {
        NAMES.contains(&name)
    }

    fn call(&self, name: &str, _: &[Value]) -> Result<Value, CallError> {
        Err(CallError::Failed(format!("{name} cannot be called here")))
    }
}

/// Parses the files of all patterns. A pattern may match none.
pub(super) fn check(section: &Section<'_>) {
    for place in section.list("templates") {
        let Some(pattern) = place.string() else { continue };
        let paths = glob::glob(&beside(&place, &pattern).display().to_string());
        for path in paths.into_iter().flatten().flatten() {
            check_file(&place, &path);
        }
    }
}

fn check_file(place: &Place<'_>, path: &Path) {
    let Some(text) = yaml::read(path, place.report()) else { return };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Err(error) = Template::parse(&name, &text, &Names) {
        place.error(error.to_string(), format!("in {}", path.display()));
    }
}
