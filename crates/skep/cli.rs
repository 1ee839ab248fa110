//! The command line as it was typed: one table of flags, and what each does to [`ServeArgs`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::tools::{self, Tool};
use crate::{budget, size};

/// What the user asked for.
#[derive(Debug)]
pub(crate) enum Command {
    Serve(Box<ServeArgs>),
    Demo(Box<ServeArgs>),
    Doctor {
        /// For scripts.
        json: bool,
    },
    CheckConfig(Vec<PathBuf>),
    CheckRules(Vec<PathBuf>),
    Tool(Tool),
    Help(String),
    Version,
}

/// Flags of `serve` and `demo`; `None` leaves the choice to the file or the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    pub(crate) config: Option<PathBuf>,
    pub(crate) alertmanager_config: Option<PathBuf>,
    pub(crate) dashboards: Option<PathBuf>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) listen: Option<String>,
    pub(crate) retention_time: Option<Duration>,
    pub(crate) retention_size: Option<u64>,
    pub(crate) memory_budget: Option<u64>,
    pub(crate) external_url: Option<String>,
    pub(crate) route_prefix: Option<String>,
    pub(crate) cors: api::Cors,
    pub(crate) enable_lifecycle: bool,
    pub(crate) enable_admin_api: bool,
    pub(crate) auto_reload: Option<Duration>,
    pub(crate) web_config: Option<PathBuf>,
    pub(crate) log_level: Option<String>,
    pub(crate) lookback: Option<Duration>,
    pub(crate) query_timeout: Option<Duration>,
    pub(crate) query_concurrency: Option<u64>,
    pub(crate) query_samples: Option<u64>,
    pub(crate) read_samples: Option<u64>,
    pub(crate) read_concurrency: Option<u64>,
    pub(crate) read_frame_bytes: Option<u64>,
    pub(crate) outage_tolerance: Option<Duration>,
    pub(crate) for_grace_period: Option<Duration>,
    pub(crate) resend_delay: Option<Duration>,
    pub(crate) features: Vec<String>,
    /// Flags of Prometheus that were given but change nothing, with the reason; said once at the start.
    pub(crate) without_effect: Vec<String>,
}

/// The command line cannot be understood; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}{sep} `skep {1}--help` lists what there is", sep = if .0.ends_with('?') { "" } else { ";" })]
pub(crate) struct UsageError(String, &'static str);

type Apply = fn(&mut ServeArgs, &str) -> Result<(), String>;

enum Effect {
    /// Takes a value.
    Value(&'static str, Apply),
    /// A switch; Prometheus' `--no-NAME` turns it off again.
    Switch(fn(&mut ServeArgs, bool)),
    /// Prometheus has it with a value; it changes nothing here.
    IgnoredValue(&'static str),
    /// Prometheus has it as a switch; it changes nothing here.
    IgnoredSwitch(&'static str),
    /// Prometheus has it; ignoring it would be unsafe.
    Refused(&'static str),
}

struct Flag {
    /// Our name first, then what Prometheus calls it.
    names: &'static [&'static str],
    effect: Effect,
    help: &'static str,
}

const fn flag(names: &'static [&'static str], effect: Effect, help: &'static str) -> Flag {
    Flag { names, effect, help }
}

const FLAGS: &[Flag] = &[
    flag(
        &["config", "config.file"],
        Effect::Value("FILE", |a, v| set_path(&mut a.config, v)),
        "a prometheus.yml, or one with skep's own sections; without it skep finds what is there",
    ),
    flag(
        &["alertmanager-config"],
        Effect::Value("FILE", |a, v| set_path(&mut a.alertmanager_config, v)),
        "an alertmanager.yml",
    ),
    flag(
        &["dashboards"],
        Effect::Value("DIR", |a, v| set_path(&mut a.dashboards, v)),
        "a folder of dashboards as Grafana exports them, which is followed; folders in it are folders of the list",
    ),
    flag(
        &["data-dir", "storage.tsdb.path"],
        Effect::Value("DIR", |a, v| set_path(&mut a.data_dir, v)),
        "where samples are kept [$STATE_DIRECTORY, /var/lib/skep for root, $XDG_DATA_HOME/skep]",
    ),
    flag(
        &["listen", "web.listen-address"],
        Effect::Value("ADDR:PORT", set_listen),
        "where to serve pages and API [127.0.0.1:9090]",
    ),
    flag(
        &["retention-time", "storage.tsdb.retention.time"],
        Effect::Value("DURATION", |a, v| set_duration(&mut a.retention_time, v)),
        "how long samples are kept; 0 keeps everything [400d]",
    ),
    flag(
        &["retention-size", "storage.tsdb.retention.size"],
        Effect::Value("SIZE", set_retention_size),
        "most bytes of the data folder [a quarter of the filesystem, at most 8GiB]",
    ),
    flag(
        &["memory-budget"],
        Effect::Value("SIZE", set_memory_budget),
        "memory that the process may take [a quarter of the machine's or of its control group's]",
    ),
    flag(
        &["web.external-url"],
        Effect::Value("URL", set_external_url),
        "the address that users see, where a proxy stands before skep",
    ),
    flag(
        &["web.enable-lifecycle"],
        Effect::Switch(|a, on| a.enable_lifecycle = on),
        "allow POST /-/reload and /-/quit",
    ),
    flag(
        &["web.enable-admin-api"],
        Effect::Switch(|a, on| a.enable_admin_api = on),
        "allow POST /api/v1/admin/tsdb/snapshot, delete_series and clean_tombstones",
    ),
    flag(
        &["query.lookback-delta"],
        Effect::Value("DURATION", |a, v| set_duration(&mut a.lookback, v)),
        "how far back an instant selector looks [5m]",
    ),
    flag(
        &["query.timeout"],
        Effect::Value("DURATION", |a, v| set_duration(&mut a.query_timeout, v)),
        "longest time of a query [2m]",
    ),
    flag(
        &["query.max-concurrency"],
        Effect::Value("N", |a, v| set_number(&mut a.query_concurrency, v)),
        "queries that run at once [20]",
    ),
    flag(
        &["query.max-samples"],
        Effect::Value("N", |a, v| set_number(&mut a.query_samples, v)),
        "most samples a query may load [50000000]",
    ),
    flag(
        &["enable-feature"],
        Effect::Value("NAME,...", set_features),
        "extra-scrape-metrics, promql-experimental-functions, promql-delayed-name-removal, promql-per-step-stats",
    ),
    flag(&["log-level", "log.level"], Effect::Value("LEVEL", set_log_level), "error, warn, info or debug [info]"),
    flag(&["log.format"], Effect::IgnoredValue("logs are sentences with fields on stderr"), ""),
    flag(
        &["config.auto-reload-interval"],
        Effect::Value("DURATION", |a, v| set_duration(&mut a.auto_reload, v)),
        "how often to look whether files of the configuration changed, which reloads them; 0 is never [5s]",
    ),
    flag(&["auto-gomaxprocs", "auto-gomemlimit"], Effect::IgnoredSwitch("skep has no Go runtime"), ""),
    flag(&["auto-gomemlimit.ratio"], Effect::IgnoredValue("skep has no Go runtime"), ""),
    flag(&["web.read-timeout"], Effect::IgnoredValue("headers must arrive within 10 s, whatever is set"), ""),
    flag(&["web.max-connections"], Effect::IgnoredValue("at most 256 connections are served at once"), ""),
    flag(&["web.max-notifications-subscribers"], Effect::IgnoredValue("at most 16 pages are live at once"), ""),
    flag(&["web.local-assets", "web.user-assets"], Effect::IgnoredValue("pages are inside the binary"), ""),
    flag(&["web.console.templates", "web.console.libraries"], Effect::IgnoredValue("there are no consoles"), ""),
    flag(&["web.page-title"], Effect::IgnoredValue("pages are named skep"), ""),
    flag(
        &["web.cors.origin"],
        Effect::Value("REGEX", set_cors),
        "pages of other sites that may read answers, such as https://.*\\.example [none]",
    ),
    flag(&["web.enable-remote-write-receiver"], Effect::IgnoredSwitch("remote write is always received"), ""),
    flag(&["storage.tsdb.no-lockfile"], Effect::Refused("two writers would destroy the data folder"), ""),
    flag(&["storage.tsdb.head-chunks-write-queue-size"], Effect::IgnoredValue("there is no such queue"), ""),
    flag(&["storage.remote.flush-deadline"], Effect::IgnoredValue("remote write out is not built yet"), ""),
    flag(
        &["storage.remote.read-sample-limit"],
        Effect::Value("N", |a, v| set_number(&mut a.read_samples, v)),
        "most samples of an answer of remote read that is no stream; 0 is no limit [50000000]",
    ),
    flag(
        &["storage.remote.read-concurrent-limit"],
        Effect::Value("N", |a, v| set_number(&mut a.read_concurrency, v)),
        "requests of remote read that are answered at once; 0 is no limit [10]",
    ),
    flag(
        &["storage.remote.read-max-bytes-in-frame"],
        Effect::Value("N", |a, v| set_number(&mut a.read_frame_bytes, v)),
        "bytes of a frame of streamed remote read [1048576]",
    ),
    flag(
        &["rules.alert.for-outage-tolerance"],
        Effect::Value("DURATION", |a, v| set_duration(&mut a.outage_tolerance, v)),
        "after a longer outage pending alerts begin anew [1h]",
    ),
    flag(
        &["rules.alert.for-grace-period"],
        Effect::Value("DURATION", |a, v| set_duration(&mut a.for_grace_period, v)),
        "alerts with a shorter `for` are not restored; restored ones fire this long after a start at the earliest [10m]",
    ),
    flag(
        &["rules.alert.resend-delay"],
        Effect::Value("DURATION", |a, v| set_duration(&mut a.resend_delay, v)),
        "time between two sendings of an alert that still fires [1m]",
    ),
    flag(&["rules.max-concurrent-evals"], Effect::IgnoredValue("each rule group runs by itself"), ""),
    flag(
        &["alertmanager.notification-queue-capacity", "alertmanager.notification-batch-size"],
        Effect::IgnoredValue("alerts do not leave the process before they are notifications"),
        "",
    ),
    flag(
        &["alertmanager.drain-notification-queue-on-shutdown"],
        Effect::IgnoredSwitch("alerts do not leave the process before they are notifications"),
        "",
    ),
    flag(
        &["web.config.file"],
        Effect::Value("FILE", |a, v| set_path(&mut a.web_config, v)),
        "TLS, users and headers of this server, as Prometheus has them",
    ),
    flag(
        &["web.route-prefix"],
        Effect::Value("PATH", |a, v| {
            a.route_prefix = Some(v.to_owned());
            Ok(())
        }),
        "answer below this path alone [below the path of --web.external-url, and at /]",
    ),
    flag(&["agent"], Effect::Refused("there is no agent mode: skep keeps what it collects"), ""),
];

/// Features of Prometheus that are always on here, or have nothing to switch.
const FEATURES_IMPLIED: &[&str] = &[
    "auto-gomaxprocs",
    "auto-gomemlimit",
    "auto-reload-config",
    "concurrent-rule-eval",
    "exemplar-storage",
    "expand-external-labels",
    "memory-snapshot-on-shutdown",
    "new-service-discovery-manager",
    "no-default-scrape-port",
    "promql-at-modifier",
    "promql-negative-offset",
    "remote-write-receiver",
];

/// Features that change how the program works.
pub(crate) const FEATURES: &[&str] =
    &["extra-scrape-metrics", "promql-experimental-functions", "promql-delayed-name-removal", "promql-per-step-stats"];

/// Reads the command line, program name excluded.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(tool) = tools::parse(&args) {
        let tool = tool.map_err(|(reason, words)| UsageError(reason, words))?;
        return Ok(tool.map_or_else(Command::Help, Command::Tool));
    }
    let mut parser = Parser::from_args(args);
    let mut words: Vec<OsString> = Vec::new();
    let mut serve = ServeArgs::default();
    let mut json = false;
    while let Some(arg) = parser.next().map_err(|e| usage(&e))? {
        match arg {
            Arg::Short('h') => return help_about(&words).map(Command::Help),
            Arg::Short('V') => return Ok(Command::Version),
            Arg::Long(name) => match name {
                "help" => return help_about(&words).map(Command::Help),
                "version" => return Ok(Command::Version),
                "json" => json = true,
                name => {
                    let name = name.to_owned();
                    apply(&mut serve, &name, &mut parser)?;
                }
            },
            Arg::Value(word) => words.push(word),
            Arg::Short(_) => return Err(usage(&arg.unexpected())),
        }
    }
    match command(&words, serve)? {
        Command::Doctor { .. } => Ok(Command::Doctor { json }),
        _ if json => Err(usage_error("--json goes with `skep doctor`".to_owned())),
        command => Ok(command),
    }
}

fn command(words: &[OsString], serve: ServeArgs) -> Result<Command, UsageError> {
    let word = |i: usize| words.get(i).map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
    let files = || words.iter().skip(2).map(PathBuf::from).collect::<Vec<_>>();
    let alone = |command| match words.len() {
        0 | 1 => Ok(command),
        _ => Err(usage_error(format!("unexpected argument {:?}", word(1)))),
    };
    match (word(0).as_str(), word(1).as_str()) {
        ("" | "serve", _) => alone(Command::Serve(Box::new(serve))),
        ("demo", _) => alone(Command::Demo(Box::new(serve))),
        ("doctor", _) => alone(Command::Doctor { json: false }),
        ("help", _) => help_about(words.get(1..).unwrap_or_default()).map(Command::Help),
        ("version", _) => Ok(Command::Version),
        ("check", "config" | "rules") if words.len() < 3 => {
            Err(usage_error(format!("`skep check {}` needs at least one FILE", word(1))))
        }
        ("check", "config") => Ok(Command::CheckConfig(files())),
        ("check", "rules") => Ok(Command::CheckRules(files())),
        ("check", "") => Err(usage_error("`skep check` takes config or rules, and a FILE".to_owned())),
        ("check", other) => Err(usage_error(format!("`skep check` takes config or rules, not {other:?}"))),
        (other, _) => Err(usage_error(unknown_command(other))),
    }
}

fn apply(args: &mut ServeArgs, name: &str, parser: &mut Parser) -> Result<(), UsageError> {
    let positive = name.strip_prefix("no-");
    let find = |name: &str| FLAGS.iter().find(|flag| flag.names.contains(&name));
    let (flag, on) = match (find(name), positive.and_then(find)) {
        (Some(flag), _) => (flag, true),
        (None, Some(flag)) if matches!(flag.effect, Effect::Switch(_) | Effect::IgnoredSwitch(_)) => (flag, false),
        _ => return Err(usage_error(unknown_flag(name, FLAGS.iter().flat_map(|flag| flag.names).copied()))),
    };
    match &flag.effect {
        Effect::Value(_, set) => {
            let value = text(parser, name)?;
            set(args, &value).map_err(|reason| usage_error(format!("--{name}: {reason}")))?;
        }
        Effect::Switch(set) => set(args, on),
        Effect::IgnoredValue(reason) => {
            text(parser, name)?;
            args.without_effect.push(format!("--{name} has no effect: {reason}"));
        }
        Effect::IgnoredSwitch(reason) => args.without_effect.push(format!("--{name} has no effect: {reason}")),
        Effect::Refused(reason) => return Err(usage_error(format!("--{name} is refused: {reason}"))),
    }
    Ok(())
}

/// What is wrong with a command that nobody knows.
fn unknown_command(word: &str) -> String {
    let tsdb = tools::usages().any(|(usage, _)| usage.strip_prefix("tsdb ").is_some_and(|rest| rest.starts_with(word)));
    match tsdb && !word.is_empty() {
        true => format!("unknown command {word:?}; did you mean tsdb {word}?"),
        false => format!("unknown command {word:?}{}", similar(word, commands(), "")),
    }
}

/// What is wrong with a flag that nobody knows.
fn unknown_flag<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    format!("unknown flag --{name}{}", similar(name, known, "--"))
}

/// A guess at what was meant.
fn similar<'k>(word: &str, known: impl Iterator<Item = &'k str>, dashes: &str) -> String {
    yaml::closest(word, known).map_or_else(String::new, |known| format!("; did you mean {dashes}{known}?"))
}

/// The first words of all commands.
fn commands() -> impl Iterator<Item = &'static str> {
    let tools = tools::usages().filter_map(|(usage, _)| usage.split(' ').next());
    ["serve", "demo", "doctor", "check", "version", "help"].into_iter().chain(tools)
}

fn text(parser: &mut Parser, name: &str) -> Result<String, UsageError> {
    let value = parser.value().map_err(|e| usage(&e))?;
    value.string().map_err(|_| usage_error(format!("--{name}: the value is not UTF-8")))
}

fn usage(error: &lexopt::Error) -> UsageError {
    usage_error(error.to_string())
}

fn usage_error(reason: String) -> UsageError {
    UsageError(reason, "")
}

fn set_path(into: &mut Option<PathBuf>, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("the path is empty".to_owned());
    }
    *into = Some(PathBuf::from(value));
    Ok(())
}

fn set_external_url(args: &mut ServeArgs, value: &str) -> Result<(), String> {
    let has_host = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', ':']);
    if !["http://", "https://"].iter().any(|scheme| value.strip_prefix(scheme).is_some_and(has_host)) {
        return Err(format!("{value:?} is not a URL, such as https://metrics.example/skep"));
    }
    args.external_url = Some(value.to_owned());
    Ok(())
}

fn set_cors(args: &mut ServeArgs, value: &str) -> Result<(), String> {
    args.cors = api::Cors::new(value).map_err(|e| format!("{value:?} is not a regular expression: {e}"))?;
    Ok(())
}

fn set_duration(into: &mut Option<Duration>, value: &str) -> Result<(), String> {
    *into = Some(model::parse_duration(value).map_err(|e| format!("{e}; write for example 15d or 5m"))?);
    Ok(())
}

fn set_number(into: &mut Option<u64>, value: &str) -> Result<(), String> {
    *into = Some(value.parse().map_err(|_| format!("{value:?} is not a whole number"))?);
    Ok(())
}

fn set_memory_budget(args: &mut ServeArgs, value: &str) -> Result<(), String> {
    args.memory_budget = Some(budget::check(size::parse(value)?)?);
    Ok(())
}

fn set_retention_size(args: &mut ServeArgs, value: &str) -> Result<(), String> {
    args.retention_size = Some(size::parse(value)?);
    Ok(())
}

fn set_listen(args: &mut ServeArgs, value: &str) -> Result<(), String> {
    let port = value.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        return Err(format!("{value:?} is not ADDR:PORT, such as 127.0.0.1:9090"));
    }
    args.listen = Some(value.to_owned());
    Ok(())
}

fn set_features(args: &mut ServeArgs, value: &str) -> Result<(), String> {
    for name in value.split(',').filter(|name| !name.is_empty()) {
        if FEATURES.contains(&name) {
            args.features.push(name.to_owned());
        } else if FEATURES_IMPLIED.contains(&name) {
            args.without_effect.push(format!("--enable-feature={name} has no effect: it is on, or has no counterpart"));
        } else {
            args.without_effect.push(format!("--enable-feature={name} has no effect: it is not built"));
        }
    }
    Ok(())
}

fn set_log_level(args: &mut ServeArgs, value: &str) -> Result<(), String> {
    if !["error", "warn", "info", "debug"].contains(&value) {
        return Err(format!("{value:?} is not one of error, warn, info, debug"));
    }
    args.log_level = Some(value.to_owned());
    Ok(())
}

/// Commands that are none of [`tools`]: usage and purpose.
const COMMANDS: [(&str, &str); 5] = [
    ("[serve] [FLAGS]", "collect, keep, answer, alert and show"),
    ("demo [FLAGS]", "the same with a simulated Cilium node and a day of history"),
    ("doctor [--json]", "what this machine allows eBPF to do, and why; exit code 1 where something is missing"),
    ("check config FILE...", "read configuration files and say all that is wrong"),
    ("check rules FILE...", "the same for rule files"),
];

const CHECK_HELP: &str = "\
skep check config FILE...: read configuration files and say all that is wrong
skep check rules FILE...: the same for rule files

FILE is a prometheus.yml, with skep's own sections or without them, or an alertmanager.yml. The files that it names are
read, too: rules, targets, scrape configurations, templates. Nothing is started. A line for each problem:

  FILE:LINE:COLUMN: error|warning: what is wrong (at KEY); what to do

Exit code: 0 fine, though there may be warnings, 2 something is wrong.
";

const DOCTOR_HELP: &str = "\
skep doctor: what this machine allows eBPF to do, and why

  --json            for programs

Exit code: 0 all probes can run, 1 something is missing, 2 bad usage.
";

/// What `--help` says behind these words.
fn help_about(words: &[OsString]) -> Result<String, UsageError> {
    let with_flag: Vec<OsString> = words.iter().cloned().chain(["--help".into()]).collect();
    if let Some(Ok(Err(text))) = tools::parse(&with_flag) {
        return Ok(text);
    }
    match words.first().map(|word| word.to_string_lossy()).as_deref() {
        None | Some("serve" | "demo" | "help" | "version") => Ok(help()),
        Some("check") => Ok(CHECK_HELP.to_owned()),
        Some("doctor") => Ok(DOCTOR_HELP.to_owned()),
        Some(other) => Err(usage_error(unknown_command(other))),
    }
}

/// The text of `--help`, from the tables.
fn help() -> String {
    let mut text =
        String::from("skep: metrics, dashboards and alerts of a machine and its Cilium, in one binary\n\nUsage:\n");
    for (usage, purpose) in COMMANDS.into_iter().chain(tools::usages()) {
        text.push_str(&tools::usage_line(usage, purpose));
    }
    text.push_str("  skep version | help [COMMAND]\n\nFlags of serve and demo (Prometheus' own names work too):\n");
    for flag in FLAGS.iter().filter(|flag| !flag.help.is_empty()) {
        let value = match flag.effect {
            Effect::Value(name, _) => format!(" {name}"),
            _ => String::new(),
        };
        text.push_str(&format!("  --{}{value}\n        {}\n", flag.names[0], flag.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<&str, &str>) {
        let got = parse(line.split_whitespace().map(OsString::from));
        match (got, expected) {
            (Ok(command), Ok(expected)) => {
                let shown = format!("{command:?}");
                assert!(shown.contains(expected), "{line}: {shown}");
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{line}: {error}"),
            (got, _) => panic!("{line}: {got:?}"),
        }
    }

    #[test]
    fn reads_our_flags_and_prometheus_flags() {
        check("", Ok("Serve"));
        check("serve --config a.yml", Ok("config: Some(\"a.yml\")"));
        check("--config.file=a.yml", Ok("config: Some(\"a.yml\")"));
        check("demo --listen 127.0.0.1:0", Ok("Demo"));
        check("--memory-budget 48MB", Ok("memory_budget: Some(50331648)"));
        check("--memory-budget 1MB", Err("1048576 bytes are too few: the least that skep works with is 24MiB"));
        check("--storage.tsdb.retention.size 512MB", Ok("retention_size: Some(536870912)"));
        check("--storage.tsdb.retention.time=15d --retention-time 0", Ok("retention_time: Some(0ns)"));
        check("--web.enable-lifecycle --no-web.enable-lifecycle", Ok("enable_lifecycle: false"));
        check("--web.page-title=x", Ok("--web.page-title has no effect"));
        check("--web.enable-admin-api", Ok("enable_admin_api: true"));
        check("--web.cors.origin=https?://.*", Ok("https?://.*"));
        check("--web.route-prefix=/skep", Ok("route_prefix: Some(\"/skep\")"));
        check("--storage.remote.read-sample-limit=5", Ok("read_samples: Some(5)"));
        check("--enable-feature=promql-experimental-functions,exemplar-storage", Ok("promql-experimental-functions"));
        check("check rules a.yml b.yml", Ok("CheckRules([\"a.yml\", \"b.yml\"])"));
        check("--help", Ok("Help"));
        check("help", Ok("Flags of serve and demo"));
        check("check --help", Ok("skep check rules FILE...: the same"));
        check("help check config", Ok("FILE:LINE:COLUMN"));
        check("doctor -h", Ok("--json            for programs"));
        check("tsdb --help", Ok("skep tsdb verify FOLDER  "));
        check("help tsdb verify", Ok("Each damage is named"));
        check("dashboards -h", Ok("skep dashboards import FILE...  give"));
        check("--help", Ok("skep dashboards import FILE...  give"));
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        check("serv", Err("unknown command \"serv\"; did you mean serve? `skep --help`"));
        check("bakcup x", Err("did you mean backup?"));
        check("verify x", Err("did you mean tsdb verify?"));
        check("check", Err("takes config or rules, and a FILE"));
        check("status", Err("unknown command \"status\";"));
        check("statsu --help", Err("unknown command \"statsu\""));
        check("test", Err("`skep test` takes rules, and a FILE; `skep --help`"));
        check("serve extra", Err("unexpected argument \"extra\""));
        check("--confg x", Err("unknown flag --confg; did you mean --config?"));
        check("--frobnicate", Err("unknown flag --frobnicate;"));
        check("--config", Err("missing"));
        check("--listen 9090", Err("not ADDR:PORT"));
        check("--retention-time 5", Err("not a valid duration"));
        check("--retention-size many", Err("not a size"));
        check("--storage.tsdb.no-lockfile", Err("refused"));
        check("--web.cors.origin=(", Err("\"(\" is not a regular expression"));
        check("--storage.remote.read-concurrent-limit=few", Err("not a whole number"));
        check("--no-config x", Err("unknown flag"));
        check("check rules", Err("at least one FILE"));
        check("--log-level loud", Err("not one of"));
    }
}
