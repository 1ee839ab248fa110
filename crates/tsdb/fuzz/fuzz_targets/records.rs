//! Bytes as the payload of each kind of log record.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tsdb::fuzzing::records(bytes));
