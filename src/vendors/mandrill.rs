//! Mandrill (Mailchimp Transactional): e-mail events in batches, as JSON in the form field `mandrill_events`.
//! [`payload`] reads them.
//!
//! Signed with HMAC-SHA1 over the URL exactly as it was registered (credentials in it included), followed by the name
//! and value of each field, sorted by name:
//! <https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/#authenticating-webhook-requests>.
//! Neither time nor nonce is signed: a replay is a matter for deduplication. The content type is not signed either, so
//! a body is always read as a form.
//!
//! When a webhook is created its URL is probed: by HEAD, and where that fails by an empty batch, signed with a key that
//! everybody knows (<https://mandrill.zendesk.com/hc/en-us/articles/205583217-Introduction-to-Webhooks>). There is nothing
//! in it to believe, so it is answered unverified; that key verifies nothing here.

mod payload;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::{
    Callback, Handshake, Identity, Refusal, Request, Trace, Unreadable, Vendor,
    form::{self, Form},
    keyring::{self, Keyring},
};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

const SIGNATURE: &str = "x-mandrill-signature";
/// 20 bytes in base64.
const SIGNATURE_LENGTH: usize = 28;
/// The field with the events.
const EVENTS: &str = "mandrill_events";
/// `mandrill_events=[]` with every character escaped.
const LONGEST_PROBE: usize = 3 * 18;

#[derive(Debug)]
pub(super) struct Mandrill {
    name: String,
    keys: Keyring<Hmac<Sha1>>,
}

impl Mandrill {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { name: name.to_owned(), keys: Keyring::load(name, &config.secrets, |text| Ok(state(text))) }
    }

    fn check(&self, request: &Request<'_>, trace: &mut Trace) -> Result<(), Refusal> {
        let given = keyring::header(request.headers, SIGNATURE, trace)?.as_bytes();
        if given.len() != SIGNATURE_LENGTH {
            return Err(Refusal::malformed(SIGNATURE));
        }
        let mut fields = Form::parse(request.body).ok_or(Refusal::malformed("the form"))?;
        if fields.is_blank() {
            // It would add nothing to the signed text, which would then be the URL alone.
            return Err(Refusal::malformed("the form"));
        }
        fields.sort();
        trace.signed("the registered URL, then each field's name and value, sorted by name", || {
            std::iter::once(request.url.as_bytes()).chain(fields.concatenated()).collect::<Vec<_>>().concat()
        });
        for (place, key) in self.keys.iter() {
            if keyring::matches(place, &sign(key, request.url, &fields), given, trace) {
                return Ok(());
            }
        }
        Err(Refusal::Mismatch)
    }
}

fn state(key: &str) -> Hmac<Sha1> {
    Hmac::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length")
}

/// The signature in base64, as the header has it.
fn sign(key: &Hmac<Sha1>, url: &str, fields: &Form) -> [u8; SIGNATURE_LENGTH] {
    let mut mac = key.clone();
    mac.update(url.as_bytes());
    for field in fields.concatenated() {
        mac.update(field);
    }
    let mut text = [0; SIGNATURE_LENGTH];
    STANDARD.encode_slice(mac.finalize().into_bytes(), &mut text).expect("20 bytes are 28 characters");
    text
}

/// Whether a body is `mandrill_events=[]` and nothing else.
fn is_empty_batch(body: &[u8]) -> bool {
    if body.len() > LONGEST_PROBE {
        return false;
    }
    let mut fields = form::raw_pairs(body);
    let (Some((name, value)), None) = (fields.next(), fields.next()) else { return false };
    form::text(name).as_deref() == Some(EVENTS) && form::text(value).as_deref() == Some("[]")
}

impl Vendor for Mandrill {
    fn verify(&self, request: &Request<'_>, _now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        keyring::or_no_key(self.check(request, trace), self.keys.unusable())
    }

    fn probe(&self, request: &Request<'_>) -> Option<Handshake> {
        is_empty_batch(request.body).then_some(Handshake::Answer(None))
    }

    /// A batch has many messages and no id of its own.
    fn identify(&self, _request: &Request<'_>) -> Identity {
        Identity::default()
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::events(&self.name, callback)
    }
}
