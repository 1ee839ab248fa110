//! `skep query`: asks a server and prints the answer as a table, as small charts, or for programs.

mod print;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use client::Client;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::runtime;

/// A query may run for two minutes on the server, and its answer is read behind it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(150);

/// A terminal shows far less; programs that want more ask the API.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Points of a chart where no step is given.
const CHART_POINTS: u32 = 60;

/// What to ask, and how to show the answer.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) expr: String,
    pub(crate) url: String,
    pub(crate) when: When,
    pub(crate) format: Format,
}

/// The times of a query, as the server reads them.
#[derive(Debug)]
pub(crate) enum When {
    At(Option<String>),
    Range {
        start: String,
        end: Option<String>,
        step: Option<String>,
    },
    /// Up to now.
    Last {
        span: Duration,
        step: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
    Csv,
}

/// Asks and prints; an error of the query is one of the command.
pub(crate) fn query(options: &Options) -> Result<bool> {
    let (path, parameters) = parameters(options)?;
    let url = format!("{}{path}", options.url.trim_end_matches('/'));
    let answer = ask(&url, &parameters)?;
    for kind in ["warnings", "infos"] {
        let notes = answer[kind].as_array().into_iter().flatten();
        notes.filter_map(Value::as_str).for_each(|note| crate::complain(&note));
    }
    if let Some(error) = answer["error"].as_str() {
        bail!("{error}");
    }
    let data = &answer["data"];
    crate::say(&match options.format {
        Format::Json => format!("{data}\n"),
        Format::Csv => print::csv(data),
        Format::Text => print::text(data),
    });
    Ok(true)
}

type Parameters = Vec<(&'static str, String)>;

fn parameters(options: &Options) -> Result<(&'static str, Parameters)> {
    let mut parameters = vec![("query", options.expr.clone())];
    let path = match &options.when {
        When::At(time) => {
            parameters.extend(time.clone().map(|time| ("time", time)));
            "/api/v1/query"
        }
        When::Range { start, end, step } => {
            let end = end.clone().map_or_else(|| now().map(|now| now.to_string()), Ok)?;
            let step = step.clone().or_else(|| step_between(start, &end));
            let step = step.context("give a --step, such as 15s")?;
            parameters.extend([("start", start.clone()), ("end", end), ("step", step)]);
            "/api/v1/query_range"
        }
        When::Last { span, step } => {
            let end = now()?;
            let step = step.clone().unwrap_or_else(|| chart_step(*span));
            let start = end - span.as_secs_f64();
            parameters.extend([("start", start.to_string()), ("end", end.to_string()), ("step", step)]);
            "/api/v1/query_range"
        }
    };
    Ok((path, parameters))
}

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs_f64())
}

/// Whole seconds, so that times look tidy.
fn chart_step(span: Duration) -> String {
    (span / CHART_POINTS).as_secs().max(1).to_string()
}

/// Where both are numbers; dates are the server's to read.
fn step_between(start: &str, end: &str) -> Option<String> {
    let seconds = end.parse::<f64>().ok()? - start.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok().map(chart_step)
}

fn ask(url: &str, parameters: &Parameters) -> Result<Value> {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let request = Request::post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.into());
    let request = request.with_context(|| format!("{url:?} is not a URL, such as http://127.0.0.1:9090"))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let (head, body) = runtime
        .block_on(Client::new().fetch(request, ANSWER_TIME_MAX, ANSWER_BYTES_MAX))
        .with_context(|| format!("{url} does not answer; is a server running there? --url names another one"))?;
    serde_json::from_slice(&body)
        .with_context(|| format!("{url} answers {} and no JSON: is it a Prometheus API?", head.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(when: When, expected: Result<&[&str], &str>) {
        let options = Options { expr: "up".to_owned(), url: String::new(), when, format: Format::Text };
        let got = parameters(&options).map(|(path, parameters)| {
            let pairs = parameters.into_iter().map(|(name, value)| format!("{name}={value}"));
            [path.to_owned()].into_iter().chain(pairs).collect::<Vec<_>>()
        });
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected),
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn times_become_parameters() {
        let text = |text: &str| Some(text.to_owned());
        let range = |start: &str, end, step| When::Range { start: start.to_owned(), end, step };
        check(When::At(None), Ok(&["/api/v1/query", "query=up"]));
        check(When::At(text("4")), Ok(&["/api/v1/query", "query=up", "time=4"]));
        let expected = ["/api/v1/query_range", "query=up", "start=0", "end=3600", "step=60"];
        check(range("0", text("3600"), None), Ok(&expected));
        let dates = "2026-01-01T00:00:00Z";
        check(range(dates, text(dates), None), Err("give a --step, such as 15s"));
    }
}
