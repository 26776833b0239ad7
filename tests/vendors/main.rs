//! Vendors: every signature vector, every sample payload, and what hostile or misconfigured input does.

mod coverage;
mod hostile;
mod keys;
mod mailgun;
mod payloads;
mod plivo;
mod reading;
mod ses;
mod sinch;
mod support;
mod telnyx;
mod vectors;
