//! The routes over real connections.

#![allow(clippy::unwrap_used, clippy::panic)]

mod bodies;
mod counted;
mod differential;
mod explain;
mod parameters;
mod peer;
mod promtool;
mod requests;
mod routes;
mod server;
