//! Signature vectors: requests with a known verdict, from the vendors' own libraries or confirmed by them.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::Value;
use sluice::{
    config::{Scheme, Secret, VendorConfig},
    event::{Channel, Event},
    vendors::{Refusal, Vendor, build},
};

use crate::support::{Sent, config, file, tolerance};

#[derive(Debug, Deserialize)]
struct Vector {
    name: String,
    vendor: String,
    servicetype: String,
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
    secret: Option<String>,
    public_key: Option<String>,
    now: i64,
    policy: Option<Policy>,
    expect: String,
    why: String,
    events: Option<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    max_age_s: u64,
}

impl Vector {
    fn sent(&self) -> Sent {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let sent = Sent::new(&self.url, &headers, self.body.as_bytes());
        Sent { method: self.method.parse().unwrap(), ..sent }
    }

    fn channel(&self) -> Channel {
        Channel::from_name(&self.servicetype).unwrap()
    }

    fn config(&self) -> VendorConfig {
        let secret = self.secret.as_deref().or(self.public_key.as_deref()).unwrap();
        let mut config = match self.vendor.as_str() {
            "twilio" => match self.shared_key_id() {
                // The account's auth token is live beside the SharedKey, and must not be taken for it.
                Some(id) => {
                    let mut config = config(Scheme::Twilio, &["8f2c1d7be0a94c53b6e1a2d4f7c90b13"]);
                    config.shared_keys.insert(id, Ok(Secret::new(secret)));
                    config
                }
                None => config(Scheme::Twilio, &[secret]),
            },
            "sendgrid" => config(Scheme::Sendgrid, &[secret]),
            "standard-webhooks" => config(Scheme::StandardWebhooks, &[secret]),
            other => panic!("{other}"),
        };
        config.tolerance = self.policy.as_ref().and_then(|policy| tolerance(policy.max_age_s));
        config
    }

    fn shared_key_id(&self) -> Option<String> {
        let settings = self.headers.get("X-Twilio-Webhooks-Signature-Settings")?;
        Some(settings.strip_prefix("key=")?.split(',').next()?.to_owned())
    }

    fn build(&self) -> Arc<dyn Vendor> {
        build(&self.vendor, &self.config())
    }
}

fn vectors(name: &str) -> Vec<Vector> {
    serde_json::from_slice(&file(&format!("vectors/{name}.json"))).unwrap()
}

/// The event of a vector, every field of which is one of ours: an unknown one would be compared with nothing.
fn event(json: &Value) -> Event {
    let event: Event = serde_json::from_value(json.clone()).unwrap();
    let ours = serde_json::to_value(&event).unwrap();
    for (field, value) in json.as_object().unwrap() {
        assert!(value.is_null() || ours.get(field).is_some(), "{field} is no field of an event");
    }
    event
}

/// Runs a file of vectors and tells how many verdicts and how many lists of events it compared.
fn run(name: &str) -> (usize, usize) {
    let (mut verdicts, mut lists) = (0, 0);
    let mut wrong = Vec::new();
    for vector in vectors(name) {
        let vendor = vector.build();
        let sent = vector.sent();
        let verdict = sent.verify_at(&*vendor, vector.now);
        let expected = match vector.expect.as_str() {
            "valid" => verdict.is_ok(),
            "invalid" => matches!(&verdict, Err(refusal) if !matches!(refusal, Refusal::NoKey(_))),
            other => panic!("{other}"),
        };
        verdicts += 1;
        if !expected {
            wrong.push(format!("{}: {verdict:?}, but {} because {}", vector.name, vector.expect, vector.why));
        }
        let callback = sent.callback(&*vendor, vector.channel());
        let events = vendor.normalise(&callback);
        if let Some(expected) = &vector.events {
            lists += 1;
            let expected: Vec<Event> = expected.iter().map(event).collect();
            match &events {
                Ok(events) if *events == expected => {}
                other => wrong.push(format!("{}: {other:#?}\nbut expected {expected:#?}", vector.name)),
            }
        }
        let identity = sent.identify(&*vendor);
        if let (Some(key), Ok(events)) = (identity.dedupe_key, events)
            && events.first().is_none_or(|event| event.dedupe_key != key)
        {
            wrong.push(format!("{}: identified as {key}, but its first event is another", vector.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    (verdicts, lists)
}

#[test]
fn every_twilio_vector_gets_its_verdict_and_its_events() {
    assert_eq!(run("twilio"), (59, 15));
}

#[test]
fn every_sendgrid_vector_gets_its_verdict_and_its_events() {
    assert_eq!(run("sendgrid"), (26, 8));
}

#[test]
fn every_standard_webhooks_vector_gets_its_verdict_and_its_events() {
    assert_eq!(run("standardwebhooks"), (33, 5));
}

#[test]
fn a_url_that_was_escaped_differently_on_the_way_is_refused() {
    #[derive(Deserialize)]
    struct Escaping {
        twilio: Vec<Vector>,
    }
    let escaping: Escaping = serde_json::from_slice(&file("vectors/twilio-escaping.json")).unwrap();
    assert_eq!(escaping.twilio.len(), 3);
    for vector in escaping.twilio {
        let verdict = vector.sent().verify_at(&*vector.build(), vector.now);
        assert_eq!(verdict, Err(Refusal::Mismatch), "{}", vector.name);
    }
}

#[test]
fn a_retry_under_a_new_signature_keeps_its_dedupe_key() {
    let vectors = vectors("standardwebhooks");
    let key = |name| {
        let vector = vectors.iter().find(|vector| vector.name == name).unwrap();
        vector.sent().identify(&*vector.build()).dedupe_key
    };
    assert_eq!(key("utf8-body").as_deref(), Some("standard-webhooks:evt_01JCY7V3J6ZP8W4Q2M9R5T1X0B"));
    assert_eq!(key("retry-same-id-new-timestamp"), key("utf8-body"));
    assert_eq!(key("svix-headers"), key("utf8-body"));
}

#[test]
fn a_digit_moved_from_the_timestamp_into_the_body_verifies_but_cannot_be_read() {
    let vectors = vectors("sendgrid");
    let vector = vectors.iter().find(|vector| vector.name == "timestamp-boundary-shift").unwrap();
    let vendor = vector.build();
    assert_eq!(vector.sent().verify_at(&*vendor, vector.now), Ok(()));
    assert!(vendor.normalise(&vector.sent().callback(&*vendor, Channel::Email)).is_err());
}

#[test]
fn each_refusal_tells_its_cause() {
    let cause = |file: &str, name: &str| {
        let vectors = vectors(file);
        let vector = vectors.iter().find(|vector| vector.name == name).unwrap();
        vector.sent().verify_at(&*vector.build(), vector.now).unwrap_err().code()
    };
    assert_eq!(cause("twilio", "sms-status-missing-header"), "missing_header");
    assert_eq!(cause("twilio", "sms-status-sig-without-padding"), "malformed");
    assert_eq!(cause("twilio", "sms-status-tampered-body"), "mismatch");
    assert_eq!(cause("twilio", "sharedkey-unknown-algorithm"), "unknown");
    assert_eq!(cause("twilio", "json-without-bodySHA256"), "malformed");
    assert_eq!(cause("sendgrid", "signature-raw-r-s"), "malformed");
    assert_eq!(cause("sendgrid", "old-signature-policy"), "stale");
    assert_eq!(cause("sendgrid", "sdk-bad-key"), "mismatch");
    assert_eq!(cause("standardwebhooks", "age-301"), "stale");
    assert_eq!(cause("standardwebhooks", "future-301"), "stale");
    assert_eq!(cause("standardwebhooks", "sdk-timestamp-not-number"), "malformed");
    assert_eq!(cause("standardwebhooks", "v2-prefix-only"), "unknown");
    assert_eq!(cause("standardwebhooks", "sdk-missing-id"), "missing_header");
}
