//! Bytes as a page of OpenMetrics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exposition_fuzz::openmetrics(bytes));
