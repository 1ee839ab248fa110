//! Bytes as a page of protobuf messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exposition_fuzz::protobuf(bytes));
