//! Which pages of other sites may read answers in their readers' browsers.
//!
//! None, unless `--web.cors.origin` names them. Upstream lets all: whoever opens any page then hands it what their browser
//! reaches, which for a server without a login is everything. Preflights are answered as upstream answers them.
//!
//! A page that is named may read, and no more: writes, administration and lifecycle stay with the guard of the
//! program. Queries by POST are reads.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use model::{Pattern, PatternError};

/// What a preflight, and every answer to a page, says.
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Accept, Authorization, Content-Type, Origin")),
    (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS")),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Date")),
];

/// Routes that read, whatever the method.
const QUERIES: [&str; 7] =
    ["query", "query_range", "query_exemplars", "format_query", "parse_query", "series", "labels"];

/// Where the API lies.
const API: &str = "/api/v1/";

/// The origins that may read, such as `https?://.*\.example`, matched whole.
#[derive(Clone, Debug, Default)]
pub struct Cors(Option<Arc<Origins>>);

#[derive(Debug)]
struct Origins {
    text: String,
    pattern: Pattern,
}

impl fmt::Display for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("", |origins| &origins.text))
    }
}

impl Cors {
    /// Those that the pattern matches. Errors: it is no regular expression.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let origins = Origins { text: pattern.to_owned(), pattern: Pattern::new(pattern)? };
        Ok(Self(Some(Arc::new(origins))))
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let origin = origin.to_str().ok();
        self.0.as_ref().zip(origin).is_some_and(|(origins, origin)| origins.pattern.is_match(origin))
    }
}

/// The middleware. It stands before the guard, for which a query of a page that is named is one of a program.
pub async fn cors(State(cors): State<Cors>, mut request: Request, next: Next) -> Response {
    let Some(route) = request.uri().path().strip_prefix(API).map(str::to_owned) else {
        return next.run(request).await;
    };
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.clone().filter(|origin| cors.allows(origin));
    if allowed.is_some() && QUERIES.contains(&&*route) {
        request.headers_mut().remove(header::ORIGIN);
        request.headers_mut().remove("sec-fetch-site");
    }
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    if cors.0.is_some() {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(allowed) = allowed {
        response.headers_mut().extend(HEADERS);
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    }
    response
}
