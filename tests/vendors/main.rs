//! Vendors: every signature vector, every sample payload, and what hostile or misconfigured input does.

mod coverage;
mod credentials;
mod hostile;
mod infobip;
mod keys;
mod mandrill;
mod payloads;
mod postmark;
mod reading;
mod sparkpost;
mod support;
mod vectors;
