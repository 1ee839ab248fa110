//! Fuzz targets that need no more than what the language shows to everybody. `cargo test` replays their corpora, too:
//! `tests/fuzz.rs` takes this file in.

mod evaluation;
mod syntax;

pub use evaluation::evaluation;
pub use syntax::syntax;
