//! A web server that speaks HTTP/1.1 and HTTP/2, with TLS or without, and a proxy: real ones, on free ports of the loopback.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::upgrade;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET`, `POST`, `CONNECT`, ...
    pub method: Method,
    /// As in the request: for a proxy the whole URL.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
    /// Whether it came over HTTP/2.
    pub http2: bool,
}

/// An answer: status, headers, body.
pub type Answered = (u16, Vec<(&'static str, String)>, Vec<u8>);

type Handler = Arc<dyn Fn(&Asked) -> Answered + Send + Sync>;

/// A running server; dropping it ends it.
pub struct Web {
    address: SocketAddr,
    seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Asked>>,
    connections: AtomicU64,
}

#[derive(Clone)]
enum Role {
    Server(Handler),
    /// A proxy that wants this `Proxy-Authorization`, if any.
    Proxy(Option<String>),
}

impl Asked {
    /// A header as text; empty where it is absent.
    pub fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    }
}

impl Web {
    /// A server that answers by the closure, with TLS where settings are given.
    pub fn start(
        tls: Option<ServerConfig>,
        answer: impl Fn(&Asked) -> Answered + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::run(tls, Role::Server(Arc::new(answer)))
    }

    /// A proxy for `http` and, by `CONNECT`, for anything. All hosts are taken for this machine.
    pub fn proxy(tls: Option<ServerConfig>, authorization: Option<&str>) -> io::Result<Self> {
        Self::run(tls, Role::Proxy(authorization.map(str::to_owned)))
    }

    fn run(tls: Option<ServerConfig>, role: Role) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, tls, role, shared) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Ok(Self { address, seen, stop: Some(stop) })
    }

    /// `ADDR:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Asked> {
        self.seen.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connections so far, those whose handshake failed included.
    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
    }
}

async fn accept(listener: std::net::TcpListener, tls: Option<ServerConfig>, role: Role, seen: Arc<Seen>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let acceptor = tls.map(|settings| TlsAcceptor::from(Arc::new(settings)));
    while let Ok((stream, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::SeqCst);
        let (acceptor, role, seen) = (acceptor.clone(), role.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            match acceptor {
                None => serve(stream, role, seen).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, role, seen).await;
                    }
                }
            }
        });
    }
}

async fn serve(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    role: Role,
    seen: Arc<Seen>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (role, seen) = (role.clone(), Arc::clone(&seen));
        async move { Ok::<_, Infallible>(respond(request, role, seen).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // A client that closes its connection is no news here.
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

type Boxed<'a> = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send + 'a>>;

fn respond(request: Request<Incoming>, role: Role, seen: Arc<Seen>) -> Boxed<'static> {
    Box::pin(async move {
        let asked = Asked {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body: String::new(),
            http2: request.version() == http::Version::HTTP_2,
        };
        match role {
            Role::Server(handler) => {
                let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
                let asked = Asked { body: String::from_utf8_lossy(&body).into_owned(), ..asked };
                seen.push(&asked);
                response(handler(&asked))
            }
            Role::Proxy(wanted) => {
                seen.push(&asked);
                if wanted.is_some_and(|wanted| wanted != asked.header("proxy-authorization")) {
                    return response((407, Vec::new(), Vec::new()));
                }
                if asked.method == Method::CONNECT { tunnel(request) } else { forward(request).await }
            }
        }
    })
}

impl Seen {
    fn push(&self, asked: &Asked) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
    }
}

fn response((status, headers, body): Answered) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn tunnel(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let port = request.uri().port_u16().unwrap_or(443);
    tokio::spawn(async move {
        let Ok(client) = upgrade::on(request).await else { return };
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut server).await;
    });
    Response::new(Full::default())
}

async fn forward(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let port = request.uri().port_u16().unwrap_or(80);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut inner = Request::new(Full::<Bytes>::default());
    *inner.uri_mut() = format!("http://127.0.0.1:{port}{path}").parse().unwrap_or_default();
    *inner.headers_mut() = request.headers().clone();
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let Ok(answer) = client.request(inner).await else { return response((502, Vec::new(), Vec::new())) };
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    Response::from_parts(head, Full::new(body))
}
