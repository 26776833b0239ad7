//! A vendor that signs nothing. It must be asked for by name (`scheme = "none"`) and belongs behind a network that
//! only the vendor can reach.

use super::{Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor, mapping::Reader};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

#[derive(Debug)]
pub(super) struct Unsigned {
    name: String,
    reader: Reader,
}

impl Unsigned {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        let reader = Reader::new(name, config.mapping.as_ref());
        Self { name: name.to_owned(), reader }
    }
}

impl Vendor for Unsigned {
    fn verify(&self, _request: &Request<'_>, _now: Timestamp, _trace: &mut Trace) -> Result<(), Refusal> {
        Ok(())
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        let dedupe_key = self.reader.header_event_id(request.headers).map(|id| format!("{}:{id}", self.name));
        Identity { subject: None, dedupe_key }
    }

    fn kept_headers(&self) -> &[http::HeaderName] {
        self.reader.headers()
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        self.reader.events(callback)
    }
}
