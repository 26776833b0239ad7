//! A vendor in a box: genuinely signed callbacks, and an independent judge of what becomes of them.
//!
//! ```text
//! Cast ── which vendors play, each a [`Generator`] with its live secret
//!   │
//! Plan ── seed → stories → the order of requests (repeats, shuffle); any callback can be built again at any time
//!   │
//! send ── closed or open loop, retries like a vendor's, a 2xx read to its end is an obligation
//!   │
//! verify ── asks the ledger whether every obligation was met exactly once, and nothing else happened
//! ```
//!
//! What a callback must lead to is written down by the generators themselves and judged by [`model`], which
//! [`crate::verify`] judges by too: neither calls the product's normalisers or its status order, so a mistake there cannot excuse itself here.

mod cast;
mod fact;
mod generic;
mod load;
mod plan;
mod pointer;
mod report;
mod sample;
mod sendgrid;
mod sign;
mod twilio;
mod verify;

pub use crate::verify::model;
pub use cast::{Cast, SENDGRID_KEY, SimulateError};
pub use fact::{Fact, Generator, SignedRequest, Story};
pub use load::{LoadOptions, Obligations, Outcome, Pattern, Progress, Standing, send};
pub use plan::{Plan, Shape};
pub use report::{Latency, Report};
pub use sample::sample_curl;
pub use verify::{Finding, Verdict, VerifyOptions, verify};
