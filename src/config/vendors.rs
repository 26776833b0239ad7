//! Vendors: which scheme they sign by, where their secrets are, and how a generic one's payload is read.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use toml::Spanned;

use super::{
    ConfigError, MissingSecret, Secret,
    error::Locator,
    secrets::{Resolver, SecretSource},
};
use crate::event::{Channel, EventType};

/// How a vendor proves that a callback is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    Twilio,
    Sendgrid,
    StandardWebhooks,
    /// Accepts anything: for a vendor that signs nothing, behind a network that only it can reach.
    None,
}

/// The answer to an accepted callback.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub content_type: String,
    pub body: String,
}

/// How a generic vendor's JSON payload becomes events. Paths are JSON Pointers (RFC 6901), relative to each element of
/// `each` where that is set, else to the whole body; `header:NAME` takes a request header instead.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// An array in the body with one event in each element.
    pub each: Option<String>,
    /// The vendor's id of the message.
    pub message_id: String,
    /// An id equal for repeats of the same event; by default `header:webhook-id`.
    pub event_id: Option<String>,
    /// The vendor's word for the status.
    pub status: String,
    /// RFC 3339 text, or seconds or milliseconds since 1970.
    pub occurred_at: Option<String>,
    pub recipient: Option<String>,
    pub sender: Option<String>,
    pub reason_code: Option<String>,
    pub reason: Option<String>,
    /// The vendor's words for the status, and the canonical types they mean. Others become `unknown`.
    pub statuses: BTreeMap<String, EventType>,
}

impl Mapping {
    /// The first field that names a place which no callback can have.
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        if self.each.as_ref().is_some_and(|each| !each.is_empty() && !each.starts_with('/')) {
            return Some(("each", "must be a JSON Pointer, which begins with /"));
        }
        let fields = [
            ("message_id", Some(&self.message_id)),
            ("event_id", self.event_id.as_ref()),
            ("status", Some(&self.status)),
            ("occurred_at", self.occurred_at.as_ref()),
            ("recipient", self.recipient.as_ref()),
            ("sender", self.sender.as_ref()),
            ("reason_code", self.reason_code.as_ref()),
            ("reason", self.reason.as_ref()),
        ];
        fields.into_iter().find_map(|(field, place)| match place?.strip_prefix("header:") {
            Some(name) => HeaderName::try_from(name.trim()).err().map(|_| (field, "names no header that can exist")),
            None if place?.starts_with('/') => None,
            None => Some((field, "must be a JSON Pointer, which begins with /, or header:NAME")),
        })
    }
}

/// One vendor, resolved.
#[derive(Debug, Clone)]
pub struct VendorConfig {
    pub scheme: Scheme,
    /// Service types of the route, and the channel that processes each.
    pub services: BTreeMap<String, Channel>,
    /// Every live secret (or public key), each with what may be missing. Two during a rotation.
    pub secrets: Vec<Result<Secret, MissingSecret>>,
    /// Twilio SharedKey secrets by key id.
    pub shared_keys: BTreeMap<String, Result<Secret, MissingSecret>>,
    /// How old or early a signed timestamp may be; `None` takes the scheme's own rule.
    pub tolerance: Option<Duration>,
    /// `None` takes the scheme's own answer.
    pub answer: Option<Answer>,
    pub mapping: Option<Mapping>,
}

impl VendorConfig {
    pub(super) fn missing_secrets(&self) -> impl Iterator<Item = MissingSecret> + '_ {
        self.secrets.iter().chain(self.shared_keys.values()).filter_map(|secret| secret.as_ref().err().cloned())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VendorTable {
    scheme: Scheme,
    services: BTreeMap<Spanned<String>, Channel>,
    #[serde(default)]
    secrets: Vec<Spanned<SecretSource>>,
    #[serde(default)]
    shared_keys: BTreeMap<String, Spanned<SecretSource>>,
    #[serde(default, with = "humantime_serde")]
    tolerance: Option<Duration>,
    answer: Option<Answer>,
    mapping: Option<Mapping>,
}

impl VendorTable {
    pub fn resolve(
        self,
        at: &Locator,
        name: &Spanned<String>,
        secrets: &Resolver,
    ) -> Result<VendorConfig, ConfigError> {
        let key = format!("vendors.{}", name.get_ref());
        check_segment(at, name, &key)?;
        for service in self.services.keys() {
            check_segment(at, service, &format!("{key}.services"))?;
        }
        let wrong = |field: &str, problem: &str| at.value(name.span(), format!("{key}.{field}"), problem.into());
        if self.services.is_empty() {
            return Err(wrong("services", "names no service type, so no route would reach this vendor"));
        }
        if self.scheme != Scheme::None && self.secrets.is_empty() && self.shared_keys.is_empty() {
            return Err(wrong("secrets", "is empty: a scheme other than \"none\" needs at least one"));
        }
        let generic = matches!(self.scheme, Scheme::StandardWebhooks | Scheme::None);
        if generic && self.mapping.is_none() {
            return Err(wrong("mapping", "is missing: this scheme says who signed, not what the payload means"));
        }
        if !generic && self.mapping.is_some() {
            return Err(wrong("mapping", "is only for generic schemes: this vendor's payload is known"));
        }
        if self.scheme != Scheme::Twilio && !self.shared_keys.is_empty() {
            return Err(wrong("shared_keys", "is only for the twilio scheme"));
        }
        if self.tolerance.is_some_and(|tolerance| tolerance.is_zero()) {
            return Err(wrong("tolerance", "must be more than 0: no signed time is exactly now"));
        }
        if self.answer.as_ref().is_some_and(|answer| HeaderValue::try_from(&answer.content_type).is_err()) {
            return Err(wrong("answer.content_type", "cannot be the value of a header"));
        }
        if let Some((field, problem)) = self.mapping.as_ref().and_then(Mapping::fault) {
            return Err(wrong(&format!("mapping.{field}"), problem));
        }
        let mut resolved = Vec::new();
        for (index, source) in self.secrets.iter().enumerate() {
            resolved.push(secrets.resolve(&format!("{key}.secrets[{index}]"), source)?);
        }
        let mut shared_keys = BTreeMap::new();
        for (id, source) in &self.shared_keys {
            shared_keys.insert(id.clone(), secrets.resolve(&format!("{key}.shared_keys.{id}"), source)?);
        }
        Ok(VendorConfig {
            scheme: self.scheme,
            services: self.services.into_iter().map(|(name, channel)| (name.into_inner(), channel)).collect(),
            secrets: resolved,
            shared_keys,
            tolerance: self.tolerance,
            answer: self.answer,
            mapping: self.mapping,
        })
    }
}

/// Names are segments of the route, which is matched without regard to case: they are lower case here.
fn check_segment(at: &Locator, name: &Spanned<String>, key: &str) -> Result<(), ConfigError> {
    let text = name.get_ref();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if text.is_empty() || text.len() > 40 || !text.bytes().all(allowed) {
        let problem = format!("`{text}` must be 1 to 40 of a-z, 0-9, - and _: it is a segment of the route");
        return Err(at.value(name.span(), key, problem));
    }
    Ok(())
}
