//! Twilio: SMS status, inbound messages, voice status, answering machine detection, recordings.
//!
//! Forms as a rule, parameters in the query for GET. The signature covers the URL that Twilio was given, so the public
//! URL must be configured as it was. Twilio signs no time: replays are caught by deduplication.

mod payload;
mod signature;

use super::{Callback, Identity, Refusal, Request, Unreadable, Vendor, form};
use crate::{
    clock::Timestamp,
    config::{Answer, VendorConfig},
    event::Event,
};

/// The vendor.
#[derive(Debug)]
pub(super) struct Twilio {
    name: String,
    verifier: signature::Verifier,
}

impl Twilio {
    pub fn new(name: &str, config: &VendorConfig) -> Self {
        Self { name: name.to_owned(), verifier: signature::Verifier::new(config) }
    }
}

impl Vendor for Twilio {
    fn verify(&self, request: &Request<'_>, _now: Timestamp) -> Result<(), Refusal> {
        self.verifier.verify(request)
    }

    fn identify(&self, request: &Request<'_>) -> Identity {
        let encoded = match request.body {
            [] => request.url.split_once('?').map_or(&[][..], |(_, query)| query.as_bytes()),
            body => body,
        };
        let mut found = [const { None }; 5];
        const NAMES: [&[u8]; 5] = [b"MessageSid", b"MessageStatus", b"SmsStatus", b"CallSid", b"CallStatus"];
        let mut sequence = None;
        for (name, value) in form::pairs(encoded) {
            if value.is_empty() {
                continue;
            }
            if let Some(index) = NAMES.iter().position(|known| *known == name.as_ref()) {
                found[index].get_or_insert(value);
            } else if name.as_ref() == b"SequenceNumber" {
                sequence.get_or_insert(value);
            }
        }
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let [message, message_status, sms_status, call, call_status] = found;
        if let Some(sid) = message.and_then(|sid| text(&sid)) {
            let status = message_status.or(sms_status).and_then(|status| text(&status));
            let dedupe_key = status.map(|status| format!("{}:{sid}:{status}", self.name));
            return Identity { subject: Some(sid), dedupe_key };
        }
        let Some(sid) = call.and_then(|sid| text(&sid)) else { return Identity::default() };
        let status = call_status.and_then(|status| text(&status));
        let sequence = sequence.and_then(|sequence| text(&sequence));
        let dedupe_key =
            status.zip(sequence).map(|(status, sequence)| format!("{}:{sid}:{sequence}:{status}", self.name));
        Identity { subject: Some(sid), dedupe_key }
    }

    fn normalise(&self, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
        payload::normalise(&self.name, callback)
    }

    /// Inbound callbacks are answered with instructions; an empty document means none.
    fn answer(&self) -> Option<Answer> {
        Some(Answer {
            content_type: "text/xml".into(),
            body: r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#.into(),
        })
    }
}
