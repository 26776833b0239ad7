//! Vendors: every signature vector, every sample payload, and what hostile or misconfigured input does.

mod coverage;
mod generic;
mod hostile;
mod keys;
mod payloads;
mod reading;
mod support;
mod vectors;
