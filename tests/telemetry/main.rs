//! What the program tells of itself: spans, metrics, log lines, and what none of them may hold.

#[path = "../support/mod.rs"]
pub mod support;

mod collector;
mod executable;
mod log_scan;
mod metrics;
mod trace;
