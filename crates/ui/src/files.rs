//! `/assets/*` from the embedded table.

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse;

/// Names carry a hash of the content, so a copy never goes stale.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The embedded file of exactly this name, in the best encoding that the client takes.
pub(crate) async fn serve(Path(name): Path<String>, headers: HeaderMap) -> axum::response::Response {
    let Some(asset) = assets::find(&name) else {
        return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response();
    };
    let (encoding, bytes) = if accepts(&headers, "br") {
        (Some("br"), asset.brotli)
    } else if accepts(&headers, "gzip") {
        (Some("gzip"), asset.gzip)
    } else {
        (None, asset.plain)
    };
    let cache = if asset.is_immutable() { FOR_EVER } else { "no-cache" };
    let mut response = Response::builder()
        .header(CONTENT_TYPE, asset.content_type)
        .header(CACHE_CONTROL, cache)
        .header(VARY, "accept-encoding");
    if let Some(encoding) = encoding {
        response = response.header(CONTENT_ENCODING, encoding);
    }
    response
        .body(Body::from(bytes))
        .map_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response(), IntoResponse::into_response)
}

/// Whether `Accept-Encoding` lists an encoding without refusing it by `q=0`.
pub(crate) fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let listed = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let refused = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding)) && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let cases = [
            ("gzip, deflate, br", true),
            ("br;q=1.0", true),
            ("br;q=0", false),
            ("brr", false),
            ("", false),
            ("BR", true),
        ];
        for (value, expected) in cases {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().unwrap())]);
            assert_eq!(accepts(&headers, "br"), expected, "{value}");
        }
    }
}
