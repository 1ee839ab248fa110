//! What tests and benches share: the real server as a child process, exporters that misbehave on demand.
//!
//! In: the path of the program. Out: handles whose `Drop` leaves nothing behind. Never: a stand-in for a room.

mod disk;
mod exporter;
mod server;
mod write_request;

pub use disk::{CrashDisk, Loss};
pub use exporter::{Exporter, Reply};
pub use server::{Response, Server, ServerBuilder, poll_until};
pub use write_request::WriteRequest;
