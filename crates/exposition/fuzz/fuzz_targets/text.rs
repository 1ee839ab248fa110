//! Bytes as a page of the text format.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exposition_fuzz::text(bytes));
