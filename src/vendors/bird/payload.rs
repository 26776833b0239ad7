//! What Bird's events say: `sms.outbound` with each status of a message, `sms.inbound` with a message received.
//! <https://docs.bird.com/api/channels-api/message-status-and-interactions>

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    event::{Event, EventType},
    vendors::{Callback, Identity, Unreadable, digest, json},
};

fn event_type(status: &str) -> EventType {
    match status {
        "accepted" => EventType::MessageAccepted,
        "sent" => EventType::MessageSent,
        "delivered" => EventType::MessageDelivered,
        // It never left Bird.
        "sending_failed" => EventType::MessageFailed,
        // The carrier did not deliver it.
        "delivery_failed" => EventType::MessageUndelivered,
        "rejected" => EventType::MessageRejected,
        _ => EventType::Unknown,
    }
}

/// What tells one event from another; blank where absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct About<'a> {
    /// `sms.outbound`
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    payload: Message<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

/// An event's direction. An inbound message has a status as well ("delivered").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Inbound,
    Outbound,
    /// Not about the life of a message.
    Neither,
}

impl About<'_> {
    fn of(body: &Value) -> Self {
        let text = |pointer: &str| body.pointer(pointer).and_then(json::text).unwrap_or_default().into();
        Self { event: text("/event"), payload: Message { id: text("/payload/id"), status: text("/payload/status") } }
    }

    fn subject(&self) -> Option<&str> {
        Some(self.payload.id.as_ref()).filter(|id| !id.is_empty())
    }

    fn direction(&self) -> Direction {
        match self.event.rsplit_once('.') {
            Some((_, "inbound")) => Direction::Inbound,
            Some((_, "outbound")) => Direction::Outbound,
            _ => Direction::Neither,
        }
    }

    fn key(&self, vendor: &str) -> Option<String> {
        let id = self.subject()?;
        match (self.direction(), self.payload.status.as_ref()) {
            (Direction::Inbound, _) => Some(format!("{vendor}:{id}:received")),
            (Direction::Outbound, status) if !status.is_empty() => Some(format!("{vendor}:{id}:{status}")),
            _ => None,
        }
    }
}

/// The subject and the dedupe key, where the body says them plainly: the key is then that of the event.
pub(super) fn identify(vendor: &str, body: &[u8]) -> Identity {
    let about: About<'_> = serde_json::from_slice(body).unwrap_or_default();
    Identity { subject: about.subject().map(str::to_owned), dedupe_key: about.key(vendor) }
}

/// The event in a callback: Bird sends no batches.
///
/// # Errors
/// The body is not a JSON object.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let body: serde_json::Map<String, Value> =
        serde_json::from_slice(&callback.body).map_err(|error| json::unreadable("a JSON object", &error))?;
    let body = Value::Object(body);
    let text = |pointer: &str| body.pointer(pointer).and_then(json::text);
    let first = |pointers: [&str; 2]| pointers.into_iter().find_map(text);
    let time = |pointer| body.pointer(pointer).and_then(json::time);
    let about = About::of(&body);

    let digest = || digest::of_callback(callback);
    let id = about.subject().map_or_else(digest, str::to_owned);
    let key = about.key(vendor).unwrap_or_else(|| format!("{vendor}:{}", digest()));
    let event = |event_type| Event::new(event_type, callback.channel, vendor, &id, key);
    Ok(vec![match about.direction() {
        Direction::Inbound => Event {
            occurred_at: time("/payload/createdAt").or_else(|| time("/payload/lastStatusAt")),
            provider_status: "received".into(),
            recipient: first([
                "/payload/receiver/connector/identifierValue",
                "/payload/receiver/connectors/0/identifierValue",
            ]),
            sender: text("/payload/sender/contact/identifierValue"),
            text: text("/payload/body/text/text"),
            ..event(EventType::MessageReceived)
        },
        Direction::Outbound => {
            let event_type = event_type(&about.payload.status);
            let failed = matches!(
                event_type,
                EventType::MessageFailed | EventType::MessageUndelivered | EventType::MessageRejected
            );
            Event {
                occurred_at: time("/payload/lastStatusAt"),
                recipient: first([
                    "/payload/receiver/contacts/0/identifierValue",
                    "/payload/receiver/contact/identifierValue",
                ]),
                sender: text("/payload/sender/connector/identifierValue"),
                reason: first(["/payload/reason", "/payload/details"]).filter(|_| failed),
                provider_status: about.payload.status.into_owned(),
                ..event(event_type)
            }
        }
        Direction::Neither => Event { provider_status: about.event.into_owned(), ..event(EventType::Unknown) },
    }])
}
