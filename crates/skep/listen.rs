//! The front door: one TCP listener, bounded connections, slow clients cut off, a clean end.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

/// A connection costs two buffers and a task; this many fit the smallest memory budget with room to spare.
const CONNECTIONS_MAX: usize = 256;

/// One address cannot take all connections. The loopback is exempt: a proxy on this machine speaks for many people.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 32;

/// A client that does not finish its request head within this time is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// While more than half of the connections are taken, clients have to be this quick, so that half-open connections make
/// nobody wait for long.
const HEADER_TIMEOUT_CROWDED: Duration = Duration::from_secs(1);

/// Idle connections and streams get this long to end after the signal to stop; `main` promises five seconds in all.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// After accept fails, for want of file descriptors say, the loop rests this long instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections by address.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// Counts one connection of an address until it is dropped.
struct Admission {
    addresses: Addresses,
    address: IpAddr,
}

/// Serves until `stop` turns true, then drains.
pub(crate) async fn serve(listener: TcpListener, app: Router, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
                    let crowded = slots.available_permits() < CONNECTIONS_MAX / 2;
                    let patience = if crowded { HEADER_TIMEOUT_CROWDED } else { HEADER_TIMEOUT };
                    connection((stream, peer), patience, &app, &graceful, (slot, admission));
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

/// Serves one connection in a task of its own; `held` is released when it ends.
fn connection(
    (stream, peer): (TcpStream, SocketAddr),
    patience: Duration,
    app: &Router,
    graceful: &GracefulShutdown,
    held: impl Send + 'static,
) {
    // Answers are written whole; Nagle's delay would only add to them.
    let _ = stream.set_nodelay(true);
    let service = app.clone().map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, %peer, "a connection ended early");
        }
        drop(held);
    });
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
