//! Plivo: text messages and calls. [`signature`] says who sent a callback, [`payload`] what it says.
//!
//! Parameters come as a form that is posted, or in the query of a request without a body; [`parameters`] decides which,
//! in the same way for both halves, so that only what was signed is ever read. Plivo signs a nonce but no time: a replay
//! is a matter for deduplication.

mod payload;
mod signature;

use http::header::CONTENT_TYPE;

use super::{Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor, keyring};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

#[derive(Debug)]
pub(super) struct Plivo {
    name: String,
    keys: signature::Keys,
}

impl Plivo {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { name: name.to_owned(), keys: signature::Keys::load(name, config) }
    }
}

impl Vendor for Plivo {
    fn verify(&self, request: &Request<'_>, _now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        keyring::or_no_key(self.keys.check(request, trace), self.keys.unusable())
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let (_, query) = base_and_query(request.url);
        parameters(content_type, request.body, query)
            .map(|form| payload::identify(&self.name, form))
            .unwrap_or_default()
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        let form = parameters(callback.content_type.as_deref(), &callback.body, &callback.query)
            .ok_or_else(|| Unreadable("the body is not a form".into()))?;
        Ok(payload::events(&self.name, callback, form))
    }
}

/// The form that the parameters are in: the body, or the query where there is no body. `None` where the body is
/// something else.
fn parameters<'a>(content_type: Option<&str>, body: &'a [u8], query: &'a str) -> Option<&'a [u8]> {
    if body.is_empty() {
        return Some(query.as_bytes());
    }
    let essence = content_type?.split(';').next()?.trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded").then_some(body)
}

/// A URL before its query, and the query without `?`.
fn base_and_query(url: &str) -> (&str, &str) {
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').unwrap_or((url, ""))
}
