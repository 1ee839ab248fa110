//! Bytes as the text of an expression.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promql_fuzz::syntax(bytes));
