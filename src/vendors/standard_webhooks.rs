//! Standard Webhooks 1.0.0 (<https://www.standardwebhooks.com>): `id.timestamp.body`, signed with HMAC-SHA256 (`v1`)
//! or Ed25519 (`v1a`). Svix and its customers send the same under `svix-*` header names.
//!
//! The scheme tells who signed; what the payload means is the configuration's [`mapping`](super::mapping).

use std::time::Duration;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use p256::ecdsa::signature::MultipartVerifier;
use sha2::Sha256;

use super::{
    Callback, Handshake, Identity, Refusal, Request, Trace, Unreadable, Vendor, challenge,
    keyring::{self, Keyring},
    mapping::Reader,
};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

/// The specification's own.
const TOLERANCE: Duration = Duration::from_secs(300);
/// Rotation needs two; verifying is slow enough that a list as long as a header may be is a burden.
const MAX_ASYMMETRIC: usize = 8;

/// Secrets are written with and without padding, and the libraries do not mind what the last bits hold.
const SECRET: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[derive(Debug)]
pub(super) struct StandardWebhooks {
    name: String,
    keys: Keyring<Key>,
    tolerance: Duration,
    reader: Reader,
}

enum Key {
    /// `whsec_...`, ready to be cloned.
    Symmetric(Hmac<Sha256>),
    /// `whpk_...`
    Asymmetric(VerifyingKey),
}

impl Key {
    fn load(text: &str) -> Result<Self, &'static str> {
        if let Some(key) = text.strip_prefix("whpk_") {
            let bytes: [u8; 32] = SECRET
                .decode(key)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or("is not base64 of 32 bytes after whpk_")?;
            let key = VerifyingKey::from_bytes(&bytes).map_err(|_| "is not an Ed25519 public key")?;
            // For such a key there are signatures that fit any message.
            return if key.is_weak() { Err("is a weak Ed25519 key") } else { Ok(Key::Asymmetric(key)) };
        }
        if text.starts_with("whsk_") {
            return Err("is a private key: the public one (whpk_...) belongs here");
        }
        let bytes = SECRET.decode(text.strip_prefix("whsec_").unwrap_or(text)).map_err(|_| "is not base64")?;
        if bytes.is_empty() {
            return Err("holds no key after whsec_");
        }
        Ok(Key::Symmetric(Hmac::new_from_slice(&bytes).expect("HMAC takes keys of any length")))
    }
}

/// The scheme's headers under one of their two spellings.
#[derive(Clone, Copy)]
struct Names {
    id: &'static str,
    timestamp: &'static str,
    signature: &'static str,
}

const WEBHOOK: Names = Names { id: "webhook-id", timestamp: "webhook-timestamp", signature: "webhook-signature" };
const SVIX: Names = Names { id: "svix-id", timestamp: "svix-timestamp", signature: "svix-signature" };

impl Names {
    /// The spelling that counts. `webhook-id` decides alone, here and wherever the id is read, so that nobody can have
    /// one id verified and another one used.
    fn of(headers: &HeaderMap) -> Self {
        if !headers.contains_key(WEBHOOK.id) && headers.contains_key(SVIX.id) { SVIX } else { WEBHOOK }
    }
}

impl StandardWebhooks {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self {
            name: name.to_owned(),
            keys: Keyring::load(name, &config.secrets, Key::load),
            tolerance: config.tolerance.unwrap_or(TOLERANCE),
            reader: Reader::new(name, config.mapping.as_ref()),
        }
    }

    fn check(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        let names = Names::of(request.headers);
        let id = keyring::header(request.headers, names.id, trace)?;
        let timestamp = keyring::header(request.headers, names.timestamp, trace)?;
        let signatures = keyring::header(request.headers, names.signature, trace)?;
        let signed = keyring::seconds(timestamp).ok_or(Refusal::malformed(names.timestamp))?;
        keyring::fresh(signed, now, self.tolerance)?;

        let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", request.body];
        let of_version = |version: &'static str| {
            signatures.split(' ').filter_map(move |signature| signature.strip_prefix(version)?.strip_prefix(','))
        };
        trace.signed("webhook-id, timestamp and body, with dots between them", || message.concat());
        for (place, key) in self.keys.iter() {
            let signed = match key {
                Key::Symmetric(state) => {
                    let mut given = of_version("v1").peekable();
                    given.peek().is_some() && {
                        let expected = symmetric(state, &message);
                        given.any(|given| keyring::matches(place, &expected, given.as_bytes(), trace))
                    }
                }
                Key::Asymmetric(key) => of_version("v1a").take(MAX_ASYMMETRIC).any(|given| {
                    let signed = STANDARD
                        .decode(given)
                        .ok()
                        .and_then(|bytes| Signature::from_slice(&bytes).ok())
                        .is_some_and(|signature| key.multipart_verify(&message, &signature).is_ok());
                    trace.tried_public(place, given, signed);
                    signed
                }),
            };
            if signed {
                return Ok(());
            }
        }
        if of_version("v1").chain(of_version("v1a")).next().is_none() {
            return Err(Refusal::unknown("the version of every signature"));
        }
        Err(Refusal::Mismatch)
    }
}

/// The signature in base64, as the header has it.
fn symmetric(state: &Hmac<Sha256>, message: &[&[u8]]) -> [u8; 44] {
    let mut mac = state.clone();
    for part in message {
        mac.update(part);
    }
    let mut text = [0; 44];
    STANDARD.encode_slice(mac.finalize().into_bytes(), &mut text).expect("32 bytes are 44 characters");
    text
}

impl Vendor for StandardWebhooks {
    fn verify(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        keyring::or_no_key(self.check(request, now, trace), self.keys.unusable())
    }

    fn handshake(&self, request: &Request<'_>, _now: Timestamp) -> Option<Handshake> {
        challenge::event_grid(request)
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        let id = keyring::header(request.headers, Names::of(request.headers).id, &mut Trace::off()).ok();
        Identity { subject: None, dedupe_key: id.map(|id| format!("{}:{id}", self.name)) }
    }

    fn kept_headers(&self) -> &[http::HeaderName] {
        self.reader.headers()
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        self.reader.events(callback)
    }
}
