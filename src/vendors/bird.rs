//! Bird, the platform that MessageBird became: SMS by its Channels API. [`payload`] reads the events.
//!
//! Signed with HMAC-SHA256 over the timestamp, the URL and the 32 bytes of the body's SHA-256, with line feeds between
//! them: <https://docs.bird.com/api/notifications-api/api-reference/webhook-subscriptions/verifying-a-webhook-subscription>.

mod payload;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{
    Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor,
    keyring::{self, Keyring},
};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

const SIGNATURE: &str = "messagebird-signature";
const TIMESTAMP: &str = "messagebird-request-timestamp";

#[derive(Debug)]
pub(super) struct Bird {
    name: String,
    keys: Keyring<Hmac<Sha256>>,
    /// Off unless configured: Bird names no limit.
    tolerance: Option<Duration>,
}

impl Bird {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        let load = |secret: &str| Ok(Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length"));
        Self { name: name.to_owned(), keys: Keyring::load(name, &config.secrets, load), tolerance: config.tolerance }
    }

    fn check(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        let signature = keyring::header(request.headers, SIGNATURE, trace)?;
        let timestamp = keyring::header(request.headers, TIMESTAMP, trace)?;
        let signed = keyring::seconds(timestamp).ok_or(Refusal::malformed(TIMESTAMP))?;
        if let Some(tolerance) = self.tolerance {
            keyring::fresh(signed, now, tolerance)?;
        }
        let hash = Sha256::digest(request.body);
        let message = [timestamp.as_bytes(), b"\n", request.url.as_bytes(), b"\n", &hash];
        trace.signed("timestamp, URL and SHA-256 of the body, with line feeds between them", || message.concat());
        let mut expected = [0; 44];
        for (place, key) in self.keys.iter() {
            let mac = message.iter().fold(key.clone(), Mac::chain_update);
            STANDARD.encode_slice(mac.finalize().into_bytes(), &mut expected).expect("32 bytes are 44 characters");
            if keyring::matches(place, &expected, signature.as_bytes(), trace) {
                return Ok(());
            }
        }
        Err(Refusal::Mismatch)
    }
}

impl Vendor for Bird {
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
