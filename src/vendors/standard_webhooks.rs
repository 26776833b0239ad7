//! Standard Webhooks 1.0.0: `webhook-id`, `webhook-timestamp` and `webhook-signature` over `id.timestamp.body`.
//!
//! `v1` is HMAC-SHA256 under the bytes after `whsec_`, `v1a` is Ed25519 under the public key after `whpk_`. The header
//! lists several signatures during a sender's rotation; versions that are not known are skipped. The `svix-` names are
//! the same scheme.

use std::time::Duration;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{
    Refusal, Request,
    keys::{Keys, header},
};
use crate::{clock::Timestamp, config::VendorConfig};

/// The specification's own tolerance, both ways.
const TOLERANCE: Duration = Duration::from_secs(300);

const HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const SVIX_HEADERS: [&str; 3] = ["svix-id", "svix-timestamp", "svix-signature"];

/// Base64 whose padding may be missing, as some secrets are handed out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Knows every live key.
#[derive(Debug)]
pub(super) struct Verifier {
    keys: Keys<Key>,
    tolerance: Duration,
}

#[derive(Clone)]
enum Key {
    Symmetric(Box<Hmac<Sha256>>),
    Public(Box<VerifyingKey>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(..)")
    }
}

impl Key {
    fn load(secret: &str) -> Result<Self, &'static str> {
        if let Some(encoded) = secret.strip_prefix("whpk_") {
            let bytes = LENIENT.decode(encoded).map_err(|_| "the public key is no base64")?;
            let bytes: [u8; 32] = bytes.try_into().map_err(|_| "the public key has not 32 bytes")?;
            let key = VerifyingKey::from_bytes(&bytes).map_err(|_| "the public key is no point on the curve")?;
            return Ok(Key::Public(Box::new(key)));
        }
        let encoded = secret.strip_prefix("whsec_").unwrap_or(secret);
        let bytes = LENIENT.decode(encoded).map_err(|_| "the secret is no base64")?;
        if bytes.is_empty() {
            return Err("the secret is empty");
        }
        Ok(Key::Symmetric(Box::new(Hmac::new_from_slice(&bytes).expect("HMAC takes keys of any length"))))
    }

    /// Whether this key made one of the listed signatures.
    fn signed(&self, listed: &str, signed: &[&[u8]]) -> bool {
        let version = match self {
            Key::Symmetric(_) => "v1",
            Key::Public(_) => "v1a",
        };
        let mut signatures = listed
            .split(' ')
            .filter_map(|entry| entry.split_once(','))
            .filter(|(label, _)| *label == version)
            .filter_map(|(_, encoded)| LENIENT.decode(encoded).ok());
        match self {
            Key::Symmetric(keyed) => signatures.any(|signature| {
                let mut mac = Hmac::clone(keyed);
                signed.iter().for_each(|piece| mac.update(piece));
                mac.verify_slice(&signature).is_ok()
            }),
            Key::Public(key) => {
                let message = signed.concat();
                signatures.any(|signature| {
                    Signature::from_slice(&signature)
                        .is_ok_and(|signature| key.verify_strict(&message, &signature).is_ok())
                })
            }
        }
    }
}

impl Verifier {
    pub fn new(config: &VendorConfig) -> Self {
        Self { keys: Keys::load(&config.secrets, Key::load), tolerance: config.tolerance.unwrap_or(TOLERANCE) }
    }

    pub fn verify(&self, request: &Request<'_>, now: Timestamp) -> Result<(), Refusal> {
        let [id_name, timestamp_name, signature_name] = names(request);
        let id = header(request.headers, id_name)?;
        let timestamp = header(request.headers, timestamp_name)?;
        let signatures = header(request.headers, signature_name)?;
        let seconds: i64 = timestamp.parse().map_err(|_| Refusal::Malformed(timestamp_name))?;
        let away = now.timestamp().saturating_sub(seconds);
        if away.unsigned_abs() > self.tolerance.as_secs() {
            return Err(Refusal::Stale(away));
        }
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", request.body];
        self.keys.any(|key| key.signed(signatures, &signed))
    }
}

/// The id that stays the same over the sender's retries.
pub(super) fn webhook_id<'a>(request: &Request<'a>) -> Option<&'a str> {
    header(request.headers, names(request)[0]).ok()
}

fn names(request: &Request<'_>) -> [&'static str; 3] {
    if request.headers.contains_key(HEADERS[2]) || !request.headers.contains_key(SVIX_HEADERS[2]) {
        HEADERS
    } else {
        SVIX_HEADERS
    }
}
