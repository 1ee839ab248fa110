//! How the values of a variable are written where its name stands: `${name:format}`.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::Choice;
use super::time::point;

/// How values are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableFormat {
    /// `{a,b}`, or one value as it is.
    Glob,
    /// `a,b`.
    Csv,
    /// `a|b`.
    Pipe,
    /// `(a|b)`, each as a pattern of itself.
    Regex,
    /// `(a OR b)` in Lucene's quotes.
    Lucene,
    /// `["a","b"]`.
    Json,
    /// `"a","b"`.
    DoubleQuote,
    /// `'a','b'`.
    SingleQuote,
    /// `'a','b'`, quotes doubled.
    Sql,
    /// `a,b`.
    Raw,
    /// The texts shown: `a + b`.
    Text,
    /// `var-name=a&var-name=b`.
    QueryParam,
    /// Each byte that an address has a use for as `%41`.
    PercentEncode,
    /// The same, less strict.
    UriEncode,
    /// `a,name=b`.
    Distributed,
    /// `&lt;` and the like.
    Html,
    /// With this between the values.
    Join(String),
    /// `name=PREFIXa&name=PREFIXb`: the name, empty for the variable's own, and the prefix.
    CustomParam(String, String),
    /// A time of milliseconds since 1970, as `${__from:date:…}` writes one.
    Date(String),
    /// As PromQL takes it in the quotes of a matcher.
    Prometheus,
}

impl VariableFormat {
    /// Reads what stands behind the colon, a word with its arguments behind further ones; `None` for a word that Grafana does
    /// not have either, which means `glob` there.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
        Some(match word {
            "glob" => Self::Glob,
            "csv" => Self::Csv,
            "pipe" => Self::Pipe,
            "regex" => Self::Regex,
            "lucene" => Self::Lucene,
            "json" => Self::Json,
            "doublequote" => Self::DoubleQuote,
            "singlequote" => Self::SingleQuote,
            "sqlstring" => Self::Sql,
            "raw" => Self::Raw,
            "text" => Self::Text,
            "queryparam" => Self::QueryParam,
            "percentencode" => Self::PercentEncode,
            "uriencode" => Self::UriEncode,
            "distributed" => Self::Distributed,
            "html" => Self::Html,
            "join" => Self::Join(rest.unwrap_or(",").to_owned()),
            "customqueryparam" => {
                let (name, prefix) = rest.unwrap_or_default().split_once(':').unwrap_or((rest.unwrap_or_default(), ""));
                Self::CustomParam(name.to_owned(), prefix.to_owned())
            }
            "date" => Self::Date(text.to_owned()),
            _ => return None,
        })
    }
}

/// What is written: the variable's name, its values, and whether there may be several even if there is one.
pub(super) struct Values<'a> {
    pub(super) name: &'a str,
    pub(super) choices: &'a [Choice],
    pub(super) many: bool,
    pub(super) zone: Option<&'a TimeZone>,
}

impl Values<'_> {
    pub(super) fn write(&self, format: &VariableFormat) -> String {
        match format {
            VariableFormat::Glob => self.glob(),
            VariableFormat::Csv | VariableFormat::Raw => self.joined(",", str::to_owned),
            VariableFormat::Pipe => self.joined("|", str::to_owned),
            VariableFormat::Regex => self.grouped(escape_regex),
            VariableFormat::Lucene => self.lucene(),
            VariableFormat::Json => self.json(),
            VariableFormat::DoubleQuote => self.joined(",", |value| format!("\"{}\"", value.replace('"', "\\\""))),
            VariableFormat::SingleQuote => self.joined(",", |value| format!("'{}'", value.replace('\'', "\\'"))),
            VariableFormat::Sql => self.joined(",", |value| format!("'{}'", value.replace('\'', "''"))),
            VariableFormat::Text => {
                self.choices.iter().map(|choice| choice.text.as_str()).collect::<Vec<_>>().join(" + ")
            }
            VariableFormat::QueryParam => {
                self.joined("&", |value| format!("var-{}={}", percent(self.name), percent(value)))
            }
            VariableFormat::CustomParam(name, prefix) => {
                let name = if name.is_empty() { self.name } else { name };
                self.joined("&", |value| format!("{}={}{}", percent(name), percent(prefix), percent(value)))
            }
            VariableFormat::PercentEncode => percent(&self.glob()),
            VariableFormat::UriEncode => uri(&self.glob()),
            VariableFormat::Join(between) => self.joined(between, str::to_owned),
            VariableFormat::Date(format) => self.date(format),
            VariableFormat::Distributed => self.distributed(),
            VariableFormat::Html => html(&self.joined(", ", str::to_owned)),
            VariableFormat::Prometheus if self.many => self.grouped(escape_prometheus_regex),
            VariableFormat::Prometheus => self.joined(",", escape_prometheus),
        }
    }

    fn glob(&self) -> String {
        let list = self.joined(",", str::to_owned);
        if self.choices.len() > 1 { format!("{{{list}}}") } else { list }
    }

    /// Digits at the beginning are enough, as JavaScript reads a number.
    fn date(&self, format: &str) -> String {
        let value = self.choices.first().map(|choice| choice.value.trim()).unwrap_or_default();
        let digits =
            value.len() - value.trim_start_matches('-').trim_start_matches(|char: char| char.is_ascii_digit()).len();
        match value[..digits].parse() {
            Ok(time_ms) => point(time_ms, Some(format), self.zone.unwrap_or(&TimeZone::UTC)),
            Err(_) => "NaN".to_owned(),
        }
    }

    fn joined(&self, between: &str, each: impl Fn(&str) -> String) -> String {
        self.choices.iter().map(|choice| each(&choice.value)).collect::<Vec<_>>().join(between)
    }

    fn grouped(&self, each: impl Fn(&str) -> String) -> String {
        let inner = self.joined("|", each);
        if self.choices.len() > 1 { format!("({inner})") } else { inner }
    }

    fn lucene(&self) -> String {
        let quoted = |value: &str| format!("\"{}\"", escape_lucene(value));
        match self.choices.len() {
            0 => "__empty__".to_owned(),
            1 if !self.many => escape_lucene(&self.choices[0].value),
            _ => format!("({})", self.joined(" OR ", quoted)),
        }
    }

    /// One value that could not be several is written as it is.
    fn json(&self) -> String {
        match self.choices {
            [only] if !self.many => only.value.clone(),
            choices => {
                let values: Vec<&str> = choices.iter().map(|choice| choice.value.as_str()).collect();
                serde_json::Value::from(values).to_string()
            }
        }
    }

    fn distributed(&self) -> String {
        let mut out = String::new();
        for (at, choice) in self.choices.iter().enumerate() {
            let _ =
                if at == 0 { write!(out, "{}", choice.value) } else { write!(out, ",{}={}", self.name, choice.value) };
        }
        out
    }
}

fn escape_with(text: &str, special: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if special.contains(char) {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

/// A pattern that finds just this text.
pub(super) fn escape_regex(text: &str) -> String {
    escape_with(text, "^$\\.*+?()[]{}|")
}

/// Numbers stay as they are.
fn escape_lucene(text: &str) -> String {
    if text.trim().parse::<f64>().is_ok() {
        text.to_owned()
    } else {
        escape_with(text, "+-=&|><!(){}[]^\"~*?:\\/ \t\n")
    }
}

/// A value between the double quotes of PromQL.
///
/// The quotes of a text that is a whole matcher stay, since dashboards have variables that hold one.
pub(super) fn escape_prometheus(text: &str) -> String {
    if is_matcher(text) { text.to_owned() } else { escape_with(text, "\\\"") }
}

fn is_matcher(text: &str) -> bool {
    let label = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let rest = &text[label..];
    let value = ["=~", "!=", "!~", "="].iter().find_map(|operator| rest.strip_prefix(operator));
    label > 0 && value.is_some_and(|value| value.len() >= 2 && value.starts_with('"') && value.ends_with('"'))
}

/// A pattern of just this text, between the double quotes of PromQL, which take a backslash away once more.
fn escape_prometheus_regex(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\\\\\"),
            '"' => out.push_str("\\\\\\\""),
            '$' | '^' | '*' | '{' | '}' | '[' | ']' | '\'' | '+' | '?' | '.' | '(' | ')' | '|' => {
                out.push_str("\\\\");
                out.push(char);
            }
            other => out.push(other),
        }
    }
    out
}

/// As JavaScript's `encodeURIComponent`, and what it leaves of RFC 3986.
pub(super) fn percent(text: &str) -> String {
    encode(text, b"-_.~")
}

fn uri(text: &str) -> String {
    encode(text, b"-_.~;/?:@&=+$,#")
}

fn encode(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
