//! The pages' script, style and icon, made by `build.rs` from `web/` and embedded in the binary.
//!
//! In: a file name. Out: its bytes, plain and compressed. Never: the file system, a path, a name that is not in the table.

/// One embedded file.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its name; it carries a hash of the content, except for the licence text.
    pub name: &'static str,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The content.
    pub plain: &'static [u8],
    /// The content, gzip level 9.
    pub gzip: &'static [u8],
    /// The content, brotli quality 11.
    pub brotli: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/table.rs"));

impl Asset {
    /// Whether the name changes with the content, so that a cache may keep it for ever.
    pub fn is_immutable(&self) -> bool {
        self.name != LICENSES
    }
}

/// The file of exactly this name.
pub fn find(name: &str) -> Option<&'static Asset> {
    ALL.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Script and style of a cold first page, compressed: htmx 13, uPlot 22, own script 15, style 15 KB. Dashboards load
    /// [`BOARD`] and [`BOARDSTYLE`], too.
    const BUDGET_BYTES: usize = 65_000;

    #[test]
    fn finds_exact_names_only() {
        let cases =
            [(SCRIPT, true), (STYLE, true), (LICENSES, true), ("", false), ("../Cargo.toml", false), ("app.js", false)];
        for (name, expected) in cases {
            assert_eq!(find(name).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn stays_within_the_budget() {
        let sizes: Vec<_> =
            [THEME, SCRIPT, SHARED, STYLE, ICON].iter().map(|n| (n, find(n).unwrap().gzip.len())).collect();
        assert!(sizes.iter().map(|(_, size)| size).sum::<usize>() <= BUDGET_BYTES, "{sizes:?}");
    }

    #[test]
    fn serves_the_licences_of_what_is_shipped() {
        let text = std::str::from_utf8(find(LICENSES).unwrap().plain).unwrap();
        for part in ["htmx.org 4.", "Zero-Clause BSD", "uplot 1.6.", "Leon Sorokin"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
