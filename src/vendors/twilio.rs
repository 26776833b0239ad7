//! Twilio: SMS, WhatsApp and voice. [`signature`] says who sent a callback, [`payload`] what it says.
//!
//! Twilio signs neither time nor nonce: a replay is a matter for deduplication. Parameters come as a form, or in the
//! query of a request without a body, or as JSON; [`Content`] decides which, in the same way for both halves, so that
//! only what was signed is ever read.

mod payload;
mod signature;

use http::header::CONTENT_TYPE;

use super::{Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor, keyring};
use crate::{
    clock::Timestamp,
    config::{Answer, VendorConfig},
    event::Event,
};

#[derive(Debug)]
pub(super) struct Twilio {
    name: String,
    keys: signature::Keys,
}

impl Twilio {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { name: name.to_owned(), keys: signature::Keys::load(name, config) }
    }
}

impl Vendor for Twilio {
    fn verify(&self, request: &Request<'_>, _now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        keyring::or_no_key(self.keys.check(request, trace), self.keys.unusable())
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match Content::of(content_type, request.body) {
            Content::Form => payload::identify(&self.name, request.body),
            Content::Nothing => payload::identify(&self.name, query(request.url).as_bytes()),
            Content::Other => Identity::default(),
        }
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::events(&self.name, callback)
    }

    fn answer(&self) -> Option<Answer> {
        // An inbound message is answered with what to do: an empty document says "nothing". An empty body would be
        // logged as an error in the customer's console.
        Some(Answer {
            content_type: "text/xml".into(),
            body: r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#.into(),
        })
    }
}

/// Where the parameters of a callback are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// In the body, as a form.
    Form,
    /// In the query: there is no body.
    Nothing,
    /// In the body, which is JSON or something unforeseen.
    Other,
}

impl Content {
    fn of(content_type: Option<&str>, body: &[u8]) -> Self {
        let form = content_type
            .and_then(|text| text.split(';').next())
            .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        match (body.is_empty(), form) {
            (true, _) => Content::Nothing,
            (false, true) => Content::Form,
            (false, false) => Content::Other,
        }
    }
}

/// The query of a URL, without `?`.
fn query(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').map_or("", |(_, query)| query)
}
