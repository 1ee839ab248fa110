//! An alert made in a form: an expression, a threshold, a duration and who is told, with a preview of now and of the last days.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::parse_duration;
use model::status::OwnRule;

use super::backtest::{self, Outcome};
use super::fields::Fields;
use super::threshold::Split;
use super::{Tab, fields};
use crate::Ui;
use crate::chart::Grid;
use crate::format::{exact, series_name};
use crate::overview::Chart;
use crate::page::{Shell, respond};
use crate::params::Params;
use crate::problem::Problem;

/// Points of the picture that a page carries for readers without scripts.
const PICTURE_POINTS: usize = 240;

/// Series of the preview; the rest is counted.
const SERIES_MAX: usize = 10;

/// Comparisons and their words.
const OPS: [(&str, &str); 7] = [
    (">", "is above"),
    (">=", "is at least"),
    ("<", "is below"),
    ("<=", "is at most"),
    ("==", "is"),
    ("!=", "is not"),
    ("", "gives anything"),
];

const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

const HOLDS: [&str; 6] = ["0s", "1m", "5m", "10m", "15m", "1h"];

#[derive(Template)]
#[template(path = "alert_edit.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    form: Form,
    error: String,
    preview: Option<Preview>,
    receivers: Vec<String>,
    ops: [(&'static str, &'static str); 7],
    severities: [&'static str; 3],
    holds: [&'static str; 6],
    days: [u32; 5],
}

/// What the alert would be now and would have been.
struct Preview {
    expr: String,
    chart: Chart,
    data_query: String,
    now: Vec<(String, String)>,
    total: usize,
    backtest: Outcome,
}

/// What somebody typed.
#[derive(Default)]
struct Form {
    /// The rule that is changed; empty for a new one.
    old: String,
    name: String,
    expr: String,
    op: String,
    threshold: String,
    hold: String,
    keep_firing: String,
    severity: String,
    receiver: String,
    summary: String,
    days: u32,
}

impl Form {
    fn read(params: &Params) -> Self {
        let text = |name| params.get(name).unwrap_or_default().trim().to_owned();
        let or = |name, default: &str| params.get(name).unwrap_or(default).trim().to_owned();
        let op = if params.get("expr").is_some() { text("op") } else { or("op", ">") };
        let days = params.get("days").and_then(|days| days.parse().ok()).filter(|days| backtest::DAYS.contains(days));
        Self {
            old: text("old"),
            name: text("name"),
            expr: text("expr"),
            op,
            threshold: text("threshold"),
            hold: or("for", "5m"),
            keep_firing: text("keep_firing_for"),
            severity: or("severity", "warning"),
            receiver: text("receiver"),
            summary: text("summary"),
            days: days.unwrap_or(7),
        }
    }

    /// A rule as the form shows it.
    fn of(rule: &OwnRule) -> Self {
        let split = Split::new(&rule.expr, true);
        let duration = |duration: Duration| model::format_duration(duration);
        Self {
            old: rule.name.clone(),
            name: rule.name.clone(),
            expr: split.value,
            op: split.op.to_owned(),
            threshold: split.threshold,
            hold: duration(rule.hold),
            keep_firing: if rule.keep_firing.is_zero() { String::new() } else { duration(rule.keep_firing) },
            severity: rule.severity.clone(),
            receiver: rule.receiver.clone(),
            summary: rule.summary.clone(),
            days: 7,
        }
    }

    /// The rule that it describes, and what stands in its way.
    fn rule(&self) -> Result<OwnRule, String> {
        let duration = |field: &str, text: &str| match text {
            "" => Ok(Duration::ZERO),
            text => parse_duration(text).map_err(|e| format!("{field}: {e}; write one such as 5m")),
        };
        if self.expr.is_empty() {
            return Err("expr: choose a metric, or write an expression".to_owned());
        }
        let expr = match (self.op.as_str(), self.threshold.as_str()) {
            ("", _) => self.expr.clone(),
            (_, "") => return Err("threshold: write the number to compare with".to_owned()),
            (op, number) => format!(
                "{} {op} {}",
                bracketed(&self.expr),
                number.parse::<f64>().map(|_| number).map_err(|_| format!("threshold: {number:?} is no number"))?
            ),
        };
        Ok(OwnRule {
            name: self.name.clone(),
            expr,
            hold: duration("for", &self.hold)?,
            keep_firing: duration("keep_firing_for", &self.keep_firing)?,
            severity: self.severity.clone(),
            receiver: self.receiver.clone(),
            summary: self.summary.clone(),
        })
    }
}

/// An expression that a comparison may follow: what binds less than a comparison gets brackets.
fn bracketed(expr: &str) -> String {
    let is_loose = promql::parse(expr).is_ok_and(|parsed| {
        matches!(&parsed.node(parsed.root()).kind, promql::Kind::Binary { op, .. } if op.is_set() || op.is_comparison())
    });
    if is_loose { format!("({expr})") } else { expr.to_owned() }
}

/// The handler of the form and its preview.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let asked = params.get("old").filter(|_| params.get("expr").is_none());
    let form = match asked.map(|old| (old, ui.state.rules.own().into_iter().find(|rule| rule.name == old))) {
        None => Form::read(&params),
        Some((_, Some(rule))) => Form::of(&rule),
        Some((old, None)) => {
            let detail = format!("No rule that was made on a page is called {old:?}.");
            return Problem::new(StatusCode::NOT_FOUND, "There is no such rule", detail).respond(&ui, &headers);
        }
    };
    show(&ui, &params, form, String::new(), StatusCode::OK, &headers).await
}

async fn show(
    ui: &Arc<Ui>,
    params: &Params,
    form: Form,
    error: String,
    status: StatusCode,
    headers: &HeaderMap,
) -> Response {
    let (preview, error) = match form.rule() {
        // An empty form has no mistake yet.
        Err(_) if form.expr.is_empty() => (None, error),
        Err(mistake) => (None, if error.is_empty() { mistake } else { error }),
        Ok(rule) => match Preview::new(ui, &rule, form.days).await {
            Ok(Ok(preview)) => (Some(preview), error),
            Ok(Err(mistake)) => (None, if error.is_empty() { mistake } else { error }),
            Err(problem) => return problem.respond(ui, headers),
        },
    };
    let view = ui.state.notifications.view().await.unwrap_or_default();
    let receivers = view.receiver_names(&form.receiver);
    let title = if form.old.is_empty() { "New alert" } else { "Change an alert" };
    let shell = Shell::new(ui, params, "/alerts", title);
    let page = Page {
        shell,
        tab: Tab::None,
        form,
        error,
        preview,
        receivers,
        ops: OPS,
        severities: SEVERITIES,
        holds: HOLDS,
        days: backtest::DAYS,
    };
    respond(status, headers, page.render())
}

impl Preview {
    /// The chart of the last day, what the expression gives now, and a backtest; the inner error is the expression's.
    async fn new(ui: &Ui, rule: &OwnRule, days: u32) -> Result<Result<Self, String>, Problem> {
        let now = ui.state.clock.now();
        let interval = ui.state.config.interval;
        let grid = Grid::new(now - 86_400_000, now, PICTURE_POINTS, interval);
        let split = Split::new(&rule.expr, false);
        let (expressions, data_query) = split.expressions();
        let expr = rule.expr.clone();
        let asked = ui.ask(move |asker| {
            asker.instant(&expr, now).map_err(|e| format!("expr: {e}"))?;
            let words = ("The last day", "The expression gives nothing: check its names.");
            let chart = Chart::of_expressions(words, asker, &expressions, grid, interval);
            Ok((chart, asker.values(&expr, now)))
        });
        let (chart, values) = match asked.await? {
            Ok(asked) => asked,
            Err(mistake) => return Ok(Err(mistake)),
        };
        let backtest = backtest::run(ui, &rule.expr, rule.hold, rule.keep_firing, None, days).await?;
        let line = |(labels, value): &(model::Labels, f64)| (series_name(labels), exact(*value));
        Ok(Ok(Self {
            expr: rule.expr.clone(),
            chart,
            data_query,
            total: values.len(),
            now: values.iter().take(SERIES_MAX).map(line).collect(),
            backtest,
        }))
    }
}

/// The handler that keeps the rule.
pub(crate) async fn save(State(ui): State<Arc<Ui>>, headers: HeaderMap, Fields(params): Fields) -> Response {
    let form = Form::read(&params);
    let old = Some(form.old.clone()).filter(|old| !old.is_empty());
    let result = match form.rule() {
        Ok(rule) => Arc::clone(&ui.state.rules).set_own(old, rule).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => fields::see_other(&ui, &ui.own_path(&form.name)),
        Err(error) => show(&ui, &params, form, error, StatusCode::UNPROCESSABLE_ENTITY, &headers).await,
    }
}

/// The handler that takes the rule away.
pub(crate) async fn delete(State(ui): State<Arc<Ui>>, headers: HeaderMap, Fields(params): Fields) -> Response {
    let name = params.get("name").unwrap_or_default().to_owned();
    let result = Arc::clone(&ui.state.rules).remove_own(name).await;
    fields::done(&ui, &headers, result, "/alerts/rules")
}

impl Ui {
    /// The page of a rule that was made here, below the prefix.
    fn own_path(&self, name: &str) -> String {
        let groups = self.state.rules.groups();
        let found = groups.iter().filter(|group| group.file.ends_with("rules/own.yml")).find_map(|group| {
            let place = group.rules.iter().position(|rule| rule.name == name)?;
            Some(super::rule_link("", &group.file, &group.name, place, name))
        });
        found.unwrap_or_else(|| "/alerts/rules".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(expr: &str, op: &str, threshold: &str) -> Form {
        let (expr, op, threshold) = (expr.to_owned(), op.to_owned(), threshold.to_owned());
        Form { expr, op, threshold, ..Form::default() }
    }

    #[test]
    fn a_form_is_a_rule() {
        let check = |form: Form, expected: &str| {
            let got = form.rule().map(|rule| rule.expr).unwrap_or_else(|error| error);
            assert_eq!(got, expected);
        };
        check(form("up", "==", "0"), "up == 0");
        check(form("a or b", ">", "1.5"), "(a or b) > 1.5");
        check(form("a + b", ">", "1"), "a + b > 1");
        check(form("a > 1 and b", "", ""), "a > 1 and b");
        check(form("up", ">", ""), "threshold: write the number to compare with");
        check(form("up", ">", "x"), "threshold: \"x\" is no number");
        check(form("", ">", "1"), "expr: choose a metric, or write an expression");
        check(
            Form { hold: "5x".to_owned(), ..form("up", ">", "1") },
            "for: unknown unit \"x\" in duration \"5x\"; write one such as 5m",
        );
    }

    #[test]
    fn a_rule_comes_back_into_the_form() {
        for expr in ["up == 0", "sum by (a) (x) > 5", "a > 1 and b", "absent(up)"] {
            let rule = OwnRule { expr: expr.to_owned(), ..OwnRule::default() };
            assert_eq!(Form::of(&rule).rule().unwrap().expr, expr);
        }
    }
}
