//! Bytes as the text that is imported.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tsdb_fuzz::history(bytes));
