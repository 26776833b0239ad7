//! What MessageBird's callbacks say: status reports and inbound messages, by query, form or JSON.
//! <https://developers.messagebird.com/api/sms-messaging/#handle-a-status-report> and
//! <https://developers.messagebird.com/api/sms-messaging/#receive-a-message>

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    event::{Event, EventType},
    vendors::{Callback, Identity, Request, Unreadable, digest, json, parameters::Parameters},
};

fn event_type(status: &str) -> EventType {
    match status {
        "scheduled" | "buffered" => EventType::MessageQueued,
        "sent" => EventType::MessageSent,
        "delivered" => EventType::MessageDelivered,
        "expired" => EventType::MessageExpired,
        "delivery_failed" => EventType::MessageUndelivered,
        _ => EventType::Unknown,
    }
}

/// The parameters that tell one callback from another; blank where absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct About<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    recipient: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    originator: Cow<'a, str>,
}

impl About<'_> {
    fn of(fields: &Map<String, Value>) -> Self {
        let text = |name| json::field(fields, name).unwrap_or_default().into();
        Self { id: text("id"), recipient: text("recipient"), status: text("status"), originator: text("originator") }
    }

    fn subject(&self) -> Option<&str> {
        Some(self.id.as_ref()).filter(|id| !id.is_empty())
    }

    /// A status report may name the originator too, but an inbound message has no status.
    fn is_inbound(&self) -> bool {
        self.status.is_empty() && !self.originator.is_empty()
    }

    fn key(&self, vendor: &str) -> Option<String> {
        let id = self.subject()?;
        match (self.is_inbound(), self.status.as_ref()) {
            (true, _) => Some(format!("{vendor}:{id}:received")),
            (false, "") => None,
            // One id stands for a message to up to 50 recipients.
            (false, status) if self.recipient.is_empty() => Some(format!("{vendor}:{id}:{status}")),
            (false, status) => Some(format!("{vendor}:{id}:{}:{status}", self.recipient)),
        }
    }
}

/// The subject and the dedupe key, where the parameters say them plainly: the key is then that of the event.
pub(super) fn identify(vendor: &str, request: &Request<'_>) -> Identity {
    let about: About<'_> = Parameters::of_request(request).look().unwrap_or_default();
    Identity { subject: about.subject().map(str::to_owned), dedupe_key: about.key(vendor) }
}

/// The event in a callback: MessageBird sends no batches.
///
/// # Errors
/// The body is neither a form nor a JSON object.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let fields = Parameters::of_callback(callback).object()?;
    let text = |name| json::field(&fields, name);
    let about = About::of(&fields);

    let digest = || digest::of_callback(callback);
    let id = about.subject().map_or_else(digest, str::to_owned);
    let key = about.key(vendor).unwrap_or_else(|| format!("{vendor}:{}", digest()));
    let event_type = if about.is_inbound() { EventType::MessageReceived } else { event_type(&about.status) };
    let event = Event {
        recipient: text("recipient"),
        sender: text("originator"),
        ..Event::new(event_type, callback.channel, vendor, &id, key)
    };
    if about.is_inbound() {
        return Ok(vec![Event {
            provider_status: "received".into(),
            occurred_at: text("createdDatetime").and_then(|text| time(&text)),
            // Keywords to a short code come as `message`.
            text: text("body").or_else(|| text("message")),
            ..event
        }]);
    }
    // Good news has a reason too ("successfully delivered"), and 0 is no error.
    let failed = !matches!(event_type, EventType::MessageQueued | EventType::MessageSent | EventType::MessageDelivered);
    Ok(vec![Event {
        occurred_at: text("statusDatetime").and_then(|text| time(&text)),
        reason_code: text("statusErrorCode").filter(|code| code != "0"),
        reason: text("statusReason").filter(|_| failed),
        provider_status: about.status.into_owned(),
        ..event
    }])
}

/// RFC 3339. In a query the plus sign of the offset may stand unescaped, where it means a space.
fn time(text: &str) -> Option<Timestamp> {
    json::time_of_text(text).or_else(|| json::time_of_text(&text.replace(' ', "+")))
}
