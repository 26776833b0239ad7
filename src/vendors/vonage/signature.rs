//! `Authorization: Bearer`, then a JWT made with the account's signature secret.
//! <https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks>
//!
//! The token is HS256; Vonage's Node library would take RS256 too, and nothing here does. It binds the body by
//! `payload_hash`, which the libraries leave to the receiver. It has no `exp` and does not bind the URL: whoever learns
//! the token of a GET can send it again with another query. A configured `tolerance` on `iat` limits that in time, and
//! callbacks by POST, Vonage's default, are free of it.

use std::{collections::BTreeMap, time::Duration};

use http::Method;

use super::sig;
use crate::{
    clock::Timestamp,
    config::{MissingSecret, Secret, VendorConfig},
    vendors::{
        Refusal, Request, Trace,
        jwt::{self, Algorithm, Claims, Token},
        keyring::{self, Keyring},
    },
};

const AUTHORIZATION: &str = "authorization";

pub(super) struct Verifier {
    /// `None` where only accounts are configured.
    secrets: Option<Keyring<Key>>,
    /// By `api_key`.
    accounts: BTreeMap<String, Keyring<Key>>,
    unusable: Option<String>,
    issuer: Option<String>,
    tolerance: Option<Duration>,
    /// Whether `sig` is accepted too.
    legacy: bool,
}

/// A signature secret.
struct Key {
    token: jwt::Key,
    sig: Option<sig::Key>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Verifier({:?}, accounts: {:?})", self.secrets, self.accounts)
    }
}

impl Verifier {
    pub fn new(vendor: &str, config: &VendorConfig) -> Self {
        let load = |place: String, secrets: &[Result<Secret, MissingSecret>]| {
            Keyring::load_at(&place, secrets, |secret| {
                let sig = config.legacy.and_then(|legacy| sig::Key::new(legacy, secret));
                Ok(Key { token: jwt::Key::new(secret), sig })
            })
        };
        let only_accounts = config.secrets.is_empty() && !config.accounts.is_empty();
        let secrets = (!only_accounts).then(|| load(format!("vendors.{vendor}.secrets"), &config.secrets));
        let account =
            |(id, secrets): (&String, &Vec<_>)| (id.clone(), load(format!("vendors.{vendor}.accounts.{id}"), secrets));
        let accounts: BTreeMap<_, _> = config.accounts.iter().map(account).collect();
        let unusable = secrets.iter().chain(accounts.values()).find_map(|keys| keys.unusable().map(str::to_owned));
        Self {
            secrets,
            accounts,
            unusable,
            issuer: config.issuer.clone(),
            tolerance: config.tolerance,
            legacy: config.legacy.is_some(),
        }
    }

    pub fn unusable(&self) -> Option<&str> {
        self.unusable.as_deref()
    }

    /// Whether a live secret signed the request.
    pub fn check(&self, request: &Request<'_>, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        match keyring::header(request.headers, AUTHORIZATION, trace) {
            Ok(authorization) => self.check_token(authorization, request, now, trace),
            // Only then: who sends a token is judged by it.
            Err(missing @ Refusal::MissingHeader(_)) if self.legacy => match sig::Signed::of(request)? {
                Some(signed) => self.check_sig(&signed, now, trace),
                None => Err(missing),
            },
            Err(refusal) => Err(refusal),
        }
    }

    fn check_token(
        &self,
        authorization: &str,
        request: &Request<'_>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<(), Refusal> {
        let token = match authorization.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start(),
            _ => return Err(Refusal::malformed(AUTHORIZATION)),
        };
        let token = Token::parse(token, &[Algorithm::Hs256], trace)?;
        let claims = token.claims()?;
        let keys = self.keys_of(claims.api_key.as_deref(), trace)?;
        if !keys.iter().any(|(place, key)| token.signed_by(place, &key.token, trace)) {
            return Err(Refusal::Mismatch);
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(Refusal::unknown("the token's issuer"));
        }
        claims.check_times(now, Duration::ZERO)?;
        if let Some(tolerance) = self.tolerance {
            let issued = claims.iat.ok_or(Refusal::malformed("the token's iat"))?;
            keyring::fresh(jwt::seconds(issued), now, tolerance)?;
        }
        check_body(&claims, request, trace)
    }

    fn check_sig(&self, signed: &sig::Signed, now: Timestamp, trace: &mut Trace) -> Result<(), Refusal> {
        let keys = self.keys_of(signed.api_key(), trace)?;
        signed.show(trace);
        let mut tried = keys.iter().filter_map(|(place, key)| Some((place, key.sig.as_ref()?)));
        if !tried.any(|(place, key)| signed.signed_by(place, key, trace)) {
            return Err(Refusal::Mismatch);
        }
        match self.tolerance {
            Some(tolerance) => keyring::fresh(signed.timestamp()?, now, tolerance),
            None => Ok(()),
        }
    }

    /// The secrets of the account that the request names. Nobody has vouched for the name yet; the signature will, and
    /// only with a secret that the configuration gives that account.
    fn keys_of(&self, api_key: Option<&str>, trace: &mut Trace) -> Result<&Keyring<Key>, Refusal> {
        if let Some((id, keys)) = api_key.and_then(|api_key| self.accounts.get_key_value(api_key)) {
            trace.said(|| format!("the api_key names the configured account {id}: only its secrets count"));
            return Ok(keys);
        }
        self.secrets.as_ref().ok_or(Refusal::unknown("the account of this api_key"))
    }
}

/// What the token says of the body must be so, and it must say something where there is one.
fn check_body(claims: &Claims, request: &Request<'_>, trace: &mut Trace) -> Result<(), Refusal> {
    match &claims.payload_hash {
        Some(hash) if jwt::is_hash(hash, "SHA-256 of the body against payload_hash", request.body, trace) => Ok(()),
        Some(_) => Err(Refusal::Mismatch),
        None if request.body.is_empty() && request.method == Method::GET => {
            trace.said(|| "a GET without a body: the token says who calls, and nothing of the query".into());
            Ok(())
        }
        None => Err(Refusal::malformed("a token without payload_hash")),
    }
}
