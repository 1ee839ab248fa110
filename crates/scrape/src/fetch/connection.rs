//! Connections that know whether they served a request before, so that one which the exporter closed while it lay
//! idle is told from one that fails.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Extensions, Response};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Error;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::util::MapResponse;

/// Opens connections.
pub(super) type Connector = MapResponse<HttpConnector, fn(TokioIo<TcpStream>) -> Kept>;

/// Opens connections for `http`, and for `https` where `under_tls` is set.
pub(super) fn connector(under_tls: bool) -> Connector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.enforce_http(!under_tls);
    MapResponse::new(connector, |stream| Kept { stream, used: Used::default() })
}

/// A connection that is kept between scrapes.
pub(super) struct Kept {
    stream: TokioIo<TcpStream>,
    used: Used,
}

/// Whether an answer came over the connection before.
#[derive(Clone, Default)]
struct Used(Arc<AtomicBool>);

/// To be called with every answer.
pub(super) fn mark_used<B>(response: &Response<B>) {
    if let Some(Used(used)) = response.extensions().get() {
        used.store(true, Ordering::Relaxed);
    }
}

/// Whether the request went into a kept connection that the other side had closed, or was closing. As Go's transport
/// does, it is sent again then: nothing is known of the target yet, and a GET changes nothing. A fresh connection that
/// is closed without an answer is the target's fault and is told.
pub(super) fn was_closed_idle(error: &Error) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    let was_used = extensions.get().is_some_and(|Used(used)| used.load(Ordering::Relaxed));
    was_used && is_closed(error)
}

fn is_closed(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
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

impl Connection for Kept {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.used.clone())
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
