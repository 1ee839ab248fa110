//! Small durable state: alert state, the notification log, later dashboards, silences and users; and histories, as journals.
//!
//! In: changes to named spaces of keys and values, a few MiB in all. Out: the values, byte for byte as they were
//! acknowledged. Never: samples, a wrong value (every one carries a checksum), a refusal to start because the disk is
//! full or the database is damaged.
//!
//! sled keeps the changes, and no other room knows of it. It is young software, so it is held at arm's length: all
//! values are read and checked once at the start and served from memory, a JSON snapshot lies beside the database and
//! replaces it when it will not open, and a reserve file gives up its space when the disk is full. A [`Journal`] is a
//! folder of files that are only appended to, without sled. `FORMAT.md` draws all of them.

mod catalog;
mod error;
mod export;
mod frame;
mod journal;
mod reserve;
mod snapshot;
mod store;

pub use catalog::{Catalog, State};
pub use error::Error;
pub use export::{Export, export};
pub use journal::{Bounds, Journal};
