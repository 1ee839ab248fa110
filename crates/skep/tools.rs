//! The commands beside the server: their part of the command line, each with its own flags and help.

use std::ffi::OsString;
use std::path::PathBuf;

use exposition::history::TimeUnit;
use lexopt::{Arg, Parser, ValueExt};

use crate::backup;
use crate::dashboards;
use crate::import::{self, Nan};
use crate::inspect;
use crate::query::{self, Format, When};
use crate::ruletest;
use crate::settings::default_data_dir;

/// What stands after `skep`.
#[derive(Debug)]
pub(crate) enum Tool {
    Import(import::Options),
    Dashboards(dashboards::Options),
    Query(query::Options),
    Promtest(Vec<PathBuf>),
    Ruletest(ruletest::Options),
    Backup(backup::Options),
    Restore(backup::Options),
    Inspect(inspect::Options),
    Verify(inspect::Options),
    Analyze(inspect::Options),
}

/// A command of this module.
struct Spec {
    /// Its words, with a blank behind each.
    name: &'static str,
    /// The line in the list of commands: usage and purpose.
    usage: &'static str,
    purpose: &'static str,
    /// What `--help` adds.
    details: &'static str,
    parse: fn(Words) -> Result<Tool, String>,
}

/// What the commands that look at a folder have in common.
const LOOK: &str = "FOLDER is a data folder at rest or in use, a copy of one, or a backup. Nothing is written, no lock is taken.\n\n\
                    \x20 --json            for programs\n";

const SPECS: &[Spec] = &[
    Spec {
        name: "query ",
        usage: "query EXPR",
        purpose: "ask a server: a table of now, or charts of a range",
        details: "Instant, unless --last or --start is given. Times are seconds since 1970 or dates as 2026-01-31T12:00:00Z.\n\n\
                  \x20 --url URL         a server with Prometheus' HTTP API [http://127.0.0.1:9090]\n\
                  \x20 --time TIME       of an instant query [now]\n\
                  \x20 --last DURATION   a range up to now, such as 1h\n\
                  \x20 --start TIME      a range from here on\n\
                  \x20 --end TIME        and up to here [now]\n\
                  \x20 --step DURATION   of a range [a sixtieth of it]\n\
                  \x20 --json            the answer's data as the server wrote them\n\
                  \x20 --csv             a line a sample\n\n\
                  Exit code: 0, 1 the query failed or nobody answers, 2 bad usage.\n",
        parse: parse_query,
    },
    Spec {
        name: "dashboards import ",
        usage: "dashboards import FILE...",
        purpose: "give a server dashboards as Grafana exports them, and say what of each is not carried",
        details: "\x20 --url URL         the server [http://127.0.0.1:9090]\n\
                  \x20 --folder NAME     the folder that they are listed in [none, or the one they are in]\n\
                  \x20 --overwrite       replace those that have the same uid; what they were stays as a version\n\n\
                  Exit code: 0 all are kept, 1 something was refused or failed, 2 bad usage.\n",
        parse: parse_dashboards_import,
    },
    Spec {
        name: "dashboards export ",
        usage: "dashboards export UID...",
        purpose: "the JSON of dashboards as it came, to standard output or into a folder",
        details: "\x20 --url URL         the server [http://127.0.0.1:9090]\n\
                  \x20 --to DIR          write a file for each, in a folder for each folder of the list; without a UID all\n\
                  \x20                   dashboards that are not part of skep. --dashboards DIR follows such a folder\n\n\
                  Exit code: 0 all are written, 1 something failed, 2 bad usage.\n",
        parse: parse_dashboards_export,
    },
    Spec {
        name: "dashboards list ",
        usage: "dashboards list [WORDS]",
        purpose: "the dashboards of a server, or those with these words in title, folder or tags",
        details: "\x20 --url URL         the server [http://127.0.0.1:9090]\n\
                  \x20 --json            for programs\n\n\
                  Exit code: 0, 1 nobody answers, 2 bad usage.\n",
        parse: parse_dashboards_list,
    },
    Spec {
        name: "promtest ",
        usage: "promtest FILE...",
        purpose: "run scripts of Prometheus' test language for PromQL",
        details: "Names every evaluation that gave something else than the script says.\n\n\
                  Exit code: 0 all passed, 1 something failed or could not be read, 2 bad usage.\n",
        parse: parse_promtest,
    },
    Spec {
        name: "test rules ",
        usage: "test rules FILE...",
        purpose: "run unit tests of rules, in promtool's format",
        details: "Names every expectation that was not met, in promtool's words.\n\n\
                  \x20 --run REGEX       test groups whose names match it, or that of another --run\n\
                  \x20 --junit FILE      write the results as XML in JUnit's format, too\n\
                  \x20 --diff            tell alerts that are not as expected as a difference, in colours\n\
                  \x20 --debug           name each test that runs, and all samples that there were at its end\n\
                  \x20 --ignore-unknown-fields  pass over keys of rule files that nobody knows\n\
                  \x20 --enable-feature NAME    promql-experimental-functions, promql-delayed-name-removal\n\n\
                  Exit code: 0 all passed, 1 something failed or could not be read, 2 bad usage.\n",
        parse: parse_ruletest,
    },
    Spec {
        name: "tsdb inspect ",
        usage: "tsdb inspect FOLDER",
        purpose: "what is in a data folder: blocks, codecs, log",
        details: "Exit code: 0, 1 a block does not open, 2 bad usage.\n",
        parse: |words| parse_look(words, false).map(Tool::Inspect),
    },
    Spec {
        name: "tsdb verify ",
        usage: "tsdb verify FOLDER",
        purpose: "read and check every frame, column and index of it",
        details: "Each damage is named with its file, its byte and what is lost.\n\nExit code: 0 clean, 1 damaged, 2 bad usage.\n",
        parse: |words| parse_look(words, false).map(Tool::Verify),
    },
    Spec {
        name: "tsdb analyze ",
        usage: "tsdb analyze FOLDER",
        purpose: "what costs: metrics, labels and targets by series and bytes",
        details: "\x20 --limit N         entries of each list [20]\n\nExit code: 0, 1 a block is damaged, 2 bad usage.\n",
        parse: |words| parse_look(words, true).map(Tool::Analyze),
    },
    Spec {
        name: "backup ",
        usage: "backup TARGET",
        purpose: "copy the data folder, also of a server that runs, into a new folder",
        details: "Blocks are shared with the data folder where TARGET lies on the same file system, else copied. TARGET appears\n\
                  when all of it is on the disk; before, it is called TARGET.tmp. Samples are in it up to its beginning.\n\n\
                  \x20 --data-dir DIR    the data folder [as for the server]\n\n\
                  Exit code: 0 all is in it, 1 nothing was made or something could not be read, 2 bad usage.\n",
        parse: parse_backup,
    },
    Spec {
        name: "restore ",
        usage: "restore BACKUP",
        purpose: "make a data folder from a backup, every file checked",
        details: "BACKUP stays as it is. The folder must not be there, or be empty; nothing of it is left after an error.\n\n\
                  \x20 --data-dir DIR    the folder to make (needed)\n\n\
                  Exit code: 0 restored, 1 nothing was restored, 2 bad usage.\n",
        parse: parse_restore,
    },
    Spec {
        name: "import ",
        usage: "import FILE|-",
        purpose: "take history over: OpenMetrics or Prometheus text with timestamps",
        details: "Reads FILE, or standard input where it is -, line by line, and sends it to a running server, or writes it into the data folder of\n\
                  one that does not run. What is there already is passed over, so that an import can be repeated.\n\n\
                  \x20 promtool tsdb dump-openmetrics DATA | skep import -     (DATA is the --storage.tsdb.path of the Prometheus)\n\n\
                  \x20 --url URL         a server that receives remote write [http://127.0.0.1:9090]\n\
                  \x20 --data-dir DIR    a data folder, written without a server\n\
                  \x20 --nan WHAT        promtool prints staleness markers as NaN, like every NaN. guess: one NaN after a number and\n\
                  \x20                   not before another NaN is a marker; stale: all are; value: none is [guess]\n\
                  \x20 --time UNIT       of timestamps without a fraction: seconds, milliseconds, or guess by their size [guess]\n\
                  \x20 --skip-bad-lines  name the lines that cannot be read, and go on\n\n\
                  Exit code: 0 all is stored, 1 something was refused or failed, 2 bad usage.\n",
        parse: parse_import,
    },
];

/// The words and flags of a command; flags are taken out by the command that knows them.
struct Words {
    words: Vec<OsString>,
    flags: Vec<(String, Option<String>)>,
}

/// Entries of each list of `analyze`, a page of a terminal.
const LIST_ENTRIES: usize = 20;

/// Flags that are switches; all others take a value.
const SWITCHES: &[&str] = &["skip-bad-lines", "json", "csv", "overwrite", "diff", "debug", "ignore-unknown-fields"];

impl Words {
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.flags.iter().rposition(|(flag, _)| flag == name)?;
        let value = self.flags.swap_remove(at).1;
        self.flags.retain(|(flag, _)| flag != name);
        Some(value.unwrap_or_default())
    }

    /// All values of a flag that may be given several times.
    fn take_all(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.flags).into_iter().partition(|(flag, _)| flag == name);
        self.flags = left;
        let taken: Vec<(String, Option<String>)> = taken;
        taken.into_iter().map(|(_, value)| value.unwrap_or_default()).collect()
    }

    fn take_path(&mut self, name: &str) -> Result<Option<PathBuf>, String> {
        match self.take(name) {
            Some(path) if path.is_empty() => Err(format!("--{name}: the path is empty")),
            path => Ok(path.map(PathBuf::from)),
        }
    }

    fn next(&mut self) -> Option<PathBuf> {
        (!self.words.is_empty()).then(|| PathBuf::from(self.words.remove(0)))
    }

    /// To be called when a command took all that it knows.
    fn finish(self) -> Result<(), String> {
        if let Some((flag, _)) = self.flags.first() {
            return Err(format!("this command has no flag --{flag}"));
        }
        match self.words.first() {
            Some(word) => Err(format!("unexpected argument {:?}", word.to_string_lossy())),
            None => Ok(()),
        }
    }
}

/// Words that several commands, or those of one kind, begin with, and what has to follow.
const FAMILIES: [(&str, &str); 3] = [
    ("tsdb", "`skep tsdb` takes inspect, verify or analyze, and a FOLDER"),
    ("dashboards", "`skep dashboards` takes import and a FILE, export and a UID, or list"),
    ("test", "`skep test` takes rules, and a FILE"),
];

/// What a command line asks for.
pub(crate) type Asked = Result<Tool, String>;

/// The command that the arguments name, or `Err` with its help where that is asked for; `None` where they name none of
/// this module. What is wrong comes with the command's name.
pub(crate) fn parse(args: &[OsString]) -> Option<Result<Asked, (String, &'static str)>> {
    let names = |spec: &&Spec| spec.name.split_whitespace().zip(args).all(|(word, arg)| arg.to_str() == Some(word));
    let count = |spec: &Spec| spec.name.split_whitespace().count();
    let Some(spec) = SPECS.iter().find(|spec| args.len() >= count(spec) && names(spec)) else {
        let (word, takes) = FAMILIES.into_iter().find(|(word, _)| args.first().is_some_and(|arg| arg == word))?;
        let wants_help = args.get(1).is_some_and(|arg| arg == "--help" || arg == "-h");
        return Some(if wants_help { Ok(Err(help_of_family(word))) } else { Err((takes.to_owned(), "")) });
    };
    let asked = match read(&args[count(spec)..]) {
        Ok(None) => Ok(Err(help_of(spec))),
        Ok(Some(words)) => (spec.parse)(words).map(Ok),
        Err(error) => Err(error),
    };
    Some(asked.map_err(|reason| (reason, spec.name)))
}

/// `None` where help is asked for.
fn read(args: &[OsString]) -> Result<Option<Words>, String> {
    let mut parser = Parser::from_args(args.iter().cloned());
    let mut words = Words { words: Vec::new(), flags: Vec::new() };
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Long(name) => {
                let name = name.to_owned();
                let value = match SWITCHES.contains(&&*name) {
                    true => None,
                    false => Some(parser.value().and_then(ValueExt::string).map_err(|e| e.to_string())?),
                };
                words.flags.push((name, value));
            }
            Arg::Value(word) => words.words.push(word),
            Arg::Short(letter) => return Err(format!("unknown flag -{letter}")),
        }
    }
    Ok(Some(words))
}

/// A line of a list of commands.
pub(crate) fn usage_line(usage: &str, purpose: &str) -> String {
    format!("  skep {usage:<27}{purpose}\n")
}

/// Lines for the list of all commands.
pub(crate) fn usages() -> impl Iterator<Item = (&'static str, &'static str)> {
    SPECS.iter().map(|spec| (spec.usage, spec.purpose))
}

fn help_of_family(word: &str) -> String {
    let family = SPECS.iter().filter(|spec| spec.name.split(' ').next() == Some(word));
    let lines: String = family.map(|spec| usage_line(spec.usage, spec.purpose)).collect();
    format!("Commands of skep {word}, each of which has a --help of its own:\n{lines}")
}

fn help_of(spec: &Spec) -> String {
    let look = if spec.name.starts_with("tsdb ") { LOOK } else { "" };
    format!("skep {}: {}\n\n{look}{}", spec.usage, spec.purpose, spec.details)
}

fn parse_look(mut words: Words, has_lists: bool) -> Result<inspect::Options, String> {
    let folder = words.next().ok_or("name the FOLDER")?;
    let json = words.take("json").is_some();
    let limit = match has_lists.then(|| words.take("limit")).flatten() {
        Some(text) => text.parse().map_err(|_| format!("--limit: {text:?} is no number"))?,
        None => LIST_ENTRIES,
    };
    words.finish()?;
    Ok(inspect::Options { folder, json, limit })
}

fn parse_backup(mut words: Words) -> Result<Tool, String> {
    let target = words.next().ok_or("name the folder to write")?;
    let data_dir = words.take_path("data-dir")?.unwrap_or_else(default_data_dir);
    words.finish()?;
    Ok(Tool::Backup(backup::Options { data_dir, target }))
}

fn parse_restore(mut words: Words) -> Result<Tool, String> {
    let target = words.next().ok_or("name the BACKUP")?;
    let data_dir = words.take_path("data-dir")?.ok_or("name the folder to make with --data-dir")?;
    words.finish()?;
    Ok(Tool::Restore(backup::Options { data_dir, target }))
}

fn parse_query(mut words: Words) -> Result<Tool, String> {
    let expr = words.next().ok_or("name an EXPR, such as 'rate(node_network_receive_bytes_total[5m])'")?;
    let expr = expr.into_os_string().into_string().map_err(|_| "the EXPR is not UTF-8")?;
    let url = take_url(&mut words);
    let (time, last, start) = (words.take("time"), words.take("last"), words.take("start"));
    let step = || words.flags.iter().any(|(name, _)| name == "step" || name == "end");
    let when = match (time, last, start) {
        (time, None, None) if step() && time.is_none() => {
            return Err("--step and --end belong to --start or --last".to_owned());
        }
        (time, None, None) => When::At(time),
        (None, Some(span), None) => {
            let span = model::parse_duration(&span).map_err(|e| format!("--last: {e}; write for example 1h"))?;
            When::Last { span, step: words.take("step") }
        }
        (None, None, Some(start)) => When::Range { start, end: words.take("end"), step: words.take("step") },
        _ => return Err("of --time, --last and --start only one can be".to_owned()),
    };
    let format = match (words.take("json"), words.take("csv")) {
        (Some(_), Some(_)) => return Err("--json and --csv exclude each other".to_owned()),
        (Some(_), None) => Format::Json,
        (None, Some(_)) => Format::Csv,
        (None, None) => Format::Text,
    };
    words.finish()?;
    Ok(Tool::Query(query::Options { expr, url, when, format }))
}

/// The server that a command asks.
fn take_url(words: &mut Words) -> String {
    words.take("url").unwrap_or_else(|| "http://127.0.0.1:9090".to_owned())
}

fn parse_dashboards_import(mut words: Words) -> Result<Tool, String> {
    let files: Vec<PathBuf> = std::iter::from_fn(|| words.next()).collect();
    let (url, folder, overwrite) = (take_url(&mut words), words.take("folder"), words.take("overwrite").is_some());
    words.finish()?;
    if files.is_empty() {
        return Err("name a FILE".to_owned());
    }
    let work = dashboards::Work::Import { files, folder, overwrite };
    Ok(Tool::Dashboards(dashboards::Options { url, work }))
}

fn parse_dashboards_export(mut words: Words) -> Result<Tool, String> {
    let uids: Vec<String> = std::iter::from_fn(|| words.next()).map(|uid| uid.display().to_string()).collect();
    let (url, to) = (take_url(&mut words), words.take_path("to")?);
    words.finish()?;
    if uids.is_empty() && to.is_none() {
        return Err("name a UID, or a folder for all with --to".to_owned());
    }
    Ok(Tool::Dashboards(dashboards::Options { url, work: dashboards::Work::Export { uids, to } }))
}

fn parse_dashboards_list(mut words: Words) -> Result<Tool, String> {
    let wanted: Vec<String> = std::iter::from_fn(|| words.next()).map(|word| word.display().to_string()).collect();
    let (url, json) = (take_url(&mut words), words.take("json").is_some());
    words.finish()?;
    let work = dashboards::Work::List { words: wanted.join(" "), json };
    Ok(Tool::Dashboards(dashboards::Options { url, work }))
}

fn parse_promtest(mut words: Words) -> Result<Tool, String> {
    let files: Vec<PathBuf> = std::iter::from_fn(|| words.next()).collect();
    words.finish()?;
    if files.is_empty() { Err("name a FILE".to_owned()) } else { Ok(Tool::Promtest(files)) }
}

fn parse_ruletest(mut words: Words) -> Result<Tool, String> {
    let files: Vec<PathBuf> = std::iter::from_fn(|| words.next()).collect();
    let unanchored = |text: String| model::Pattern::new(&format!("(?s:.*)(?:{text})(?s:.*)"));
    let run = words.take_all("run").into_iter().map(unanchored).collect::<Result<_, _>>();
    let run = run.map_err(|e| format!("--run: {e}"))?;
    let junit = words.take_path("junit")?;
    let mut settings = rules::unittest::Settings {
        diff: words.take("diff").is_some(),
        debug: words.take("debug").is_some(),
        ignore_unknown_fields: words.take("ignore-unknown-fields").is_some(),
        ..Default::default()
    };
    for feature in words.take_all("enable-feature").iter().flat_map(|features| features.split(',')) {
        match feature {
            "promql-experimental-functions" => settings.engine.experimental_functions = true,
            "promql-delayed-name-removal" => settings.engine.delayed_name_removal = true,
            other => return Err(format!("--enable-feature: {other:?} changes nothing here")),
        }
    }
    words.finish()?;
    let options = ruletest::Options { files, run, junit, settings };
    if options.files.is_empty() { Err("name a FILE".to_owned()) } else { Ok(Tool::Ruletest(options)) }
}

fn parse_import(mut words: Words) -> Result<Tool, String> {
    let source = words.next().ok_or("name a FILE, or - for standard input")?;
    let target = match (words.take("url"), words.take_path("data-dir")?) {
        (Some(_), Some(_)) => return Err("--url and --data-dir exclude each other".to_owned()),
        (_, Some(folder)) => import::Target::Folder(folder),
        (url, None) => import::Target::Server(url.unwrap_or_else(|| "http://127.0.0.1:9090".to_owned())),
    };
    let nan = match words.take("nan").as_deref() {
        None | Some("guess") => Nan::Guess,
        Some("stale") => Nan::Stale,
        Some("value") => Nan::Value,
        Some(other) => return Err(format!("--nan: {other:?} is not one of guess, stale, value")),
    };
    let unit = match words.take("time").as_deref() {
        None | Some("guess") => TimeUnit::Guess,
        Some("seconds") => TimeUnit::Seconds,
        Some("milliseconds") => TimeUnit::Milliseconds,
        Some(other) => return Err(format!("--time: {other:?} is not one of guess, seconds, milliseconds")),
    };
    let skip_bad_lines = words.take("skip-bad-lines").is_some();
    words.finish()?;
    let source = (source.as_os_str() != "-").then_some(source);
    Ok(Tool::Import(import::Options { source, target, nan, unit, skip_bad_lines }))
}
