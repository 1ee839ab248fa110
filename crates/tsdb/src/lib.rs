//! The time-series store: a log, a head in memory, sealed blocks on disk.
//!
//! In: batches of samples by [`model::Appender`]. Out: series by [`model::Queryable`], its state by
//! [`model::status::Store`], its own counters by [`model::Collector`]. `FORMAT.md` beside this crate draws every byte
//! that is kept.
//!
//! Never: a network, a thread or a timer of its own (the owner calls [`Db::sync`] and [`Db::maintain`]), a
//! memory-mapped file, a file overwritten in place, a decoder run on bytes whose checksum was not verified.

// The derive of tsz-compress names the crate.
extern crate alloc;

mod batch;
mod block;
mod bytes;
mod chunk;
mod column;
mod compact;
mod db;
mod decimal;
mod disk;
mod error;
mod exemplars;
mod families;
mod frame;
mod head;
mod index;
mod log;
mod options;
mod postings;
mod query;
mod record;
mod retention;
mod seal;
mod status;

pub use db::{Db, Recovery};
pub use disk::{Disk, DiskFile, FileDisk};
pub use error::Error;
pub use options::{FUTURE_MAX, Options};
pub use seal::Maintained;
