//! What the schemes share: live keys, headers that must be there once, and comparison in constant time.
//! [`credentials`] is the check of those that sign nothing and send a secret instead.

pub(super) mod credentials;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use subtle::ConstantTimeEq;

use super::{Refusal, Step, Trace};
use crate::config::{MissingSecret, Secret};

/// The live keys of a vendor, parsed once, and what is wrong with the first that cannot be used.
pub(super) struct Keyring<K> {
    /// Each with the place where it is configured.
    keys: Vec<(String, K)>,
    unusable: Option<String>,
}

impl<K> Keyring<K> {
    /// Loads every secret. `load` tells what is wrong in words that hold nothing of the secret.
    pub fn load(
        vendor: &str,
        secrets: &[Result<Secret, MissingSecret>],
        load: impl Fn(&str) -> Result<K, &'static str>,
    ) -> Self {
        Self::load_at(&format!("vendors.{vendor}.secrets"), secrets, load)
    }

    /// As [`Keyring::load`], for a list of secrets elsewhere in the configuration.
    pub fn load_at(
        place: &str,
        secrets: &[Result<Secret, MissingSecret>],
        load: impl Fn(&str) -> Result<K, &'static str>,
    ) -> Self {
        let mut keyring = Self { keys: Vec::with_capacity(secrets.len()), unusable: None };
        if secrets.is_empty() {
            keyring.unusable = Some(format!("{place} is empty"));
        }
        for (index, secret) in secrets.iter().enumerate() {
            let place = format!("{place}[{index}]");
            match load_one(&place, secret, &load) {
                Ok(key) => keyring.keys.push((place, key)),
                Err(problem) => _ = keyring.unusable.get_or_insert(problem),
            }
        }
        keyring
    }

    /// Each live key, after the place where it is configured.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &K)> {
        self.keys.iter().map(|(place, key)| (place.as_str(), key))
    }

    /// Whether a key of this kind is there at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn unusable(&self) -> Option<&str> {
        self.unusable.as_deref()
    }
}

impl<K> std::fmt::Debug for Keyring<K> {
    /// How many keys, and nothing of them.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keyring({} usable, problem: {:?})", self.keys.len(), self.unusable)
    }
}

/// One key, or what is wrong with it. Space around a secret is dropped: files and portals add line ends.
///
/// # Errors
/// The secret is missing, blank or unloadable. The text names where it is configured.
pub(super) fn load_one<K>(
    place: &str,
    secret: &Result<Secret, MissingSecret>,
    load: impl Fn(&str) -> Result<K, &'static str>,
) -> Result<K, String> {
    let text = secret.as_ref().map_err(ToString::to_string)?.expose().trim();
    if text.is_empty() {
        // An empty key is one that anybody has.
        return Err(format!("{place} is blank"));
    }
    load(text).map_err(|problem| format!("{place} {problem}"))
}

/// While a secret is missing or broken, a request that the others do not verify may be a genuine one: it is answered
/// 503, so that the vendor tries again, and not 401, which many take as final.
pub(super) fn or_no_key(verdict: Result<(), Refusal>, unusable: Option<&str>) -> Result<(), Refusal> {
    match (verdict, unusable) {
        (Err(_), Some(problem)) => Err(Refusal::NoKey(problem.to_owned())),
        (verdict, _) => verdict,
    }
}

/// A header's value. One that is there twice is refused: what was verified must be what is read later.
///
/// # Errors
/// The header is missing, empty, repeated or not visible ASCII.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &'static str, trace: &mut Trace) -> Result<&'a str, Refusal> {
    // A request has a dozen of them: they are compared sooner than the name is hashed.
    let values = headers.iter().filter(|(other, _)| other.as_str() == name).map(|(_, value)| value);
    single(values, || Cow::Borrowed(name), trace)
}

/// As [`header`], of a name that the configuration gives.
pub(super) fn configured_header<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    trace: &mut Trace,
) -> Result<&'a str, Refusal> {
    single(headers.get_all(name).iter(), || Cow::Owned(name.as_str().to_owned()), trace)
}

fn single<'a>(
    mut values: impl Iterator<Item = &'a HeaderValue>,
    name: impl Fn() -> Cow<'static, str>,
    trace: &mut Trace,
) -> Result<&'a str, Refusal> {
    let value = values.next().filter(|value| !value.is_empty()).ok_or_else(|| Refusal::MissingHeader(name()))?;
    if values.next().is_some() {
        return Err(Refusal::Malformed(name()));
    }
    let text = value.to_str().map_err(|_| Refusal::Malformed(name()))?;
    trace.header(&name(), text);
    Ok(text)
}

/// Whether two texts are equal, in a time that does not tell where they differ.
pub(super) fn same(expected: &[u8], given: &[u8]) -> bool {
    expected.ct_eq(given).into()
}

/// As [`same`], of the signature that a secret gives (as the header would have it) and the one received.
pub(super) fn matches(key: &str, expected: &[u8], received: &[u8], trace: &mut Trace) -> bool {
    let matched = same(expected, received);
    trace.record(|| Step::Tried {
        key: key.to_owned(),
        expected: Some(String::from_utf8_lossy(expected).into_owned()),
        received: String::from_utf8_lossy(received).into_owned(),
        matched,
    });
    matched
}

/// Seconds since 1970, in digits only.
pub(super) fn seconds(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Refuses a signed time that is further from now than the tolerance, before or after. At the very edge it passes.
///
/// # Errors
/// [`Refusal::Stale`].
pub(super) fn fresh(signed: i64, now: crate::clock::Timestamp, tolerance: std::time::Duration) -> Result<(), Refusal> {
    let away = now.timestamp().saturating_sub(signed);
    if away.unsigned_abs() > tolerance.as_secs() { Err(Refusal::Stale(away)) } else { Ok(()) }
}
