//! Connections: TCP, through a proxy where one is to be used, TLS on top. Each knows whether it served a request before, so
//! that one which the server closed while it lay idle is told from one that fails.

use std::error::Error as StdError;
use std::future::{Future, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Extensions, Response, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Error;
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::{Service, service_fn};

use crate::proxy::{Proxy, Rule};
use crate::tls::{Tls, is_http2};
use crate::{Failure, causes};

/// What a proxy may say to `CONNECT`; squid's pages of errors come behind the head and are not read.
const PROXY_HEAD_BYTES_MAX: usize = 8 << 10;

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    proxy: Arc<Rule>,
    /// `None` for a client that never speaks TLS, which needs no certificates.
    tls: Option<Tls>,
}

/// An open connection.
pub(crate) struct Kept {
    stream: TokioIo<Box<dyn Stream>>,
    proxied: bool,
    http2: bool,
    used: Used,
}

/// Whether an answer came over the connection before.
#[derive(Clone, Default)]
struct Used(Arc<AtomicBool>);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Connector {
    pub(crate) fn new(proxy: Arc<Rule>, tls: Option<Tls>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        Self { tcp, proxy, tls }
    }

    async fn connect(mut self, uri: Uri) -> Result<Kept, Failure> {
        let secure = uri.scheme_str() == Some("https");
        let rules = Arc::clone(&self.proxy);
        let proxy = rules.proxy_of(&uri);
        let (mut stream, proxy) = match proxy {
            Some(proxy) if proxy.is_socks() => (self.dial_through(proxy, &uri).await?, None),
            proxy => (self.dial(proxy.map_or(&uri, |proxy| &proxy.uri)).await?, proxy),
        };
        if let Some(proxy) = proxy.filter(|proxy| proxy.is_secure()) {
            let settings = Arc::clone(&self.tls()?.proxy);
            stream = shake_hands(stream, settings, name_of(&proxy.uri)?, &proxy.uri).await?.0;
        }
        if !secure {
            return Ok(Kept::new(stream, proxy.is_some(), false));
        }
        if let Some(proxy) = proxy {
            tunnel(&mut stream, &uri, proxy, &rules).await?;
        }
        let tls = self.tls()?;
        let name = tls.server_name.clone().map_or_else(|| name_of(&uri), Ok)?;
        let (stream, http2) = shake_hands(stream, Arc::clone(&tls.server), name, &uri).await?;
        Ok(Kept::new(stream, false, http2))
    }

    fn tls(&self) -> Result<&Tls, Failure> {
        self.tls.as_ref().ok_or_else(|| Failure::Settings("this client speaks no TLS".to_owned()))
    }

    /// A connection that a SOCKS proxy opens; for what is sent over it there is no proxy.
    async fn dial_through(&mut self, proxy: &Proxy, uri: &Uri) -> Result<Box<dyn Stream>, Failure> {
        // The way to the proxy is opened here, because the library does not tell why it could not.
        let mut opened = Some(self.dial_tcp(&proxy.uri).await?);
        let given = service_fn(move |_: Uri| ready(opened.take().ok_or(io::ErrorKind::NotConnected)));
        let mut socks = SocksV5::new(proxy.uri.clone(), given);
        if let Some((name, password)) = &proxy.user {
            socks = socks.with_auth(name.clone(), password.clone());
        }
        let address = address_of(uri);
        let to = address.parse::<Uri>().map_err(|error| Failure::Request(error.to_string()))?;
        match socks.call(to).await {
            Ok(stream) => Ok(Box::new(stream.into_inner())),
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.trim_start_matches("SOCKS error: ");
                Err(Failure::Connection(format!(
                    "SOCKS proxy {}, asked for {address}: {reason}",
                    address_of(&proxy.uri)
                )))
            }
        }
    }

    async fn dial(&mut self, uri: &Uri) -> Result<Box<dyn Stream>, Failure> {
        Ok(Box::new(self.dial_tcp(uri).await?.into_inner()))
    }

    async fn dial_tcp(&mut self, uri: &Uri) -> Result<TokioIo<TcpStream>, Failure> {
        self.tcp.call(uri.clone()).await.map_err(|error| Failure::Connection(reason(&error, uri)))
    }
}

/// Says of a connection that failed whether the name or the address is at fault.
fn reason(error: &(dyn StdError + 'static), uri: &Uri) -> String {
    let mut chain = std::iter::successors(Some(error), |error| (**error).source());
    let system = chain.find_map(|error| error.downcast_ref::<io::Error>());
    let text = system.map_or_else(|| causes(error), ToString::to_string);
    let text = text.split(" (os error").next().unwrap_or_default();
    if error.to_string().starts_with("dns") {
        let text = text.rsplit(": ").next().unwrap_or_default();
        return format!("cannot resolve {}: {text}", uri.host().unwrap_or_default());
    }
    format!("cannot connect to {}: {text}", address_of(uri))
}

/// Host and port without a user.
fn address_of(uri: &Uri) -> String {
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    format!("{}:{port}", uri.host().unwrap_or_default())
}

fn name_of(uri: &Uri) -> Result<ServerName<'static>, Failure> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::Connection(format!("{host:?} is no name that a certificate could have")))
}

/// Asks the proxy for a connection to the server.
async fn tunnel(stream: &mut Box<dyn Stream>, uri: &Uri, proxy: &Proxy, rules: &Rule) -> Result<(), Failure> {
    let address = address_of(uri);
    let mut head = format!("CONNECT {address} HTTP/1.1\r\n{HOST}: {address}\r\n").into_bytes();
    let authorization = proxy.authorization.iter().map(|value| (&PROXY_AUTHORIZATION, value));
    for (name, value) in authorization.chain(rules.connect_headers.iter().map(|(name, value)| (name, value))) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let failed = |error: io::Error| Failure::Connection(format!("proxy {}: {error}", address_of(&proxy.uri)));
    stream.write_all(&head).await.map_err(failed)?;
    let mut answer = Vec::new();
    // Byte by byte: what comes behind the head belongs to the server.
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < PROXY_HEAD_BYTES_MAX {
        answer.push(stream.read_u8().await.map_err(failed)?);
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    let status = status.split_once(' ').filter(|(version, _)| version.starts_with("HTTP/1.")).map(|(_, rest)| rest);
    match status {
        Some(status) if status.starts_with("200") => Ok(()),
        status => {
            let status = status.unwrap_or("something that is not HTTP");
            Err(Failure::Connection(format!("proxy {} answered CONNECT with {status}", address_of(&proxy.uri))))
        }
    }
}

async fn shake_hands(
    stream: Box<dyn Stream>,
    settings: Arc<ClientConfig>,
    name: ServerName<'static>,
    uri: &Uri,
) -> Result<(Box<dyn Stream>, bool), Failure> {
    let host = name.to_str().into_owned();
    let connected = TlsConnector::from(settings).connect(name, stream).await;
    let stream = connected
        .map_err(|error| Failure::Connection(format!("TLS with {}: {}", address_of(uri), tls_reason(&error, &host))))?;
    let http2 = is_http2(stream.get_ref().1.alpn_protocol());
    Ok((Box::new(stream), http2))
}

/// The usual failures in the words of who set the servers up.
fn tls_reason(error: &io::Error, host: &str) -> String {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer};
    use rustls::Error::{InvalidCertificate, InvalidMessage};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(InvalidCertificate(UnknownIssuer)) => "the certificate is signed by an unknown authority".to_owned(),
        Some(InvalidCertificate(Expired | ExpiredContext { .. })) => "the certificate has expired".to_owned(),
        Some(InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
            format!("the certificate is not for {host:?}")
        }
        Some(InvalidMessage(_)) => "the answer is not TLS".to_owned(),
        Some(inner) => inner.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        None => error.to_string().split(" (os error").next().unwrap_or_default().to_owned(),
    }
}

/// To be called with every answer.
pub(crate) fn mark_used<B>(response: &Response<B>) {
    if let Some(Used(used)) = response.extensions().get() {
        used.store(true, Ordering::Relaxed);
    }
}

/// Whether the request went into a kept connection that the other side had closed, or was closing. As Go's transport
/// does, it is sent again then: nothing is known of the server yet, and a GET changes nothing. A fresh connection that
/// is closed without an answer is the server's fault and is told.
pub(crate) fn was_closed_idle(error: &Error) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    let was_used = extensions.get().is_some_and(|Used(used)| used.load(Ordering::Relaxed));
    was_used && is_unanswered(error)
}

/// Whether the other side ended the connection before the head of its answer.
pub(crate) fn is_unanswered(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        let http = cause.downcast_ref::<hyper::Error>();
        let closed = http.is_some_and(|e| e.is_incomplete_message() || e.is_closed() || e.is_canceled());
        if closed || cause.downcast_ref().is_some_and(is_closed_io) {
            return true;
        }
        source = cause.source();
    }
    false
}

fn is_closed_io(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

impl Service<Uri> for Connector {
    type Response = Kept;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Kept, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

impl Kept {
    fn new(stream: Box<dyn Stream>, proxied: bool, http2: bool) -> Self {
        Self { stream: TokioIo::new(stream), proxied, http2, used: Used::default() }
    }
}

impl Connection for Kept {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.proxied).extra(self.used.clone());
        if self.http2 { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Kept {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Kept {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
