//! Vendors: every signature vector, every sample payload, and what hostile or misconfigured input does.

mod coverage;
mod hostile;
mod keys;
mod messagebird;
mod payloads;
mod reading;
mod support;
mod vectors;
mod vonage;
