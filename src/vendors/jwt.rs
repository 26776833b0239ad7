//! Compact JSON Web Tokens signed with an HMAC: RFC 7515 and RFC 7519.
//!
//! By hand rather than with a library: those take the time from the system, and give a verdict only. Here the caller
//! owns the clock, chooses the key by a claim, and every key tried can be shown with the signature it gives.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, de::IgnoredAny};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{Refusal, Trace, keyring};
use crate::clock::Timestamp;

/// The algorithms that a shared secret can have. There is no word for `none` or for one with a public key, so no token
/// can ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
        }
    }
}

/// A secret, ready for each algorithm.
pub(super) struct Key {
    hs256: Hmac<Sha256>,
    hs384: Hmac<Sha384>,
    hs512: Hmac<Sha512>,
}

impl Key {
    pub fn new(secret: &str) -> Self {
        Self { hs256: state(secret), hs384: state(secret), hs512: state(secret) }
    }

    /// The signature as a token has it.
    fn sign(&self, algorithm: Algorithm, message: &str) -> String {
        fn sign<M: Mac + Clone>(key: &M, message: &str) -> String {
            URL_SAFE_NO_PAD.encode(key.clone().chain_update(message).finalize().into_bytes())
        }
        match algorithm {
            Algorithm::Hs256 => sign(&self.hs256, message),
            Algorithm::Hs384 => sign(&self.hs384, message),
            Algorithm::Hs512 => sign(&self.hs512, message),
        }
    }
}

fn state<M: KeyInit>(secret: &str) -> M {
    M::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length")
}

/// A token that is well formed and whose algorithm is allowed. Nobody has vouched for it yet.
pub(super) struct Token<'a> {
    algorithm: Algorithm,
    /// Header and claims with their dot, as sent.
    message: &'a str,
    claims: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood. None is, here.
    crit: Option<IgnoredAny>,
}

/// The claims that vendors make here. One that is there twice or is of another type makes the token malformed.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub iss: Option<String>,
    pub iat: Option<f64>,
    pub nbf: Option<f64>,
    pub exp: Option<f64>,
    pub api_key: Option<String>,
    pub url_hash: Option<String>,
    pub payload_hash: Option<String>,
}

impl<'a> Token<'a> {
    /// # Errors
    /// [`Refusal::Malformed`], or [`Refusal::Unknown`] for an algorithm or an extension that is not allowed.
    pub fn parse(text: &'a str, allowed: &[Algorithm], trace: &mut Trace) -> Result<Self, Refusal> {
        let malformed = || Refusal::malformed("the token");
        let (message, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
        let header: Header = decode(header).ok_or(Refusal::malformed("the token's header"))?;
        let algorithm = allowed.iter().copied().find(|algorithm| algorithm.name() == header.alg);
        let algorithm = algorithm.ok_or(Refusal::unknown("the token's algorithm"))?;
        if header.crit.is_some() {
            return Err(Refusal::unknown("an extension that the token asks for"));
        }
        trace.signed("the token's header and claims", || message.as_bytes().to_vec());
        Ok(Self { algorithm, message, claims, signature })
    }

    /// What the token says; to be believed after [`Token::signed_by`].
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn claims(&self) -> Result<Claims, Refusal> {
        decode(self.claims).ok_or(Refusal::malformed("the token's claims"))
    }

    /// Whether this key signed the token.
    pub fn signed_by(&self, place: &str, key: &Key, trace: &mut Trace) -> bool {
        let expected = key.sign(self.algorithm, self.message);
        keyring::matches(place, expected.as_bytes(), self.signature.as_bytes(), trace)
    }
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

impl Claims {
    /// Refuses a token outside the time that it is good for, as far as it names one.
    ///
    /// # Errors
    /// [`Refusal::Stale`].
    pub fn check_times(&self, now: Timestamp, leeway: Duration) -> Result<(), Refusal> {
        let (now, leeway) = (now.timestamp(), i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX));
        let away = |moment: f64| now.saturating_sub(seconds(moment));
        if let Some(away) = self.exp.map(away).filter(|away| *away >= leeway) {
            return Err(Refusal::Stale(away));
        }
        match self.nbf.map(away).filter(|away| away.saturating_neg() > leeway) {
            Some(away) => Err(Refusal::Stale(away)),
            None => Ok(()),
        }
    }
}

/// Whole seconds of a claimed time, which may have a fraction.
pub(super) fn seconds(moment: f64) -> i64 {
    moment.floor() as i64
}

/// Whether a claim is the SHA-256 of these bytes, in lower-case hex.
pub(super) fn is_hash(claim: &str, what: &str, bytes: &[u8], trace: &mut Trace) -> bool {
    let mut expected = [0; 64];
    hex::encode_to_slice(Sha256::digest(bytes), &mut expected).expect("32 bytes are 64 digits");
    keyring::matches(what, &expected, claim.as_bytes(), trace)
}
