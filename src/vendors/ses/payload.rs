//! What SES says in a notification: JSON in the text `Message`, with one object named after what happened.
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html> and, for mail received,
//! <https://docs.aws.amazon.com/ses/latest/dg/receiving-email-notifications-contents.html>

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::envelope::{Envelope, Kind};
use crate::{
    event::{BounceClass, Event, EventType},
    vendors::{Callback, Unreadable, digest, json},
};

/// The events of a notification, one for each recipient.
///
/// # Errors
/// The body is no message of SNS, or SES's own part of it is broken.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let envelope =
        Envelope::parse(&callback.body).ok_or_else(|| Unreadable("the body is not an SNS message".into()))?;
    // A confirmation is no event. Nor is plain text: SES writes some to a topic that it is given.
    if envelope.kind != Kind::Notification || !envelope.message.trim_start().starts_with('{') {
        return Ok(Vec::new());
    }
    let message: Map<String, Value> =
        serde_json::from_str(&envelope.message).map_err(|error| json::unreadable("an event of SES", &error))?;
    Ok(Reading { vendor, callback, envelope: &envelope, message: &message }.events())
}

/// The object that tells about an event, and its list of those whom the event is about. Where there is no such list, it
/// is about all to whom the mail was sent.
struct Shape {
    event_type: EventType,
    detail: &'static str,
    recipients: Option<&'static str>,
}

fn shape(name: &str) -> Shape {
    let (event_type, detail, recipients) = match name {
        "Send" => (EventType::MessageAccepted, "send", None),
        "Delivery" => (EventType::MessageDelivered, "delivery", Some("recipients")),
        "Bounce" => (EventType::MessageBounced, "bounce", Some("bouncedRecipients")),
        "Complaint" => (EventType::MessageComplained, "complaint", Some("complainedRecipients")),
        "Reject" => (EventType::MessageRejected, "reject", None),
        "Open" => (EventType::MessageOpened, "open", None),
        "Click" => (EventType::MessageClicked, "click", None),
        "Rendering Failure" => (EventType::MessageFailed, "failure", None),
        "DeliveryDelay" => (EventType::MessageDeferred, "deliveryDelay", Some("delayedRecipients")),
        "Subscription" => (EventType::Unknown, "subscription", None),
        "Received" => (EventType::MessageReceived, "receipt", Some("recipients")),
        _ => (EventType::Unknown, "", None),
    };
    Shape { event_type, detail, recipients }
}

struct Reading<'a> {
    vendor: &'a str,
    callback: &'a Callback,
    envelope: &'a Envelope<'a>,
    message: &'a Map<String, Value>,
}

impl Reading<'_> {
    fn events(&self) -> Vec<Event> {
        // Event publishing and feedback notifications name it differently.
        let name = json::field(self.message, "eventType").or_else(|| json::field(self.message, "notificationType"));
        let name = name.unwrap_or_default();
        let shape = shape(&name);
        let detail = self.message.get(shape.detail).unwrap_or(&Value::Null);
        let event = self.event(&name, &shape, detail);

        let recipients = match shape.recipients {
            Some(list) => detail.get(list),
            None => self.mail("/destination"),
        };
        let recipients = recipients.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut addresses = BTreeSet::new();
        let mut events = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            let address = json::text(recipient).or_else(|| recipient.get("emailAddress").and_then(json::text));
            // Twice the same address is one recipient.
            let Some(address) = address.filter(|address| addresses.insert(address.clone())) else { continue };
            events.push(Event {
                dedupe_key: format!("{}:{address}", event.dedupe_key),
                reason_code: event.reason_code.clone().or_else(|| recipient.get("status").and_then(json::text)),
                recipient: Some(address),
                ..event.clone()
            });
        }
        // Nobody is named: it has happened all the same.
        if events.is_empty() { vec![event] } else { events }
    }

    /// The event as it is for every recipient.
    fn event(&self, name: &str, shape: &Shape, detail: &Value) -> Event {
        let text = |field: &str| detail.get(field).and_then(json::text);
        let message_id = self.mail("/messageId").and_then(json::text);
        let message_id = message_id.unwrap_or_else(|| digest::of(self.envelope.message.as_bytes()));
        // SNS keeps it across its retries.
        let key = format!("{}:{}", self.vendor, self.envelope.message_id);

        let mut event = Event::new(shape.event_type, self.callback.channel, self.vendor, &message_id, key);
        let occurred_at = detail.get("timestamp").and_then(json::time);
        event.occurred_at = occurred_at.or_else(|| json::time_of_text(&self.envelope.timestamp));
        event.provider_status = name.to_owned();
        match name {
            "Bounce" => {
                let (kind, subtype) = (text("bounceType"), text("bounceSubType"));
                event.provider_status = status(name, kind.as_deref(), subtype.as_deref());
                if is_suppressed(subtype.as_deref()) {
                    event.event_type = EventType::MessageRejected;
                } else {
                    event.bounce_class = bounce_class(kind.as_deref());
                }
            }
            "Complaint" => {
                event.reason_code = text("complaintFeedbackType");
                let subtype = text("complaintSubType");
                if is_suppressed(subtype.as_deref()) {
                    event.provider_status = status(name, subtype.as_deref(), None);
                    event.event_type = EventType::MessageRejected;
                }
            }
            "Reject" => event.reason = text("reason"),
            "Rendering Failure" => event.reason = text("errorMessage"),
            "DeliveryDelay" => event.reason = text("delayType"),
            "Click" => event.url = text("link"),
            "Subscription" => event.event_type = subscription(detail),
            "Received" => event.sender = self.mail("/source").and_then(json::text),
            _ => {}
        }
        event
    }

    fn mail(&self, pointer: &str) -> Option<&Value> {
        self.message.get("mail")?.pointer(pointer)
    }
}

/// `Bounce:Permanent/General`
fn status(name: &str, kind: Option<&str>, subtype: Option<&str>) -> String {
    match (kind, subtype) {
        (Some(kind), Some(subtype)) => format!("{name}:{kind}/{subtype}"),
        (Some(kind), None) => format!("{name}:{kind}"),
        (None, _) => name.to_owned(),
    }
}

/// A suppression list held the mail back: nothing was sent, and nothing new was learnt about the address.
fn is_suppressed(subtype: Option<&str>) -> bool {
    matches!(subtype, Some("Suppressed" | "OnAccountSuppressionList"))
}

fn bounce_class(kind: Option<&str>) -> Option<BounceClass> {
    match kind? {
        "Permanent" => Some(BounceClass::Hard),
        "Transient" | "Undetermined" => Some(BounceClass::Soft),
        _ => None,
    }
}

/// A recipient's preferences have changed. What concerns single topics of a contact list is SES's own to observe: to
/// take it for all mail would be wrong both ways.
fn subscription(detail: &Value) -> EventType {
    let all = |preferences: &str| detail.get(preferences)?.get("unsubscribeAll")?.as_bool();
    match (all("oldTopicPreferences"), all("newTopicPreferences")) {
        (_, Some(true)) => EventType::RecipientUnsubscribed,
        (Some(true), Some(false)) => EventType::RecipientResubscribed,
        _ => EventType::Unknown,
    }
}
