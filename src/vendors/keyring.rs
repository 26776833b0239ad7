//! What the signing schemes share: live keys, headers that must be there once, and comparison in constant time.

use http::HeaderMap;
use subtle::ConstantTimeEq;

use super::Refusal;
use crate::config::{MissingSecret, Secret};

/// The live keys of a vendor, parsed once, and what is wrong with the first that cannot be used.
pub(super) struct Keyring<K> {
    keys: Vec<K>,
    unusable: Option<String>,
}

impl<K> Keyring<K> {
    /// Loads every secret. `load` tells what is wrong in words that hold nothing of the secret.
    pub fn load(
        vendor: &str,
        secrets: &[Result<Secret, MissingSecret>],
        load: impl Fn(&str) -> Result<K, &'static str>,
    ) -> Self {
        let mut keyring = Self { keys: Vec::with_capacity(secrets.len()), unusable: None };
        if secrets.is_empty() {
            keyring.unusable = Some(format!("vendors.{vendor}.secrets is empty"));
        }
        for (index, secret) in secrets.iter().enumerate() {
            match load_one(&format!("vendors.{vendor}.secrets[{index}]"), secret, &load) {
                Ok(key) => keyring.keys.push(key),
                Err(problem) => _ = keyring.unusable.get_or_insert(problem),
            }
        }
        keyring
    }

    pub fn iter(&self) -> impl Iterator<Item = &K> {
        self.keys.iter()
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
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|value| !value.is_empty()).ok_or(Refusal::MissingHeader(name))?;
    if values.next().is_some() {
        return Err(Refusal::Malformed(name));
    }
    value.to_str().map_err(|_| Refusal::Malformed(name))
}

/// Whether two texts are equal, in a time that does not tell where they differ.
pub(super) fn same(expected: &[u8], given: &[u8]) -> bool {
    expected.ct_eq(given).into()
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
