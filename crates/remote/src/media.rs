//! What the headers say of the body.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::Error;

const PROTOBUF: &str = "application/x-protobuf";
const MESSAGE_V1: &str = "prometheus.WriteRequest";
const MESSAGE_V2: &str = "io.prometheus.write.v2.Request";

/// Passes requests whose body is a `WriteRequest` of remote write 1.0 in a snappy block. Absent headers count as
/// that, as in Prometheus.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Error> {
    check_type(text(headers.get(CONTENT_TYPE)))?;
    check_encoding(text(headers.get(CONTENT_ENCODING)))
}

fn text(value: Option<&axum::http::HeaderValue>) -> &str {
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn check_type(content_type: &str) -> Result<(), Error> {
    if content_type.is_empty() {
        return Ok(());
    }
    let mut parts = content_type.split(';').map(str::trim);
    if parts.next() != Some(PROTOBUF) {
        return Err(Error::ContentType(format!(
            "expected {PROTOBUF} as the first (media) part, got {content_type} content-type"
        )));
    }
    parts.try_for_each(|parameter| check_parameter(parameter, content_type))
}

fn check_parameter(parameter: &str, content_type: &str) -> Result<(), Error> {
    let (key, value) = parameter.split_once('=').ok_or_else(|| {
        Error::ContentType(format!(
            "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, \
             got {parameter} in {content_type} content-type"
        ))
    })?;
    match (key, value) {
        ("proto", MESSAGE_V1) => Ok(()),
        ("proto", MESSAGE_V2) => Err(Error::ContentType(format!(
            "{MESSAGE_V2} protobuf message is not accepted by this server; accepted {MESSAGE_V1}"
        ))),
        ("proto", _) => Err(Error::ContentType(format!(
            "got {content_type} content type; unknown remote write protobuf message {value}, supported: {MESSAGE_V1}"
        ))),
        _ => Ok(()),
    }
}

fn check_encoding(encoding: &str) -> Result<(), Error> {
    if encoding.is_empty() || encoding.eq_ignore_ascii_case("snappy") {
        return Ok(());
    }
    Err(Error::ContentEncoding(encoding.to_owned()))
}
