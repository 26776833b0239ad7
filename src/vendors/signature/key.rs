//! Keys of the configured algorithms, and signatures as bytes and text.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use ed25519_dalek::VerifyingKey;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::MultipartVerifier;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use crate::config::{Algorithm, Encoding, SecretText, Signature};

/// Secrets are written with and without padding.
const SECRET: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

pub(super) enum Key {
    Secret(Code),
    Public(VerifyingKey),
}

/// An HMAC under its key, ready to be cloned.
pub(super) enum Code {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    pub fn load(text: &str, signature: &Signature) -> Result<Self, &'static str> {
        let code: fn(&[u8]) -> Code = match signature.algorithm {
            Algorithm::Ed25519 => return public(text, signature.secret).map(Key::Public),
            Algorithm::HmacSha1 => |key| Code::Sha1(keyed(key)),
            Algorithm::HmacSha256 => |key| Code::Sha256(keyed(key)),
            Algorithm::HmacSha384 => |key| Code::Sha384(keyed(key)),
            Algorithm::HmacSha512 => |key| Code::Sha512(keyed(key)),
        };
        let bytes = match signature.secret.unwrap_or(SecretText::Text) {
            SecretText::Text => text.as_bytes().to_vec(),
            SecretText::Base64 => SECRET.decode(text).map_err(|_| "is not base64")?,
            SecretText::Hex => hex::decode(text).map_err(|_| "is not hex")?,
        };
        // An empty key is one that anybody has.
        if bytes.is_empty() { Err("holds no key") } else { Ok(Key::Secret(code(&bytes))) }
    }
}

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// 64 hexadecimal digits cannot be base64 of 32 bytes, so the two need not be told apart by the configuration.
fn public(text: &str, written: Option<SecretText>) -> Result<VerifyingKey, &'static str> {
    let hex = || hex::decode(text).ok();
    let base64 = || SECRET.decode(text).ok();
    let bytes = match written {
        Some(SecretText::Hex) => hex(),
        Some(SecretText::Base64) => base64(),
        _ => hex().or_else(base64),
    };
    let bytes: [u8; 32] = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or("is not 32 bytes in hex or base64")?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| "is not an Ed25519 public key")?;
    // For such a key there are signatures that fit any message.
    if key.is_weak() { Err("is a weak Ed25519 key") } else { Ok(key) }
}

impl Code {
    /// The code over these parts, one after the other.
    pub fn code(&self, message: &[&[u8]]) -> Vec<u8> {
        match self {
            Code::Sha1(key) => code(key, message),
            Code::Sha256(key) => code(key, message),
            Code::Sha384(key) => code(key, message),
            Code::Sha512(key) => code(key, message),
        }
    }
}

fn code<M: Mac + Clone>(key: &M, message: &[&[u8]]) -> Vec<u8> {
    let mut mac = key.clone();
    message.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// Whether an Ed25519 signature fits a message.
pub(super) fn fits(key: &VerifyingKey, message: &[&[u8]], signature: &[u8]) -> bool {
    ed25519_dalek::Signature::from_slice(signature)
        .is_ok_and(|signature| key.multipart_verify(message, &signature).is_ok())
}

pub(super) fn encode(bytes: &[u8], encoding: Encoding) -> String {
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
    }
}

pub(super) fn decode(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(text).ok(),
        Encoding::Base64 => STANDARD.decode(text).ok(),
    }
}
