//! Postmark: one e-mail event, or one received e-mail, in each callback. [`payload`] reads both.
//!
//! Postmark signs nothing. Its webhooks carry the Basic credentials of the URL they were given, or a custom header:
//! <https://postmarkapp.com/developer/webhooks/webhooks-overview>. A refusal must be 401: a 403 would end the retries
//! of a received e-mail for good.

mod payload;

use super::{Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor, keyring::credentials::Credentials};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

#[derive(Debug)]
pub(super) struct Postmark {
    name: String,
    credentials: Credentials,
}

impl Postmark {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { name: name.to_owned(), credentials: Credentials::load(name, config) }
    }
}

impl Vendor for Postmark {
    fn verify(&self, request: &Request<'_>, _now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        self.credentials.verify(request, trace)
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        payload::identify(&self.name, request.body)
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::events(&self.name, callback)
    }
}
