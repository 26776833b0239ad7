//! What an operator sees: log lines, metrics, spans, and the tokens that stand for people in all of them.
//!
//! | file | the idea in it |
//! |---|---|
//! | `logging`, [`redact`] | log lines, and the net under them |
//! | `meter`, `partners`, `histogram` | what is counted, always |
//! | `survey` | how much waits: asked of the store, seldom |
//! | [`catalogue`], `points` | every metric and span that there is, and what the metrics say now |
//! | [`prometheus`], `instruments` | the metrics for whoever scrapes, and for whoever is sent them |
//! | `trace`, `sampler` | spans, and which of them are recorded |
//! | `export` | where spans and metrics go |
//! | `tokens`, `seldom` | people by token; the same trouble not too often |

pub mod catalogue;
mod export;
mod histogram;
mod instruments;
mod logging;
mod meter;
mod partners;
mod points;
pub mod prometheus;
pub mod redact;
mod sampler;
mod seldom;
mod survey;
mod tokens;
mod trace;

pub use export::{Export, ExportError};
pub use instruments::register;
pub use logging::{Form, Logging, start_logging, subscriber};
pub use meter::{Count, Meter, Topic, VendorCounts, read_counts, read_partner_counts};
pub use partners::{LastError, PartnerCounts, Sent};
pub use points::points;
pub use seldom::Seldom;
pub use survey::{Queue, Survey, Surveyor};
pub use tokens::Tokens;
pub(crate) use tokens::is_token;
pub use trace::{ATTEMPT_BEFORE, PROPERTY, Span, Tracing};

/// Starts exporting what the environment asks for. What cannot be exported is told, and keeps nobody from working.
pub fn start_export() -> Option<Export> {
    let started = Export::start(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    started.unwrap_or_else(|error| {
        tracing::error!(%error, "no spans and metrics are exported");
        None
    })
}
