//! SendGrid: e-mail events in batches, and inbound mail. [`payload`] reads the events, [`inbound`] the mail.
//!
//! Signed with ECDSA P-256 over SHA-256 of the timestamp's text directly followed by the raw body (its final CRLF
//! included): <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features>.
//! Since nothing separates the two, a digit may move from the timestamp to the head of the body under the same
//! signature; such a body is no JSON. (r, n-s) is as valid as (r, s), so no signature ever names a request.

mod inbound;
mod payload;

use std::time::Duration;

use aws_lc_rs::{
    digest::{Context, SHA256},
    signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use p256::ecdsa::Signature;

use super::{
    Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor,
    keyring::{self, Keyring},
};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

#[derive(Debug)]
pub(super) struct SendGrid {
    name: String,
    keys: Keyring<ParsedPublicKey>,
    /// Off unless configured: SendGrid retries for 24 hours with the first signature.
    tolerance: Option<Duration>,
}

impl SendGrid {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { name: name.to_owned(), keys: Keyring::load(name, &config.secrets, load), tolerance: config.tolerance }
    }

    fn check(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        let signature = keyring::header(request.headers, SIGNATURE, trace)?;
        let timestamp = keyring::header(request.headers, TIMESTAMP, trace)?;
        if let Some(tolerance) = self.tolerance {
            let signed = keyring::seconds(timestamp).ok_or(Refusal::malformed(TIMESTAMP))?;
            keyring::fresh(signed, now, tolerance)?;
        }
        let der = STANDARD.decode(signature).ok().filter(|der| Signature::from_der(der).is_ok());
        let der = der.ok_or(Refusal::malformed(SIGNATURE))?;
        let mut digest = Context::new(&SHA256);
        digest.update(timestamp.as_bytes());
        digest.update(request.body);
        let digest = digest.finish();
        trace.signed("the timestamp, directly followed by the body", || [timestamp.as_bytes(), request.body].concat());
        let signed = self.keys.iter().any(|(place, key)| {
            let signed = key.verify_digest_sig(&digest, &der).is_ok();
            trace.tried_public(place, signature, signed);
            signed
        });
        if signed { Ok(()) } else { Err(Refusal::Mismatch) }
    }
}

/// The key as the console shows it: base64 of a DER public key. PEM armour and line ends do no harm.
fn load(text: &str) -> Result<ParsedPublicKey, &'static str> {
    let base64: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .flat_map(|line| line.chars().filter(|character| !character.is_whitespace()))
        .collect();
    let der = STANDARD.decode(base64).map_err(|_| "is not base64")?;
    ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der).map_err(|_| "is not the DER of a P-256 public key")
}

impl Vendor for SendGrid {
    fn verify(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        keyring::or_no_key(self.check(request, now, trace), self.keys.unusable())
    }

    /// A batch has many ids and none of its own.
    fn identify(&self, _request: &Request<'_>) -> Identity {
        Identity::default()
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        match inbound::Form::of(callback)? {
            Some(mail) => Ok(vec![mail.event(&self.name, callback)]),
            None => payload::events(&self.name, callback),
        }
    }
}
