//! The time-series store: a log, a head in memory, sealed blocks on disk.
//!
//! In: batches of samples by [`model::Appender`]. Out: series by [`model::Queryable`], its state by
//! [`model::status::Store`], its own counters by [`model::Collector`]. `FORMAT.md` beside this crate draws every byte
//! that is kept.
//!
//! The way of a sample: a `batch` looks its series up in the `head`; at commit, one at a time, the batch is written to
//! the `log` with one write, then becomes visible in the head as a whole, and, where asked, waits for the fsync that it
//! shares with others. In the head a series is a place in a slab (`series`) and a stream of values (`stream`, `chunk`),
//! whose timestamps stand once for all series of a target (`timeline`); its labels are numbers of `symbols`. A sealing
//! (`seal`) sets all samples aside, writes them to one `block` for each day that they touch and removes the log
//! segments that only they were in; `publish` gives blocks their names and takes them away, so that memory and folder agree
//! whatever fails. `compact` merges the blocks of a day that is over, `retention` removes whole blocks.
//! A `query` merges blocks, what is being sealed, and the head; where two hold the same time, the first one written wins.
//!
//! Samples may come in any order from 1970 on. Damage costs what it hits: a record of the log, or a block, which is set
//! aside, counted and told with each answer that it is missing from. The clock may jump: retention by time counts what
//! was recorded too, and nothing else depends on the clock for longer than it is wrong. On a full disk
//! appending fails and reading goes on; opening needs no space, and sealing has a `reserve`.
//!
//! Beside the store, [`Folder`] looks at a data folder from outside (inspect, verify, analyze), and [`backup`] copies one
//! that is in use; both read it with the same readers.
//!
//! Never: a network, a thread or a timer of its own (the owner calls [`Db::maintain`] once in a while), a memory-mapped
//! file, a file overwritten in place, a decoder run on bytes whose checksum was not verified.

// The derive of tsz-compress names the crate.
extern crate alloc;

mod backup;
mod batch;
mod bits;
mod block;
mod bytes;
mod chain;
mod chunk;
mod column;
mod compact;
mod costs;
mod db;
mod decimal;
mod delete;
mod disk;
mod doubles;
mod error;
mod exemplars;
mod families;
mod folder;
mod frame;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod head;
mod index;
mod labels;
mod log;
mod news;
mod numbers;
mod options;
mod pace;
mod pack;
mod parity;
mod pool;
mod postings;
mod publish;
mod quarantine;
mod query;
mod record;
mod replay;
mod reserve;
mod retention;
mod seal;
mod series;
mod status;
mod stream;
mod symbols;
mod tail;
mod timeline;
mod tokens;
mod tombstones;
mod tsz;
mod warm;
mod writer;

pub use backup::{Backup, BackupFile, backup, backup_sealed, damaged_files, restore};
pub use db::{Db, Recovery};
pub use disk::{Disk, DiskFile, FileDisk};
pub use error::Error;
pub use folder::{BlockSummary, CodecShare, Finding, Folder, SegmentSummary, Summary, Verified};
pub use model::status::{Cost, Costs};
pub use options::{FUTURE_MAX, Options, Policy};
pub use seal::Maintained;
