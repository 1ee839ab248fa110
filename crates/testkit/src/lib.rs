//! What tests and benches share: the real server as a child process, the peers it is compared with, exporters that
//! misbehave on demand, a disk that crashes.
//!
//! In: the path of the program, the folder of the peers. Out: handles whose `Drop` leaves nothing behind. Never: a
//! stand-in for a room.
//!
//! Without the feature `servers` there is only what needs no network, disk, clock and content: who fuzzes the store builds
//! neither HTTP nor TLS.

#[cfg(feature = "servers")]
mod authority;
mod clock;
mod content;
mod disk;
#[cfg(feature = "servers")]
mod exporter;
#[cfg(feature = "servers")]
mod hostile;
#[cfg(feature = "servers")]
mod names;
#[cfg(feature = "servers")]
mod peer;
#[cfg(feature = "servers")]
mod server;
#[cfg(feature = "servers")]
mod web;
#[cfg(feature = "servers")]
mod write_request;

/// Set by `cargo xtask soak` to how many times the usual length a test with a long form takes.
pub const SOAK_VARIABLE: &str = "SKEP_SOAK";

/// How many times the usual length a test with a long form takes: once, unless `cargo xtask soak` says more.
pub fn soak_factor() -> u64 {
    std::env::var(SOAK_VARIABLE).ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

#[cfg(feature = "servers")]
pub use authority::{Authority, CertError, Identity};
pub use clock::TestClock;
pub use content::{Content, content};
pub use disk::{CrashDisk, Loss};
#[cfg(feature = "servers")]
pub use exporter::{Exporter, Reply};
#[cfg(feature = "servers")]
pub use hostile::{Ending, ask_hostile, hostile_requests};
#[cfg(feature = "servers")]
pub use names::{NameRecord, NameServer};
#[cfg(feature = "servers")]
pub use peer::{PEERS_VARIABLE, Prometheus, free_port, peer};
#[cfg(feature = "servers")]
pub use server::{Response, Server, ServerBuilder, poll_until};
#[cfg(feature = "servers")]
pub use web::{Answered, Asked, Web};
#[cfg(feature = "servers")]
pub use write_request::WriteRequest;
