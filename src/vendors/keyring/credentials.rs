//! Shared secrets that come with the callback itself, for vendors that sign nothing: HTTP Basic (RFC 7617), a bearer
//! token (RFC 6750), or the bare secret in a header of its own.
//!
//! Here what is received *is* the secret, so a trace must show neither it nor the one it is compared with. It shows
//! fingerprints instead, keyed at random for each start: equal where the secrets are equal, and worth nothing to a
//! reader, who could try likely passwords against a plain digest.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::Keyring;
use crate::{
    config::{Credential, VendorConfig},
    vendors::{Refusal, Request, Step, Trace},
};

const AUTHORIZATION: &str = "authorization";

/// The live secrets of a vendor and where one of them has to arrive.
#[derive(Debug)]
pub(in crate::vendors) struct Credentials {
    place: Credential,
    /// SHA-256 of each secret: digests are compared, so time does not tell how long a secret is.
    secrets: Keyring<[u8; 32]>,
    fingerprints: RandomState,
}

impl Credentials {
    pub fn load(vendor: &str, config: &VendorConfig) -> Self {
        let basic = config.credential == Credential::Basic;
        let secrets = Keyring::load(vendor, &config.secrets, |text| {
            // No request could ever match it.
            if basic && !text.contains(':') { Err("is not user:password") } else { Ok(digest(text.as_bytes())) }
        });
        Self { place: config.credential.clone(), secrets, fingerprints: RandomState::new() }
    }

    /// Whether the request carries one of the live secrets.
    pub fn verify(&self, request: &Request<'_>, trace: &mut Trace) -> Result<(), Refusal> {
        super::or_no_key(self.check(request.headers, trace), self.secrets.unusable())
    }

    fn check(&self, headers: &HeaderMap, trace: &mut Trace) -> Result<(), Refusal> {
        let received = digest(&self.received(headers, trace)?);
        let mut known = false;
        for (place, secret) in self.secrets.iter() {
            // All are compared, so that time does not tell which one it was.
            let matched = super::same(secret, &received);
            known |= matched;
            trace.record(|| Step::Tried {
                key: place.to_owned(),
                expected: Some(self.fingerprint(secret)),
                received: self.fingerprint(&received),
                matched,
            });
        }
        if known { Ok(()) } else { Err(Refusal::Mismatch) }
    }

    /// The secret as it arrived, in the form in which it is configured.
    fn received<'a>(&self, headers: &'a HeaderMap, trace: &mut Trace) -> Result<Cow<'a, [u8]>, Refusal> {
        match &self.place {
            Credential::Basic => {
                let base64 = authorization(headers, "Basic", trace)?;
                // `user:password` as a whole: the user name is compared as strictly as the password.
                let decoded = STANDARD.decode(base64).map_err(|_| Refusal::malformed(AUTHORIZATION))?;
                Ok(Cow::Owned(decoded))
            }
            Credential::Bearer => Ok(Cow::Borrowed(authorization(headers, "Bearer", trace)?.as_bytes())),
            Credential::Header(name) => {
                let value = super::configured_header(headers, name, &mut Trace::off())?;
                trace.record(|| Step::Header { name: name.to_string(), value: hidden(value) });
                Ok(Cow::Borrowed(value.as_bytes()))
            }
        }
    }

    fn fingerprint(&self, digest: &[u8; 32]) -> String {
        format!("fingerprint {:016x}", self.fingerprints.hash_one(digest))
    }
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// What follows the scheme in the `Authorization` header.
fn authorization<'a>(headers: &'a HeaderMap, scheme: &str, trace: &mut Trace) -> Result<&'a str, Refusal> {
    let value = super::header(headers, AUTHORIZATION, &mut Trace::off())?;
    let (given, credentials) = value.split_once(' ').unwrap_or((value, ""));
    let credentials = credentials.trim_matches(' ');
    if !given.eq_ignore_ascii_case(scheme) {
        // The first word may be a secret that somebody sent without a scheme.
        trace.record(|| Step::Header {
            name: AUTHORIZATION.to_owned(),
            value: format!("{}, which do not begin with {scheme}", hidden(value)),
        });
        return Err(Refusal::unknown("the authorization scheme"));
    }
    trace
        .record(|| Step::Header { name: AUTHORIZATION.to_owned(), value: format!("{scheme} {}", hidden(credentials)) });
    if credentials.is_empty() { Err(Refusal::malformed(AUTHORIZATION)) } else { Ok(credentials) }
}

/// A secret for a trace.
fn hidden(secret: &str) -> String {
    format!("({} characters, not shown)", secret.chars().count())
}
