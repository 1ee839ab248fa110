//! Below which paths everything answers.

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::ServiceExt;

/// An address that nothing answers at.
const NOWHERE: &str = "/api/v1/not-below-the-route-prefix";

/// The paths, without a slash at the end; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The path of the external URL: what pages put before their links.
    pub(crate) external: String,
    /// `--web.route-prefix`, where it was given.
    pub(crate) route: Option<String>,
}

impl Prefix {
    /// Of an external URL and a flag.
    pub(crate) fn new(external_url: &str, route: Option<&str>) -> Self {
        let route = route.map(|route| route.trim_matches('/')).filter(|route| !route.is_empty());
        Self { external: path_of(external_url), route: route.map(|route| format!("/{route}")) }
    }

    /// Without the flag everything answers below the path of the external URL, for proxies that pass the path on, and at
    /// the top, for those that take it off. With it everything answers below it alone, and the top leads there.
    pub(crate) fn wrap(&self, routes: Router) -> Router {
        match &self.route {
            Some(route) => {
                let (below, start) = (route.clone(), format!("{route}/"));
                let routes = routes.map_request(move |request| strip(&below, request, Some(NOWHERE)));
                let lead =
                    async move || -> Response { (StatusCode::FOUND, [(header::LOCATION, start)]).into_response() };
                Router::new().route("/", get(lead)).fallback_service(routes)
            }
            None if self.external.is_empty() => routes,
            None => {
                let below = self.external.clone();
                Router::new().fallback_service(routes.map_request(move |request| strip(&below, request, None)))
            }
        }
    }
}

/// The path of a URL without its last slash: what proxies put before every address.
fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map(|start| rest[start..].trim_end_matches('/').to_owned()).unwrap_or_default()
}

/// Takes the prefix off the address; one that does not lie below it becomes `otherwise`, or stays.
fn strip(prefix: &str, mut request: Request, otherwise: Option<&'static str>) -> Request {
    let uri = without(prefix, request.uri()).or_else(|| otherwise.map(Uri::from_static));
    if let Some(uri) = uri {
        *request.uri_mut() = uri;
    }
    request
}

/// The address without the prefix; `None` if it does not lie below it.
fn without(prefix: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(prefix)?;
    match rest.as_bytes().first() {
        Some(b'/') => rest.parse().ok(),
        None | Some(b'?') => format!("/{rest}").parse().ok(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn check((external, route): (&str, Option<&str>), path: &str, expected: &str) {
        let gone = async || (StatusCode::NOT_FOUND, "nothing");
        let routes = Router::new().route("/", get("top")).route("/query", get("query")).fallback(gone);
        let request = Request::get(path).body(Body::empty()).unwrap();
        let prefix = Prefix::new(&format!("http://h{external}/"), route);
        let response = prefix.wrap(routes).oneshot(request).await.unwrap();
        let to = response.headers().get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(to.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned()), expected, "{prefix:?} {path}");
    }

    #[tokio::test]
    async fn answers_with_and_without_the_path_of_the_external_url() {
        check(("", None), "/query", "query").await;
        check(("", None), "/skep/query", "nothing").await;
        for path in ["/skep", "/skep/", "/"] {
            check(("/skep", None), path, "top").await;
        }
        check(("/skep", None), "/skep/query", "query").await;
        check(("/skep", None), "/skep/query?expr=up", "query").await;
        check(("/skep", None), "/skep?from=now-1h", "top").await;
        check(("/skep", None), "/query", "query").await;
        check(("/skep", None), "/skeptic", "nothing").await;
        check(("/a/b", None), "/a/b/query", "query").await;
        check(("/skep", None), "/skep/no", "nothing").await;
        check(("/skep", Some("/")), "/query", "query").await;
    }

    #[tokio::test]
    async fn answers_below_the_route_prefix_alone() {
        for route in ["/r", "r", "/r/"] {
            check(("/skep", Some(route)), "/r/query?expr=up", "query").await;
            check(("/skep", Some(route)), "/r/", "top").await;
            check(("/skep", Some(route)), "/r", "top").await;
            check(("/skep", Some(route)), "/", "/r/").await;
            check(("/skep", Some(route)), "/query", "nothing").await;
            check(("/skep", Some(route)), "/skep/query", "nothing").await;
        }
    }
}
