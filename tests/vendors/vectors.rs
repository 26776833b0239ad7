//! Signature vectors: requests with a known verdict, from the vendors' own libraries or confirmed by them.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;
use sluice::{
    config::{Legacy, Scheme, Secret, VendorConfig},
    event::{Channel, Event},
    vendors::{Handshake, Refusal, Vendor, build},
};

use crate::support::{Sent, at, config, file, report, tolerance};

#[derive(Debug, Clone, Deserialize)]
pub struct Vector {
    pub name: String,
    pub vendor: String,
    servicetype: String,
    pub scheme: String,
    method: String,
    pub url: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
    secret: Option<String>,
    public_key: Option<String>,
    /// PEM by URL: what a fetch would bring.
    #[serde(default)]
    pub certificates: BTreeMap<String, String>,
    #[serde(default)]
    basic_auth: Vec<String>,
    application_key: Option<String>,
    signature_method: Option<String>,
    pub now: i64,
    #[serde(default)]
    policy: Policy,
    pub expect: String,
    why: String,
    events: Option<Vec<Value>>,
}

/// What a gateway asks beyond the scheme; all of it off by default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    max_age_s: Option<u64>,
    allowed_topic_arns: Option<Vec<String>>,
    #[serde(default)]
    seen_tokens: Vec<String>,
    issuer: Option<String>,
}

impl Vector {
    pub fn sent(&self) -> Sent {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = match (&self.body, &self.body_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).unwrap(),
            other => panic!("{}: one body, not {other:?}", self.name),
        };
        let sent = Sent::new(&self.url, &headers, body);
        Sent { method: self.method.parse().unwrap(), ..sent }
    }

    fn channel(&self) -> Channel {
        // No vendor here calls back about pushes.
        Channel::from_name(&self.servicetype).unwrap_or(Channel::Sms)
    }

    /// The scheme with this vector's key material. Every optional check is off unless the vector's policy asks for it.
    pub fn config(&self) -> VendorConfig {
        let secret = self.secret.as_deref().or(self.public_key.as_deref());
        let keys: Vec<&str> = secret.into_iter().chain(self.basic_auth.iter().map(String::as_str)).collect();
        let with = |scheme| config(scheme, &keys);
        let mut config = match self.scheme.as_str() {
            "twilio" => with(Scheme::Twilio),
            "twilio-sharedkey" => {
                // The account's auth token is live beside the SharedKey, and must not be taken for it.
                let mut config = config(Scheme::Twilio, &["8f2c1d7be0a94c53b6e1a2d4f7c90b13"]);
                let known = self.shared_key_id().unwrap_or_else(|| "webhooks_sharedkey_other".into());
                config.shared_keys.insert(known, Ok(Secret::new(secret.unwrap())));
                config
            }
            "sendgrid" => with(Scheme::Sendgrid),
            "vonage-jwt" => with(Scheme::Vonage),
            "vonage-sig" => {
                let legacy = match self.signature_method.as_deref() {
                    Some("md5hash") => Legacy::VonageMd5Hash,
                    Some("md5") => Legacy::VonageMd5,
                    Some("sha1") => Legacy::VonageSha1,
                    Some("sha256") => Legacy::VonageSha256,
                    Some("sha512") => Legacy::VonageSha512,
                    other => panic!("{}: {other:?}", self.name),
                };
                VendorConfig { legacy: Some(legacy), ..with(Scheme::Vonage) }
            }
            "mailgun" => with(Scheme::Mailgun),
            "sns" => {
                let topics = self.policy.allowed_topic_arns.clone().unwrap_or_else(|| vec!["*".into()]);
                VendorConfig { topics, ..with(Scheme::Ses) }
            }
            "telnyx" => with(Scheme::Telnyx),
            "plivo-v3" => with(Scheme::Plivo),
            "plivo-v2" => VendorConfig { legacy: Some(Legacy::PlivoV2), ..with(Scheme::Plivo) },
            "postmark-basic" => with(Scheme::Postmark),
            "mandrill" => with(Scheme::Mandrill),
            "sparkpost-basic" => with(Scheme::Sparkpost),
            "messagebird-jwt" => with(Scheme::Messagebird),
            "bird-hmac" => with(Scheme::Bird),
            "sinch-webhook" | "sinch-numbers" => with(Scheme::Sinch),
            "sinch-application" => {
                let mut config = config(Scheme::Sinch, &[]);
                let key = self.application_key.clone().unwrap();
                config.accounts.insert(key, vec![Ok(Secret::new(secret.unwrap()))]);
                config
            }
            "infobip-basic" => with(Scheme::Infobip),
            "standard-webhooks" | "standard-webhooks-ed25519" => with(Scheme::StandardWebhooks),
            "github" => with(Scheme::Github),
            "stripe" => with(Scheme::Stripe),
            "slack" => with(Scheme::Slack),
            other => panic!("{}: scheme {other} is unknown to this test", self.name),
        };
        config.tolerance = match (self.policy.max_age_s, config.scheme) {
            (Some(seconds), _) => tolerance(seconds),
            // Its tolerance is on unless configured, and part of no scheme.
            (None, Scheme::Mailgun) => Some(Duration::MAX),
            (None, _) => None,
        };
        config.issuer = self.policy.issuer.clone();
        config
    }

    fn shared_key_id(&self) -> Option<String> {
        let settings = self.headers.get("X-Twilio-Webhooks-Signature-Settings")?;
        Some(settings.strip_prefix("key=")?.split(',').next()?.to_owned())
    }

    pub fn build(&self) -> Arc<dyn Vendor> {
        build(&self.vendor, &self.config())
    }

    /// Verifies as the front door does: a certificate that is not at hand is fetched, here from the vector.
    pub fn verify(&self, vendor: &dyn Vendor, sent: &Sent) -> Result<(), Refusal> {
        match sent.verify_at(vendor, self.now) {
            Err(Refusal::CertificateNeeded(url)) => {
                // What a fetch would not find is a reason to try again; for a verdict it is as good as invalid.
                let pem = self.certificates.get(&url).ok_or(Refusal::Mismatch)?;
                vendor.learn_certificate(&url, pem.as_bytes())?;
                sent.verify_at(vendor, self.now)
            }
            verdict => verdict,
        }
    }

    /// What is wrong with the verdict.
    fn check_verdict(&self, vendor: &dyn Vendor) -> Option<String> {
        let sent = self.sent();
        let verdict = self.verify(vendor, &sent);
        if !self.policy.seen_tokens.is_empty() {
            // A token comes again: the vendor is answered, and nothing is published.
            assert_eq!(verdict, Ok(()), "{}", self.name);
            vendor.accepted(&sent.request(), at(self.now));
            let again = vendor.handshake(&sent.request(), at(self.now));
            let answered = matches!(again, Some(Handshake::Answer(_)));
            return (!answered).then(|| format!("{}: {again:?}, but {}", self.name, self.why));
        }
        let expected = match self.expect.as_str() {
            "valid" => verdict.is_ok(),
            "invalid" => matches!(&verdict, Err(refusal) if !matches!(refusal, Refusal::NoKey(_))),
            other => panic!("{}: {other}", self.name),
        };
        (!expected)
            .then(|| format!("{}/{}: {verdict:?}, but {} because {}", self.vendor, self.name, self.expect, self.why))
    }

    /// What is wrong with the events, where the vector lists them.
    fn check_events(&self, vendor: &dyn Vendor) -> Option<String> {
        let sent = self.sent();
        let events = vendor.normalise(&sent.callback(vendor, self.channel()));
        if let Some(expected) = &self.events {
            let mut expected: Vec<Event> = expected.iter().map(event).collect();
            if self.scheme == "messagebird-jwt" {
                expected.iter_mut().for_each(name_recipient);
            }
            match &events {
                Ok(events) if *events == expected => {}
                other => return Some(format!("{}/{}: {other:#?}\nbut expected {expected:#?}", self.vendor, self.name)),
            }
        }
        let identity = sent.identify(vendor);
        let (Some(key), Ok(events)) = (identity.dedupe_key, events) else { return None };
        // A key that names a whole callback may be none of its events', unless there is only one.
        let other = !events.iter().any(|event| event.dedupe_key == key) && self.names_events();
        other.then(|| format!("{}/{}: identified as {key}, but no event is", self.vendor, self.name))
    }

    /// Whether the key of a callback is one of its events' keys.
    fn names_events(&self) -> bool {
        // Mailgun's token and SNS's message id name a delivery, whatever it tells.
        !matches!(self.vendor.as_str(), "mailgun" | "ses")
    }
}

/// A message of MessageBird goes to up to 50 recipients under one id; the vectors' keys do not tell them apart.
fn name_recipient(event: &mut Event) {
    let (Some(recipient), status) = (&event.recipient, &event.provider_status) else { return };
    event.dedupe_key = event.dedupe_key.replace(&format!(":{status}"), &format!(":{recipient}:{status}"));
}

/// The folder of vectors: `VECTORS_DIR`, else the one beside this file.
fn folder() -> PathBuf {
    std::env::var_os("VECTORS_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), PathBuf::from)
}

/// Every vector of the folder.
pub fn every() -> Vec<Vector> {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let read = |path: &PathBuf| -> Vec<Vector> {
        serde_json::from_slice(&std::fs::read(path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    files.iter().flat_map(read).collect()
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

#[test]
fn every_vector_gets_its_verdict_and_its_events() {
    let vectors = every();
    let mut wrong = Vec::new();
    let mut by_vendor: BTreeMap<&str, usize> = BTreeMap::new();
    for vector in &vectors {
        *by_vendor.entry(&vector.vendor).or_default() += 1;
        let vendor = vector.build();
        let faults: Vec<_> = vector.check_verdict(&*vendor).into_iter().chain(vector.check_events(&*vendor)).collect();
        if !faults.is_empty() {
            wrong.push(faults.join("\n"));
        }
    }
    let without: Vec<_> = VENDORS.iter().filter(|vendor| !by_vendor.contains_key(*vendor)).copied().collect();
    if !without.is_empty() {
        report(&format!("vendors without vectors: {}", without.join(", ")));
    }
    report(&format!("vectors: {} checked, {} wrong", vectors.len(), wrong.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!vectors.is_empty(), "{} has no vectors", folder().display());
    if std::env::var_os("VECTORS_DIR").is_none() {
        assert_eq!((vectors.len(), without.len()), (336, 0));
    }
}

/// Everybody whose callbacks are verified.
const VENDORS: [&str; 15] = [
    "generic",
    "infobip",
    "mailgun",
    "mandrill",
    "messagebird",
    "plivo",
    "postmark",
    "sendgrid",
    "ses",
    "sinch",
    "sparkpost",
    "standard-webhooks",
    "telnyx",
    "twilio",
    "vonage",
];

/// Where official libraries disagree nobody is right: what this program does is reported.
#[test]
fn informative_vectors_are_reported() {
    #[derive(Deserialize)]
    struct Divergences {
        twilio: Vec<Vector>,
    }
    let divergences: Divergences = serde_json::from_slice(&file("vectors-informative/divergences.json")).unwrap();
    assert_eq!(divergences.twilio.len(), 3);
    for vector in divergences.twilio {
        let verdict = match vector.verify(&*vector.build(), &vector.sent()) {
            Ok(()) => "valid",
            Err(refusal) => refusal.code(),
        };
        report(&format!("informative: {}/{}: {verdict}", vector.vendor, vector.name));
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
        vector.verify(&*vector.build(), &vector.sent()).unwrap_err().code()
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
