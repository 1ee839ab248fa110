//! Bytes as a block's meta frame, a backup's list, a list of tombstones.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tsdb::fuzzing::small_files(bytes));
