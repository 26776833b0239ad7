//! The sending side of the vendors' signature schemes.

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::{DecodePrivateKey, EncodePublicKey},
};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

/// Secrets are written with and without padding.
pub(super) const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Signs as Twilio does: <https://www.twilio.com/docs/usage/security#validating-requests>.
#[derive(Clone)]
pub(super) enum TwilioKey {
    AuthToken(Hmac<Sha1>),
    /// With the id that names it in the request.
    Shared(String, Hmac<Sha256>),
}

impl TwilioKey {
    pub fn auth_token(token: &str) -> Self {
        Self::AuthToken(keyed(token.as_bytes()))
    }

    pub fn shared(id: &str, secret: &str) -> Self {
        Self::Shared(id.to_owned(), keyed(secret.as_bytes()))
    }

    /// Base64 of the code over the URL, followed by every parameter's name and value in order of names.
    pub fn sign(&self, url: &str, params: &[(&str, String)]) -> String {
        let mut sorted: Vec<&(&str, String)> = params.iter().collect();
        sorted.sort();
        let mut text = String::with_capacity(1024);
        text.push_str(url);
        for (name, value) in sorted {
            text.push_str(name);
            text.push_str(value);
        }
        match self {
            TwilioKey::AuthToken(key) => code(key, &[text.as_bytes()]),
            TwilioKey::Shared(_, key) => code(key, &[text.as_bytes()]),
        }
    }

    /// The header that says which key signed, for the keys that have an id.
    pub fn settings(&self) -> Option<String> {
        match self {
            TwilioKey::AuthToken(_) => None,
            TwilioKey::Shared(id, _) => Some(format!("key={id},algorithm=HMAC_SHA256")),
        }
    }
}

/// Signs as SendGrid's signed event webhook does: ECDSA P-256 over the timestamp's text and the body.
#[derive(Clone)]
pub(super) struct SendGridKey(SigningKey);

impl SendGridKey {
    /// Reads a private key: base64 of PKCS#8 DER. `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let der = STANDARD.decode(text.trim()).ok()?;
        SigningKey::from_pkcs8_der(&der).ok().map(Self)
    }

    /// The key that verifies, as SendGrid shows it: base64 of SPKI DER.
    pub fn public(&self) -> String {
        let der = self.0.verifying_key().to_public_key_der().expect("a valid key encodes");
        STANDARD.encode(der.as_bytes())
    }

    pub fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        let signature: Signature = self.0.sign(&[timestamp.as_bytes(), body].concat());
        STANDARD.encode(signature.to_der().as_bytes())
    }
}

/// Signs as Standard Webhooks 1.0.0 demands: HMAC-SHA256 over `{id}.{timestamp}.{body}`.
#[derive(Clone)]
pub(super) struct StandardKey(Hmac<Sha256>);

impl StandardKey {
    /// Reads a secret: base64, padded or not, after an optional `whsec_`. `None` for anything else, a public key too.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let secret = LENIENT.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?;
        Some(Self(keyed(&secret)))
    }

    pub fn sign(&self, id: &str, timestamp: &str, body: &Bytes) -> String {
        format!("v1,{}", code(&self.0, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]))
    }
}

/// A plain HMAC, for schemes that differ in what they sign and how they write it.
#[derive(Clone)]
pub(super) enum CodeKey {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl CodeKey {
    pub fn sha1(key: &[u8]) -> Self {
        Self::Sha1(keyed(key))
    }

    pub fn sha256(key: &[u8]) -> Self {
        Self::Sha256(keyed(key))
    }

    pub fn sha384(key: &[u8]) -> Self {
        Self::Sha384(keyed(key))
    }

    pub fn sha512(key: &[u8]) -> Self {
        Self::Sha512(keyed(key))
    }

    pub fn code(&self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            CodeKey::Sha1(key) => bytes(key, parts),
            CodeKey::Sha256(key) => bytes(key, parts),
            CodeKey::Sha384(key) => bytes(key, parts),
            CodeKey::Sha512(key) => bytes(key, parts),
        }
    }
}

/// A generated text as a header: every generator sticks to visible ASCII.
pub(super) fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("generated headers are visible ASCII")
}

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).expect("an HMAC key may have any length")
}

fn code<M: Mac + Clone>(key: &M, parts: &[&[u8]]) -> String {
    STANDARD.encode(bytes(key, parts))
}

fn bytes<M: Mac + Clone>(key: &M, parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = key.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}
