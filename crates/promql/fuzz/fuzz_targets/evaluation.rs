//! Bytes as an expression and the times it is evaluated at.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promql_fuzz::evaluation(bytes));
