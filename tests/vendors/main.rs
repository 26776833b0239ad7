//! Vendors: every signature vector, every sample payload, and what hostile or misconfigured input does.

mod coverage;
mod credentials;
mod explained;
mod generic;
mod hostile;
mod infobip;
mod keys;
mod mailgun;
mod mandrill;
mod messagebird;
mod payloads;
mod plivo;
mod postmark;
mod reading;
mod ses;
mod sinch;
mod sparkpost;
mod support;
mod telnyx;
mod vectors;
mod vonage;
