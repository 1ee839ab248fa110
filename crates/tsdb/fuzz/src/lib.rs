//! Fuzz targets that need no more than what the store shows to everybody. `cargo test` replays their corpora, too:
//! `tests/fuzz.rs` takes this file in.

mod damage;
mod history;
mod input;
mod store;

pub use damage::damage;
pub use history::history;
pub use store::store;
