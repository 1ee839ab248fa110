//! The whole store beside a map, driven by bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tsdb_fuzz::store(bytes));
