//! The front door: one TCP listener, bounded connections, slow clients cut off, a clean end.

mod line;
mod pace;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use remote::Lane;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use self::pace::{Pace, Paced, PacedBody};
use crate::front::Front;

/// A connection costs two buffers and a task; this many fit the smallest memory budget with room to spare.
const CONNECTIONS_MAX: usize = 256;

/// One address cannot take all connections. The loopback is exempt: a proxy on this machine speaks for many people.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 32;

/// A client that does not send the first byte of a connection, or then the rest of a request head, within this time is cut
/// off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A TLS handshake takes two messages of each side; who has not sent his by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// While more than half of the connections are taken, clients have to be this quick, so that half-open connections make
/// nobody wait for long.
const HEADER_TIMEOUT_CROWDED: Duration = Duration::from_secs(1);

/// Bytes of a request head. The URI may have 64 KiB of them, which is all that the `http` crate takes; with as many as may
/// be connected, heads without end take 24 MiB in all. What a connection has to write is buffered up to the same size.
const REQUEST_HEAD_BYTES_MAX: usize = 96 << 10;

/// A body may trickle for half a minute, which is when Prometheus' remote write gives up by itself, and then has to be
/// quicker than any line that carries a terminal.
const BODY_PACE: Pace = Pace { grace: Duration::from_secs(30), bytes_per_second: 512 };

/// The same for who reads an answer: a laptop may sleep for half a minute, and then the memory of the answer is wanted back.
const ANSWER_PACE: Pace = Pace { grace: Duration::from_secs(30), bytes_per_second: 512 };

/// Idle connections and streams get this long to end after the signal to stop; `main` promises five seconds in all.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// After accept fails, for want of file descriptors say, the loop rests this long instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection whose first bytes hold this in their first line is run by the lane of remote write.
const WRITE_PATH: &[u8] = b"/api/v1/write ";

/// Bytes of a connection that are looked at before it is known who runs it: a method and a path under a prefix.
const PEEKED_BYTES: usize = 256;

/// What all clients together and each of them may take.
#[derive(Clone, Copy)]
struct Limits {
    connections: usize,
    header: Duration,
    header_crowded: Duration,
    body: Pace,
    answer: Pace,
}

const LIMITS: Limits = Limits {
    connections: CONNECTIONS_MAX,
    header: HEADER_TIMEOUT,
    header_crowded: HEADER_TIMEOUT_CROWDED,
    body: BODY_PACE,
    answer: ANSWER_PACE,
};

/// Connections by address.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// Counts one connection of an address until it is dropped.
struct Admission {
    addresses: Addresses,
    address: IpAddr,
}

/// A connection that is not served yet.
struct Visitor<Stream, Held> {
    stream: Stream,
    peer: SocketAddr,
    /// Time until its head must have come.
    patience: Duration,
    limits: Limits,
    watcher: Watcher,
    /// Released when it ends.
    held: Held,
}

/// Serves until `stop` turns true, then drains. Those who write are served on the lane.
pub(crate) async fn serve(listener: TcpListener, app: Router, lane: Lane, front: Front, stop: watch::Receiver<bool>) {
    serve_within(LIMITS, listener, app, lane, front, stop).await;
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    app: Router,
    lane: Lane,
    front: Front,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let addresses = Addresses::default();
    let graceful = GracefulShutdown::new();
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(admission) = addresses.admit(peer.ip()) {
                    let crowded = slots.available_permits() < limits.connections / 2;
                    let patience = if crowded { limits.header_crowded } else { limits.header };
                    let (watcher, held) = (graceful.watcher(), (slot, admission));
                    let visitor = Visitor { stream, peer, patience, limits, watcher, held };
                    match front.now().tls.clone() {
                        Some(tls) => drop(tokio::spawn(visitor.guide_secure(tls, app.clone(), stop.clone()))),
                        None => drop(tokio::spawn(visitor.guide(app.clone(), lane.clone(), stop.clone()))),
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
}

impl<Held: Send + 'static> Visitor<TcpStream, Held> {
    /// Serves the connection on the thread that suits its first request.
    async fn guide(self, app: Router, lane: Lane, mut stop: watch::Receiver<bool>) {
        // Answers are written whole; Nagle's delay would only add to them.
        let _ = self.stream.set_nodelay(true);
        let writes = tokio::select! {
            writes = tokio::time::timeout(self.patience, writes(&self.stream)) => writes,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok(Ok(writes)) = writes else { return };
        if !writes {
            return self.serve(app, None).await;
        }
        let Ok(stream) = self.stream.into_std() else { return };
        lane.clone().spawn(async move {
            // A stream belongs to the thread that waits for it.
            if let Ok(stream) = TcpStream::from_std(stream) {
                Self { stream, ..self }.serve(app, Some(lane)).await;
            }
        });
    }

    /// The same with TLS, behind which nobody sees what a request will be: all are served here.
    async fn guide_secure(self, tls: Arc<ServerConfig>, app: Router, mut stop: watch::Receiver<bool>) {
        let _ = self.stream.set_nodelay(true);
        let patience = self.patience.min(HANDSHAKE_TIMEOUT);
        let Self { stream, peer, limits, watcher, held, .. } = self;
        let handshake = TlsAcceptor::from(tls).accept(stream);
        let secured = tokio::select! {
            secured = tokio::time::timeout(patience, handshake) => secured,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match secured {
            Ok(Ok(stream)) => {
                Visitor { stream, peer, patience: self.patience, limits, watcher, held }.serve(app, None).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, %peer, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
        }
    }
}

impl<Stream, Held> Visitor<Stream, Held>
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Held: Send + 'static,
{
    async fn serve(self, app: Router, lane: Option<Lane>) {
        let Self { stream, peer, patience, limits, watcher, held } = self;
        let service = app.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(lane) = &lane {
                request.extensions_mut().insert(lane.clone());
            }
            request.map(|body| axum::body::Body::new(PacedBody::new(body, limits.body)))
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_buf_size(REQUEST_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Paced::new(stream, limits.answer)), TowerToHyperService::new(service));
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, %peer, "a connection ended early");
        }
        drop(held);
    }
}

/// Whether the first request of a connection is a remote write. What is not known yet does not matter: both ways answer
/// every request.
async fn writes(stream: &TcpStream) -> io::Result<bool> {
    let mut head = [0; PEEKED_BYTES];
    let length = stream.peek(&mut head).await?;
    let line = head[..length].split(|&byte| byte == b'\n').next().unwrap_or_default();
    Ok(line.windows(WRITE_PATH.len()).any(|part| part == WRITE_PATH))
}

impl Addresses {
    fn admit(&self, address: IpAddr) -> Option<Admission> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS_MAX && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Admission { addresses: self.clone(), address })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
