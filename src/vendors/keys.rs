//! The live keys of a vendor: any of them may have signed. A key that cannot be loaded is our fault, not the sender's.

use std::fmt::Display;

use http::HeaderMap;

use super::Refusal;
use crate::config::{MissingSecret, Secret};

/// Keys that are ready for use, and what is wrong with the others.
#[derive(Debug, Clone)]
pub(super) struct Keys<K> {
    live: Vec<K>,
    unusable: Option<String>,
}

impl<K> Keys<K> {
    /// Loads every secret. What `load` says of a secret it cannot use must not repeat it.
    pub fn load<E: Display>(
        secrets: &[Result<Secret, MissingSecret>],
        mut load: impl FnMut(&str) -> Result<K, E>,
    ) -> Self {
        let mut keys = Self { live: Vec::new(), unusable: None };
        for (index, secret) in secrets.iter().enumerate() {
            match secret {
                Ok(secret) => match load(secret.expose().trim()) {
                    Ok(key) => keys.live.push(key),
                    Err(problem) => keys.unusable = Some(format!("secret {index}: {problem}")),
                },
                Err(missing) => keys.unusable = Some(missing.to_string()),
            }
        }
        if keys.live.is_empty() && keys.unusable.is_none() {
            keys.unusable = Some("none is configured".to_owned());
        }
        keys
    }

    /// Accepts what one of the keys verifies. With a key unusable, what the others refuse may be genuine.
    pub fn any(&self, verifies: impl FnMut(&K) -> bool) -> Result<(), Refusal> {
        if self.live.iter().any(verifies) {
            return Ok(());
        }
        Err(self.unusable.clone().map_or(Refusal::Mismatch, Refusal::NoKey))
    }
}

/// A header's text: present, not empty, visible ASCII.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Refusal> {
    let value = headers.get(name).ok_or(Refusal::MissingHeader(name))?;
    match value.to_str() {
        Ok("") => Err(Refusal::MissingHeader(name)),
        Ok(text) => Ok(text),
        Err(_) => Err(Refusal::Malformed(name)),
    }
}
