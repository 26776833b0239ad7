//! Telnyx: text messages and calls. [`payload`] says what a callback means.
//!
//! Signed with Ed25519 over `timestamp|body`. The portal shows the account's public key as base64 of its 32 bytes:
//! <https://developers.telnyx.com/development/api-fundamentals/webhooks/receiving-webhooks>. A timestamp has digits
//! only, so the first `|` ends it and nothing can move between it and the body.

mod payload;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};

use super::{
    Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor,
    keyring::{self, Keyring},
};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

const SIGNATURE: &str = "telnyx-signature-ed25519";
const TIMESTAMP: &str = "telnyx-timestamp";
/// What Telnyx's own libraries allow, before and after.
const TOLERANCE: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) struct Telnyx {
    name: String,
    keys: Keyring<VerifyingKey>,
    tolerance: Duration,
}

impl Telnyx {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self {
            name: name.to_owned(),
            keys: Keyring::load(name, &config.secrets, load),
            tolerance: config.tolerance.unwrap_or(TOLERANCE),
        }
    }

    fn check(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        let received = keyring::header(request.headers, SIGNATURE, trace)?;
        let timestamp = keyring::header(request.headers, TIMESTAMP, trace)?;
        let signed = keyring::seconds(timestamp).ok_or(Refusal::malformed(TIMESTAMP))?;
        keyring::fresh(signed, now, self.tolerance)?;
        let signature = STANDARD
            .decode(received)
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .ok_or(Refusal::malformed(SIGNATURE))?;
        let message = [timestamp.as_bytes(), b"|", request.body].concat();
        trace.signed("the timestamp, a bar and the body", || message.clone());
        let signed = self.keys.iter().any(|(place, key)| {
            // Strict: else one signature could be rewritten into others that fit as well.
            let signed = key.verify_strict(&message, &signature).is_ok();
            trace.tried_public(place, received, signed);
            signed
        });
        if signed { Ok(()) } else { Err(Refusal::Mismatch) }
    }
}

fn load(text: &str) -> Result<VerifyingKey, &'static str> {
    let bytes: [u8; 32] =
        STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or("is not base64 of 32 bytes")?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| "is not an Ed25519 public key")?;
    // For such a key there are signatures that fit any message.
    if key.is_weak() { Err("is a weak Ed25519 key") } else { Ok(key) }
}

impl Vendor for Telnyx {
    fn verify(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        keyring::or_no_key(self.check(request, now, trace), self.keys.unusable())
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        payload::identify(&self.name, request.body)
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::events(&self.name, callback)
    }
}
