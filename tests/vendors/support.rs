//! Vendors without a configuration file, and requests without a socket.

use std::{path::Path, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sluice::{
    clock::Timestamp,
    config::{Mapping, MissingSecret, Scheme, Secret, VendorConfig},
    event::{Channel, EventType},
    vendors::{Callback, Identity, Refusal, Request, Trace, Vendor, build},
};

/// A moment at which every signed time of this suite is fresh.
pub const NOW: i64 = 1_795_200_000;

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 0).unwrap()
}

pub fn config(scheme: Scheme, secrets: &[&str]) -> VendorConfig {
    VendorConfig {
        secrets: secrets.iter().map(|secret| Ok(Secret::new(*secret))).collect(),
        mapping: scheme.is_generic().then(mapping),
        ..VendorConfig::new(scheme)
    }
}

/// A mapping for payloads of Resend's form.
pub fn mapping() -> Mapping {
    let statuses = [
        ("email.sent", EventType::MessageSent),
        ("email.delivered", EventType::MessageDelivered),
        ("email.bounced", EventType::MessageBounced),
    ];
    Mapping {
        each: None,
        message_id: "/data/email_id".into(),
        event_id: None,
        status: "/type".into(),
        occurred_at: Some("/timestamp".into()),
        recipient: Some("/data/to/0".into()),
        sender: Some("/data/from".into()),
        reason_code: Some("/data/bounce/code".into()),
        reason: Some("/data/bounce/message".into()),
        statuses: statuses.map(|(word, event_type)| (word.to_owned(), event_type)).into(),
    }
}

pub fn missing() -> Result<Secret, MissingSecret> {
    Err(MissingSecret {
        path: "sluice.toml".into(),
        line: 7,
        key: "vendors.acme.secrets[0]".into(),
        variable: "ACME_SECRET".into(),
        problem: "not set",
    })
}

pub fn vendor(name: &str, scheme: Scheme, secrets: &[&str]) -> Arc<dyn Vendor> {
    build(name, &config(scheme, secrets))
}

/// A request that owns its parts.
#[derive(Debug, Clone)]
pub struct Sent {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Sent {
    pub fn new(url: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let header = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let headers = headers.iter().map(header).collect();
        Self { method: Method::POST, url: url.into(), headers, body: body.into() }
    }

    pub fn form(url: &str, signature: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = [("content-type", FORM), ("x-twilio-signature", signature)];
        Self::new(url, &headers, body)
    }

    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub fn request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url, headers: &self.headers, body: &self.body }
    }

    pub fn verify(&self, vendor: &dyn Vendor) -> Result<(), Refusal> {
        self.verify_at(vendor, NOW)
    }

    pub fn verify_at(&self, vendor: &dyn Vendor, now: i64) -> Result<(), Refusal> {
        vendor.verify(&self.request(), at(now), &mut Trace::off())
    }

    pub fn identify(&self, vendor: &dyn Vendor) -> Identity {
        vendor.identify(&self.request())
    }

    /// What a processor gets of this request: only the headers that the vendor asked for.
    pub fn callback(&self, vendor: &dyn Vendor, channel: Channel) -> Callback {
        let kept =
            vendor.kept_headers().iter().filter_map(|name| Some((name.clone(), self.headers.get(name)?.clone())));
        Callback {
            channel,
            service_type: channel.name().into(),
            request_type: "status".into(),
            query: self.url.split_once('?').map(|(_, query)| query.into()).unwrap_or_default(),
            headers: kept.collect(),
            content_type: self.headers.get("content-type").map(|value| value.to_str().unwrap().into()),
            body: self.body.clone().into(),
            received_at: at(NOW),
        }
    }
}

pub const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

/// A file below `tests/`.
pub fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn tolerance(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

/// Prints a line that the test harness does not swallow when a test passes.
pub fn report(line: &str) {
    let mut stdout = std::io::stdout().lock();
    // A closed terminal is no reason to fail.
    let _ = std::io::Write::write_all(&mut stdout, format!("{line}\n").as_bytes());
}
