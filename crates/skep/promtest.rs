//! `skep promtest`: scripts in Prometheus' test language for PromQL, run by this engine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use promql::script::{Remark, Report, run};

/// Runs every script and names what failed; whether all passed. A script that cannot be read counts as failed, and the
/// others run.
pub(crate) fn test(files: &[PathBuf]) -> Result<bool> {
    let mut all_passed = true;
    for file in files {
        match report_of(file) {
            Ok(report) => {
                crate::say(&text(file, &report));
                all_passed &= report.failed.is_empty() && report.unread.is_empty();
            }
            Err(error) => {
                crate::complain(&format_args!("skep: {}", crate::causes(&error)));
                all_passed = false;
            }
        }
    }
    Ok(all_passed)
}

fn report_of(file: &Path) -> Result<Report> {
    let script = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    run(&script).with_context(|| format!("{}: not a script of the PromQL test language", file.display()))
}

fn text(file: &Path, report: &Report) -> String {
    let file = file.display();
    let line =
        |kind: &str, remark: &Remark| format!("{file}:{}: {kind}: {}: {}\n", remark.line, remark.query, remark.message);
    let mut text = String::new();
    text.extend(report.skipped.iter().map(|remark| line("skipped", remark)));
    text.extend(report.unread.iter().map(|remark| line("cannot be read", remark)));
    text.extend(report.failed.iter().map(|remark| line("failed", remark)));
    let (passed, skipped, failed) = (report.passed, report.skipped.len(), report.failed.len());
    text.push_str(&format!("{file}: {passed} passed, {skipped} skipped, {failed} failed\n"));
    text
}
