//! Every vector: the verdict, and where the vector tells them, the events.

use std::{collections::BTreeMap, time::Duration};

use chrono::DateTime;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use sluice::{
    config::{Scheme, Secret},
    event::Channel,
    vendors::{Request, build},
};

use crate::{callback, config, folder, headers};

#[derive(Deserialize)]
struct Vector {
    name: String,
    vendor: String,
    servicetype: String,
    scheme: String,
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
    secret: Option<String>,
    public_key: Option<String>,
    now: i64,
    policy: Option<Policy>,
    expect: String,
    events: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    max_age_s: u64,
}

/// Runs a file of vectors and returns how many there were.
fn run(file: &str) -> usize {
    let text = std::fs::read_to_string(folder("vectors").join(file)).unwrap();
    let vectors: Vec<Vector> = serde_json::from_str(&text).unwrap();
    let mut failures = Vec::new();
    for vector in &vectors {
        if let Err(failure) = check(vector) {
            failures.push(format!("{}: {failure}", vector.name));
        }
    }
    assert!(failures.is_empty(), "{} of {} fail:\n{}", failures.len(), vectors.len(), failures.join("\n"));
    vectors.len()
}

fn check(vector: &Vector) -> Result<(), String> {
    let scheme = match vector.scheme.as_str() {
        "twilio" | "twilio-sharedkey" => Scheme::Twilio,
        "sendgrid" => Scheme::Sendgrid,
        "standard-webhooks" | "standard-webhooks-ed25519" => Scheme::StandardWebhooks,
        other => return Err(format!("unknown scheme {other}")),
    };
    let secret = vector.secret.as_deref().or(vector.public_key.as_deref()).unwrap();
    let mut vendor_config = config(scheme, &[secret]);
    vendor_config.tolerance = vector.policy.as_ref().map(|policy| Duration::from_secs(policy.max_age_s));
    let shared_key =
        vector.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-twilio-webhooks-signature-settings"));
    if let Some((_, settings)) = shared_key.filter(|(_, settings)| !settings.is_empty()) {
        let id = settings.split(',').find_map(|setting| setting.trim().strip_prefix("key=")).unwrap();
        vendor_config.secrets = vec![Ok(Secret::new("an auth token that signed nothing"))];
        vendor_config.shared_keys.insert(id.to_owned(), Ok(Secret::new(secret)));
    }
    let vendor = build(&vector.vendor, &vendor_config);
    let method: Method = vector.method.parse().unwrap();
    let pairs: Vec<_> = vector.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let headers = headers(&pairs);
    let request = Request { method: &method, url: &vector.url, headers: &headers, body: vector.body.as_bytes() };
    let verdict = vendor.verify(&request, DateTime::from_timestamp(vector.now, 0).unwrap());
    match (vector.expect.as_str(), &verdict) {
        ("valid", Ok(())) | ("invalid", Err(_)) => {}
        (expected, actual) => return Err(format!("expected {expected}, is {actual:?}")),
    }

    let Some(expected) = &vector.events else { return Ok(()) };
    let channel = Channel::from_name(&vector.servicetype).unwrap();
    let content_type = headers.get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
    let callback = callback(channel, &content_type, vector.body.as_bytes(), headers.clone());
    let events = vendor.normalise(&callback).map_err(|error| error.to_string())?;
    let actual: Vec<Value> = events.iter().map(|event| canonical(serde_json::to_value(event).unwrap())).collect();
    let expected: Vec<Value> = expected.iter().cloned().map(canonical).collect();
    if actual != expected {
        return Err(format!("events differ\n  expected {expected:#?}\n  actual {actual:#?}"));
    }
    if let [only] = events.as_slice()
        && let Some(key) = vendor.identify(&request).dedupe_key
        && scheme == Scheme::Twilio
        && key != only.dedupe_key
    {
        return Err(format!("the door's key {key} is not the event's {}", only.dedupe_key));
    }
    Ok(())
}

/// Without nulls, and with times in one spelling.
fn canonical(mut event: Value) -> Value {
    let properties = event.as_object_mut().unwrap();
    properties.retain(|_, value| !value.is_null());
    if let Some(Value::String(time)) = properties.get_mut("occurred_at") {
        *time = DateTime::parse_from_rfc3339(time).unwrap().to_utc().to_rfc3339();
    }
    event
}

#[test]
fn every_twilio_vector() {
    assert_eq!(run("twilio.json"), 59);
}

#[test]
fn every_sendgrid_vector() {
    assert_eq!(run("sendgrid.json"), 26);
}

#[test]
fn every_standard_webhooks_vector() {
    assert_eq!(run("standardwebhooks.json"), 33);
}
