//! Sinch: text messages, the Conversation API, numbers and calls. [`signature`] says who sent a callback in one of three
//! forms, [`payload`] what it says.
//!
//! Incoming calls, answers and prompts wait for instructions (SVAML). Whoever lets Sinch call here for more than reports
//! configures them as the vendor's `answer`.

mod conversation;
mod payload;
mod signature;
mod sms;
mod voice;

use std::time::Duration;

use super::{Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor, keyring};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

#[derive(Debug)]
pub(super) struct Sinch {
    name: String,
    keys: signature::Keys,
    /// Off unless configured: Sinch tries again for most of a day, and nothing says that it signs anew.
    tolerance: Option<Duration>,
}

impl Sinch {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { name: name.to_owned(), keys: signature::Keys::load(name, config), tolerance: config.tolerance }
    }
}

impl Vendor for Sinch {
    fn verify(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        let age = signature::Age { now, tolerance: self.tolerance };
        keyring::or_no_key(self.keys.check(request, age, trace), self.keys.unusable())
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        payload::identify(&self.name, request.body)
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::events(&self.name, callback)
    }
}
