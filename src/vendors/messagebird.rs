//! MessageBird: SMS. [`payload`] reads the callbacks.
//!
//! Signed with a JWT that holds hashes of the URL, exactly as MessageBird has it, and of the body:
//! <https://developers.messagebird.com/api/#verifying-http-requests>. The older `MessageBird-Signature` is not accepted:
//! MessageBird has deprecated it.

mod payload;

use std::time::Duration;

use super::{
    Callback, Identity, Refusal, Request, Trace, Unreadable, Vendor,
    jwt::{self, Algorithm, Claims, Key, Token},
    keyring::{self, Keyring},
};
use crate::{clock::Timestamp, config::VendorConfig, event::Event};

const SIGNATURE: &str = "messagebird-signature-jwt";
const ISSUER: &str = "MessageBird";
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
/// How far clocks may differ, as in MessageBird's Python library; a token is good for a minute.
const LEEWAY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct MessageBird {
    name: String,
    keys: Keyring<Key>,
    leeway: Duration,
}

impl MessageBird {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self {
            name: name.to_owned(),
            keys: Keyring::load(name, &config.secrets, |secret| Ok(Key::new(secret))),
            leeway: config.tolerance.unwrap_or(LEEWAY),
        }
    }

    fn check(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        let token = keyring::header(request.headers, SIGNATURE, trace)?;
        let token = Token::parse(token, &ALGORITHMS, trace)?;
        if !self.keys.iter().any(|(place, key)| token.signed_by(place, key, trace)) {
            return Err(Refusal::Mismatch);
        }
        let claims = token.claims()?;
        if claims.iss.as_deref() != Some(ISSUER) {
            return Err(Refusal::unknown("the token's issuer"));
        }
        if claims.nbf.is_none() || claims.exp.is_none() {
            return Err(Refusal::malformed("a token without nbf and exp"));
        }
        claims.check_times(now, self.leeway)?;
        check_hashes(&claims, request, trace)
    }
}

/// The token must be for this URL, and for this body or for none.
fn check_hashes(claims: &Claims, request: &Request<'_>, trace: &mut Trace) -> Result<(), Refusal> {
    let url_hash = claims.url_hash.as_deref().ok_or(Refusal::malformed("a token without url_hash"))?;
    if !jwt::is_hash(url_hash, "SHA-256 of the URL against url_hash", request.url.as_bytes(), trace) {
        return Err(Refusal::Mismatch);
    }
    match (claims.payload_hash.as_deref(), request.body) {
        (None, []) => Ok(()),
        (None, _) => Err(Refusal::malformed("a token without payload_hash")),
        (Some(_), []) => Err(Refusal::malformed("a token with payload_hash, and no body")),
        (Some(hash), body) if jwt::is_hash(hash, "SHA-256 of the body against payload_hash", body, trace) => Ok(()),
        (Some(_), _) => Err(Refusal::Mismatch),
    }
}

impl Vendor for MessageBird {
    fn verify(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        match self.check(request, now, trace) {
            // No key that might be missing here could change that.
            Err(refusal @ Refusal::Unknown(_)) => Err(refusal),
            verdict => keyring::or_no_key(verdict, self.keys.unusable()),
        }
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        payload::identify(&self.name, request)
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::events(&self.name, callback)
    }
}
