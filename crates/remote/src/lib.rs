//! Remote write and read: samples that other Prometheus servers and agents send and ask for, and a sender for history.
//!
//! In: `POST /api/v1/write`, a snappy block around the protobuf message of remote write 1.0 or 2.0. Out: batches to a
//! [`model::Appendable`], and a 2xx only once they are on the disk; the same requests to another server by [`Sender`];
//! series to those who ask for them by [`Reader`]. Never: a wait without a limit, a buffer whose size the sender decides.
//!
//! The way of a write: `media` reads the headers, `receive` the body under the limits below, `wire` walks the message in
//! place, `ingest` appends (`v2` what 2.0 says otherwise), `lane` does all of it on one thread and syncs. `known` remembers
//! which series a label list named, so that a sender's steady series cost a hash and no parse.

mod buffers;
mod counters;
mod error;
mod ingest;
mod known;
mod lane;
mod media;
mod message;
mod put;
mod read;
mod receive;
mod send;
mod v2;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use model::{Appendable, Collector};
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::buffers::Buffers;
use crate::counters::Counters;
use crate::known::KnownSeries;

use error::Error;
pub use lane::Lane;
pub use message::Message;
pub use read::{ReadLimits, Reader};
pub use send::{Answer, SendError, Sender};

/// Longest body, packed. Prometheus sends 2,000 samples a request, some 100 KiB; a backfill of 100,000 samples stays
/// under it.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Longest message, unpacked; what a block claims is checked before memory is taken. Prometheus 3.5 has the same.
const DECODED_BYTES_MAX: usize = 32 << 20;
/// Requests at once, waiting ones included: one sender uses up to 50 connections, and one more sender fits.
const REQUESTS_MAX: usize = 100;
/// Packed bytes that all requests hold together; the largest legal request fits beside many usual ones.
const BODIES_BYTES_MAX: usize = 24 << 20;
/// Unpacked bytes that all requests hold together; a further one waits.
const MESSAGES_BYTES_MAX: usize = 40 << 20;
/// Requests written at once. They wait for the disk together and share its syncs; each takes a thread.
const WRITERS_MAX: usize = 16;

/// What a receiver may hold at once, in bytes; by default the most that it ever needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One body, packed.
    body: usize,
    /// One message, unpacked.
    message: usize,
    /// All bodies.
    bodies: usize,
    /// All messages.
    messages: usize,
    /// Series of each of the two generations that are known by their label bytes.
    known: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: BODY_BYTES_MAX,
            message: DECODED_BYTES_MAX,
            bodies: BODIES_BYTES_MAX,
            messages: MESSAGES_BYTES_MAX,
            known: known::GENERATION_ENTRIES_MAX,
        }
    }
}

impl Limits {
    /// Limits that keep a receiver within `bytes`, for a store of at most `series`. Messages take half of it, packed bodies
    /// a quarter, the batches that are made of them the rest.
    pub fn within(bytes: u64, series: u64) -> Self {
        let most = Self::default();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let (bodies, messages) = (most.bodies.min(bytes / 4), most.messages.min(bytes / 2));
        let known = most.known.min(usize::try_from(series).unwrap_or(usize::MAX));
        Self { body: most.body.min(bodies), message: most.message.min(messages), bodies, messages, known }
    }
}

/// What the routes share; clones are the same receiver.
#[derive(Clone)]
pub struct State {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Appendable>,
    limits: Limits,
    known: RwLock<KnownSeries>,
    counters: Counters,
    messages: Buffers,
    requests: Semaphore,
    body_bytes: Semaphore,
    message_bytes: Arc<Semaphore>,
    writers: Arc<Semaphore>,
}

impl State {
    /// A receiver that writes to this store, within these limits.
    pub fn new(store: Arc<dyn Appendable>, limits: Limits) -> Self {
        let shared = Shared {
            store,
            known: RwLock::new(KnownSeries::new(limits.known)),
            counters: Counters::default(),
            messages: Buffers::default(),
            limits,
            requests: Semaphore::new(REQUESTS_MAX),
            body_bytes: Semaphore::new(limits.bodies),
            message_bytes: Arc::new(Semaphore::new(limits.messages)),
            writers: Arc::new(Semaphore::new(WRITERS_MAX)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What it counts, for `/metrics`.
    pub fn collector(&self) -> Arc<dyn Collector> {
        Arc::new(self.clone())
    }

    fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    fn in_flight(&self) -> usize {
        REQUESTS_MAX - self.shared.requests.available_permits()
    }

    /// Bytes of bodies and messages that are being received and stored.
    pub fn held_bytes(&self) -> u64 {
        let bodies = self.shared.limits.bodies - self.shared.body_bytes.available_permits();
        let messages = self.shared.limits.messages - self.shared.message_bytes.available_permits();
        (bodies + messages) as u64
    }

    fn known_series(&self) -> usize {
        self.shared.known.read().len()
    }
}

/// The route `POST /api/v1/write`.
pub fn router(state: State) -> Router {
    Router::new().route("/api/v1/write", post(receive::write)).with_state(state)
}
