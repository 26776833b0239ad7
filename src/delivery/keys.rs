//! Partners' secrets: derived from one master key, never stored.
//!
//! HKDF-SHA256 (RFC 5869) of the master key, over what the secret is for, the partner's name and salt, and the generation.
//! Whoever has the registry has no secret; whoever has one secret learns nothing of another.

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use super::partner::Partner;
use crate::config::Secret;

const CONTEXT: &[u8] = b"sluice/delivery/1";

/// Makes partners' secrets.
#[derive(Clone)]
pub struct Keys(Secret);

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Keys(..)")
    }
}

impl Keys {
    pub fn new(master: Secret) -> Self {
        Self(master)
    }

    /// The HMAC secret of a generation as a partner is told it: `whsec_` and base64 of 32 bytes.
    pub fn symmetric(&self, partner: &Partner, generation: u32) -> Secret {
        Secret::new(format!("whsec_{}", BASE64_STANDARD.encode(self.derive(partner, generation, b"hmac"))))
    }

    /// The same, ready to sign.
    pub(super) fn hmac(&self, partner: &Partner, generation: u32) -> Hmac<Sha256> {
        let key = self.derive(partner, generation, b"hmac");
        Hmac::new_from_slice(&key).expect("HMAC takes keys of any length")
    }

    /// The public key of a generation: `whpk_` and base64 of 32 bytes.
    pub fn public(&self, partner: &Partner, generation: u32) -> String {
        let key = self.asymmetric(partner, generation).verifying_key();
        format!("whpk_{}", BASE64_STANDARD.encode(key.as_bytes()))
    }

    pub(super) fn asymmetric(&self, partner: &Partner, generation: u32) -> SigningKey {
        SigningKey::from_bytes(&self.derive(partner, generation, b"ed25519"))
    }

    fn derive(&self, partner: &Partner, generation: u32, purpose: &[u8]) -> [u8; 32] {
        let generation = generation.to_be_bytes();
        // Neither a name nor a salt has a zero byte, so no two secrets share these parts.
        let info = [CONTEXT, purpose, partner.name().as_bytes(), partner.signing.salt.as_bytes(), &generation[..]];
        let info = info.join(&0);
        let parts = [info.as_slice()];
        let mut key = [0; 32];
        let pseudorandom = Salt::new(HKDF_SHA256, &[]).extract(self.0.expose().as_bytes());
        let material = pseudorandom.expand(&parts, HKDF_SHA256).expect("32 bytes are less than HKDF's limit");
        material.fill(&mut key).expect("the length is the one that was asked for");
        key
    }
}
