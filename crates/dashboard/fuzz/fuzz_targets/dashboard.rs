//! Bytes as the text of a dashboard, shown with made-up answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dashboard_fuzz::dashboard(bytes));
