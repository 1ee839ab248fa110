//! Templates of alerting rules: what they see and the functions of Prometheus.

use std::net::IpAddr;
use std::sync::Arc;

use model::Labels;
use regex::RegexBuilder;

use crate::builtin::url_query;
use crate::functions::{exactly, text};
use crate::value::NESTING_MAX;
use crate::{CallError, Error, Functions, Object, Template, Value, humanize};

/// What Prometheus puts before every text of a rule; columns in messages count it.
const PREAMBLE: &str =
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// Compiled size of a pattern in a template.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What one `reReplaceAll` may take of memory for a moment.
const REPLACED_BYTES_MAX: usize = 16 << 20;

const SAMPLE_TYPE: &str = "*template.sample";

/// What the template of an alert may speak of.
#[derive(Clone, Copy, Debug)]
pub struct AlertData<'a> {
    /// Labels of the element, metric name included.
    pub labels: &'a Labels,
    /// Its value.
    pub value: f64,
    /// Labels of this server.
    pub external_labels: &'a Labels,
    /// Where people find this server.
    pub external_url: &'a str,
}

/// An element of the answer to `query`.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// Answers the function `query`.
pub trait Query {
    /// Evaluates an expression at the time of the evaluation. The error is put into the text.
    fn query(&self, expr: &str) -> Result<Vec<Point>, String>;
}

/// A label or annotation of an alerting rule, ready to be expanded.
#[derive(Clone, Debug)]
pub struct AlertTemplate(Body);

#[derive(Clone, Debug)]
enum Body {
    /// Without any action, as most labels are.
    Plain(Arc<str>),
    Template {
        name: String,
        template: Arc<Template>,
    },
}

impl AlertTemplate {
    /// Parses the text of a label or annotation of the alert of this name.
    pub fn parse(alert: &str, text: &str) -> Result<Self, Error> {
        if !text.contains("{{") {
            return Ok(Self(Body::Plain(Arc::from(text))));
        }
        let name = format!("__alert_{alert}");
        let template = Template::parse(&name, &format!("{PREAMBLE}{text}"), &Names)?;
        Ok(Self(Body::Template { name, template: Arc::new(template) }))
    }

    /// The text for one element.
    pub fn expand(&self, data: &AlertData<'_>, query: &dyn Query) -> Result<String, Error> {
        match &self.0 {
            Body::Plain(text) => Ok(text.to_string()),
            Body::Template { name, template } => {
                let functions = AlertFunctions { external_url: data.external_url, query };
                template.execute(&root(data), &functions).map_err(|e| Error::While {
                    doing: format!("error executing template {name}"),
                    source: Box::new(e),
                })
            }
        }
    }
}

fn root(data: &AlertData<'_>) -> Value {
    Value::Object(Arc::new(Object {
        type_name: "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }",
        fields: vec![
            ("Labels", Value::strings(data.labels)),
            ("ExternalLabels", Value::strings(data.external_labels)),
            ("ExternalURL", Value::string(data.external_url)),
            ("Value", Value::Float(data.value)),
        ],
    }))
}

/// The path of the page that charts an expression.
pub fn graph_link(expr: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab=0", url_query(expr))
}

/// The path of the page that shows an expression's value as a table.
pub fn table_link(expr: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab=1", url_query(expr))
}

const NAMES: [&str; 26] = [
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "args",
    "reReplaceAll",
    "safeHtml",
    "match",
    "title",
    "toUpper",
    "toLower",
    "graphLink",
    "tableLink",
    "sortByLabel",
    "stripPort",
    "stripDomain",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "toTime",
    "pathPrefix",
    "externalURL",
    "parseDuration",
];
/// Knows the names only: for parsing.
struct Names;

impl Functions for Names {
    fn has(&self, name: &str) -> bool {
        NAMES.contains(&name)
    }

    fn call(&self, name: &str, _: &[Value]) -> Result<Value, CallError> {
        Err(CallError::Failed(format!("{name} cannot be called here")))
    }
}

struct AlertFunctions<'a> {
    external_url: &'a str,
    query: &'a dyn Query,
}

impl Functions for AlertFunctions<'_> {
    fn has(&self, name: &str) -> bool {
        Names.has(name)
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, CallError> {
        match name {
            "args" => return args(arguments),
            "pathPrefix" => return exactly::<0>(name, arguments).map(|_| Value::string(path(self.external_url))),
            "externalURL" => return exactly::<0>(name, arguments).map(|_| Value::string(self.external_url)),
            "label" | "match" | "sortByLabel" => {
                exactly::<2>(name, arguments)?;
                return two(name, arguments);
            }
            "reReplaceAll" => {
                exactly::<3>(name, arguments)?;
                return replace(text(arguments, 0)?, text(arguments, 1)?, text(arguments, 2)?);
            }
            _ => {}
        }
        let [argument] = exactly(name, arguments)?;
        let text = || text(arguments, 0);
        match name {
            "query" => self.query(text()?),
            "first" => first(argument),
            "value" => sample_field(arguments, 0, "Value"),
            "strvalue" => sample_label(arguments, 0, "__value__"),
            "safeHtml" => Ok(Value::string(text()?)),
            "title" => Ok(Value::string(title(text()?))),
            "toUpper" => Ok(Value::string(upper(text()?))),
            "toLower" => Ok(Value::string(text()?.to_lowercase())),
            "graphLink" => Ok(Value::string(graph_link(text()?))),
            "tableLink" => Ok(Value::string(table_link(text()?))),
            "stripPort" => text().map(|whole| Value::string(split_host_port(whole).map_or(whole, |(host, _)| host))),
            "stripDomain" => Ok(Value::string(strip_domain(text()?))),
            "parseDuration" => parse_duration(text()?),
            name => number(name, humanize::to_float(argument)?),
        }
    }
}

impl AlertFunctions<'_> {
    fn query(&self, expr: &str) -> Result<Value, CallError> {
        let points = self.query.query(expr).map_err(CallError::Failed)?;
        let samples = points.iter().map(|point| {
            Value::Object(Arc::new(Object {
                type_name: SAMPLE_TYPE,
                fields: vec![("Labels", Value::strings(&point.labels)), ("Value", Value::Float(point.value))],
            }))
        });
        Ok(Value::List(samples.collect()))
    }
}

fn number(name: &str, value: f64) -> Result<Value, CallError> {
    Ok(Value::string(match name {
        "humanize" => humanize::humanize(value),
        "humanize1024" => humanize::humanize1024(value),
        "humanizeDuration" => humanize::humanize_duration(value),
        "humanizePercentage" => humanize::humanize_percentage(value),
        "humanizeTimestamp" | "toTime" => humanize::humanize_timestamp(value)?,
        _ => return Err(CallError::Failed(format!("function {name:?} not defined"))),
    }))
}

fn two(name: &str, arguments: &[Value]) -> Result<Value, CallError> {
    let first = text(arguments, 0)?;
    match name {
        "label" => sample_label(arguments, 1, first),
        "match" => Ok(Value::Bool(regex(first)?.is_match(text(arguments, 1)?))),
        _ => sort_by_label(first, &arguments[1]),
    }
}

pub(crate) fn replace(pattern: &str, replacement: &str, subject: &str) -> Result<Value, CallError> {
    let pattern = regex(pattern).map_err(|error| match error {
        CallError::Failed(message) => CallError::Failed(format!("regexp: Compile(`{pattern}`): {message}")),
        other => other,
    })?;
    // Every byte of the subject may be matched, and every match be replaced by as much as the replacement names.
    if subject.len().saturating_mul(replacement.len()) > REPLACED_BYTES_MAX {
        return Err(CallError::Failed(format!("the result may be longer than {REPLACED_BYTES_MAX} bytes")));
    }
    Ok(Value::string(&*pattern.replace_all(subject, replacement)))
}

fn first(list: &Value) -> Result<Value, CallError> {
    match list {
        Value::List(list) => list
            .first()
            .cloned()
            .ok_or_else(|| CallError::Failed("first() called on vector with no elements".to_owned())),
        _ => Err(CallError::Type { index: 0, wanted: "template.queryResult" }),
    }
}

fn sample_field(arguments: &[Value], index: usize, name: &str) -> Result<Value, CallError> {
    match &arguments[index] {
        Value::Object(object) if object.type_name == SAMPLE_TYPE => {
            let field = object.fields.iter().find(|(field, _)| *field == name);
            Ok(field.map_or(Value::Nil, |(_, value)| value.clone()))
        }
        _ => Err(CallError::Type { index, wanted: SAMPLE_TYPE }),
    }
}

fn sample_label(arguments: &[Value], index: usize, name: &str) -> Result<Value, CallError> {
    match sample_field(arguments, index, "Labels")? {
        Value::Map(labels) => Ok(labels.entries.get(name).cloned().unwrap_or(Value::string(""))),
        _ => Ok(Value::string("")),
    }
}

fn sort_by_label(label: &str, list: &Value) -> Result<Value, CallError> {
    let Value::List(list) = list else { return Err(CallError::Type { index: 1, wanted: "template.queryResult" }) };
    let mut keyed: Vec<(String, Value)> = Vec::with_capacity(list.len());
    for (index, sample) in list.iter().enumerate() {
        keyed.push((sample_label(list, index, label)?.print(), sample.clone()));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Value::List(keyed.into_iter().map(|(_, sample)| sample).collect()))
}

/// A map of the arguments: `arg0`, `arg1`, ...
fn args(arguments: &[Value]) -> Result<Value, CallError> {
    if arguments.iter().any(|value| value.nesting() >= NESTING_MAX) {
        return Err(CallError::Failed(format!("nested deeper than {NESTING_MAX} levels")));
    }
    let entries = arguments.iter().enumerate().map(|(i, value)| (format!("arg{i}"), value.clone())).collect();
    Ok(Value::Map(Arc::new(crate::Map { entries, kind: crate::MapKind::Any })))
}

pub(crate) fn regex(pattern: &str) -> Result<regex::Regex, CallError> {
    RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build().map_err(|e| {
        // The library draws a picture of several lines; its last line says what is wrong.
        let message = e.to_string();
        let last = message.lines().next_back().unwrap_or_default().trim_start_matches("error: ");
        CallError::Failed(format!("error parsing regexp: {last}: `{pattern}`"))
    })
}

/// Letter by letter, as Go does it: one that would become two stays.
pub(crate) fn upper(text: &str) -> String {
    let one = |c: char| {
        let mut upper = c.to_uppercase();
        upper.next().filter(|_| upper.next().is_none()).unwrap_or(c)
    };
    text.chars().map(one).collect()
}

/// Every word with its first letter large. Inside a word stand letters, digits, `_`, and between letters what Unicode
/// counts to a word: apostrophe, full stop, colon and middle dot.
pub(crate) fn title(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut inside = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let letter = c.is_alphanumeric() || c == '_';
        if inside {
            output.push(c);
        } else {
            output.extend(c.to_uppercase());
        }
        let joins = matches!(c, '\'' | '.' | ':' | '\u{b7}' | '\u{2019}');
        inside = letter || (inside && joins && chars.peek().is_some_and(|next| next.is_alphabetic()));
    }
    output
}

fn parse_duration(text: &str) -> Result<Value, CallError> {
    let (sign, plain) = text.strip_prefix('-').map_or((1.0, text), |plain| (-1.0, plain));
    let duration = model::parse_duration(plain).map_err(|e| CallError::Failed(e.to_string()))?;
    Ok(Value::Float(sign * duration.as_secs_f64()))
}

/// `host:port` and `[host]:port`; `None` where there is no port.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    if port.contains(['[', ']']) {
        return None;
    }
    match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').filter(|host| !host.contains(['[', ']'])).map(|host| (host, port)),
        None => (!host.contains([':', '[', ']'])).then_some((host, port)),
    }
}

/// The first part of a host name, the port kept; addresses stay whole.
fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let first = host.split('.').next().unwrap_or_default();
    match port {
        "" => first.to_owned(),
        port if first.contains(':') => format!("[{first}]:{port}"),
        port => format!("{first}:{port}"),
    }
}

/// The path of a URL.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    rest.find('/').filter(|start| *start < end).map_or("", |start| &rest[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Store;

    impl Query for Store {
        fn query(&self, expr: &str) -> Result<Vec<Point>, String> {
            match expr {
                "two" => Ok(vec![
                    Point { labels: Labels::from_pairs([("n", "b")]), value: 2.0 },
                    Point { labels: Labels::from_pairs([("n", "a")]), value: 1.0 },
                ]),
                "none" => Ok(Vec::new()),
                _ => Err("no such thing".to_owned()),
            }
        }
    }

    fn check(text: &str, expected: &str) {
        let labels = Labels::from_pairs([("instance", "web-1.example.org:9100"), ("job", "node")]);
        let external = Labels::from_pairs([("cluster", "home")]);
        let data = AlertData {
            labels: &labels,
            value: 1234.5,
            external_labels: &external,
            external_url: "http://skep.example:9090/base",
        };
        let got = AlertTemplate::parse("A", text).and_then(|template| template.expand(&data, &Store));
        assert_eq!(got.unwrap_or_else(|e| e.to_string()), expected, "{text}");
    }

    #[test]
    fn expands_what_rules_use() {
        check("plain }} text", "plain }} text");
        check("on {{ $labels.instance }} is {{ $value }}", "on web-1.example.org:9100 is 1234.5");
        check(
            "{{ .Labels.job }}/{{ .Value }}/{{ $externalLabels.cluster }}/{{ .ExternalURL }}",
            "node/1234.5/home/http://skep.example:9090/base",
        );
        check("[{{ $labels.missing }}]", "[]");
        check(
            "{{ $value | humanize }} {{ $value | printf \"%.1f\" }} {{ printf \"%.2f\" .Value }}",
            "1.234k 1234.5 1234.50",
        );
        check("{{ humanizeDuration 90 }} {{ 0.5 | humanizePercentage }} {{ humanize1024 2048 }}", "1m 30s 50% 2ki");
        check("{{ if eq $labels.job \"node\" }}yes{{ else if true }}maybe{{ else }}no{{ end }}", "yes");
        check("{{ if gt $value 5.0 }}big{{ end }}{{ with $labels.nothing }}x{{ else }}none{{ end }}", "bignone");
        check("{{ range query \"two\" | sortByLabel \"n\" }}{{ .Labels.n }}={{ .Value }};{{ end }}", "a=1;b=2;");
        check("{{ range $i, $s := query \"two\" }}{{ $i }}{{ $s | label \"n\" }}{{ end }}", "0b1a");
        check("{{ query \"two\" | first | value | humanize }}", "2");
        check("{{ with query \"none\" }}{{ . | first | value }}{{ else }}empty{{ end }}", "empty");
        check(
            "{{ $labels.instance | stripPort }} {{ $labels.instance | stripDomain }} {{ \"10.0.0.1:80\" | stripDomain }}",
            "web-1.example.org web-1:9100 10.0.0.1:80",
        );
        check(
            "{{ reReplaceAll \"(w)eb\" \"$1-\" $labels.instance }} {{ match \"^web\" $labels.instance }}",
            "w--1.example.org:9100 true",
        );
        check("{{ \"a b_c d-e\" | title }} {{ toUpper \"aß\" }}{{ toLower \"AB\" }}", "A B_c D-E Aßab");
        check("{{ define \"t\" }}<{{ .arg0 }}>{{ end }}{{ template \"t\" (args 1 \"x\") }}", "<1>");
        check("a {{- /* gone */ -}} b {{- 1 }} {{ 2 -}} c", "ab1 2c");
        check("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2");
        check("{{ range $k, $v := $labels }}{{ $k }}={{ $v }},{{ end }}", "instance=web-1.example.org:9100,job=node,");
        check(
            "{{ index $labels \"job\" }} {{ len $labels }} {{ print 1 2 \"x\" 3 }} {{ `raw` }} {{ 'a' }}",
            "node 2 1 2x3 raw 97",
        );
        check(
            "{{ and true 0 }} {{ or 0 \"x\" }} {{ not 1 }} {{ pathPrefix }} {{ graphLink \"up == 1\" }}",
            "0 x false /base /graph?g0.expr=up+%3D%3D+1&g0.tab=0",
        );
        check("{{ range $i, $v := query \"two\" }}{{ if eq $i 1 }}{{ break }}{{ end }}{{ $i }}{{ end }}", "0");
        check(
            "{{ 1435065584.128 | humanizeTimestamp }} {{ parseDuration \"1h30m\" }}",
            "2015-06-23 13:19:44.128 +0000 UTC 5400",
        );
    }

    #[test]
    fn says_what_is_wrong_as_go_does() {
        let parse = |text, message: &str| check(text, &format!("template: __alert_A:1: {message}"));
        parse("{{ $x }}", "undefined variable \"$x\"");
        parse("{{ nofunc 1 }}", "function \"nofunc\" not defined");
        parse("{{ .A", "unclosed action");
        parse("{{ end }}", "unexpected {{end}}");
        parse("{{ if }}x{{ end }}", "missing value for if");
        parse("{{ \"a }}", "unterminated quoted string");
        parse("{{ range .X }}", "unexpected EOF");
        parse("{{ }}", "missing value for command");
        parse("{{ (1 }}", "unclosed left paren");
        parse("{{ break }}", "{{break}} outside {{range}}");
    }

    #[test]
    fn ends_what_would_not_end() {
        let endless = "{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}";
        let template = AlertTemplate::parse("A", endless).unwrap();
        let empty = Labels::empty();
        let data = AlertData { labels: &empty, value: 0.0, external_labels: &empty, external_url: "" };
        assert!(template.expand(&data, &Store).unwrap_err().to_string().contains("maximum template depth"));
        let blocks = ("{{ if true }}".repeat(90), "{{ end }}".repeat(90));
        let deep = format!(
            "{{{{ define \"a\" }}}}{}{{{{ template \"a\" . }}}}{}{{{{ end }}}}{{{{ template \"a\" . }}}}",
            blocks.0, blocks.1
        );
        let template = AlertTemplate::parse("A", &deep).unwrap();
        assert!(template.expand(&data, &Store).unwrap_err().to_string().contains("maximum template depth"));
        let wide = AlertTemplate::parse("A", "{{ range 1000 }}{{ range 10000 }}{{ end }}{{ end }}").unwrap();
        assert!(wide.expand(&data, &Store).unwrap_err().to_string().contains("steps"));
        let expand =
            |text: &str| AlertTemplate::parse("A", text).unwrap().expand(&data, &Store).unwrap_err().to_string();
        let doubled = expand("{{ $x := \"ab\" }}{{ range 64 }}{{ $x = print $x $x }}{{ end }}");
        assert!(doubled.contains("text longer"), "{doubled}");
        assert!(expand("{{ $x := 1 }}{{ range 100000 }}{{ $x = args $x $x }}{{ end }}").contains("nested deeper"));
        assert!(expand("{{ printf \"%999999d%999999d%999999d\" 1 1 1 }}").contains("text longer"));
        assert!(
            expand("{{ reReplaceAll \".\" (printf \"%9999d\" 1) (printf \"%9999d\" 1) }}").contains("may be longer")
        );
        let long = AlertTemplate::parse("A", "{{ range 1000 }}{{ printf \"%10000d\" 1 }}{{ end }}").unwrap();
        assert!(long.expand(&data, &Store).unwrap_err().to_string().contains("output longer"));
        assert!(AlertTemplate::parse("A", &format!("{{{{ {} }}}}", "(".repeat(5000))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(\\{\\{|\\}\\}|[a-z\"'`|.$():= \\-/*0-9\\\\]|if |end|range |printf ){0,40}") {
            let empty = Labels::empty();
            let data = AlertData { labels: &empty, value: 0.0, external_labels: &empty, external_url: "" };
            let _ = AlertTemplate::parse("A", &text).map(|t| t.expand(&data, &Store));
        }
    }
}
