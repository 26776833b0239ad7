//! What Sinch's JSON says, whichever of its products sent it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{conversation, sms, voice};
use crate::{
    clock::Timestamp,
    event::{Event, EventType},
    vendors::{Callback, Identity, Unreadable, digest, json},
};

/// What [`identify`] reads. A field of another type leaves the question open.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    batch_id: Option<&'a str>,
    recipient: Option<&'a str>,
    status: Option<&'a str>,
    id: Option<&'a str>,
    event: Option<&'a str>,
    callid: Option<&'a str>,
}

/// The subject and the dedupe key of a body that is as expected: then the key is that of the first event in [`events`].
pub(super) fn identify(vendor: &str, body: &[u8]) -> Identity {
    let Ok(glance) = serde_json::from_slice::<Glance<'_>>(body) else { return Identity::default() };
    let said = |text: Option<&'_ str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let kind = glance.kind.unwrap_or_default();
    let (subject, dedupe_key) = if sms::is_recipient_report(kind) {
        let (batch, recipient, status) = (said(glance.batch_id), said(glance.recipient), said(glance.status));
        let key = match (&batch, recipient, status) {
            (Some(batch), Some(recipient), Some(status)) => Some(sms::key(vendor, batch, &recipient, &status)),
            _ => None,
        };
        (batch, key)
    } else if sms::is_batch_report(kind) {
        // No key stands for all its recipients.
        (said(glance.batch_id), None)
    } else if sms::is_inbound(kind) {
        let id = said(glance.id);
        let key = id.as_ref().map(|id| format!("{vendor}:{id}"));
        (id, key)
    } else if let (Some(call), Some(event)) = (said(glance.callid), glance.event) {
        let key = voice::key(vendor, &call, event);
        (Some(call), key)
    } else {
        (None, None)
    };
    Identity { subject, dedupe_key }
}

/// The events in a callback. What is of no known kind is kept as `unknown`.
///
/// # Errors
/// The body is not a JSON object.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let body: Map<String, Value> =
        serde_json::from_slice(&callback.body).map_err(|error| json::unreadable("a JSON object", &error))?;
    let reading = Reading { vendor, callback, body };
    let kind = reading.text("type").unwrap_or_default();
    if sms::is_recipient_report(&kind) {
        return Ok(vec![sms::recipient_report(&reading)]);
    }
    if sms::is_batch_report(&kind) {
        return Ok(sms::batch_report(&reading));
    }
    if sms::is_inbound(&kind) {
        return Ok(vec![sms::inbound(&reading, &kind)]);
    }
    if let (Some(call), Some(event)) = (reading.text("callid"), reading.text("event")) {
        return Ok(voice::events(&reading, &call, &event));
    }
    if let Some(event) = conversation::event(&reading) {
        return Ok(vec![event]);
    }
    // Numbers and Verification tell of neither a message nor a call.
    let id = reading.text("eventId").or_else(|| reading.text("id"));
    let status = reading.text("eventType").or_else(|| reading.text("event")).unwrap_or(kind);
    Ok(vec![reading.unknown(id, &status)])
}

/// A callback's JSON object.
pub(super) struct Reading<'a> {
    pub vendor: &'a str,
    pub callback: &'a Callback,
    pub body: Map<String, Value>,
}

impl Reading<'_> {
    pub fn text(&self, name: &str) -> Option<String> {
        json::field(&self.body, name)
    }

    pub fn time(&self, name: &str) -> Option<Timestamp> {
        self.body.get(name).and_then(json::time)
    }

    /// The text at a JSON Pointer below a field.
    pub fn below(&self, name: &str, pointer: &str) -> Option<String> {
        self.body.get(name)?.pointer(pointer).and_then(json::text)
    }

    pub fn digest(&self) -> String {
        digest::of_callback(self.callback)
    }

    pub fn event(&self, event_type: EventType, id: &str, key: String, status: &str) -> Event {
        Event {
            provider_status: status.to_owned(),
            ..Event::new(event_type, self.callback.channel, self.vendor, id, key)
        }
    }

    /// Kept, whatever it may be: its key is a digest, so that it stays apart from all that is known.
    pub fn unknown(&self, id: Option<String>, status: &str) -> Event {
        let digest = self.digest();
        let key = format!("{}:{digest}", self.vendor);
        self.event(EventType::Unknown, &id.unwrap_or(digest), key, status)
    }
}
