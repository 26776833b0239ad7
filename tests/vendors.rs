//! Vendors: every test vector (confirmed by the vendors' own SDKs), every sample payload, rotation, and hostile input.

#[path = "vendors/hostile.rs"]
mod hostile;
#[path = "vendors/keys.rs"]
mod keys;
#[path = "vendors/payloads.rs"]
mod payloads;
#[path = "vendors/vectors.rs"]
mod vectors;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sluice::{
    config::{Mapping, Scheme, Secret, VendorConfig},
    event::{Channel, Event, EventType},
    vendors::{Callback, Vendor, build},
};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn config(scheme: Scheme, secrets: &[&str]) -> VendorConfig {
    VendorConfig {
        scheme,
        services: BTreeMap::from([("sms".to_owned(), Channel::Sms)]),
        secrets: secrets.iter().map(|secret| Ok(Secret::new(*secret))).collect(),
        shared_keys: BTreeMap::new(),
        tolerance: None,
        answer: None,
        mapping: matches!(scheme, Scheme::StandardWebhooks | Scheme::None).then(mapping),
    }
}

/// The mapping for the payload of the vectors.
fn mapping() -> Mapping {
    Mapping {
        each: None,
        message_id: "/data/email_id".into(),
        event_id: Some("header:webhook-id".into()),
        status: "/type".into(),
        occurred_at: Some("/timestamp".into()),
        recipient: Some("/data/to/0".into()),
        sender: None,
        reason_code: None,
        reason: None,
        statuses: BTreeMap::from([("email.delivered".to_owned(), EventType::MessageDelivered)]),
    }
}

fn vendor(name: &str, scheme: Scheme, secrets: &[&str]) -> Arc<dyn Vendor> {
    build(name, &config(scheme, secrets))
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    pairs.collect()
}

fn callback(channel: Channel, content_type: &str, body: &[u8], headers: HeaderMap) -> Callback {
    Callback {
        channel,
        service_type: channel.name().into(),
        request_type: "status".into(),
        query: String::new(),
        headers,
        content_type: Some(content_type.into()),
        body: Bytes::copy_from_slice(body),
        received_at: "2026-11-20T10:00:00Z".parse().unwrap(),
    }
}

fn types(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.event_type.name()).collect()
}
