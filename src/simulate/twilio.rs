//! Twilio as it calls: SMS and WhatsApp statuses, inbound messages with opt-outs, voice call progress.
//!
//! Parameters and their order are those of real requests; see <https://www.twilio.com/docs/messaging/guides/webhook-request>
//! and <https://www.twilio.com/docs/voice/api/call-resource#statuscallbackevent>.

mod body;

use bytes::Bytes;
use chrono::TimeDelta;
use http::{HeaderMap, HeaderValue, header as names};
use rand::{RngExt, rngs::StdRng};

use crate::{
    clock::Timestamp,
    config::VendorConfig,
    event::{Channel, EventType},
};

use super::{
    fact::{Fact, Generator, SignedRequest, Story, hex_text, path, phone_number, pick, story_start},
    sign::{TwilioKey, header},
};

pub(super) struct Twilio {
    vendor: String,
    public_url: String,
    key: TwilioKey,
    messaging: Vec<String>,
    voice: Vec<String>,
}

/// The words of a call's or message's life, and the types they mean.
type Life = &'static [(&'static str, EventType)];

const DELIVERED: Life = &[
    ("queued", EventType::MessageQueued),
    ("sending", EventType::MessageSending),
    ("sent", EventType::MessageSent),
    ("delivered", EventType::MessageDelivered),
];
const UNDELIVERED: Life = &[
    ("queued", EventType::MessageQueued),
    ("sending", EventType::MessageSending),
    ("sent", EventType::MessageSent),
    ("undelivered", EventType::MessageUndelivered),
];
const FAILED: Life = &[
    ("queued", EventType::MessageQueued),
    ("sending", EventType::MessageSending),
    ("failed", EventType::MessageFailed),
];
const READ: Life = &[
    ("queued", EventType::MessageQueued),
    ("sent", EventType::MessageSent),
    ("delivered", EventType::MessageDelivered),
    ("read", EventType::MessageRead),
];
const COMPLETED: Life = &[
    ("initiated", EventType::CallInitiated),
    ("ringing", EventType::CallRinging),
    ("in-progress", EventType::CallAnswered),
    ("completed", EventType::CallCompleted),
];
const BUSY: Life =
    &[("initiated", EventType::CallInitiated), ("ringing", EventType::CallRinging), ("busy", EventType::CallBusy)];
const NO_ANSWER: Life = &[
    ("initiated", EventType::CallInitiated),
    ("ringing", EventType::CallRinging),
    ("no-answer", EventType::CallNoAnswer),
];
const CALL_FAILED: Life = &[("initiated", EventType::CallInitiated), ("failed", EventType::CallFailed)];

/// What people write: the word in `OptOutType`, the end of the second event's dedupe key, its type, and texts.
type Keyword = (&'static str, &'static str, EventType, &'static [&'static str]);

const KEYWORDS: [Keyword; 3] = [
    ("STOP", "optout", EventType::RecipientOptedOut, &["STOP", "Stop", "unsubscribe"]),
    ("START", "optin", EventType::RecipientOptedIn, &["START", "Unstop"]),
    ("HELP", "help", EventType::RecipientHelp, &["HELP", "help", "Info"]),
];
impl Twilio {
    /// # Errors
    /// No service is for messages or calls.
    pub fn new(name: &str, vendor: &VendorConfig, public_url: &str, key: TwilioKey) -> Result<Self, String> {
        let services = |channel| -> Vec<String> {
            vendor.services.iter().filter(|(_, of)| **of == channel).map(|(service, _)| service.clone()).collect()
        };
        let (messaging, voice) = (services(Channel::Sms), services(Channel::Voice));
        if messaging.is_empty() && voice.is_empty() {
            return Err("none of its services is for channel sms or voice".into());
        }
        Ok(Self { vendor: name.to_owned(), public_url: public_url.to_owned(), key, messaging, voice })
    }

    fn fact(&self, sid: &str, word: &str, event_type: EventType, key: &str, salt: u64) -> Fact {
        Fact {
            message_id: sid.to_owned(),
            status: word.to_owned(),
            event_type,
            dedupe_key: format!("{}:{sid}:{key}", self.vendor),
            at: None,
            recipient: String::new(),
            salt,
        }
    }

    fn message(&self, random: &mut StdRng) -> Story {
        let service = pick(random, &self.messaging).clone();
        let whatsapp = service == "whatsapp";
        let life = match random.random_range(0..100) {
            0..8 => UNDELIVERED,
            8..15 => FAILED,
            _ if whatsapp => READ,
            _ => DELIVERED,
        };
        let sid = format!("SM{}", hex_text(random, 32));
        let recipient = address(whatsapp, phone_number(random));
        let steps = life.iter().map(|&(word, event_type)| {
            let fact = self.fact(&sid, word, event_type, word, random.random());
            vec![Fact { recipient: recipient.clone(), ..fact }]
        });
        let steps = steps.collect();
        let sender = address(whatsapp, "+15017122661".into());
        Story { service, channel: Channel::Sms, request_type: "status", sender, steps }
    }

    fn inbound(&self, random: &mut StdRng) -> Story {
        let service = pick(random, &self.messaging).clone();
        let whatsapp = service == "whatsapp";
        let sid = format!("SM{}", hex_text(random, 32));
        // The person who writes is the sender here; whoever opts out is the recipient of what we send.
        let person = address(whatsapp, phone_number(random));
        let received = self.fact(&sid, "received", EventType::MessageReceived, "received", random.random());
        let mut facts = vec![Fact { recipient: address(whatsapp, "+15017122661".into()), ..received }];
        if random.random_range(0..100) < 40 {
            let (word, key, event_type, _) = pick(random, &KEYWORDS);
            let fact = self.fact(&sid, word, *event_type, key, random.random());
            facts.push(Fact { recipient: person.clone(), ..fact });
        }
        Story { service, channel: Channel::Sms, request_type: "inbound", sender: person, steps: vec![facts] }
    }

    fn call(&self, random: &mut StdRng, started: Timestamp) -> Story {
        let service = pick(random, &self.voice).clone();
        let life = match random.random_range(0..100) {
            0..10 => BUSY,
            10..25 => NO_ANSWER,
            25..30 => CALL_FAILED,
            _ => COMPLETED,
        };
        let sid = format!("CA{}", hex_text(random, 32));
        let recipient = phone_number(random);
        let mut at = story_start(random, started);
        let steps = life.iter().enumerate().map(|(sequence, &(word, event_type))| {
            at += TimeDelta::seconds(random.random_range(1..90));
            let fact = self.fact(&sid, word, event_type, &format!("{sequence}:{word}"), random.random());
            vec![Fact { at: Some(at), recipient: recipient.clone(), ..fact }]
        });
        let steps = steps.collect();
        Story { service, channel: Channel::Voice, request_type: "status", sender: "+15017122661".into(), steps }
    }
}

impl Generator for Twilio {
    fn vendor(&self) -> &str {
        &self.vendor
    }

    fn weight(&self) -> u32 {
        4
    }

    fn story(&self, random: &mut StdRng, started: Timestamp) -> Story {
        let voice = match (self.messaging.is_empty(), self.voice.is_empty()) {
            (false, false) => random.random_range(0..100) < 20,
            (messaging_empty, _) => messaging_empty,
        };
        match voice {
            true => self.call(random, started),
            false if random.random_range(0..100) < 20 => self.inbound(random),
            false => self.message(random),
        }
    }

    fn request(&self, story: &Story, step: usize, _started: Timestamp, _now: Timestamp) -> SignedRequest {
        let facts = &story.steps[step];
        let params = match (story.channel, story.request_type) {
            (Channel::Voice, _) => body::call(story, step),
            (_, "inbound") => body::inbound(story, facts),
            _ => body::message(story, &facts[0]),
        };
        let path = path(&self.vendor, story);
        let signature = self.key.sign(&format!("{}{path}", self.public_url), &params);
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(700));
        form.extend_pairs(&params);

        let token = uuid::Builder::from_random_bytes(u128::from(facts[0].salt).to_le_bytes()).into_uuid();
        let mut headers = HeaderMap::with_capacity(8);
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded; charset=UTF-8");
        headers.insert(names::CONTENT_TYPE, form_type);
        headers.insert(names::USER_AGENT, HeaderValue::from_static("TwilioProxy/1.1"));
        headers.insert(names::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert("x-home-region", HeaderValue::from_static("us1"));
        headers.insert("i-twilio-idempotency-token", header(&token.to_string()));
        headers.insert("x-twilio-signature", header(&signature));
        if let Some(settings) = self.key.settings() {
            headers.insert("x-twilio-webhooks-signature-settings", header(&settings));
        }
        SignedRequest { path, headers, body: Bytes::from(form.finish()) }
    }
}

fn address(whatsapp: bool, number: String) -> String {
    if whatsapp { format!("whatsapp:{number}") } else { number }
}
