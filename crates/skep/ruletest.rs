//! `skep test rules`: unit tests of rules in promtool's format.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use model::Pattern;
use rules::unittest::{self, Outcome, Settings};

/// What to run.
#[derive(Debug)]
pub(crate) struct Options {
    /// Test files.
    pub(crate) files: Vec<PathBuf>,
    /// One of which the names of test groups must match; none takes all.
    pub(crate) run: Vec<Pattern>,
    /// Where to write the results as JUnit's XML.
    pub(crate) junit: Option<PathBuf>,
    pub(crate) settings: Settings,
}

/// Runs every file; whether all passed. What failed goes to stderr and `SUCCESS` to stdout, as promtool does it.
pub(crate) fn test(options: &Options) -> bool {
    let wanted = |name: &str| options.run.is_empty() || options.run.iter().any(|pattern| pattern.is_match(name));
    let mut all_passed = true;
    let mut suites = String::new();
    for file in &options.files {
        let outcome = unittest::run(file, &options.settings, wanted);
        crate::say(&outcome.debug);
        let _ = write_suite(&mut suites, file, &outcome);
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
    if let Some(path) = &options.junit
        && let Err(error) = std::fs::write(path, format!("<testsuites>{suites}</testsuites>"))
    {
        crate::complain(&format_args!("{}: {error}", path.display()));
        return false;
    }
    all_passed
}

/// A file's results, as promtool writes them.
fn write_suite(out: &mut String, file: &Path, outcome: &Outcome) -> std::fmt::Result {
    // A file that cannot be read is a test of no name that could not be run.
    let unread = outcome.cases.is_empty() && !outcome.failures.is_empty();
    let (tests, failures) = if unread { (1, 0) } else { (outcome.cases.len(), outcome.failures.len()) };
    let errors = usize::from(unread);
    let (name, at) = (escaped(&file.display().to_string()), model::Clock::now(&model::SystemClock));
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    let timestamp = if unread { String::new() } else { at.strftime("%Y-%m-%dT%H:%M:%S").to_string() };
    write!(
        out,
        "<testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" timestamp=\"{timestamp}\">"
    )?;
    if unread {
        let texts = outcome.failures.iter().map(|text| escaped(text)).collect::<Vec<_>>().join("&#xA;");
        write!(out, "<testcase name=\"unknown\"><error>{texts}</error></testcase>")?;
    }
    for case in &outcome.cases {
        write!(out, "<testcase name=\"{}\">", escaped(&case.name))?;
        for failure in &case.failures {
            write!(out, "<failure>{}</failure>", escaped(failure))?;
        }
        out.push_str("</testcase>");
    }
    out.push_str("</testsuite>");
    Ok(())
}

/// Text inside XML, with Go's references.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            other => out.push(other),
        }
    }
    out
}
