//! `--web.config.file`: TLS, users and headers of the front door, in the format of Prometheus' exporter toolkit.

mod decode;
mod login;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rustls::ServerConfig;
use yaml::Report;

use self::login::Users;

/// What a file says, ready to use; without a file, nothing is asked for.
#[derive(Default)]
pub(crate) struct WebConfig {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    users: Users,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The file and those that it names.
    pub(crate) files: Vec<PathBuf>,
}

/// The configuration in force; connections and requests take the newest one.
#[derive(Clone, Default)]
pub(crate) struct Front(Arc<RwLock<Arc<WebConfig>>>);

/// Reads the file and the certificates that it names; all that is wrong goes to the report.
pub(crate) fn load(path: Option<&Path>, report: &Report) -> WebConfig {
    path.map(|path| decode::load(path, report)).unwrap_or_default()
}

impl WebConfig {
    /// Whether strangers are kept out.
    pub(crate) fn has_login(&self) -> bool {
        !self.users.is_empty()
    }
}

impl Front {
    pub(crate) fn new(config: WebConfig) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// From now on another configuration is in force.
    pub(crate) fn replace(&self, config: WebConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// The configuration in force.
    pub(crate) fn now(&self) -> Arc<WebConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The outermost layer: nothing is answered to strangers, and every answer carries the configured headers.
pub(crate) async fn guard(State(front): State<Front>, request: Request, next: Next) -> Response {
    let config = front.now();
    let header = request.headers().get(AUTHORIZATION).cloned();
    let mut response = match config.users.is_empty() || config.users.admits(header.as_ref()).await {
        true => next.run(request).await,
        false => {
            let ask = [(WWW_AUTHENTICATE, "Basic")];
            (StatusCode::UNAUTHORIZED, ask, "Unauthorized\n").into_response()
        }
    };
    for (name, value) in &config.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}
