//! Lines to commands.

use std::time::Duration;

use model::{Labels, Sample, Timestamp, parse_duration};
use thiserror::Error;

use super::values::{Item, Sequence, parse_sequence, series_labels};
use crate::Range;

/// The script cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// Line of the script, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

#[derive(Clone, Debug)]
pub(super) enum Command {
    Clear,
    Load {
        series: Vec<Loaded>,
        /// `load_with_nhcb`: native histograms are made of classic ones, too.
        with_native: bool,
    },
    Eval(Box<Evaluation>),
    /// What is not of the language, or of a later one.
    Unread {
        error: ScriptError,
        text: String,
        /// Series that are not there because of it, if their names could be read.
        loads: Vec<Option<Labels>>,
    },
}

/// A series of a `load`.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) labels: Labels,
    pub(super) samples: Vec<Sample>,
    pub(super) native: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    Instant(Timestamp),
    Range(Range),
}

/// What is asked of annotations or of the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    Text(String),
    Pattern(String),
}

/// One evaluation and what it must give.
#[derive(Clone, Debug)]
pub(super) struct Evaluation {
    pub(super) line: usize,
    pub(super) time: Time,
    pub(super) query: String,
    pub(super) fail: Option<Wanted>,
    pub(super) warn: Vec<Wanted>,
    pub(super) info: Vec<Wanted>,
    pub(super) no_warn: bool,
    pub(super) no_info: bool,
    pub(super) ordered: bool,
    pub(super) text: Option<String>,
    /// Times of the samples of a range vector that an instant query yields.
    pub(super) matrix: Option<Range>,
    pub(super) scalar: Option<f64>,
    pub(super) series: Vec<Sequence>,
    pub(super) expects_native: bool,
}

type Numbered<'a> = (usize, &'a str);

/// Reads a whole script. What cannot be read stands among the commands; an error means that nothing could.
pub(super) fn parse(script: &str) -> Result<Vec<Command>, ScriptError> {
    let lines: Vec<Numbered<'_>> = script
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim()))
        .filter(|(_, line)| !line.starts_with('#'))
        .collect();
    let mut commands = Vec::new();
    let mut refused: Option<ScriptError> = None;
    let mut rest = lines.as_slice();
    while let Some((&(number, line), tail)) = rest.split_first() {
        // A block ends at a blank line, or where a command follows at once.
        let block_len = tail.iter().take_while(|(_, line)| !line.is_empty() && !is_command(line)).count();
        let (block, after) = tail.split_at(block_len);
        rest = after;
        match line.split_whitespace().next().unwrap_or_default() {
            "" => rest = tail,
            "clear" => {
                commands.push(Command::Clear);
                rest = tail;
            }
            word if word.starts_with("eval") => match eval(number, line, block) {
                Ok(evaluation) => commands.push(Command::Eval(Box::new(evaluation))),
                Err(error) => commands.push(Command::Unread { error, text: line.to_owned(), loads: Vec::new() }),
            },
            word if word.starts_with("load") => load(number, line, block, &mut commands),
            other => {
                let error = error(number, format!("unknown command {other:?}"));
                refused.get_or_insert_with(|| error.clone());
                commands.push(Command::Unread { error, text: line.to_owned(), loads: Vec::new() });
            }
        }
    }
    match refused {
        Some(error) if commands.iter().all(|command| matches!(command, Command::Unread { .. })) => Err(error),
        _ => Ok(commands),
    }
}

/// Whether the line begins a block. A series may have a name that begins as a command does.
fn is_command(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let (first, second, third) = (words.next().unwrap_or_default(), words.next(), words.next());
    match first {
        "clear" => second.is_none(),
        word if word.starts_with("eval") => matches!(second, Some("instant" | "range")),
        word if word.starts_with("load") => third.is_none() && second.is_some_and(|step| millis(step).is_ok()),
        _ => false,
    }
}

fn error(line: usize, message: impl Into<String>) -> ScriptError {
    ScriptError { line, message: message.into() }
}

fn load(number: usize, line: &str, block: &[Numbered<'_>], commands: &mut Vec<Command>) {
    let (word, step) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let is_known = matches!(word, "load" | "load_with_nhcb");
    let step = if is_known { millis(step.trim()) } else { Err(format!("unknown command {word:?}")) };
    let step = match step {
        Ok(step) => step,
        Err(message) => {
            let loads = block.iter().map(|(_, line)| series_labels(line).ok()).collect();
            let error = error(number, message);
            commands.push(Command::Unread { error, text: line.to_owned(), loads });
            return;
        }
    };
    let mut series = Vec::new();
    for (number, line) in block {
        match parse_sequence(line) {
            Ok(sequence) => series.push(loaded(sequence, step)),
            Err(message) => commands.push(Command::Unread {
                error: error(*number, message),
                text: (*line).to_owned(),
                loads: vec![series_labels(line).ok()],
            }),
        }
    }
    commands.push(Command::Load { series, with_native: word == "load_with_nhcb" });
}

fn loaded(sequence: Sequence, step: i64) -> Loaded {
    let native = sequence.items.contains(&Item::Native);
    let samples = sequence.items.iter().enumerate().filter_map(|(i, item)| match item {
        Item::Value(value) => Some(Sample { timestamp: i as i64 * step, value: *value }),
        _ => None,
    });
    Loaded { samples: samples.collect(), labels: sequence.labels, native }
}

fn eval(number: usize, line: &str, block: &[Numbered<'_>]) -> Result<Evaluation, ScriptError> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (time, query) = head(rest.trim()).map_err(|e| error(number, e))?;
    let any = |wanted: bool| if wanted { vec![Wanted::Any] } else { Vec::new() };
    let mut evaluation = Evaluation {
        line: number,
        time,
        query: query.to_owned(),
        fail: (word == "eval_fail").then_some(Wanted::Any),
        warn: any(word == "eval_warn"),
        info: any(word == "eval_info"),
        no_warn: false,
        no_info: false,
        ordered: word == "eval_ordered",
        text: None,
        matrix: None,
        scalar: None,
        series: Vec::new(),
        expects_native: false,
    };
    for (number, line) in block {
        expectation(&mut evaluation, line).map_err(|e| error(*number, e))?;
    }
    Ok(evaluation)
}

/// `instant at 5m QUERY`, `instant QUERY` for the epoch, or `range from 0 to 10m step 1m QUERY`
fn head(text: &str) -> Result<(Time, &str), String> {
    if let Some(rest) = words(text, &["instant", "at "]) {
        let (at, query) = word(rest)?;
        return Ok((Time::Instant(signed_millis(at)?), query));
    }
    if let Some(query) = words(text, &["instant "]) {
        return Ok((Time::Instant(0), query));
    }
    let rest = words(text, &["range", "from"]).ok_or_else(|| format!("expected instant or range in {text:?}"))?;
    let (range, query) = steps(rest)?;
    Ok((Time::Range(range), query))
}

/// `0 to 10m step 1m` and what follows it.
fn steps(text: &str) -> Result<(Range, &str), String> {
    let (start, rest) = word(text)?;
    let (end, rest) = word(words(rest, &["to"]).ok_or("expected `to`")?)?;
    let rest = words(rest, &["step"]).ok_or("expected `step`")?;
    let (step, rest) = word(rest).unwrap_or((rest, ""));
    let step = Duration::from_millis(millis(step)?.unsigned_abs());
    Ok((Range { start: signed_millis(start)?, end: signed_millis(end)?, step }, rest))
}

fn words<'a>(text: &'a str, expected: &[&str]) -> Option<&'a str> {
    expected.iter().try_fold(text, |rest, word| rest.trim_start().strip_prefix(word)).map(str::trim_start)
}

fn word(text: &str) -> Result<(&str, &str), String> {
    let (word, rest) = text.split_once(char::is_whitespace).ok_or_else(|| format!("{text:?} ends too early"))?;
    Ok((word, rest.trim_start()))
}

fn millis(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok((seconds * 1e3).round() as i64);
    }
    let duration = parse_duration(text).map_err(|e| e.to_string())?;
    i64::try_from(duration.as_millis()).map_err(|e| e.to_string())
}

fn signed_millis(text: &str) -> Result<i64, String> {
    match text.strip_prefix('-') {
        Some(rest) => millis(rest).map(|millis| -millis),
        None => millis(text),
    }
}

fn expectation(evaluation: &mut Evaluation, line: &str) -> Result<(), String> {
    if let Some(rest) = line.strip_prefix("expect ") {
        return expect_line(evaluation, rest.trim());
    }
    if let Some(rest) = line.strip_prefix("expected_fail_message ") {
        evaluation.fail = Some(Wanted::Text(rest.trim().to_owned()));
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix("expected_fail_regexp ") {
        evaluation.fail = Some(Wanted::Pattern(rest.trim().to_owned()));
        return Ok(());
    }
    let sequence = match scalar(line) {
        Some(value) => {
            evaluation.scalar = Some(value);
            return Ok(());
        }
        None => parse_sequence(line)?,
    };
    evaluation.expects_native |= sequence.items.contains(&Item::Native);
    evaluation.series.push(sequence);
    Ok(())
}

/// A number alone on its line, as PromQL writes it.
fn scalar(line: &str) -> Option<f64> {
    let expr = crate::parse(line).ok()?;
    match expr.node(expr.root()).kind {
        crate::Kind::Number { value, .. } => Some(value),
        _ => None,
    }
}

fn expect_line(evaluation: &mut Evaluation, text: &str) -> Result<(), String> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match word {
        "fail" => evaluation.fail = Some(wanted(rest)),
        "warn" => evaluation.warn.push(wanted(rest)),
        "info" => evaluation.info.push(wanted(rest)),
        "no_warn" => evaluation.no_warn = true,
        "no_info" => evaluation.no_info = true,
        "ordered" => evaluation.ordered = true,
        "range" => {
            let text = words(rest, &["vector", "from"]).ok_or("expected `vector from`")?;
            evaluation.matrix = Some(steps(text)?.0);
        }
        "string" => evaluation.text = Some(unquoted(rest.trim())?),
        other => return Err(format!("unknown expectation {other:?}")),
    }
    Ok(())
}

fn wanted(text: &str) -> Wanted {
    let text = text.trim();
    if let Some(text) = text.strip_prefix("msg:") {
        Wanted::Text(text.trim().to_owned())
    } else if let Some(pattern) = text.strip_prefix("regex:") {
        Wanted::Pattern(pattern.trim().to_owned())
    } else {
        Wanted::Any
    }
}

/// A string as PromQL writes it.
fn unquoted(text: &str) -> Result<String, String> {
    let expr = crate::parse(text).map_err(|e| e.to_string())?;
    match &expr.node(expr.root()).kind {
        crate::Kind::Text(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        _ => Err(format!("{text:?} is not a string")),
    }
}
