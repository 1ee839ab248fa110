//! Requests of receivers, and what their answers mean.

use client::config::Source;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use serde::Serialize;

use crate::client::Error;
use crate::config::{Target, parse_url};

/// Secrets are short; a path to something endless must not take memory.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A request of a receiver.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
    /// Statuses after which the same request may be taken later.
    pub(crate) retry: Retry,
    /// What is wrong with an answer of success, if anything, and whether it may be taken later.
    pub(crate) judge: Option<Judge>,
}

/// After which statuses a request is made again. Which kind of receiver has which is what Alertmanager does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Retry {
    /// 5xx, and these.
    And(&'static [u16]),
    /// All that are no success.
    All,
}

impl Retry {
    pub(crate) fn takes(self, status: StatusCode) -> bool {
        match self {
            Self::And(codes) => status.is_server_error() || codes.contains(&status.as_u16()),
            Self::All => true,
        }
    }
}

/// Judges an answer of success by its content type and its text.
pub(crate) type Judge = fn(&str, &str) -> Result<(), Refusal>;

/// An answer that is a refusal though its status says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) is_temporary: bool,
}

impl Outgoing {
    /// A body of JSON.
    pub(crate) fn json(uri: Uri, body: &impl Serialize) -> Self {
        Self::post(uri, "application/json", to_json(body))
    }

    /// A body of any type.
    pub(crate) fn post(uri: Uri, content_type: &'static str, body: Vec<u8>) -> Self {
        let headers = vec![(hyper::header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
        Self { method: Method::POST, uri, headers, body, retry: Retry::And(&[]), judge: None }
    }

    /// Asks again after these statuses too.
    pub(crate) fn retry(self, codes: &'static [u16]) -> Self {
        Self { retry: Retry::And(codes), ..self }
    }

    /// Adds a header; a secret in it is not shown.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        let mut value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| Error::Settings(format!("the value of {name} holds characters that no header may have")))?;
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(self)
    }
}

/// JSON as Go's encoder writes it: what could end a script element is escaped, and a line ends it.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut body = escape(&json).into_bytes();
    body.push(b'\n');
    body
}

/// These characters stand nowhere in JSON but in texts.
fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + json.len() / 16);
    for c in json.chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The text of a secret; it may read a file.
pub(crate) fn reveal(source: &Source) -> Result<String, Error> {
    match source {
        Source::Inline(text) => Ok(text.reveal().to_owned()),
        Source::File(path) => read(path),
    }
}

/// The text of a file without the blanks around it.
pub(crate) fn read(path: &std::path::Path) -> Result<String, Error> {
    use std::io::Read;
    let failed = |reason: String| Error::File { path: path.display().to_string(), reason };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| failed(e.to_string()))?;
    let size = file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|e| failed(e.to_string()))?;
    if size as u64 >= FILE_BYTES_MAX {
        return Err(failed(format!("it has {FILE_BYTES_MAX} bytes or more")));
    }
    Ok(text.trim().to_owned())
}

/// An address, out of its file if it stands in one.
pub(crate) fn address(target: &Target) -> Result<Uri, Error> {
    match target {
        Target::Url(uri) => Ok(uri.clone()),
        Target::File(path) => {
            parse_url(&read(path)?).map_err(|reason| Error::File { path: path.display().to_string(), reason })
        }
    }
}

/// An address with more behind its path.
pub(crate) fn below(base: &Uri, path: &str) -> Result<Uri, Error> {
    let base = base.to_string();
    let whole = format!("{}/{path}", base.trim_end_matches('/'));
    // The path may hold a secret.
    whole.parse().map_err(|_| Error::Settings("the address with the path of a request is no URL".to_owned()))
}
