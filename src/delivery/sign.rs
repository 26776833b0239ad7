//! The signature headers of Standard Webhooks 1.0.0 (<https://www.standardwebhooks.com>): `v1` (HMAC-SHA256) and `v1a`
//! (Ed25519) over `id.timestamp.body`, for every generation of secrets that counts.

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::Signer;
use hmac::Mac;

use super::{keys::Keys, partner::Partner};
use crate::clock::Timestamp;

/// `webhook-id`, `webhook-timestamp` and `webhook-signature`.
pub fn headers(keys: &Keys, partner: &Partner, id: &str, body: &[u8], now: Timestamp) -> [(&'static str, String); 3] {
    let timestamp = now.timestamp().to_string();
    let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let mut signatures = Vec::new();
    for generation in partner.signing.live(now) {
        let mut mac = keys.hmac(partner, generation);
        mac.update(&message);
        signatures.push(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())));
        let signature = keys.asymmetric(partner, generation).sign(&message);
        signatures.push(format!("v1a,{}", BASE64_STANDARD.encode(signature.to_bytes())));
    }
    [("webhook-id", id.to_owned()), ("webhook-timestamp", timestamp), ("webhook-signature", signatures.join(" "))]
}
