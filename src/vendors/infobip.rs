//! Infobip: SMS, voice and e-mail. [`payload`] reads delivery reports and received messages.
//!
//! Subscriptions carry Basic credentials, a token in a header, or an HMAC signature:
//! <https://www.infobip.com/docs/cpaas-x/subscriptions-management>. Public documentation does not say which header holds
//! that signature and which bytes it covers, so it cannot be verified here: choose credentials.

mod payload;

use super::{Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor, keyring::credentials::Credentials};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

#[derive(Debug)]
pub(super) struct Infobip {
    name: String,
    credentials: Credentials,
}

impl Infobip {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { name: name.to_owned(), credentials: Credentials::load(name, config) }
    }
}

impl Vendor for Infobip {
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
