//! Bytes as numbers: what is written as columns comes back bit by bit.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tsdb::fuzzing::columns(bytes));
