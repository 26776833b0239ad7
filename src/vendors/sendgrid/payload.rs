//! The Event Webhook: a JSON array of events.
//! <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event>
//!
//! Custom arguments lie beside SendGrid's own fields, so a field is only read from the events that define it.

use serde_json::{Map, Value, value::RawValue};

use crate::{
    event::{BounceClass, Event, EventType},
    vendors::{Callback, Unreadable, digest, json},
};

fn event_type(name: &str) -> EventType {
    match name {
        "processed" => EventType::MessageAccepted,
        "deferred" => EventType::MessageDeferred,
        "delivered" => EventType::MessageDelivered,
        "bounce" => EventType::MessageBounced,
        "dropped" => EventType::MessageRejected,
        "open" => EventType::MessageOpened,
        "click" => EventType::MessageClicked,
        "spamreport" => EventType::MessageComplained,
        "unsubscribe" | "group_unsubscribe" => EventType::RecipientUnsubscribed,
        "group_resubscribe" => EventType::RecipientResubscribed,
        _ => EventType::Unknown,
    }
}

/// The events of a batch. An element that cannot be read is an `unknown` event: nothing in a batch is passed over.
///
/// # Errors
/// The body is not a JSON array.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    // Each element keeps its own text: one that cannot be read does not spoil its neighbours, and a digest of it is a
    // digest of what was sent.
    let elements: Vec<&RawValue> =
        serde_json::from_slice(&callback.body).map_err(|error| json::unreadable("a JSON array", &error))?;
    Ok(elements.into_iter().map(|element| event(vendor, callback, element.get())).collect())
}

fn event(vendor: &str, callback: &Callback, element: &str) -> Event {
    let fields: Map<String, Value> = serde_json::from_str(element).unwrap_or_default();
    let text = |name| json::field(&fields, name);

    let event_id = text("sg_event_id").unwrap_or_else(|| digest::of(element.as_bytes()));
    // What follows the first dot is about SendGrid's servers and the recipient's place in the request; what precedes
    // it is the X-Message-Id that the sender was given.
    let message_id = text("sg_message_id")
        .and_then(|id| id.split('.').next().filter(|id| !id.is_empty()).map(str::to_owned))
        .unwrap_or_else(|| digest::of(element.as_bytes()));
    let status = text("event").unwrap_or_default();

    let mut event =
        Event::new(event_type(&status), callback.channel, vendor, &message_id, format!("{vendor}:{event_id}"));
    event.occurred_at = fields.get("timestamp").and_then(json::time);
    event.recipient = text("email");
    match status.as_str() {
        "bounce" => {
            event.reason_code = text("status");
            event.reason = text("reason");
            event.bounce_class = bounce_class(text("type").as_deref(), event.reason_code.as_deref());
        }
        "dropped" => {
            event.reason_code = text("status");
            event.reason = text("reason");
        }
        "deferred" => {
            event.reason_code = text("status");
            event.reason = text("response").or_else(|| text("reason"));
        }
        "click" => event.url = text("url"),
        "group_unsubscribe" => event.unsubscribe_group = fields.get("asm_group_id").and_then(json::integer),
        "group_resubscribe" => {
            event.unsubscribe_group = fields.get("asm_group_id").and_then(json::integer);
            // Without its group it would read as consent to all mail, which nobody gave. (An unsubscribe without its
            // group errs on the side of silence.)
            if event.unsubscribe_group.is_none() {
                event.event_type = EventType::Unknown;
            }
        }
        _ => {}
    }
    event.provider_status = status;
    event
}

/// `type` tells; where it does not, the enhanced status code does (RFC 3463: 5 is permanent, 4 is not).
fn bounce_class(kind: Option<&str>, status: Option<&str>) -> Option<BounceClass> {
    match (kind, status.and_then(|status| status.bytes().next())) {
        (Some("bounce"), _) => Some(BounceClass::Hard),
        (Some("blocked"), _) => Some(BounceClass::Block),
        (_, Some(b'5')) => Some(BounceClass::Hard),
        (_, Some(b'4')) => Some(BounceClass::Soft),
        _ => None,
    }
}
