//! SendGrid: the signed event webhook (batches of e-mail events), and Inbound Parse posts without attachments.
//!
//! The signature covers the timestamp header and the raw body, down to its final CRLF. SendGrid repeats a callback for
//! 24 hours under its first signature, so that no age limit applies unless one is configured.

mod payload;

use base64::{Engine, prelude::BASE64_STANDARD};
use p256::{
    ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier},
    pkcs8::DecodePublicKey,
};
use sha2::{Digest, Sha256};

use super::{
    Callback, Identity, Refusal, Request, Unreadable, Vendor,
    keys::{Keys, header},
};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

/// The vendor.
#[derive(Debug)]
pub(super) struct SendGrid {
    name: String,
    keys: Keys<VerifyingKey>,
    tolerance: Option<std::time::Duration>,
}

impl SendGrid {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        let keys = Keys::load(&config.secrets, |secret| {
            let der = BASE64_STANDARD.decode(secret).map_err(|_| "the verification key is no base64")?;
            VerifyingKey::from_public_key_der(&der).map_err(|_| "the verification key is no P-256 public key")
        });
        Self { name: name.to_owned(), keys, tolerance: config.tolerance }
    }
}

impl Vendor for SendGrid {
    fn verify(&self, request: &Request<'_>, now: Timestamp) -> Result<(), Refusal> {
        let signature = header(request.headers, SIGNATURE)?;
        let timestamp = header(request.headers, TIMESTAMP)?;
        let signature = BASE64_STANDARD.decode(signature).map_err(|_| Refusal::Malformed(SIGNATURE))?;
        let signature = Signature::from_der(&signature).map_err(|_| Refusal::Malformed(SIGNATURE))?;
        let digest = Sha256::new().chain_update(timestamp.as_bytes()).chain_update(request.body).finalize();
        self.keys.any(|key| key.verify_prehash(&digest, &signature).is_ok())?;
        if let Some(tolerance) = self.tolerance {
            let signed: i64 = timestamp.parse().map_err(|_| Refusal::Malformed(TIMESTAMP))?;
            let age = now.timestamp().saturating_sub(signed);
            if age.unsigned_abs() > tolerance.as_secs() {
                return Err(Refusal::Stale(age));
            }
        }
        Ok(())
    }

    /// A batch is about many messages: ingest takes a digest of the whole request, which repeats are equal in.
    fn identify(&self, _request: &Request<'_>) -> Identity {
        Identity::default()
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::normalise(&self.name, callback)
    }
}
