//! The configuration of Microsoft's Service Bus emulator, made from the same topology as everything else.
//!
//! The emulator allows less than Service Bus does; what exceeds its limits is shortened, and said. Format and limits:
//! <https://github.com/Azure/azure-service-bus-emulator-installer/blob/main/ServiceBus-Emulator/Schema/Config-schema.json>.

use std::{ops::RangeInclusive, time::Duration};

use serde_json::{Value, json};

use crate::bus::{Subscription, Topic, Topology};

/// The only namespace that it has.
const NAMESPACE: &str = "sbemulatorns";

/// A configuration, and where it is not what the topology says.
#[derive(Debug, Clone, PartialEq)]
pub struct EmulatorConfig {
    /// What the emulator reads as `Config.json`.
    pub json: Value,
    /// For a person: `topic callbacks: duplicate detection for PT5M instead of PT10M`.
    pub limited: Vec<String>,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmulatorConfigError {
    #[error("the emulator takes no name like `{0}`: use letters, digits, and between them - _ . or /")]
    Name(String),
}

/// The emulator's configuration with every topic, subscription and filter.
///
/// # Errors
/// A name that Service Bus has other rules for.
pub fn service_bus(topology: &Topology) -> Result<EmulatorConfig, EmulatorConfigError> {
    let mut limited = Vec::new();
    let topics = topology.topics.iter().map(|of| topic(of, &mut limited)).collect::<Result<Vec<_>, _>>()?;
    let namespace = json!({ "Name": NAMESPACE, "Queues": [], "Topics": topics });
    let json = json!({ "UserConfig": { "Namespaces": [namespace], "Logging": { "Type": "Console" } } });
    Ok(EmulatorConfig { json, limited })
}

fn topic(topic: &Topic, limited: &mut Vec<String>) -> Result<Value, EmulatorConfigError> {
    let name = name(&topic.name)?;
    let mut limit = Limits { entity: format!("topic {name}"), limited };
    let live = limit.time("messages live for", topic.default_time_to_live, 300..=3600);
    let detects = !topic.duplicate_detection_window.is_zero();
    let window = match detects {
        true => limit.time("duplicate detection for", topic.duplicate_detection_window, 5..=300),
        false => iso(Duration::from_secs(20)),
    };
    let subscriptions: Result<Vec<_>, _> =
        topic.subscriptions.iter().map(|of| subscription(of, topic, &mut *limited)).collect();
    Ok(json!({
        "Name": name,
        "Properties": {
            "DefaultMessageTimeToLive": live,
            "DuplicateDetectionHistoryTimeWindow": window,
            "RequiresDuplicateDetection": detects,
        },
        "Subscriptions": subscriptions?,
    }))
}

fn subscription(
    subscription: &Subscription,
    topic: &Topic,
    limited: &mut Vec<String>,
) -> Result<Value, EmulatorConfigError> {
    let name = name(&subscription.name)?;
    let mut limit = Limits { entity: format!("subscription {}/{name}", topic.name), limited };
    let lock = limit.time("locks last for", subscription.lock_duration, 60..=300);
    let deliveries = limit.number("deliveries:", subscription.max_delivery_count, 1..=10);
    // A rule of its own for all messages: what the emulator does without any is written nowhere.
    let rule = match subscription.filter.is_empty() {
        true => json!({
            "Name": "all",
            "Properties": { "FilterType": "Sql", "SqlFilter": { "SqlExpression": "1=1" } },
        }),
        false => json!({
            "Name": "filter",
            "Properties": {
                "FilterType": "Correlation",
                "CorrelationFilter": { "Properties": subscription.filter },
            },
        }),
    };
    Ok(json!({
        "Name": name,
        "Properties": {
            "DeadLetteringOnMessageExpiration": subscription.dead_letter_on_expiration,
            "LockDuration": lock,
            "MaxDeliveryCount": deliveries,
            "RequiresSession": false,
        },
        "Rules": [rule],
    }))
}

fn name(name: &str) -> Result<&str, EmulatorConfigError> {
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let within = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./".contains(byte);
    match alphanumeric(bytes.first()) && alphanumeric(bytes.last()) && bytes.iter().all(within) {
        true => Ok(name),
        false => Err(EmulatorConfigError::Name(name.to_owned())),
    }
}

/// Keeps values of an entity within limits.
struct Limits<'a> {
    entity: String,
    limited: &'a mut Vec<String>,
}

impl Limits<'_> {
    /// `seconds`: what the emulator allows.
    fn time(&mut self, what: &str, wanted: Duration, seconds: RangeInclusive<u64>) -> String {
        let kept = wanted.clamp(Duration::from_secs(*seconds.start()), Duration::from_secs(*seconds.end()));
        self.note(what, &iso(wanted), &iso(kept));
        iso(kept)
    }

    fn number(&mut self, what: &str, wanted: u32, allowed: RangeInclusive<u32>) -> u32 {
        let kept = wanted.clamp(*allowed.start(), *allowed.end());
        self.note(what, &wanted.to_string(), &kept.to_string());
        kept
    }

    fn note(&mut self, what: &str, wanted: &str, kept: &str) {
        if wanted != kept {
            self.limited.push(format!("{}: {what} {kept} instead of {wanted}", self.entity));
        }
    }
}

/// ISO 8601, in hours, minutes and whole seconds.
pub(super) fn iso(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M'), (seconds % 60, 'S')];
    let parts: String = parts.iter().filter(|part| part.0 > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if parts.is_empty() { "PT0S".to_owned() } else { format!("PT{parts}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(name: &str, window: u64, lock: u64, deliveries: u32) -> Topology {
        let subscription = Subscription {
            name: "sms".into(),
            filter: [("channel".to_owned(), "sms".to_owned())].into(),
            lock_duration: Duration::from_secs(lock),
            max_delivery_count: deliveries,
            dead_letter_on_expiration: true,
        };
        Topology {
            topics: vec![Topic {
                name: name.into(),
                duplicate_detection_window: Duration::from_secs(window),
                default_time_to_live: Duration::from_secs(1800),
                subscriptions: vec![subscription],
            }],
        }
    }

    #[test]
    fn what_the_emulator_does_not_allow_is_shortened_and_said() {
        let config = service_bus(&topology("callbacks", 600, 30, 25)).unwrap();
        assert_eq!(
            config.limited,
            [
                "topic callbacks: duplicate detection for PT5M instead of PT10M",
                "subscription callbacks/sms: locks last for PT1M instead of PT30S",
                "subscription callbacks/sms: deliveries: 10 instead of 25",
            ]
        );
        let topic = &config.json["UserConfig"]["Namespaces"][0]["Topics"][0];
        assert_eq!(topic["Properties"]["DuplicateDetectionHistoryTimeWindow"], "PT5M");
        assert_eq!(topic["Properties"]["DefaultMessageTimeToLive"], "PT30M");
        let rule = &topic["Subscriptions"][0]["Rules"][0]["Properties"];
        assert_eq!(rule["CorrelationFilter"]["Properties"], json!({ "channel": "sms" }));
        assert_eq!(service_bus(&topology("callbacks", 90, 90, 10)).unwrap().limited, [""; 0]);
    }

    #[test]
    fn a_window_of_nothing_is_no_duplicate_detection() {
        let config = service_bus(&topology("callbacks", 0, 60, 10)).unwrap();
        let properties = &config.json["UserConfig"]["Namespaces"][0]["Topics"][0]["Properties"];
        assert_eq!(properties["RequiresDuplicateDetection"], false);
    }

    #[test]
    fn a_name_that_the_emulator_refuses_is_named() {
        for name in ["", "-a", "a-", "a b", "a$b"] {
            let error = service_bus(&topology(name, 60, 60, 10)).unwrap_err();
            assert_eq!(error, EmulatorConfigError::Name(name.into()));
        }
    }

    #[test]
    fn durations_are_written_as_the_schema_wants_them() {
        for (seconds, text) in [(0, "PT0S"), (20, "PT20S"), (300, "PT5M"), (3600, "PT1H"), (5430, "PT1H30M30S")] {
            assert_eq!(iso(Duration::from_secs(seconds)), text);
        }
    }
}
