//! skep beside the real Alertmanager and its amtool: the same requests, the same notifications, answers and verdicts.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod amtool;
mod api;
mod notifications;
mod receivers;
mod retries;
mod script;
mod sides;
mod verdicts;
