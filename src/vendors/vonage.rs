//! Vonage: SMS by its Messages API and by the older SMS API, and voice. [`signature`] says who sent a callback, [`sig`]
//! does so for the older way of signing, and [`payload`] reads it.

mod payload;
mod sig;
mod signature;

use super::{Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor, keyring};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

#[derive(Debug)]
pub(super) struct Vonage {
    name: String,
    verifier: signature::Verifier,
}

impl Vonage {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { name: name.to_owned(), verifier: signature::Verifier::new(name, config) }
    }
}

impl Vendor for Vonage {
    fn verify(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        match self.verifier.check(request, now, trace) {
            // No key that might be missing here could change that.
            Err(refusal @ Refusal::Unknown(_)) => Err(refusal),
            verdict => keyring::or_no_key(verdict, self.verifier.unusable()),
        }
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        payload::identify(&self.name, request)
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::events(&self.name, callback)
    }
}
