//! Any vendor that is described in `sluice.toml` alone: a scheme that says who signed, a mapping that says what the
//! payload means.

use http::HeaderName;

use super::{
    Callback, Identity, Refusal, Request, Unreadable, Vendor,
    mapping::Mapper,
    standard_webhooks::{Verifier, webhook_id},
};
use crate::{
    clock::Timestamp,
    config::{Scheme, VendorConfig},
    event::Event,
};

/// The vendor.
#[derive(Debug)]
pub(super) struct Generic {
    name: String,
    /// `None` for the scheme "none", which accepts anything.
    verifier: Option<Verifier>,
    mapper: Mapper,
}

impl Generic {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        let verifier = (config.scheme != Scheme::None).then(|| Verifier::new(config));
        let mapping = config.mapping.clone().expect("the configuration requires a mapping for generic schemes");
        Self { name: name.to_owned(), verifier, mapper: Mapper::new(mapping) }
    }
}

impl Vendor for Generic {
    fn verify(&self, request: &Request<'_>, now: Timestamp) -> Result<(), Refusal> {
        self.verifier.as_ref().map_or(Ok(()), |verifier| verifier.verify(request, now))
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        // Without a signature the id is anybody's claim: a digest cannot make two callbacks look alike.
        let id = self.verifier.as_ref().and_then(|_| webhook_id(request));
        Identity { subject: None, dedupe_key: id.map(|id| format!("{}:{id}", self.name)) }
    }

    fn kept_headers(&self) -> &[HeaderName] {
        self.mapper.headers()
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        self.mapper.events(&self.name, callback)
    }
}
