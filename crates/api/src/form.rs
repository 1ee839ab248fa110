//! Parameters: the query of the URL and, of a POST, the form in its body, read as Go reads them.

use std::fmt::Write;

use axum::body::Body;
use axum::http::{HeaderMap, Method, header};
use http_body_util::{BodyExt, Limited};
use model::Matcher;
use promql::{parse_selector, quote};

use crate::failure::Failure;
use crate::time::{Instant, parse_nanos};

/// Longest form in a body. The longest dashboards' queries have some 10 KiB; every connection may hold one.
const FORM_BYTES_MAX: usize = 1 << 20;

/// Selectors in one request. Each holds its compiled patterns and is a walk through the index; the longest federation
/// jobs name some dozens.
const SELECTORS_MAX: usize = 1000;

/// Parameters in order; of a name that stands in both, the body's come first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pairs: Vec<(String, String)>,
    /// The first thing that could not be read; most routes ignore it, as in Prometheus.
    error: Option<String>,
    /// The body was not read to its end.
    is_cut: bool,
}

impl Form {
    /// Reads the parameters of a request. A body counts where the method has one, which GET has not.
    pub(crate) async fn read(method: &Method, headers: &HeaderMap, query: Option<&str>, body: Body) -> Self {
        let mut form = Self::default();
        let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
        if has_body && is_form(headers) {
            match Limited::new(body, FORM_BYTES_MAX).collect().await {
                Ok(body) => form.add(&body.to_bytes()),
                Err(_) => form.is_cut = true,
            }
        }
        form.add(query.unwrap_or_default().as_bytes());
        form
    }

    fn add(&mut self, encoded: &[u8]) {
        for pair in encoded.split(|&b| b == b'&').filter(|pair| !pair.is_empty()) {
            let result = split_pair(pair);
            match result {
                Ok(pair) => self.pairs.push(pair),
                Err(error) => self.error = self.error.take().or(Some(error)),
            }
        }
    }

    /// The first value of a parameter, empty where it is absent.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Refuses forms whose end nobody saw: what is missing might be all that matters.
    pub(crate) fn uncut(&self) -> Result<(), Failure> {
        if self.is_cut {
            let reason = format!("the body is longer than {FORM_BYTES_MAX} bytes, or broke off");
            return Err(Failure::bad_data(format!("error parsing form values: {reason}")));
        }
        Ok(())
    }

    /// Refuses forms that could not be read whole.
    pub(crate) fn whole(&self) -> Result<(), Failure> {
        match &self.error {
            Some(error) => Err(Failure::bad_data(format!("error parsing form values: {error}"))),
            None => Ok(()),
        }
    }

    /// A time, or `default` where it is absent.
    pub(crate) fn time(&self, name: &str, default: Instant) -> Result<Instant, Failure> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(default);
        }
        Instant::parse(text).ok_or_else(|| {
            let reason = format!(
                "invalid time value for '{name}': cannot parse {} to a valid timestamp",
                quote(text.as_bytes())
            );
            Failure::parameter(name, &reason)
        })
    }

    /// A time that must be there.
    pub(crate) fn needed_time(&self, name: &str) -> Result<Instant, Failure> {
        let text = self.get(name);
        Instant::parse(text).ok_or_else(|| {
            Failure::parameter(name, &format!("cannot parse {} to a valid timestamp", quote(text.as_bytes())))
        })
    }

    /// A duration in nanoseconds that must be there.
    pub(crate) fn needed_nanos(&self, name: &str) -> Result<i64, Failure> {
        parse_nanos(self.get(name)).map_err(|reason| Failure::parameter(name, &reason))
    }

    /// A duration in nanoseconds.
    pub(crate) fn nanos(&self, name: &str) -> Result<Option<i64>, Failure> {
        if self.get(name).is_empty() { Ok(None) } else { self.needed_nanos(name).map(Some) }
    }

    /// A switch, `false` where it is absent; what Go's `strconv.ParseBool` takes.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name) {
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            text => {
                let text = quote(text.as_bytes());
                let reason = format!("unable to parse boolean: strconv.ParseBool: parsing {text}: invalid syntax");
                Err(Failure::parameter(name, &reason))
            }
        }
    }

    /// `limit`: how many elements an answer may have; `None` for all.
    pub(crate) fn limit(&self) -> Result<Option<usize>, Failure> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(None);
        }
        let limit = parse_integer(text, "Atoi").map_err(|reason| Failure::parameter("limit", &reason))?;
        if limit < 0 {
            return Err(Failure::parameter("limit", "limit must be non-negative"));
        }
        Ok(usize::try_from(limit).ok().filter(|&limit| limit > 0))
    }

    /// The texts of `match[]`. Errors: too many.
    pub(crate) fn selector_texts(&self) -> Result<impl Iterator<Item = &str>, String> {
        let count = self.all("match[]").count();
        if count > SELECTORS_MAX {
            return Err(format!("{count} match[] parameters, {SELECTORS_MAX} are the most"));
        }
        Ok(self.all("match[]"))
    }

    /// The selectors of `match[]`. Errors: too many, or the parser's text.
    pub(crate) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, String> {
        self.selector_texts()?.map(read_selector).collect()
    }
}

/// A selector of `match[]`; at least one condition must refuse the empty string.
pub(crate) fn read_selector(text: &str) -> Result<Vec<Matcher>, String> {
    let matchers = parse_selector(text).map_err(|error| error.to_string())?;
    if matchers.iter().all(Matcher::matches_empty) {
        return Err("match[] must contain at least one non-empty matcher".to_owned());
    }
    Ok(matchers)
}

/// An integer; errors in the words of Go's `strconv`.
pub(crate) fn parse_integer(text: &str, function: &str) -> Result<i64, String> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let reason =
            if matches!(error.kind(), PosOverflow | NegOverflow) { "value out of range" } else { "invalid syntax" };
        format!("strconv.{function}: parsing {}: {reason}", quote(text.as_bytes()))
    })
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = content_type.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn split_pair(pair: &[u8]) -> Result<(String, String), String> {
    if pair.contains(&b';') {
        return Err("invalid semicolon separator in query".to_owned());
    }
    let equals = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
    let value = pair.get(equals + 1..).unwrap_or_default();
    Ok((decode(&pair[..equals])?, decode(value)?))
}

fn decode(encoded: &[u8]) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let byte = hex_byte(rest).ok_or_else(|| bad_escape(rest))?;
                rest = &rest[2..];
                byte
            }
            other => other,
        });
    }
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// A part of a path as it was before it was escaped.
pub(crate) fn unescape_path(part: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = if first == b'%' { hex_byte(after) } else { None };
        rest = if escaped.is_some() { &after[2..] } else { after };
        bytes.push(escaped.unwrap_or(first));
    }
    bytes
}

fn hex_byte(text: &[u8]) -> Option<u8> {
    let digit = |i: usize| text.get(i).and_then(|&b| char::from(b).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn bad_escape(rest: &[u8]) -> String {
    let mut text = String::new();
    let shown = String::from_utf8_lossy(&rest[..rest.len().min(2)]);
    // Writing to a string cannot fail.
    let _ = write!(text, "invalid URL escape \"%{shown}\"");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(encoded: &str) -> Form {
        let mut form = Form::default();
        form.add(encoded.as_bytes());
        form
    }

    #[test]
    fn pairs() {
        let form = form("a=1&a=2&b=x+y%20z%2B&c&=d&e=%zz&f=1;g=2&h=%c3%a9");
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["1", "2"]);
        for (name, expected) in [("a", "1"), ("b", "x y z+"), ("c", ""), ("e", ""), ("f", ""), ("h", "é")] {
            assert_eq!(form.get(name), expected, "{name}");
        }
        assert_eq!(form.error.as_deref(), Some("invalid URL escape \"%zz\""));
    }

    #[test]
    fn bodies() {
        let headers = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
        )]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = |method: Method, body: String| {
            runtime.block_on(Form::read(&method, &headers, Some("a=query"), Body::from(body)))
        };
        assert_eq!(read(Method::POST, "a=body".to_owned()).get("a"), "body");
        assert_eq!(read(Method::GET, "a=body".to_owned()).get("a"), "query");
        let long = |length: usize| format!("a={}", "x".repeat(length - 2));
        assert!(read(Method::POST, long(FORM_BYTES_MAX)).uncut().is_ok());
        let cut = read(Method::POST, long(FORM_BYTES_MAX + 1)).uncut().unwrap_err();
        assert!(cut.message().contains("longer than 1048576 bytes"), "{}", cut.message());
    }

    #[test]
    fn limits() {
        let invalid = "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax";
        let range = "invalid parameter \"limit\": strconv.Atoi: parsing \"99999999999999999999\": value out of range";
        let cases = [
            ("", Ok(None)),
            ("limit=0", Ok(None)),
            ("limit=5", Ok(Some(5))),
            ("limit=%2B5", Ok(Some(5))),
            ("limit=x", Err(invalid)),
            ("limit=-1", Err("invalid parameter \"limit\": limit must be non-negative")),
            ("limit=99999999999999999999", Err(range)),
        ];
        for (encoded, expected) in cases {
            let limit = form(encoded).limit().map_err(|failure| failure.message().to_owned());
            assert_eq!(limit, expected.map_err(str::to_owned), "{encoded}");
        }
    }
}
