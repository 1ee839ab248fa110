//! `skep import`: history as text, line by line, into a running server or a data folder.
//!
//! A running server is reached by remote write: the one door through which samples come from outside, with its limits
//! and its fsync before each answer; so every other server that receives remote write can be filled, too.
//!
//! promtool's dump has no metadata, no exemplars and no native histograms (it stops a series where one begins), and
//! prints staleness markers as `NaN`. Which NaN was a marker can mostly be told: Prometheus writes one marker where a
//! series ends or pauses, behind a number, while a summary without observations or a division by zero goes on for
//! several samples.

mod batch;
mod sink;

use std::borrow::Cow;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use exposition::history::{Line, LineParser, Sample, TimeUnit};
use model::{Labels, Metadata, Timestamp, stale_nan};

use sink::{FolderSink, ServerSink, Sink};

/// Longer lines are no series: labels have limits far below.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Large reads, few system calls.
const READ_BYTES: usize = 256 << 10;
/// Lines between two looks at the clock.
const LINES_A_LOOK: usize = 4096;
/// Progress is shown this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// What an error of the sink is about.
const NOT_STORED: &str =
    "not all of it could be stored; what is there already is passed over when the import is repeated";
/// Bad lines that are named; the rest is counted.
const BAD_LINES_SHOWN: u64 = 10;

/// What to import.
#[derive(Debug)]
pub(crate) struct Options {
    /// `None` is standard input.
    pub(crate) source: Option<PathBuf>,
    pub(crate) target: Target,
    pub(crate) nan: Nan,
    pub(crate) unit: TimeUnit,
    pub(crate) skip_bad_lines: bool,
}

impl Options {
    /// As it stands before line and column.
    fn source_name(&self) -> Cow<'_, str> {
        self.source.as_ref().map_or(Cow::Borrowed("standard input"), |path| path.to_string_lossy())
    }
}

/// Where it goes.
#[derive(Debug)]
pub(crate) enum Target {
    Server(String),
    Folder(PathBuf),
}

/// What a NaN of the text was before it was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nan {
    Guess,
    Stale,
    Value,
}

/// What was read.
#[derive(Debug, Default)]
struct Tally {
    bytes: u64,
    samples: u64,
    series: HashSet<u64>,
    hashes: RandomState,
    markers: u64,
    bad_lines: u64,
    times: Option<(Timestamp, Timestamp)>,
}

/// Tells markers from numbers that are none, within one series.
#[derive(Debug, Default)]
struct Markers {
    /// The sample before was a number.
    after_number: bool,
    /// A NaN whose successor decides.
    held: Option<Timestamp>,
}

impl Markers {
    /// What to write now that this sample is known: at most the one that was held, then this one.
    fn add(&mut self, timestamp: Timestamp, value: f64) -> [Option<(Timestamp, f64)>; 2] {
        let held = self.held.take();
        if !value.is_nan() {
            self.after_number = true;
            return [held.map(|at| (at, stale_nan())), Some((timestamp, value))];
        }
        if held.is_none() && self.after_number {
            self.held = Some(timestamp);
            return [None, None];
        }
        self.after_number = false;
        [held.map(|at| (at, value)), Some((timestamp, value))]
    }

    /// The series is over.
    fn end(&mut self) -> Option<(Timestamp, f64)> {
        let held = std::mem::take(self).held;
        held.map(|at| (at, stale_nan()))
    }
}

/// Runs an import and prints what came of it; whether all of it was stored.
pub(crate) fn run(options: &Options) -> Result<bool> {
    match &options.target {
        Target::Server(url) => import(options, ServerSink::new(url)?),
        Target::Folder(folder) => import(options, FolderSink::open(folder)?),
    }
}

fn open(source: Option<&PathBuf>) -> Result<Box<dyn BufRead>> {
    let Some(path) = source else {
        return Ok(Box::new(BufReader::with_capacity(READ_BYTES, io::stdin())));
    };
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(READ_BYTES, file)))
}

fn import(options: &Options, sink: impl Sink) -> Result<bool> {
    let begun = Instant::now();
    let input = open(options.source.as_ref())?;
    let mut importer = Importer {
        parser: LineParser::new(options.unit),
        markers: Markers::default(),
        family: String::new(),
        metadata: Metadata::default(),
        tally: Tally::default(),
        progress: Progress::new(begun),
        sink,
        options,
    };
    let read = importer.read_all(input);
    importer.progress.clear();
    let Importer { sink, tally, parser, .. } = importer;
    // What was read before an error is stored and told; where storing failed, nobody knows how much of it is.
    let stored = match (sink.finish(), read) {
        (Ok(stored), read) => {
            print(&tally, &stored, begun.elapsed());
            read?;
            stored
        }
        (Err(_), Err(error)) => return Err(error),
        (Err(error), Ok(())) => return Err(error.context(NOT_STORED)),
    };
    if parser.is_cut() {
        let (source, lines) = (options.source_name(), parser.lines());
        bail!("{source} ends without # EOF: it was cut off after line {lines}; what came is stored");
    }
    Ok(stored.left_out() == 0 && tally.bad_lines == 0)
}

struct Importer<'a, S> {
    parser: LineParser,
    markers: Markers,
    family: String,
    /// What was said of `family` so far.
    metadata: Metadata,
    tally: Tally,
    progress: Progress,
    sink: S,
    options: &'a Options,
}

impl<S: Sink> Importer<'_, S> {
    fn read_all(&mut self, mut input: Box<dyn BufRead>) -> Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let number = self.parser.lines() + 1;
            let read = read.with_context(|| format!("{}:{number}: reading", self.options.source_name()))? as u64;
            if read == 0 {
                break;
            }
            if read == LINE_BYTES_MAX && !line.ends_with(b"\n") {
                let source = self.options.source_name();
                bail!("{source}:{number}:1: a line longer than {LINE_BYTES_MAX} bytes is no sample");
            }
            self.tally.bytes += read;
            self.line(&line)?;
            if number.is_multiple_of(LINES_A_LOOK) {
                self.progress.show(&self.tally);
            }
        }
        self.end_series()?;
        self.end_family()
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        match self.parser.read(line) {
            Ok(Line::Sample(sample)) => self.sample(&sample),
            Ok(Line::Nothing | Line::End) => Ok(()),
            Ok(Line::Type { family, kind }) => self.say(&family, |metadata| metadata.kind = kind),
            Ok(Line::Help { family, text }) => self.say(&family, |metadata| metadata.help = text.into_owned()),
            Ok(Line::Unit { family, unit }) => self.say(&family, |metadata| unit.clone_into(&mut metadata.unit)),
            Err(error) if self.options.skip_bad_lines => {
                self.tally.bad_lines += 1;
                if self.tally.bad_lines <= BAD_LINES_SHOWN {
                    self.progress.clear();
                    crate::complain(&format_args!("{}:{error}", self.options.source_name()));
                }
                Ok(())
            }
            Err(error) => bail!("{}:{error} (--skip-bad-lines goes on)", self.options.source_name()),
        }
    }

    fn sample(&mut self, sample: &Sample) -> Result<()> {
        if let Some(labels) = &sample.labels {
            self.end_series()?;
            self.sink.series(labels)?;
            self.tally.add_series(labels);
        }
        let times = self.tally.times.unwrap_or((sample.timestamp, sample.timestamp));
        self.tally.times = Some((times.0.min(sample.timestamp), times.1.max(sample.timestamp)));
        self.tally.samples += 1;
        let stale = sample.value.is_nan() && self.options.nan == Nan::Stale;
        if self.options.nan == Nan::Guess {
            for (timestamp, value) in self.markers.add(sample.timestamp, sample.value).into_iter().flatten() {
                self.write(timestamp, value)?;
            }
        } else {
            self.write(sample.timestamp, if stale { stale_nan() } else { sample.value })?;
        }
        if let Some(exemplar) = &sample.exemplar {
            self.sink.exemplar(sample.timestamp, exemplar);
        }
        Ok(())
    }

    fn write(&mut self, timestamp: Timestamp, value: f64) -> Result<()> {
        self.tally.markers += u64::from(model::is_stale(value));
        self.sink.sample(timestamp, value)
    }

    fn end_series(&mut self) -> Result<()> {
        match self.markers.end() {
            Some((timestamp, value)) => self.write(timestamp, value),
            None => Ok(()),
        }
    }

    fn say(&mut self, family: &str, change: impl FnOnce(&mut Metadata)) -> Result<()> {
        if family != self.family {
            self.end_family()?;
            family.clone_into(&mut self.family);
        }
        change(&mut self.metadata);
        Ok(())
    }

    fn end_family(&mut self) -> Result<()> {
        let metadata = std::mem::take(&mut self.metadata);
        match std::mem::take(&mut self.family) {
            family if family.is_empty() => Ok(()),
            family => self.sink.metadata(&family, &metadata),
        }
    }
}

impl Tally {
    fn add_series(&mut self, labels: &Labels) {
        self.series.insert(self.hashes.hash_one(labels));
    }
}

/// A line on a terminal that says how far it is.
struct Progress {
    begun: Instant,
    shown: Option<Instant>,
    on_terminal: bool,
}

impl Progress {
    fn new(begun: Instant) -> Self {
        Self { begun, shown: None, on_terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, tally: &Tally) {
        let last = self.shown.unwrap_or(self.begun);
        if !self.on_terminal || last.elapsed() < PROGRESS_INTERVAL {
            return;
        }
        self.shown = Some(Instant::now());
        let rate = tally.samples as f64 / self.begun.elapsed().as_secs_f64();
        let (series, mib) = (tally.series.len(), tally.bytes >> 20);
        let at = tally.times.map(|(_, newest)| time(newest)).unwrap_or_default();
        let text =
            format!("{} samples of {series} series, {mib} MiB read, up to {at}, {rate:.0} a second", tally.samples);
        let _ = write!(io::stderr(), "\r{text}\x1b[K");
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| format!("{at} ms"), |at| at.to_string())
}

/// What a reason asks for, where that is not plain.
fn meaning(reason: &str) -> &'static str {
    match reason {
        "out_of_bounds" => ": older than retention keeps, or before 1970; --retention-time 0 of the server keeps all",
        "conflicting_value" => ": another value stands at their time, the first one written stays",
        "limit" => ": the limit of series is reached; an import that is repeated goes on where it ended",
        _ => "",
    }
}

fn print(tally: &Tally, stored: &sink::Outcome, took: Duration) {
    let refused = stored.left_out();
    let mut text = format!(
        "{} samples of {} series in {:.1} s",
        tally.samples.saturating_sub(refused),
        tally.series.len(),
        took.as_secs_f64()
    );
    if let Some((oldest, newest)) = tally.times {
        text.push_str(&format!(", from {} to {}", time(oldest), time(newest)));
    }
    text.push('\n');
    if tally.markers > 0 {
        text.push_str(&format!("{} NaN were stored as staleness markers (--nan)\n", tally.markers));
    }
    if tally.bad_lines > 0 {
        text.push_str(&format!("{} lines could not be read\n", tally.bad_lines));
    }
    if refused > 0 {
        text.push_str(&format!("{refused} samples were refused:\n"));
        for (reason, count) in &stored.refused {
            text.push_str(&format!("  {count} {reason}{}\n", meaning(reason)));
        }
        if !stored.complaint.is_empty() {
            text.push_str(&format!("  the first: {}\n", stored.complaint));
        }
    }
    let _ = io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_nan_behind_a_number_is_a_marker() {
        let check = |values: &str, expected: &str| {
            let mut markers = Markers::default();
            let mut got: Vec<(Timestamp, f64)> = Vec::new();
            for (at, value) in values.split(' ').enumerate() {
                let value = if value == "nan" { f64::NAN } else { value.parse().unwrap() };
                got.extend(markers.add(at as i64, value).into_iter().flatten());
            }
            got.extend(markers.end());
            assert!(got.iter().enumerate().all(|(i, (at, _))| i as i64 == *at), "{got:?}");
            let show = |value: f64| if model::is_stale(value) { "stale".to_owned() } else { value.to_string() };
            let got: Vec<String> = got.into_iter().map(|(_, value)| show(value).to_lowercase()).collect();
            assert_eq!(got.join(" "), expected, "{values}");
        };
        check("1 2 3", "1 2 3");
        check("1 2 nan", "1 2 stale");
        check("1 nan 2 nan 3", "1 stale 2 stale 3");
        check("1 nan nan 2", "1 nan nan 2");
        check("nan nan nan", "nan nan nan");
        check("nan 1 nan", "nan 1 stale");
        check("nan", "nan");
        check("1 nan nan nan", "1 nan nan nan");
    }
}
