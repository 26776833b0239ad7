//! SparkPost (now part of Bird): e-mail events in batches, and received e-mails. [`payload`] reads them.
//!
//! SparkPost signs nothing. Its webhooks carry Basic credentials, an OAuth 2.0 bearer token or a custom header:
//! <https://developers.sparkpost.com/api/webhooks/>. A webhook can only be created where a batch of one empty event, a
//! ping, is answered with 200.

mod payload;

use super::{
    Callback, Handshake, Identity, Refusal, Request, Trace, Unreadable, Vendor, keyring::credentials::Credentials,
};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

#[derive(Debug)]
pub(super) struct SparkPost {
    name: String,
    credentials: Credentials,
}

impl SparkPost {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { name: name.to_owned(), credentials: Credentials::load(name, config) }
    }
}

impl Vendor for SparkPost {
    fn verify(&self, request: &Request<'_>, _now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        self.credentials.verify(request, trace)
    }

    fn handshake(&self, request: &Request<'_>, _now: Timestamp) -> Option<Handshake> {
        payload::only_pings(request.body).then_some(Handshake::Answer(None))
    }

    /// A batch has many ids and none of its own that is in the body.
    fn identify(&self, _request: &Request<'_>) -> Identity {
        Identity::default()
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::events(&self.name, callback)
    }
}
