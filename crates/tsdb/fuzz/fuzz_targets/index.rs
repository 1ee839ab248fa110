//! An index of any content behind checksums that hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tsdb::fuzzing::index(bytes));
