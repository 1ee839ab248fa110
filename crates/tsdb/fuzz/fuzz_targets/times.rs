//! Bytes as a column of timestamps, by each codec.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tsdb::fuzzing::times(bytes));
