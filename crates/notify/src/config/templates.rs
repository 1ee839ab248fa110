//! Template files: what receivers' templates may call.

use std::path::Path;

use client::decode::beside;
use template::{Library, NoticeFunctions};
use yaml::{Place, Section};

use crate::speech::defaults;

/// Reads the files of all patterns, in the order of the patterns and of their names, over the templates that come with
/// skep. A pattern may match none.
pub(super) fn read(section: &Section<'_>) -> Library {
    let mut library = defaults();
    for place in section.list("templates") {
        let Some(pattern) = place.string() else { continue };
        let paths = glob::glob(&beside(&place, &pattern).display().to_string());
        for path in paths.into_iter().flatten().flatten() {
            add(&mut library, &place, &path);
        }
    }
    library
}

fn add(library: &mut Library, place: &Place<'_>, path: &Path) {
    let Some(text) = yaml::read(path, place.report()) else { return };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let functions = NoticeFunctions { now: jiff::Timestamp::UNIX_EPOCH };
    if let Err(error) = library.add(&name, &text, &functions) {
        place.error(error.to_string(), format!("in {}", path.display()));
    }
}
