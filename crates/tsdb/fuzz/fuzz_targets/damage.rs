//! A data folder that is damaged, or that somebody made, is opened and asked.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tsdb_fuzz::damage(bytes));
