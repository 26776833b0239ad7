//! A partner: an application that receives events, as it is kept in container `registry`, partition [`PARTITION`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    event::{Channel, Event},
    openapi::DurationText,
};

/// The partition of every partner's document; the id is the name.
pub const PARTITION: &str = "partners";

/// The form of an event on the wire. Every form is signed as Standard Webhooks says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "DeliveryFormat")]
pub enum Format {
    /// `{"type", "timestamp", "data"}`, as Standard Webhooks recommends.
    StandardWebhooks,
    /// CloudEvents' binary content mode: attributes in `ce-` headers, the event's data as the body.
    CloudeventsBinary,
    /// CloudEvents' structured content mode: one JSON document, `application/cloudevents+json`.
    CloudeventsStructured,
}

impl Format {
    pub const ALL: [Format; 3] = [Format::StandardWebhooks, Format::CloudeventsBinary, Format::CloudeventsStructured];

    /// The name in the API and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::StandardWebhooks => "standard-webhooks",
            Format::CloudeventsBinary => "cloudevents-binary",
            Format::CloudeventsStructured => "cloudevents-structured",
        }
    }
}

/// What an operator decides about a partner. [`super::changes`] says what is valid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PartnerSettings")]
pub struct Settings {
    /// Where events are POSTed: an absolute URL.
    pub endpoint: String,
    /// Only these channels; empty: all.
    #[serde(default)]
    pub channels: BTreeSet<Channel>,
    /// Only these event types, `message.*` for a family; empty: all.
    #[serde(default)]
    pub events: BTreeSet<String>,
    /// Only events of these vendors, by their names in `sluice.toml`; empty: all.
    #[serde(default)]
    pub vendors: BTreeSet<String>,
    pub format: Format,
    /// Sent with every event; a value `env:NAME` is taken from the environment when it is sent.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Requests a second that an instance starts, at the most; 0: no limit.
    #[serde(default)]
    pub rate: u32,
    /// Requests that an instance has under way at a time.
    pub concurrency: u32,
    /// For a whole exchange, from the connection to the end of the answer.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// The waits between attempts; empty: those of `[delivery]`.
    #[serde(default)]
    #[schemars(with = "Vec<DurationText>")]
    pub schedule: Vec<humantime_serde::Serde<Duration>>,
    /// Internal networks and plain http are allowed.
    #[serde(default)]
    pub allow_internal: bool,
}

/// Whether events are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
#[schemars(rename = "PartnerState")]
pub enum State {
    Enabled,
    /// Events are parked with this reason; a replay brings them back.
    Disabled {
        reason: String,
        since: Timestamp,
    },
}

/// What a partner's secrets are derived from, besides the master key: see [`super::keys`]. Not secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// Random, so that a partner that comes after a removed one of the same name has other secrets.
    pub salt: String,
    /// The generation that a receiver should know; it goes up with each rotation.
    pub generation: u32,
    /// Earlier generations that events are signed with as well, for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Former>,
}

/// A generation on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FormerSecret")]
pub struct Former {
    pub generation: u32,
    pub until: Timestamp,
}

impl Signing {
    /// Every generation that counts now, the newest first.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = u32> + '_ {
        let former = self.former.iter().filter(move |former| former.until > now).map(|former| former.generation);
        std::iter::once(self.generation).chain(former)
    }
}

/// An application that receives events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Partner {
    /// The name: 1 to 40 of a-z, 0-9 and `-`.
    pub id: String,
    /// Always [`PARTITION`].
    pub key: String,
    /// Whose commit wrote this: tells our own earlier attempt from another's.
    #[serde(default)]
    pub writer: String,
    pub settings: Settings,
    #[serde(flatten)]
    pub state: State,
    pub signing: Signing,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Partner {
    pub fn name(&self) -> &str {
        &self.id
    }

    /// Whether its filters let the event through. A disabled partner wants what it wanted before: nothing disappears.
    pub fn wants(&self, event: &Event) -> bool {
        let Settings { channels, events, vendors, .. } = &self.settings;
        let name = event.event_type.name();
        (channels.is_empty() || channels.contains(&event.channel))
            && (vendors.is_empty() || vendors.contains(&event.provider))
            && (events.is_empty() || events.iter().any(|pattern| matches(pattern, name)))
    }
}

/// Whether an event type is meant by a pattern: the type itself, or `family.*`; `*` is any.
pub fn matches(pattern: &str, event_type: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(family) => family.ends_with('.') && event_type.starts_with(family),
        None => pattern == event_type,
    }
}

/// Whether a text can be a partner's name.
pub fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_a_type_a_family_or_everything() {
        assert!(matches("message.delivered", "message.delivered"));
        assert!(matches("message.*", "message.delivered") && matches("*", "unknown"));
        assert!(!matches("message.*", "call.completed") && !matches("mess*", "message.delivered"));
        assert!(!matches("message", "message.delivered"));
    }

    #[test]
    fn a_former_secret_counts_until_its_time_is_up() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let former = |generation, until| Former { generation, until: at(until) };
        let former = vec![former(2, "2026-11-22T00:00:00Z"), former(1, "2026-11-21T00:00:00Z")];
        let signing = Signing { salt: "s".into(), generation: 3, former };
        assert_eq!(signing.live(at("2026-11-20T23:59:59Z")).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(signing.live(at("2026-11-21T00:00:00Z")).collect::<Vec<_>>(), [3, 2]);
    }
}
