//! What the headers say of the body.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::Error;

const PROTOBUF: &str = "application/x-protobuf";
const MESSAGE_V1: &str = "prometheus.WriteRequest";
const MESSAGE_V2: &str = "io.prometheus.write.v2.Request";

/// The message in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// `WriteRequest` of remote write 1.0.
    V1,
    /// `Request` of remote write 2.0.
    V2,
}

/// The message that the headers name; its snappy block is the only packing there is. Absent headers stand for 1.0, as in
/// Prometheus.
pub(crate) fn check(headers: &HeaderMap) -> Result<Message, Error> {
    let message = check_type(text(headers.get(CONTENT_TYPE)))?;
    check_encoding(text(headers.get(CONTENT_ENCODING)))?;
    Ok(message)
}

fn text(value: Option<&axum::http::HeaderValue>) -> &str {
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn check_type(content_type: &str) -> Result<Message, Error> {
    if content_type.is_empty() {
        return Ok(Message::V1);
    }
    let mut parts = content_type.split(';').map(str::trim);
    if parts.next() != Some(PROTOBUF) {
        return Err(Error::ContentType(format!(
            "expected {PROTOBUF} as the first (media) part, got {content_type} content-type"
        )));
    }
    let mut named = None;
    for parameter in parts {
        let message = read_parameter(parameter, content_type)?;
        named = named.or(message);
    }
    Ok(named.unwrap_or(Message::V1))
}

fn read_parameter(parameter: &str, content_type: &str) -> Result<Option<Message>, Error> {
    let (key, value) = parameter.split_once('=').ok_or_else(|| {
        Error::ContentType(format!(
            "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, \
             got {parameter} in {content_type} content-type"
        ))
    })?;
    match (key, value) {
        ("proto", MESSAGE_V1) => Ok(Some(Message::V1)),
        ("proto", MESSAGE_V2) => Ok(Some(Message::V2)),
        ("proto", _) => Err(Error::ContentType(format!(
            "got {content_type} content type; unknown remote write protobuf message {value}, supported: {MESSAGE_V1}, \
             {MESSAGE_V2}"
        ))),
        _ => Ok(None),
    }
}

fn check_encoding(encoding: &str) -> Result<(), Error> {
    if encoding.is_empty() || encoding.eq_ignore_ascii_case("snappy") {
        return Ok(());
    }
    Err(Error::ContentEncoding(encoding.to_owned()))
}
