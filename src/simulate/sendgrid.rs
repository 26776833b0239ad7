//! SendGrid as it calls: batches of events across several messages, signed as the event webhook signs.
//!
//! <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event>

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use chrono::TimeDelta;
use http::{HeaderMap, HeaderValue, header as names};
use rand::{RngExt, rngs::StdRng};
use serde_json::{Map, Value, json};

use crate::{
    clock::Timestamp,
    config::VendorConfig,
    event::{Channel, EventType},
};

use super::{
    fact::{Fact, Generator, SignedRequest, Story, mail_address, path, pick, story_start},
    sign::{SendGridKey, header},
};

/// The most events in one batch. The real limit is 768 KB.
const LARGEST_BATCH: usize = 20;

pub(super) struct SendGrid {
    vendor: String,
    key: SendGridKey,
    services: Vec<String>,
}

impl SendGrid {
    /// # Errors
    /// No service is for mail.
    pub fn new(name: &str, vendor: &VendorConfig, key: SendGridKey) -> Result<Self, String> {
        let services: Vec<String> = vendor
            .services
            .iter()
            .filter(|(_, channel)| **channel == Channel::Email)
            .map(|(service, _)| service.clone())
            .collect();
        if services.is_empty() {
            return Err("none of its services is for channel email".into());
        }
        Ok(Self { vendor: name.to_owned(), key, services })
    }

    /// One mail's events in the order in which they happened.
    fn mail(&self, random: &mut StdRng, started: Timestamp) -> Vec<Fact> {
        use EventType::*;
        let mut life = vec![("processed", MessageAccepted)];
        match random.random_range(0..100) {
            0..7 => life = vec![("dropped", MessageRejected)],
            7..15 => life.push(("bounce", MessageBounced)),
            percent => {
                if percent < 30 {
                    life.push(("deferred", MessageDeferred));
                }
                life.push(("delivered", MessageDelivered));
                let mut then = |percent: u32, word, event_type| {
                    let happens = random.random_range(0..100) < percent;
                    if happens {
                        life.push((word, event_type));
                    }
                    happens
                };
                if then(50, "open", MessageOpened) {
                    then(30, "open", MessageOpened);
                    then(40, "click", MessageClicked);
                }
                then(3, "spamreport", MessageComplained);
                then(4, "unsubscribe", RecipientUnsubscribed);
            }
        }
        let message_id = token(random);
        let recipient = mail_address(random);
        let mut at = story_start(random, started);
        let facts = life.into_iter().map(|(word, event_type)| {
            at += TimeDelta::seconds(random.random_range(1..60));
            Fact {
                message_id: message_id.clone(),
                status: word.to_owned(),
                event_type,
                dedupe_key: format!("{}:{}", self.vendor, token(random)),
                at: Some(at),
                recipient: recipient.clone(),
                salt: random.random(),
            }
        });
        facts.collect()
    }
}

impl Generator for SendGrid {
    fn vendor(&self) -> &str {
        &self.vendor
    }

    fn story(&self, random: &mut StdRng, started: Timestamp) -> Story {
        let service = pick(random, &self.services).clone();
        let mails = random.random_range(1..=8);
        let mut facts: Vec<Fact> = (0..mails).flat_map(|_| self.mail(random, started)).collect();
        // A sending server reports what it saw, in order of time, whatever message it belongs to.
        facts.sort_by_key(|fact| fact.at);
        let mut steps = Vec::new();
        while !facts.is_empty() {
            let size = random.random_range(1..=LARGEST_BATCH).min(facts.len());
            let rest = facts.split_off(size);
            steps.push(std::mem::replace(&mut facts, rest));
        }
        Story { service, channel: Channel::Email, request_type: "events", sender: String::new(), steps }
    }

    fn request(&self, story: &Story, step: usize, started: Timestamp, _now: Timestamp) -> SignedRequest {
        let events: Vec<String> =
            story.steps[step].iter().map(|fact| Value::Object(event(&self.vendor, fact)).to_string()).collect();
        let body = format!("[{}]\r\n", events.join(",\r\n"));
        // A repeat carries the first signature, so the time is the run's, not the moment's.
        let timestamp = started.timestamp().to_string();
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(names::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(names::USER_AGENT, HeaderValue::from_static("SendGrid Event API"));
        headers.insert("x-twilio-email-event-webhook-signature", header(&self.key.sign(&timestamp, body.as_bytes())));
        headers.insert("x-twilio-email-event-webhook-timestamp", header(&timestamp));
        SignedRequest { path: path(&self.vendor, story), headers, body: Bytes::from(body) }
    }
}

fn event(vendor: &str, fact: &Fact) -> Map<String, Value> {
    let id = &fact.message_id;
    let sg_event_id = &fact.dedupe_key[vendor.len() + 1..];
    let address = format!("203.0.113.{}", fact.salt % 250 + 1);
    let mut event = json!({
        "email": fact.recipient,
        "timestamp": fact.at.expect("every fact of a mail has a time").timestamp(),
        "sg_message_id": format!("{id}.recvd-6c8d9f7b5-{}-1-691F6A30-11.0", fact.salt % 90_000 + 10_000),
        "smtp-id": format!("<{id}@geopod-ismtpd-{}>", fact.salt % 7),
        "category": ["receipt", "eu-west"],
        "event": fact.status,
        "sg_event_id": sg_event_id,
        "order_id": (fact.salt % 1_000_000).to_string(),
    });
    let details = match fact.status.as_str() {
        "processed" => json!({ "send_at": 0, "pool": { "name": "transactional", "id": 210 } }),
        "deferred" => json!({ "response": "451 4.7.1 try again later", "attempt": "2", "tls": 1 }),
        "delivered" => json!({ "response": "250 2.0.0 OK", "ip": "168.245.1.1", "tls": 1 }),
        "bounce" if fact.salt.is_multiple_of(3) => json!({
            "reason": "554 5.7.1 blocked by recipient policy", "status": "5.7.1", "type": "blocked",
            "bounce_classification": "Reputation", "ip": "168.245.1.1", "tls": 1
        }),
        "bounce" => json!({
            "reason": "550 5.1.1 unknown user", "status": "5.1.1", "type": "bounce",
            "bounce_classification": "Invalid Address", "ip": "168.245.1.1", "tls": 1
        }),
        "dropped" => json!({ "reason": "Bounced Address", "status": "5.0.0" }),
        "open" => json!({
            "useragent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "ip": address,
            "sg_machine_open": fact.salt.is_multiple_of(2), "sg_content_type": "html"
        }),
        "click" => json!({
            "url": format!("https://example.com/offers?id={}&x=á", fact.salt % 1000),
            "url_offset": { "index": 0, "type": "html" }, "useragent": "Mozilla/5.0", "ip": address
        }),
        _ => json!({ "ip": address }),
    };
    let (Some(event), Value::Object(details)) = (event.as_object_mut(), details) else {
        unreachable!("both are written as objects above")
    };
    event.extend(details);
    std::mem::take(event)
}

/// An id as SendGrid writes them: base64url of 16 bytes.
fn token(random: &mut StdRng) -> String {
    URL_SAFE_NO_PAD.encode(random.random::<[u8; 16]>())
}
