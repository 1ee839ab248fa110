//! `skep test rules`: unit tests of rules in promtool's format.

use std::path::PathBuf;

use model::Pattern;
use rules::unittest;

/// What to run.
#[derive(Debug)]
pub(crate) struct Options {
    /// Test files.
    pub(crate) files: Vec<PathBuf>,
    /// What the names of test groups must match.
    pub(crate) run: Option<Pattern>,
}

/// Runs every file; whether all passed. What failed goes to stderr and `SUCCESS` to stdout, as promtool does it.
pub(crate) fn test(options: &Options) -> bool {
    let wanted = |name: &str| options.run.as_ref().is_none_or(|pattern| pattern.is_match(name));
    let mut all_passed = true;
    for file in &options.files {
        let outcome = unittest::run(file, wanted);
        for warning in &outcome.warnings {
            crate::complain(&format_args!("  {warning}"));
        }
        if outcome.failures.is_empty() {
            crate::say("  SUCCESS\n");
        } else {
            all_passed = false;
            crate::complain(&"  FAILED:");
            for failure in &outcome.failures {
                crate::complain(failure);
                crate::say("\n");
            }
        }
        crate::say("\n");
    }
    all_passed
}
