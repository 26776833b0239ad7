//! What an operator sees: log lines, counters, and the tokens that stand for people in both.

mod meter;
mod partners;
mod seldom;
mod tokens;

pub use meter::{Count, Meter, VendorCounts, read_counts, read_partner_counts};
pub use partners::{LastError, PartnerCounts, Sent};
pub use seldom::Seldom;
pub use tokens::Tokens;
pub(crate) use tokens::is_token;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging to standard output, one line per record: the Functions host files standard error as errors.
///
/// `RUST_LOG` filters (default `info`), `SLUICE_LOG_FORMAT=json` writes JSON.
pub fn start_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A line that cannot be written (its disk is full) is left out. Otherwise that would be told on standard error, which
    // panics where it cannot be written either, in whatever thread had something to say.
    let lines = fmt().with_env_filter(filter).with_target(false).log_internal_errors(false);
    let started = match std::env::var("SLUICE_LOG_FORMAT").as_deref() {
        Ok("json") => lines.json().flatten_event(true).try_init(),
        _ => lines.with_ansi(std::io::stdout().is_terminal()).try_init(),
    };
    // A test may have set up a subscriber of its own; that one stays.
    drop(started);
}
