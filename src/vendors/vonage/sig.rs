//! `sig`: how the SMS API signs, a hash over all other parameters. Accepted only where `legacy` asks for it.
//! <https://developer.vonage.com/en/getting-started/concepts/signing-messages>
//!
//! The parameters are sorted by name and written as `&name=value`, with `_` for each `&` and `=` within a value. The
//! text of two parameters can also be that of one with an odd name, so such names are refused.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use serde_json::{Map, Value};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::{
    config::{Legacy, Secret},
    vendors::{Refusal, Request, Trace, json, keyring, parameters::Parameters},
};

/// Far above what Vonage sends, and few enough that a hostile request is sorted in no time.
const MAX_PARAMETERS: usize = 1_000;

/// A secret, for the method that the account is set to.
pub(super) enum Key {
    /// MD5 of the text and then the secret: no HMAC, and the default of accounts.
    Md5Hash(Secret),
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    /// `None` for another vendor's legacy.
    pub fn new(legacy: Legacy, secret: &str) -> Option<Self> {
        match legacy {
            Legacy::VonageMd5Hash => Some(Key::Md5Hash(Secret::new(secret))),
            Legacy::VonageMd5 => Some(Key::Md5(state(secret))),
            Legacy::VonageSha1 => Some(Key::Sha1(state(secret))),
            Legacy::VonageSha256 => Some(Key::Sha256(state(secret))),
            Legacy::VonageSha512 => Some(Key::Sha512(state(secret))),
            Legacy::PlivoV2 => None,
        }
    }

    /// In lower-case hex.
    fn sign(&self, text: &str) -> String {
        fn sign<M: Mac + Clone>(key: &M, text: &str) -> String {
            hex::encode(key.clone().chain_update(text).finalize().into_bytes())
        }
        match self {
            Key::Md5Hash(secret) => hex::encode(Md5::new().chain_update(text).chain_update(secret.expose()).finalize()),
            Key::Md5(key) => sign(key, text),
            Key::Sha1(key) => sign(key, text),
            Key::Sha256(key) => sign(key, text),
            Key::Sha512(key) => sign(key, text),
        }
    }
}

fn state<M: KeyInit>(secret: &str) -> M {
    M::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length")
}

/// Parameters with a signature.
pub(super) struct Signed {
    text: String,
    /// In lower case: Vonage writes either.
    sig: String,
    api_key: Option<String>,
    timestamp: Option<String>,
}

impl Signed {
    /// `None` where there is no `sig`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`]: what was verified must be what is read later, so nothing may be open to two readings.
    pub fn of(request: &Request<'_>) -> Result<Option<Self>, Refusal> {
        let malformed = || Refusal::malformed("the parameters");
        let mut pairs = pairs(request).ok_or_else(malformed)?;
        pairs.sort_unstable();
        let twice = pairs.windows(2).any(|two| two[0].0 == two[1].0);
        if twice || pairs.iter().any(|(name, _)| name.contains(['&', '='])) {
            return Err(malformed());
        }
        let get = |name| pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value);
        let Some(sig) = get("sig") else { return Ok(None) };
        let mut text = String::with_capacity(512);
        for (name, value) in pairs.iter().filter(|(name, _)| name != "sig") {
            text.extend(["&", name, "="]);
            text.extend(value.chars().map(|letter| if matches!(letter, '&' | '=') { '_' } else { letter }));
        }
        let owned = |name| get(name).map(|value| value.clone().into_owned());
        Ok(Some(Self { text, sig: sig.to_ascii_lowercase(), api_key: owned("api-key"), timestamp: owned("timestamp") }))
    }

    /// The account that the parameters name.
    pub fn api_key(&self) -> Option<&str> {
        self.api_key.as_deref()
    }

    /// When the parameters were signed, in seconds since 1970.
    pub fn timestamp(&self) -> Result<i64, Refusal> {
        let timestamp = self.timestamp.as_deref().and_then(keyring::seconds);
        timestamp.ok_or(Refusal::malformed("the parameter timestamp"))
    }

    pub fn show(&self, trace: &mut Trace) {
        trace.signed("every parameter but sig, sorted by name", || self.text.clone().into_bytes());
    }

    /// Whether this key signed the parameters.
    pub fn signed_by(&self, place: &str, key: &Key, trace: &mut Trace) -> bool {
        keyring::matches(place, key.sign(&self.text).as_bytes(), self.sig.as_bytes(), trace)
    }
}

/// Names and values in no order. `None` where they are no texts, or are too many.
fn pairs<'a>(request: &Request<'a>) -> Option<Vec<(Cow<'a, str>, Cow<'a, str>)>> {
    let pairs: Vec<_> = match Parameters::of_request(request) {
        Parameters::Form(form) => form_urlencoded::parse(form).take(MAX_PARAMETERS + 1).collect(),
        Parameters::Json(body) => {
            let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
            let text = |value: Value| match value {
                Value::String(text) => Some(text),
                Value::Number(_) => json::text(&value),
                _ => None,
            };
            let pair = |(name, value): (String, Value)| Some((name.into(), text(value)?.into()));
            object.into_iter().map(pair).collect::<Option<_>>()?
        }
    };
    (pairs.len() <= MAX_PARAMETERS).then_some(pairs)
}
