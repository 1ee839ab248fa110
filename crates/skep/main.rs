//! skep: metrics, dashboards and alerts of a machine and its Cilium, in one binary.
//!
//! The story: parse the command line, load the file, check it, build the rooms, bind, spawn, wait, drain. Only this
//! file ends the process: 0 fine, 1 a failure while running, 2 bad usage or configuration.

mod access;
mod alertmanagers;
mod app;
mod backup;
mod budget;
mod cgroup;
mod cli;
mod config;
mod dashboards;
mod front;
mod import;
mod inspect;
mod listen;
mod notifications;
mod prefix;
mod process;
mod promtest;
mod query;
mod rooms;
mod ruletest;
mod settings;
mod simulation;
mod size;
mod snapshots;
mod tools;
mod watch;
mod web;

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use cli::{Command, ServeArgs};
use probes::doctor::Finding;
use settings::Settings;
use tools::Tool;
use tracing_subscriber::EnvFilter;
use yaml::{Report, Severity};

/// Why this one, and how it is set up, stands beside the dependency.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Bad usage or configuration.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve(args)) => serve(&args, false),
        Ok(Command::Demo(args)) => serve(&args, true),
        Ok(Command::Doctor { json }) => examine(json),
        Ok(Command::CheckConfig(files)) => check(&files, app::check_config),
        Ok(Command::CheckRules(files)) => check(&files, |file, report| drop(app::load_rule_file(file, report))),
        Ok(Command::Tool(tool)) => run(&tool),
        Ok(Command::Help(text)) => say(&text),
        Ok(Command::Version) => say(&format!("skep {}\n", env!("CARGO_PKG_VERSION"))),
        Err(error) => {
            complain(&format_args!("skep: {error}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn serve(args: &ServeArgs, demo: bool) -> ExitCode {
    log_to_stderr(args.log_level.as_deref().unwrap_or("info"));
    for sentence in &args.without_effect {
        tracing::warn!("{sentence}");
    }
    let report = Report::default();
    let read_at = SystemTime::now();
    let config = config::load(args.config.as_deref(), &report);
    let settings = Settings::new(args, &config, if demo { app::demo_data_dir } else { settings::default_data_dir });
    let plan = app::Plan::new(read_at, args.clone(), settings, config, demo, &report);
    if tell(&report) {
        return ExitCode::from(EXIT_USAGE);
    }
    match app::run(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format_args!("skep: {}", causes(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Tells what probes find on this machine; 1 where one of them cannot run.
fn examine(json: bool) -> ExitCode {
    let report = probes::doctor::examine();
    let list = |findings: &[Finding]| {
        let finding = |f: &Finding| {
            serde_json::json!({
                "key": f.key, "name": f.name, "present": f.present, "seen": f.seen, "advice": f.advice,
            })
        };
        findings.iter().map(finding).collect::<Vec<_>>()
    };
    let (machine, features) = (list(&report.machine), list(&report.features));
    let healthy = report.is_healthy();
    let all = serde_json::json!({"healthy": healthy, "machine": machine, "features": features});
    say(&if json { format!("{all:#}\n") } else { report.to_string() });
    if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn log_to_stderr(level: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(level).unwrap_or_default())
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        // It would be told on stderr, which is what failed; the macro that does so panics then.
        .log_internal_errors(false)
        .init();
}

/// Runs a command beside the server; `false` of it is exit code 1 like an error, whose words it has printed.
fn run(tool: &Tool) -> ExitCode {
    log_to_stderr("warn");
    let done = match tool {
        Tool::Import(options) => import::run(options),
        Tool::Dashboards(options) => dashboards::run(options),
        Tool::Query(options) => query::query(options),
        Tool::Promtest(files) => promtest::test(files),
        Tool::Ruletest(options) => Ok(ruletest::test(options)),
        Tool::Backup(options) => backup::backup(options),
        Tool::Restore(options) => backup::restore(options),
        Tool::Inspect(options) => inspect::inspect(options),
        Tool::Verify(options) => inspect::verify(options),
        Tool::Analyze(options) => inspect::analyze(options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format_args!("skep: {}", causes(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Prints problems to stderr, file by file from top to bottom; whether there is an error among them.
fn tell(report: &Report) -> bool {
    let mut problems = report.problems();
    problems.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
    for problem in problems {
        complain(&problem);
    }
    report.has_errors()
}

fn check(files: &[PathBuf], look: impl Fn(&Path, &Report)) -> ExitCode {
    let mut failed = false;
    for file in files {
        let report = Report::strict();
        look(file, &report);
        let warnings = report.problems().iter().filter(|p| p.severity == Severity::Warning).count();
        if tell(&report) {
            failed = true;
        } else {
            let plural = if warnings == 1 { "" } else { "s" };
            say(&format!("{}: fine, {warnings} warning{plural}\n", file.display()));
        }
    }
    if failed { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
}

/// Writes to stdout. A closed pipe, as behind `head`, is no failure of ours, and neither is a full disk below it.
fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Writes a line to stderr; where that is closed, nobody wants to know.
fn complain(message: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// An error with its causes. Some say theirs in their own text already.
fn causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
