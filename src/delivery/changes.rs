//! What an operator may ask a partner to be, and what is wrong with it. Every complaint says what to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::{
    address::{self, Refused},
    partner::{Format, Settings, matches},
};
use crate::{
    config,
    event::{Channel, EventType},
    openapi::DurationText,
};

pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);
pub const MOST_AT_ONCE: u32 = 64;
pub const MOST_WAITS: usize = 30;
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);
const LONGEST_ENDPOINT: usize = 2000;
const MOST_HEADERS: usize = 20;
/// Only such variables can be sent to partners: the others hold what is none of their business.
pub const HEADER_VARIABLES: &str = "PARTNER_";

/// What to change. What is absent stays as it is, or as it is by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "PartnerChanges")]
pub struct Changes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<BTreeSet<Channel>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendors: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// All of them: those that are not named here are removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<humantime_serde::Serde<Duration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<DurationText>>")]
    pub schedule: Option<Vec<humantime_serde::Serde<Duration>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_internal: Option<bool>,
}

/// What is wrong, each with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Invalid(pub Vec<String>);

impl Changes {
    /// The settings of a new partner.
    ///
    /// # Errors
    /// Something cannot be meant.
    pub fn create(self, config: &config::Config) -> Result<Settings, Invalid> {
        let delivery = &config.delivery;
        if self.endpoint.is_none() {
            return Err(Invalid(vec!["endpoint is missing: the URL that events are POSTed to".into()]));
        }
        let defaults = Settings {
            endpoint: String::new(),
            channels: BTreeSet::new(),
            events: BTreeSet::new(),
            vendors: BTreeSet::new(),
            format: Format::StandardWebhooks,
            headers: BTreeMap::new(),
            rate: 0,
            concurrency: delivery.concurrency,
            timeout: delivery.timeout,
            schedule: Vec::new(),
            allow_internal: false,
        };
        self.apply(&defaults, config)
    }

    /// What the settings become.
    ///
    /// # Errors
    /// Something cannot be meant.
    pub fn apply(self, to: &Settings, config: &config::Config) -> Result<Settings, Invalid> {
        let to = to.clone();
        let settings = Settings {
            endpoint: self.endpoint.unwrap_or(to.endpoint),
            channels: self.channels.unwrap_or(to.channels),
            events: self.events.unwrap_or(to.events),
            vendors: self.vendors.unwrap_or(to.vendors),
            format: self.format.unwrap_or(to.format),
            headers: self.headers.unwrap_or(to.headers),
            rate: self.rate.unwrap_or(to.rate),
            concurrency: self.concurrency.unwrap_or(to.concurrency),
            timeout: self.timeout.map_or(to.timeout, humantime_serde::Serde::into_inner),
            schedule: self.schedule.unwrap_or(to.schedule),
            allow_internal: self.allow_internal.unwrap_or(to.allow_internal),
        };
        let mut problems = Vec::new();
        check_endpoint(&settings, &mut problems);
        for pattern in &settings.events {
            if !EventType::ALL.iter().any(|event_type| matches(pattern, event_type.name())) {
                let types: Vec<_> = EventType::ALL.iter().map(|event_type| event_type.name()).collect();
                problems.push(format!(
                    "events: {pattern:?} is no event type; use `message.*`, `call.*`, `recipient.*`, or one of {}",
                    types.join(", ")
                ));
            }
        }
        for vendor in &settings.vendors {
            if !config.vendors.contains_key(vendor) {
                let known: Vec<_> = config.vendors.keys().map(String::as_str).collect();
                problems.push(format!("vendors: {vendor:?} is not in sluice.toml; there are {}", known.join(", ")));
            }
        }
        check_headers(&settings.headers, &mut problems);
        if !(1..=MOST_AT_ONCE).contains(&settings.concurrency) {
            problems.push(format!("concurrency must lie between 1 and {MOST_AT_ONCE}"));
        }
        if settings.timeout < Duration::from_millis(100) || settings.timeout > LONGEST_TIMEOUT {
            problems.push(format!("timeout must lie between 100ms and {LONGEST_TIMEOUT:?}"));
        }
        let unfit = settings.schedule.iter().any(|wait| **wait < Duration::from_secs(1) || **wait > LONGEST_WAIT);
        if unfit || settings.schedule.len() > MOST_WAITS {
            problems.push(format!("schedule holds at most {MOST_WAITS} waits, each between 1s and 30d"));
        }
        if problems.is_empty() { Ok(settings) } else { Err(Invalid(problems)) }
    }
}

fn check_endpoint(settings: &Settings, problems: &mut Vec<String>) {
    // The URL may hold a token: it is not repeated.
    let mut problem = |text: &str| problems.push(format!("endpoint {text}"));
    if settings.endpoint.len() > LONGEST_ENDPOINT {
        return problem(&format!("is longer than {LONGEST_ENDPOINT} characters"));
    }
    let Ok(url) = Url::parse(&settings.endpoint) else {
        return problem("is not an absolute URL like https://partner.example.com/events");
    };
    match url.scheme() {
        "https" => {}
        "http" if settings.allow_internal => {}
        "http" => problem("is plain http, which anybody on the way can read: use https, or allow_internal for a test"),
        _ => problem("is neither https nor http"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        problem("holds a user name or password: put them into a header, `authorization` = `env:PARTNER_...`");
    }
    if url.fragment().is_some() {
        problem("has a fragment (#...), which is never sent: remove it");
    }
    let literal = match url.host() {
        Some(Host::Ipv4(ip)) => address::check(ip.into()),
        Some(Host::Ipv6(ip)) => address::check(ip.into()),
        Some(Host::Domain(_)) => Ok(()),
        None => return problem("names no host"),
    };
    if let Err(Refused(kind)) = literal
        && !settings.allow_internal
    {
        problem(&format!("names a {kind} address: use a public one, or allow_internal if it is meant"));
    }
}

fn check_headers(headers: &BTreeMap<String, String>, problems: &mut Vec<String>) {
    if headers.len() > MOST_HEADERS {
        problems.push(format!("headers: there are more than {MOST_HEADERS}"));
    }
    for (name, value) in headers {
        match HeaderName::try_from(name) {
            Err(_) => problems.push(format!("headers: {name:?} is no name of a header")),
            Ok(name) if is_ours(&name) => problems.push(format!("headers: {name} is set by Sluice itself")),
            Ok(_) => {}
        }
        // Values may be secrets that somebody pasted: they are not repeated.
        match value.strip_prefix("env:") {
            Some(variable) if !variable.starts_with(HEADER_VARIABLES) || variable.len() == HEADER_VARIABLES.len() => {
                problems.push(format!(
                    "headers: the variable of {name} must begin with {HEADER_VARIABLES}, so that no other secret can be sent"
                ));
            }
            Some(_) => {}
            None if HeaderValue::try_from(value).is_err() => {
                problems.push(format!("headers: the value of {name} cannot stand in a header"));
            }
            None => {}
        }
    }
}

/// Headers that say what a request is, or how it travels.
fn is_ours(name: &HeaderName) -> bool {
    const OURS: [&str; 10] = [
        "host",
        "content-type",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
        "expect",
        "trailer",
        "user-agent",
    ];
    let name = name.as_str();
    OURS.contains(&name) || name.starts_with("webhook-") || name.starts_with("ce-") || name.starts_with("proxy-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> config::Config {
        let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/sluice.toml"));
        config::Config::parse(path, &std::fs::read_to_string(path).unwrap(), &|_| None).unwrap()
    }

    fn complaint(json: serde_json::Value) -> String {
        let changes: Changes = serde_json::from_value(json).unwrap();
        changes.create(&config()).expect_err("it must be refused").to_string()
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_do() {
        let refused = |field: &str, value: serde_json::Value| {
            let mut changes = serde_json::json!({ "endpoint": "https://partner.example.com/events" });
            changes[field] = value;
            complaint(changes)
        };
        assert!(complaint(serde_json::json!({})).contains("endpoint is missing"));
        for (endpoint, told) in [
            ("partner.example.com", "is not an absolute URL"),
            ("http://partner.example.com/", "is plain http"),
            ("ftp://partner.example.com/", "is neither https nor http"),
            ("https://me:secret@partner.example.com/", "put them into a header"),
            ("https://partner.example.com/#a", "has a fragment"),
            ("https://127.0.0.1/", "names a loopback address"),
            ("https://0x7f.1/", "names a loopback address"),
            ("https://169.254.169.254/latest/meta-data", "names a link-local address"),
            ("https://[::ffff:10.0.0.1]/", "names a private address"),
        ] {
            let complaint = refused("endpoint", endpoint.into());
            assert!(complaint.contains(told), "{endpoint}: {complaint}");
            assert!(!complaint.contains("secret"), "{complaint}");
        }
        assert!(refused("events", ["message.delivred"].into()).contains("\"message.delivred\" is no event type"));
        assert!(refused("vendors", ["twilo"].into()).contains("there are acme-sms, resend, sendgrid, textly, twilio"));
        let headers = |name: &str, value: &str| refused("headers", serde_json::json!({ name: value }));
        assert!(headers("webhook-id", "x").contains("set by Sluice itself"));
        assert!(headers("a b", "x").contains("no name of a header"));
        assert!(headers("x-key", "env:SLUICE_ADMIN_KEY").contains("must begin with PARTNER_"));
        let bad = headers("x-key", "secret\n");
        assert!(bad.contains("cannot stand in a header") && !bad.contains("secret"), "{bad}");
        assert!(refused("concurrency", 0.into()).contains("between 1 and 64"));
        assert!(refused("timeout", "31s".into()).contains("between 100ms and 30s"));
        assert!(refused("schedule", ["1ms"].into()).contains("each between 1s and 30d"));
    }

    #[test]
    fn what_is_absent_stays_as_it_is() {
        let all = serde_json::json!({
            "endpoint": "http://10.0.0.1/x?token=1", "allow_internal": true, "channels": ["sms"], "events": ["message.*"],
            "vendors": ["twilio"], "format": "cloudevents-binary", "headers": { "authorization": "env:PARTNER_ACME" },
            "rate": 50, "concurrency": 2, "timeout": "3s", "schedule": ["1s", "1m"],
        });
        let settings = serde_json::from_value::<Changes>(all).unwrap().create(&config()).unwrap();
        let changes: Changes = serde_json::from_value(serde_json::json!({ "rate": 0 })).unwrap();
        let changed = changes.apply(&settings, &config()).unwrap();
        assert_eq!(changed, Settings { rate: 0, ..settings });
    }
}
