//! A vendor that signs nothing. It must be asked for by name (`scheme = "none"`) and belongs behind a network that
//! only the vendor can reach.

use super::{Callback, Handshake, Identity, Refusal, Request, Trace, Unreadable, Vendor, challenge, mapping::Reader};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

#[derive(Debug)]
pub(super) struct Unsigned {
    reader: Reader,
}

impl Unsigned {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { reader: Reader::new(name, config.mapping.as_ref()) }
    }
}

impl Vendor for Unsigned {
    fn verify(&self, _request: &Request<'_>, _now: Timestamp, _trace: &mut Trace) -> Result<(), Refusal> {
        Ok(())
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
