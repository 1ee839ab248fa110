//! Texts with their variables filled in: queries, titles, addresses, patterns.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use thiserror::Error;

use super::format::{Values, VariableFormat, escape_prometheus};
use super::interval::{Steps, step_text};
use super::time::{TimeRange, point};
use super::{AdHocFilter, Choice, Selection, Variable};

/// Longest text that comes out: ten thousand names of pods, which PromQL and its patterns still take.
pub const FILLED_BYTES_MAX: usize = 1 << 20;

/// Values for all in values for all; more is a circle.
const DEPTH_MAX: usize = 8;

/// The text is longer than a query can be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("with its variables filled in, the text is longer than {FILLED_BYTES_MAX} bytes; choose fewer values")]
pub struct TooLong;

/// What a text is for, which says how values without a format of their own are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// A query or selector of PromQL.
    PromQl,
    /// A title or other text that is read.
    Text,
    /// An address.
    Url,
    /// A pattern.
    Regex,
    /// Anything else.
    Plain,
}

/// A variable with what is chosen of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// What is chosen; all values, where all are.
    pub choices: Vec<Choice>,
    /// Whether all are chosen.
    pub all: bool,
    /// What stands for all of them, as it is.
    pub all_value: Option<String>,
    /// Whether several can be chosen, so that they are written as a pattern.
    pub many: bool,
}

impl Selected {
    /// What is chosen of a variable, of the values it can have.
    pub fn of(variable: &Variable, selection: &Selection, choices: &[Choice]) -> Self {
        let (chosen, all) = match selection {
            Selection::All => (choices.to_vec(), true),
            Selection::Values(values) => (values.clone(), false),
        };
        let many = variable.multi || variable.include_all;
        Self { choices: chosen, all, all_value: variable.all_value.clone(), many }
    }

    /// One value, as a repeated panel has it.
    pub fn one(choice: Choice) -> Self {
        Self { choices: vec![choice], ..Self::default() }
    }
}

/// What names stand for.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    variables: BTreeMap<String, Selected>,
    range: Option<TimeRange>,
    steps: Option<Steps>,
    zone: Option<TimeZone>,
}

impl Scope {
    /// A scope without variables, for a time.
    pub fn new(range: TimeRange, zone: TimeZone) -> Self {
        Self { range: Some(range), zone: Some(zone), ..Self::default() }
    }

    /// Gives a variable its value; an older one of the name is forgotten.
    pub fn set(&mut self, name: &str, selected: Selected) {
        self.variables.insert(name.to_owned(), selected);
    }

    /// What a variable has.
    pub fn get(&self, name: &str) -> Option<&Selected> {
        self.variables.get(name)
    }

    /// The same scope for a query with these steps.
    pub fn with_steps(&self, steps: Steps) -> Self {
        Self { steps: Some(steps), ..self.clone() }
    }

    /// The same scope for another time, as a panel may have one of its own.
    pub fn with_range(&self, range: TimeRange) -> Self {
        Self { range: Some(range), ..self.clone() }
    }

    /// The text with its variables filled in; names that nothing has stay as they are.
    pub fn fill(&self, text: &str, syntax: Syntax) -> Result<String, TooLong> {
        self.filled(text, syntax, 0)
    }

    fn filled(&self, text: &str, syntax: Syntax, depth: usize) -> Result<String, TooLong> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(found) = Reference::find(rest) {
            out.push_str(&rest[..found.start]);
            match self.value(&found, syntax, depth)? {
                Some(value) => out.push_str(&value),
                None => out.push_str(&rest[found.start..found.end]),
            }
            rest = &rest[found.end..];
            if out.len() > FILLED_BYTES_MAX {
                return Err(TooLong);
            }
        }
        out.push_str(rest);
        if out.len() > FILLED_BYTES_MAX { Err(TooLong) } else { Ok(out) }
    }

    fn value(&self, found: &Reference<'_>, syntax: Syntax, depth: usize) -> Result<Option<String>, TooLong> {
        let Some(selected) = self.selected(found) else { return Ok(self.built_in(found)) };
        let format = match found.format {
            Some(format) => VariableFormat::parse(format).unwrap_or(VariableFormat::Glob),
            None => default_format(syntax),
        };
        let is_shown = matches!(format, VariableFormat::Text | VariableFormat::QueryParam);
        if selected.all && is_shown {
            return Ok(Some(all_text(found.name, &format)));
        }
        if let Some(all) = selected.all_value.as_ref().filter(|_| selected.all) {
            return if depth < DEPTH_MAX {
                self.filled(all, syntax, depth + 1).map(Some)
            } else {
                Ok(Some(all.clone()))
            };
        }
        let values = self.values(found.name, &selected.choices, selected.many);
        Ok(Some(values.write(&format)))
    }

    /// What a name stands for. A path behind it is a name of its own where one is set (`__user.login`), else it is passed over.
    fn selected(&self, found: &Reference<'_>) -> Option<&Selected> {
        let whole = found.path.and_then(|path| self.variables.get(&format!("{}.{path}", found.name)));
        whole.or_else(|| self.variables.get(found.name))
    }

    fn values<'a>(&'a self, name: &'a str, choices: &'a [Choice], many: bool) -> Values<'a> {
        Values { name, choices, many, zone: self.zone.as_ref() }
    }

    /// Names that every dashboard has.
    fn built_in(&self, found: &Reference<'_>) -> Option<String> {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        let range = self.range.as_ref();
        let steps = self.steps.as_ref();
        Some(match found.name {
            "__from" => point(range?.from_ms, found.format, &zone),
            "__to" => point(range?.to_ms, found.format, &zone),
            "__range" => format!("{}s", range?.length_s()),
            "__range_s" => range?.length_s().to_string(),
            "__range_ms" => range?.length_ms().to_string(),
            "__interval" => step_text(steps?.interval_ms),
            "__interval_ms" => steps?.interval_ms.to_string(),
            "__rate_interval" => step_text(steps?.rate_interval_ms),
            "__rate_interval_ms" => steps?.rate_interval_ms.to_string(),
            "__timezone" => zone.iana_name().unwrap_or("utc").to_owned(),
            "__url_time_range" => format!("from={}&to={}", range?.from_ms, range?.to_ms),
            "__all_variables" => self.parameters(),
            // A condition of SQL: PromQL has the time of its own.
            "timeFilter" | "__timeFilter" => String::new(),
            _ => return None,
        })
    }

    /// Every variable as addresses have them.
    fn parameters(&self) -> String {
        let one = |(name, selected): (&String, &Selected)| match selected.all {
            true => all_text(name, &VariableFormat::QueryParam),
            false => self.values(name, &selected.choices, true).write(&VariableFormat::QueryParam),
        };
        let is_own = |(name, _): &(&String, &Selected)| !name.starts_with("__");
        self.variables.iter().filter(is_own).map(one).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("&")
    }
}

fn all_text(name: &str, format: &VariableFormat) -> String {
    match format {
        VariableFormat::QueryParam => format!("var-{}=%24__all", super::format::percent(name)),
        _ => "All".to_owned(),
    }
}

fn default_format(syntax: Syntax) -> VariableFormat {
    match syntax {
        Syntax::PromQl => VariableFormat::Prometheus,
        Syntax::Text => VariableFormat::Text,
        Syntax::Url => VariableFormat::PercentEncode,
        Syntax::Regex => VariableFormat::Regex,
        Syntax::Plain => VariableFormat::Glob,
    }
}

/// Names of variables in a text, in their order, with repetitions.
pub fn references(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(found) = Reference::find(rest) {
        names.push(found.name.to_owned());
        rest = &rest[found.end..];
    }
    names
}

/// Matchers of the ad hoc variables as PromQL writes them, for who adds them to the selectors of a query.
pub fn matchers(filters: &[AdHocFilter]) -> Vec<String> {
    let one = |filter: &AdHocFilter| {
        let values = filter.values.iter().map(|value| Choice::same(value.as_str())).collect::<Vec<_>>();
        let several = || {
            let values = Values { name: "", choices: &values, many: true, zone: None };
            values.write(&VariableFormat::Prometheus)
        };
        match filter.operator.as_str() {
            "=|" => format!("{}=~\"{}\"", filter.key, several()),
            "!=|" => format!("{}!~\"{}\"", filter.key, several()),
            operator => format!("{}{operator}\"{}\"", filter.key, escape_prometheus(&filter.value)),
        }
    };
    filters.iter().filter(|filter| !filter.key.is_empty()).map(one).collect()
}

/// A name in a text: `$name`, `${name}`, `${name:format}`, `${name.field:format}`, `[[name]]` or `[[name:format]]`.
struct Reference<'a> {
    start: usize,
    end: usize,
    name: &'a str,
    /// What stands behind a dot.
    path: Option<&'a str>,
    format: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// The first one.
    fn find(text: &'a str) -> Option<Self> {
        let mut from = 0;
        loop {
            let start = from + text[from..].find(['$', '['])?;
            let rest = &text[start..];
            let found = rest.strip_prefix("${").map(|inner| Self::braced(inner, start + 2));
            let found = found.or_else(|| rest.strip_prefix("[[").map(|inner| Self::bracketed(inner, start + 2)));
            let found = found.unwrap_or_else(|| rest.strip_prefix('$').and_then(|inner| Self::bare(inner, start + 1)));
            if let Some(found) = found {
                return Some(Self { start, ..found });
            }
            from = start + 1;
        }
    }

    fn bare(inner: &'a str, at: usize) -> Option<Self> {
        let name = word(inner);
        (!name.is_empty()).then(|| Self { start: 0, end: at + name.len(), name, path: None, format: None })
    }

    fn braced(inner: &'a str, at: usize) -> Option<Self> {
        let (content, _) = inner.split_once('}')?;
        let name = word(content);
        let rest = &content[name.len()..];
        let path = rest.strip_prefix('.').map(|path| &path[..path.find(':').unwrap_or(path.len())]);
        let rest = path.map_or(rest, |path| &rest[1 + path.len()..]);
        let format = rest.strip_prefix(':').filter(|format| !format.is_empty());
        let is_whole = rest.is_empty() || format.is_some();
        (!name.is_empty() && is_whole).then(|| Self { start: 0, end: at + content.len() + 1, name, path, format })
    }

    fn bracketed(inner: &'a str, at: usize) -> Option<Self> {
        let (content, _) = inner.split_once("]]")?;
        let name = word(content);
        let rest = &content[name.len()..];
        let format = rest.strip_prefix(':').filter(|format| !format.is_empty() && word(format).len() == format.len());
        let is_whole = rest.is_empty() || format.is_some();
        (!name.is_empty() && is_whole).then(|| Self { start: 0, end: at + content.len() + 2, name, path: None, format })
    }
}

fn word(text: &str) -> &str {
    let end = text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let range = TimeRange { from_ms: 1_594_671_549_254, to_ms: 1_594_675_149_254 };
        let mut scope = Scope::new(range, TimeZone::UTC);
        let many = |values: &[&str]| Selected {
            choices: values.iter().copied().map(Choice::same).collect(),
            many: true,
            ..Selected::default()
        };
        scope.set("one", Selected::one(Choice { text: "One".to_owned(), value: "a.b\"c\\d".to_owned() }));
        scope.set("one.own", Selected::one(Choice::same("property")));
        scope.set("host", Selected::one(Choice::same("10.0.0.1:9100")));
        scope.set("multi", many(&["a.b", "c|d"]));
        scope.set("single", many(&["a.b"]));
        scope.set("none", many(&[]));
        scope.set("quotes", many(&["it's", "\"q\""]));
        scope.set("all", Selected { all: true, ..many(&["x", "y"]) });
        scope.set("custom", Selected { all: true, all_value: Some("cilium.*".to_owned()), ..many(&["x", "y"]) });
        scope.set("nested", Selected { all: true, all_value: Some("$host.*".to_owned()), ..many(&["x"]) });
        scope.set("loop", Selected { all: true, all_value: Some("$loop".to_owned()), ..many(&["x"]) });
        scope.set("matcher", Selected::one(Choice::same("job=\"x\"")));
        scope.with_steps(Steps { interval_ms: 30_000, rate_interval_ms: 90_000, step_ms: 60_000 })
    }

    fn check(syntax: Syntax, text: &str, expected: &str) {
        assert_eq!(scope().fill(text, syntax).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn queries_are_filled() {
        let check = |text: &str, expected: &str| check(Syntax::PromQl, text, expected);
        check("up{a=\"$one\"}", r#"up{a="a.b\"c\\d"}"#);
        check("up{a=\"${host}\"}", "up{a=\"10.0.0.1:9100\"}");
        check("up{a=~\"$multi\"}", r#"up{a=~"(a\\.b|c\\|d)"}"#);
        check("up{a=~\"[[single]]\"}", r#"up{a=~"a\\.b"}"#);
        check("up{a=~\"$none\"}", "up{a=~\"\"}");
        check("up{a=~\"$quotes\"}", r#"up{a=~"(it\\'s|\\\"q\\\")"}"#);
        check("up{a=~\"$all\"}", "up{a=~\"(x|y)\"}");
        check("up{a=~\"$custom\"}", "up{a=~\"cilium.*\"}");
        check("up{a=~\"${custom:regex}\"}", "up{a=~\"cilium.*\"}");
        check("up{a=~\"$nested\"}", "up{a=~\"10.0.0.1:9100.*\"}");
        check("$loop", "$loop");
        check("up{$matcher}", "up{job=\"x\"}");
        check("rate(a[$__rate_interval])[$__range:$__interval]", "rate(a[1m30s])[3600s:30s]");
        check("$__interval_ms ${__range_s} $__range_ms", "30000 3600 3600000");
        check("label_replace(a, \"x\", \"$1\", \"y\", \"(.*)\")", "label_replace(a, \"x\", \"$1\", \"y\", \"(.*)\")");
        check(
            "$unknown ${unknown:csv} [[unknown]] $ ${ [[ a[1] $$host",
            "$unknown ${unknown:csv} [[unknown]] $ ${ [[ a[1] $10.0.0.1:9100",
        );
        check("$hosts $host_x $host.x", "$hosts $host_x 10.0.0.1:9100.x");
    }

    #[test]
    fn formats_are_those_of_grafana() {
        let check = |text: &str, expected: &str| check(Syntax::PromQl, text, expected);
        check("${multi:csv}", "a.b,c|d");
        check("${multi:pipe}", "a.b|c|d");
        check("${multi:regex}", r"(a\.b|c\|d)");
        check("${single:regex}", r"a\.b");
        check("${multi:glob}", "{a.b,c|d}");
        check("${single:glob}", "a.b");
        check("${multi:json}", r#"["a.b","c|d"]"#);
        check("${single:json}", r#"["a.b"]"#);
        check("${host:json}", "10.0.0.1:9100");
        check("${quotes:doublequote}", r#""it's","\"q\"""#);
        check("${quotes:singlequote}", r#"'it\'s','"q"'"#);
        check("${quotes:sqlstring}", r#"'it''s','"q"'"#);
        check("${quotes:html}", "it&#39;s, &quot;q&quot;");
        check("${multi:raw}", "a.b,c|d");
        check("${one:text} ${multi:text}", "One a.b + c|d");
        check("${multi:queryparam}", "var-multi=a.b&var-multi=c%7Cd");
        check("${all:queryparam} ${all:text}", "var-all=%24__all All");
        check("${quotes:percentencode} ${host:percentencode}", "%7Bit%27s%2C%22q%22%7D 10.0.0.1%3A9100");
        check("${quotes:uriencode}", "%7Bit%27s,%22q%22%7D");
        check("${multi:join} ${multi:join: and }", "a.b,c|d a.b and c|d");
        check("${multi:customqueryparam} ${multi:customqueryparam:p:x-}", "multi=a.b&multi=c%7Cd p=x-a.b&p=x-c%7Cd");
        check("${host:date} ${multi:date}", "1970-01-01T00:00:00.010Z NaN");
        check("${multi:distributed}", "a.b,multi=c|d");
        check("${multi:lucene}", r#"("a.b" OR "c\|d")"#);
        check("${multi:nonsense}", "{a.b,c|d}");
        check("[[multi:csv]]", "a.b,c|d");
        check("${one.text:raw}", "a.b\"c\\d");
        check("${one.own} ${one.other}", "property a.b\\\"c\\\\d");
        check("${__from} ${__to:date:seconds}", "1594671549254 1594675149");
        check("${__from:date} ${__from:date:iso}", "2020-07-13T20:19:09.254Z 2020-07-13T20:19:09.254Z");
        check("${__from:date:YYYY-MM} ${__from:date:HH:mm} ${__from:date:ms}", "2020-07 20:19 1594671549254");
    }

    #[test]
    fn a_text_has_the_format_of_its_kind() {
        check(Syntax::Text, "$one / $multi / $all", "One / a.b + c|d / All");
        check(
            Syntax::Url,
            "/d/x?v=$multi&$__url_time_range",
            "/d/x?v=%7Ba.b%2Cc%7Cd%7D&from=1594671549254&to=1594675149254",
        );
        check(Syntax::Regex, "/$multi/", r"/(a\.b|c\|d)/");
        check(Syntax::Plain, "$multi", "{a.b,c|d}");
    }

    #[test]
    fn a_text_has_an_end() {
        let mut scope = Scope::default();
        scope.set("x", Selected::one(Choice::same("a".repeat(10_000))));
        assert_eq!(scope.fill(&"$x".repeat(200), Syntax::PromQl), Err(TooLong));
        assert_eq!(
            scope.fill("$__range $__interval $__from", Syntax::PromQl).as_deref(),
            Ok("$__range $__interval $__from")
        );
    }

    #[test]
    fn ad_hoc_filters_are_matchers() {
        let filter = |key: &str, operator: &str, value: &str| AdHocFilter {
            key: key.to_owned(),
            operator: operator.to_owned(),
            value: value.to_owned(),
            values: vec!["a.b".to_owned(), "c".to_owned()],
        };
        let filters = [filter("x", "=", "a\"b"), filter("y", "=|", ""), filter("", "=", "z")];
        assert_eq!(matchers(&filters), [r#"x="a\"b""#, r#"y=~"(a\\.b|c)""#]);
    }
}
