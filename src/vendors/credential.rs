//! A vendor that signs nothing but sends a shared secret: HTTP Basic, a bearer token, or a header of its own.
//!
//! The secret tells who calls; what the payload means is the configuration's [`mapping`](super::mapping).

use super::{
    Callback, Handshake, Identity, Refusal, Request, Trace, Unreadable, Vendor, challenge,
    keyring::credentials::Credentials, mapping::Reader,
};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

#[derive(Debug)]
pub(super) struct Credential {
    credentials: Credentials,
    reader: Reader,
}

impl Credential {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { credentials: Credentials::load(name, config), reader: Reader::new(name, config.mapping.as_ref()) }
    }
}

impl Vendor for Credential {
    fn verify(&self, request: &Request<'_>, _now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        self.credentials.verify(request, trace)
    }

    fn handshake(&self, request: &Request<'_>, _now: Timestamp) -> Option<Handshake> {
        challenge::event_grid(request)
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        self.reader.identify(request)
    }

    fn kept_headers(&self) -> &[http::HeaderName] {
        self.reader.headers()
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        self.reader.events(callback)
    }
}
