//! The collectors on a machine of files that are written here, and beside the real node_exporter on both that machine
//! and this one.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod fixtures;
mod page;
mod peer;
