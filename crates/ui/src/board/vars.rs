//! The variables of a dashboard: their values in the order in which they need each other, and what is chosen of them.

use std::collections::BTreeSet;

use dashboard::{
    AdHocFilter, Choice, Dashboard, Pattern, ResultRow, Scope, Selected, Selection, Syntax, TimeRange, Variable,
    VariableKind, VariableQuery, custom_choices, interval_choices, is_prometheus, matchers, order, query_choices,
    select,
};
use model::{Hints, Labels, METRIC_NAME, Matcher, Selection as Series, StorageError};
use promql::Value;

use crate::ask::Asker;
use crate::params::Params;

/// Series whose labels a variable that names a bare selector lists: as many as a box offers.
const SERIES_MAX: usize = 10_000;
/// What an address writes for all values.
const ALL: &str = "$__all";
/// The choice of an interval that fits the time, by its text.
const AUTO: &str = "auto";
/// The one data source there is.
const SOURCE: &str = "skep";

/// A variable with its values.
#[derive(Debug)]
pub(super) struct Box {
    /// Its place in [`Dashboard::variables`].
    pub(super) at: usize,
    pub(super) choices: Vec<Choice>,
    pub(super) selection: Selection,
    /// Filters of an ad hoc variable.
    pub(super) filters: Vec<AdHocFilter>,
    /// Why it has no values.
    pub(super) problem: String,
}

/// All of them, and what they make of texts.
#[derive(Debug)]
pub(super) struct Variables {
    pub(super) scope: Scope,
    /// In the order of the dashboard.
    pub(super) boxes: Vec<Box>,
    /// Matchers that are added to every selector.
    pub(super) matchers: Vec<String>,
}

/// What variables are asked with.
pub(super) struct Context<'a> {
    pub(super) asker: &'a Asker,
    pub(super) params: &'a Params,
    pub(super) range: &'a TimeRange,
    /// Whether only what is chosen is wanted: lists that the address makes needless are not asked for.
    pub(super) chosen_only: bool,
}

impl Variables {
    /// Asks for the values of all variables.
    pub(super) fn read(dashboard: &Dashboard, context: &Context<'_>, mut scope: Scope) -> Self {
        set_dashboard(&mut scope, dashboard);
        let (places, circle) = match order(&dashboard.variables) {
            Ok(places) => (places, String::new()),
            Err(error) => ((0..dashboard.variables.len()).collect(), error.to_string()),
        };
        let mut boxes = Vec::with_capacity(places.len());
        for at in places {
            let variable = &dashboard.variables[at];
            let found = match circle.is_empty() {
                true if context.is_needless(variable) => Ok(Vec::new()),
                true => context.choices(variable, &scope),
                false => Err(circle.clone()),
            };
            let (choices, problem) = match found {
                Ok(choices) => (choices, String::new()),
                Err(problem) => (Vec::new(), problem),
            };
            let selection = chosen(variable, &choices, context.params);
            let filters = filters(variable, context.params);
            if !matches!(variable.kind, VariableKind::AdHoc(_)) {
                scope.set(&variable.name, Selected::of(variable, &selection, &choices));
            }
            boxes.push(Box { at, choices, selection, filters, problem });
        }
        boxes.sort_by_key(|one| one.at);
        let all: Vec<AdHocFilter> = boxes.iter().flat_map(|one| one.filters.clone()).collect();
        Self { scope, boxes, matchers: matchers(&all) }
    }

    /// What is chosen of a variable.
    pub(super) fn selected(&self, name: &str) -> Option<Selected> {
        self.scope.get(name).cloned()
    }

    /// Whether the store has no values for one of them.
    pub(super) fn lacks_values(&self, dashboard: &Dashboard) -> bool {
        let asks = |one: &&Box| matches!(dashboard.variables[one.at].kind, VariableKind::Query(_));
        self.boxes.iter().filter(asks).any(|one| one.choices.is_empty())
    }

    /// The first variable of a query that has no value, by name.
    pub(super) fn without_value<'a>(&self, names: &'a [String]) -> Option<&'a str> {
        let is_empty = |name: &&String| {
            self.scope.get(name).is_some_and(|selected| selected.choices.is_empty() && selected.all_value.is_none())
        };
        names.iter().find(is_empty).map(String::as_str)
    }
}

/// The names that Grafana gives to every dashboard.
fn set_dashboard(scope: &mut Scope, dashboard: &Dashboard) {
    let names = [
        ("__dashboard", dashboard.title.as_str()),
        ("__dashboard.uid", &dashboard.uid),
        ("__org", "1"),
        ("__org.name", "Main Org."),
        ("__user", ""),
    ];
    for (name, value) in names {
        scope.set(name, Selected::one(Choice::same(value)));
    }
}

impl Context<'_> {
    /// Whether the address says all that is to be known of a variable.
    fn is_needless(&self, variable: &Variable) -> bool {
        let name = format!("var-{}", variable.name);
        let mut wanted = self.params.named(&name).peekable();
        let is_list = matches!(variable.kind, VariableKind::Query(_));
        let has_all = variable.all_value.as_ref().is_some_and(|all| !all.is_empty());
        self.chosen_only
            && is_list
            && wanted.peek().is_some()
            && wanted.all(|value| has_all || value != ALL && value != "All")
    }

    fn choices(&self, variable: &Variable, scope: &Scope) -> Result<Vec<Choice>, String> {
        let fill = |text: &str, syntax| scope.fill(text, syntax).map_err(|error| error.to_string());
        Ok(match &variable.kind {
            VariableKind::Query(text) => {
                let query = VariableQuery::parse(&fill(text, Syntax::PromQl)?).map_err(|error| error.to_string())?;
                let regex = fill(&variable.regex, Syntax::Regex)?;
                let answers = self.answers(&query)?;
                query_choices(&answers, &regex, variable.sort).map_err(|error| error.to_string())?
            }
            VariableKind::Custom(list) => custom_choices(&fill(list, Syntax::Plain)?),
            VariableKind::Constant(value) => vec![Choice::same(value)],
            VariableKind::Interval { choices, auto } => {
                interval_choices(&fill(choices, Syntax::Plain)?, auto.as_ref(), self.range)
            }
            VariableKind::Datasource { plugin } if plugin.is_empty() || is_prometheus(plugin) => {
                vec![Choice::same(SOURCE)]
            }
            VariableKind::Datasource { plugin } => {
                return Err(format!("skep answers as a Prometheus data source; it has none of the kind {plugin}."));
            }
            VariableKind::Text | VariableKind::AdHoc(_) => Vec::new(),
        })
    }

    fn answers(&self, query: &VariableQuery) -> Result<Vec<String>, String> {
        let said = |error: StorageError| error.to_string();
        match query {
            VariableQuery::LabelValues { selector, label } => {
                self.names(selector.as_deref(), |series| self.asker.storage().label_values(label, series).map_err(said))
            }
            VariableQuery::LabelNames { selector } => {
                self.names(selector.as_deref(), |series| self.asker.storage().label_names(series).map_err(said))
            }
            VariableQuery::Metrics { pattern } => {
                let pattern = Pattern::new(pattern).map_err(|error| error.to_string())?;
                let names =
                    self.names(None, |series| self.asker.storage().label_values(METRIC_NAME, series).map_err(said))?;
                Ok(names.into_iter().filter(|name| pattern.is_match(name)).collect())
            }
            VariableQuery::QueryResult { expr } => self.results(expr),
            VariableQuery::Series { selector } => self.names(Some(selector), |series| {
                let set = self.asker.storage().select(series).map_err(said)?;
                let texts: BTreeSet<String> = set
                    .series
                    .iter()
                    .take(SERIES_MAX)
                    .map(|series| crate::format::series_name(series.labels()))
                    .collect();
                Ok(texts.into_iter().collect())
            }),
        }
    }

    /// Asks for names among the series that a selector finds in the time shown.
    fn names(
        &self,
        selector: Option<&str>,
        ask: impl FnOnce(&Series<'_>) -> Result<Vec<String>, String>,
    ) -> Result<Vec<String>, String> {
        let parse = |text: &str| promql::parse_selector(text).map_err(|error| format!("{text}: {error}"));
        let matchers: Vec<Matcher> = selector.map(parse).transpose()?.unwrap_or_default();
        let hints = Hints { labels_only: true, ..Hints::default() };
        let (min_time, max_time) = (self.range.from_ms, self.range.to_ms);
        ask(&Series { matchers: &matchers, min_time, max_time, hints })
    }

    fn results(&self, expr: &str) -> Result<Vec<String>, String> {
        let time_ms = self.range.to_ms;
        let row = |labels: &Labels, value: f64| {
            let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            ResultRow { labels, value: crate::format::exact(value), time_ms }.text()
        };
        match self.asker.instant(expr, time_ms).map_err(|error| error.to_string())?.value {
            Value::Vector(points) => Ok(points.iter().map(|point| row(&point.labels, point.sample.value)).collect()),
            Value::Scalar(sample) => Ok(vec![row(&Labels::empty(), sample.value)]),
            Value::String { text, .. } => Ok(vec![text]),
            Value::Matrix(_) => Err(format!("{expr} is a range of values; query_result takes one at a time")),
        }
    }
}

/// What an address says of a variable, else the file; as far as it is there. An address may name what is not there: it may be
/// there again later, and Grafana keeps it, too.
fn chosen(variable: &Variable, choices: &[Choice], params: &Params) -> Selection {
    let name = format!("var-{}", variable.name);
    let wanted: Vec<&str> = params.named(&name).collect();
    if let VariableKind::Constant(value) = &variable.kind {
        return Selection::Values(vec![Choice::same(value)]);
    }
    if matches!(variable.kind, VariableKind::Text) {
        return match wanted.first() {
            Some(text) => Selection::Values(vec![Choice::same(*text)]),
            None => variable.current.clone(),
        };
    }
    if wanted.is_empty() {
        return select(variable, choices, &variable.current);
    }
    if variable.include_all && wanted.iter().any(|value| *value == ALL || *value == "All") {
        return Selection::All;
    }
    let found = |value: &&str| {
        let is_auto = value.starts_with("$__auto") && matches!(variable.kind, VariableKind::Interval { .. });
        let wanted = if is_auto { AUTO } else { value };
        let by_value = choices.iter().find(|choice| choice.value == wanted);
        by_value.or_else(|| choices.iter().find(|choice| choice.text == wanted)).cloned()
    };
    let limit = if variable.multi { usize::MAX } else { 1 };
    let values = wanted.iter().filter(|value| !value.is_empty()).take(limit);
    Selection::Values(values.map(|value| found(value).unwrap_or_else(|| Choice::same(*value))).collect())
}

/// Filters of an ad hoc variable: `var-NAME=label|operator|value`, else the file's.
fn filters(variable: &Variable, params: &Params) -> Vec<AdHocFilter> {
    let VariableKind::AdHoc(own) = &variable.kind else { return Vec::new() };
    let name = format!("var-{}", variable.name);
    let wanted: Vec<&str> = params.named(&name).collect();
    if wanted.is_empty() {
        return own.clone();
    }
    wanted.into_iter().filter_map(filter).collect()
}

fn filter(text: &str) -> Option<AdHocFilter> {
    let parts: Vec<String> = text.split('|').map(|part| part.replace("__gfp__", "|")).collect();
    let [key, operator, value, more @ ..] = &parts[..] else { return None };
    let is_known = matches!(operator.as_str(), "=" | "!=" | "=~" | "!~");
    let is_label = model::is_valid_label_name(key);
    (is_known && is_label).then(|| AdHocFilter {
        key: key.clone(),
        operator: operator.clone(),
        value: value.clone(),
        values: more.to_vec(),
    })
}

/// The expression with matchers added to every selector of it. One that is not PromQL stays as it is, and its error with it.
pub(super) fn with_matchers(expr: &str, matchers: &[String]) -> String {
    if matchers.is_empty() {
        return expr.to_owned();
    }
    let Ok(parsed) = promql::parse(expr) else { return expr.to_owned() };
    let added = matchers.join(",");
    let selectors = parsed.nodes().filter_map(|(_, node)| match &node.kind {
        promql::Kind::Vector(selector) => Some((node.position.start as usize, selector)),
        _ => None,
    });
    let mut places: Vec<(usize, String)> =
        selectors.filter_map(|(start, selector)| place(expr, start, &selector.name, &added)).collect();
    places.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut out = expr.to_owned();
    for (at, text) in places {
        out.insert_str(at, &text);
    }
    out
}

/// Where matchers go in a selector that begins here: behind its brace, or, with braces of their own, behind its name.
fn place(expr: &str, start: usize, name: &str, added: &str) -> Option<(usize, String)> {
    let text = expr.get(start..)?;
    let after = text.strip_prefix(name).unwrap_or(text);
    let offset = start + text.len() - after.len();
    let spaces = after.len() - after.trim_start().len();
    match after.trim_start().strip_prefix('{') {
        Some(inner) => {
            let comma = if inner.trim_start().starts_with('}') { "" } else { "," };
            Some((offset + spaces + 1, format!("{added}{comma}")))
        }
        None => Some((offset, format!("{{{added}}}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_reach_every_selector() {
        let matchers = ["a=\"b\"".to_owned(), "c!=\"d\"".to_owned()];
        let check = |expr: &str, expected: &str| {
            let with = with_matchers(expr, &matchers);
            assert_eq!(with, expected);
            assert_eq!(promql::parse(&with).is_ok(), promql::parse(expr).is_ok(), "{with}");
        };
        check("up", r#"up{a="b",c!="d"}"#);
        check("up{}", r#"up{a="b",c!="d"}"#);
        check("up {x=\"{\"}", r#"up {a="b",c!="d",x="{"}"#);
        check("sum(rate(x[5m])) / {y=\"1\"}", r#"sum(rate(x{a="b",c!="d"}[5m])) / {a="b",c!="d",y="1"}"#);
        check("up offset 5m", r#"up{a="b",c!="d"} offset 5m"#);
        check("1 +", "1 +");
        assert_eq!(with_matchers("up", &[]), "up");
    }

    #[test]
    fn addresses_choose() {
        let choices: Vec<Choice> = ["a", "b"].map(Choice::same).into();
        let variable = |multi, include_all| Variable {
            name: "v".to_owned(),
            kind: VariableKind::Query("x".to_owned()),
            multi,
            include_all,
            ..Variable::default()
        };
        let check = |query: &str, variable: &Variable, expected: &[&str]| {
            let found = match chosen(variable, &choices, &Params::parse(Some(query))) {
                Selection::All => vec!["all".to_owned()],
                Selection::Values(values) => values.into_iter().map(|choice| choice.value).collect(),
            };
            assert_eq!(found, expected, "{query}");
        };
        check("", &variable(false, false), &["a"]);
        check("", &variable(true, true), &["all"]);
        check("var-v=b", &variable(false, false), &["b"]);
        check("var-v=b&var-v=a", &variable(true, false), &["b", "a"]);
        check("var-v=b&var-v=a", &variable(false, false), &["b"]);
        check("var-v=$__all", &variable(true, true), &["all"]);
        check("var-v=gone", &variable(true, true), &["gone"]);
    }

    #[test]
    fn addresses_filter() {
        let adhoc = Variable { name: "f".to_owned(), kind: VariableKind::AdHoc(Vec::new()), ..Variable::default() };
        let check = |query: &str, expected: &[&str]| {
            assert_eq!(matchers(&filters(&adhoc, &Params::parse(Some(query)))), expected, "{query}");
        };
        check("var-f=pod%7C=%7Ca", &["pod=\"a\""]);
        check("var-f=pod%7C=~%7Ca__gfp__b&var-f=ns%7C!=%7Cx", &["pod=~\"a|b\"", "ns!=\"x\""]);
        check("var-f=pod", &[]);
        check("var-f=p%22od%7C=%7Ca", &[]);
        check("var-f=pod%7C~%7Ca", &[]);
    }
}
