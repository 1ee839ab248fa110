//! What tests and benches share: the real server as a child process, the peers it is compared with, exporters that
//! misbehave on demand, a disk that crashes.
//!
//! In: the path of the program, the folder of the peers. Out: handles whose `Drop` leaves nothing behind. Never: a
//! stand-in for a room.

mod disk;
mod exporter;
mod peer;
mod server;
mod write_request;

pub use disk::{CrashDisk, Loss};
pub use exporter::{Exporter, Reply};
pub use peer::{PEERS_VARIABLE, Prometheus, free_port, peer};
pub use server::{Response, Server, ServerBuilder, poll_until};
pub use write_request::WriteRequest;
