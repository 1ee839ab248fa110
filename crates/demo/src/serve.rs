//! The endpoints as HTTP servers on the loopback.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{DemoError, Endpoint, World};

/// Connections that an endpoint holds at once; a scraper needs one, a few people look with a browser. More wait.
const CONNECTIONS_MAX: usize = 16;
/// A client that does not finish its request's head within this time is let go, so that it frees its place.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// After a failed `accept`, such as for want of file descriptors, the next waits this long instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The type of all answers.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Where the page is.
const PATH: &str = "/metrics";

/// Which ports the endpoints take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Cilium's, 9962 to 9966; a free one in place of one that is taken.
    Cilium,
    /// Free ones.
    Any,
}

/// The running servers; they stop when this is dropped.
#[derive(Debug)]
pub struct Servers {
    addresses: [(Endpoint, SocketAddr); Endpoint::ALL.len()],
    _tasks: JoinSet<()>,
}

impl Servers {
    /// Where each endpoint is served, path `/metrics`.
    pub fn addresses(&self) -> &[(Endpoint, SocketAddr)] {
        &self.addresses
    }
}

/// Serves the five endpoints on the loopback.
///
/// Pages show the world at the clock's time, in text format 0.0.4. Must be called within a tokio runtime.
pub async fn serve(world: Arc<World>, clock: Arc<dyn Clock>, ports: Ports) -> Result<Servers, DemoError> {
    let mut tasks = JoinSet::new();
    let mut addresses = Endpoint::ALL.map(|endpoint| (endpoint, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
    for (endpoint, address) in &mut addresses {
        let (listener, bound) = bind(*endpoint, ports).await?;
        *address = bound;
        let site = Site { world: world.clone(), clock: clock.clone(), endpoint: *endpoint };
        tasks.spawn(accept(listener, site));
    }
    Ok(Servers { addresses, _tasks: tasks })
}

async fn bind(endpoint: Endpoint, ports: Ports) -> Result<(TcpListener, SocketAddr), DemoError> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let failed = |source| DemoError::Bind { endpoint, address: any, source };
    let wanted = match ports {
        Ports::Cilium => TcpListener::bind((Ipv4Addr::LOCALHOST, endpoint.port())).await.ok(),
        Ports::Any => None,
    };
    let listener = match wanted {
        Some(listener) => listener,
        None => TcpListener::bind(any).await.map_err(failed)?,
    };
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// What a connection needs to answer.
#[derive(Clone)]
struct Site {
    world: Arc<World>,
    clock: Arc<dyn Clock>,
    endpoint: Endpoint,
}

/// Accepts for ever. Connections are children of this task and end with it.
async fn accept(listener: TcpListener, site: Site) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = site.clone();
                connections.spawn(async move {
                    converse(stream, site).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn converse(stream: TcpStream, site: Site) {
    let service = service_fn(|request| {
        let response = site.answer(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A client that goes away in the middle harms nobody, and there is nobody to tell.
    let _ = connection.await;
}

impl Site {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() != PATH {
            return plain(StatusCode::NOT_FOUND, "The page is at /metrics.\n".to_owned());
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are answered.\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match self.world.page(self.endpoint, self.clock.now()) {
            Some(page) => {
                let mut text = String::new();
                exposition::text::write(&page, &mut text);
                plain(StatusCode::OK, text)
            }
            None => plain(StatusCode::SERVICE_UNAVAILABLE, "The agent is starting.\n".to_owned()),
        }
    }
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    response
}
