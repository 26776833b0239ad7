//! One JSON object for each event: <https://postmarkapp.com/developer/webhooks/webhooks-overview>. `RecordType` tells
//! them apart; a received e-mail has none: <https://postmarkapp.com/developer/webhooks/inbound-webhook>.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    event::{BounceClass, Event, EventType},
    vendors::{Callback, Identity, Unreadable, digest, json},
};

/// An event is about a kilobyte; what is longer is a received e-mail, which tells its key too late for a cheap look.
const LONGEST_LOOK: usize = 16 * 1024;

/// The type of a bounce, by <https://postmarkapp.com/developer/api/bounce-api#bounce-types>. Postmark reports as a
/// bounce whatever comes back for an e-mail, also what is none.
fn bounce_type(name: &str) -> (EventType, Option<BounceClass>) {
    match name {
        "HardBounce" | "BadEmailAddress" => (EventType::MessageBounced, Some(BounceClass::Hard)),
        "SoftBounce" => (EventType::MessageBounced, Some(BounceClass::Soft)),
        "VirusNotification" => (EventType::MessageBounced, Some(BounceClass::Block)),
        "Transient" | "DnsError" => (EventType::MessageDeferred, None),
        "Blocked" | "ManuallyDeactivated" | "DMARCPolicy" | "Unconfirmed" => (EventType::MessageRejected, None),
        "SMTPApiError" | "TemplateRenderingFailed" => (EventType::MessageFailed, None),
        "Unsubscribe" => (EventType::RecipientUnsubscribed, None),
        "SpamNotification" | "SpamComplaint" => (EventType::MessageComplained, None),
        // Automatic replies, changed addresses, and what Postmark itself cannot classify.
        _ => (EventType::Unknown, None),
    }
}

/// The field with the time of an event. Other records have none that is known.
fn time_field(record_type: &str) -> Option<&'static str> {
    match record_type {
        "Delivery" => Some("DeliveredAt"),
        "Bounce" | "SpamComplaint" => Some("BouncedAt"),
        "Open" | "Click" => Some("ReceivedAt"),
        "SubscriptionChange" => Some("ChangedAt"),
        _ => None,
    }
}

/// What makes an event the one it is.
struct Key<'a> {
    record_type: &'a str,
    /// Of a bounce or complaint.
    id: Option<String>,
    message_id: Option<&'a str>,
    recipient: Option<&'a str>,
    /// As Postmark wrote it.
    time: Option<&'a str>,
}

impl Key<'_> {
    /// `None` where something is missing: then only a digest keeps the event apart from others.
    fn text(&self, vendor: &str) -> Option<String> {
        if matches!(self.record_type, "Bounce" | "SpamComplaint") {
            return self.id.as_ref().map(|id| format!("{vendor}:{id}"));
        }
        let (message_id, recipient, time) = (self.message_id?, self.recipient?, self.time?);
        Some(format!("{vendor}:{message_id}:{}:{recipient}:{time}", self.record_type))
    }
}

/// The fields of a [`Key`], read without the rest.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Look<'a> {
    record_type: Option<&'a str>,
    #[serde(rename = "ID")]
    id: Option<u64>,
    #[serde(rename = "MessageID")]
    message_id: Option<&'a str>,
    recipient: Option<&'a str>,
    delivered_at: Option<&'a str>,
    received_at: Option<&'a str>,
    changed_at: Option<&'a str>,
}

/// The subject and the dedupe key of an event.
pub(super) fn identify(vendor: &str, body: &[u8]) -> Identity {
    if body.len() > LONGEST_LOOK {
        return Identity::default();
    }
    let Ok(look) = serde_json::from_slice::<Look<'_>>(body) else { return Identity::default() };
    let said = |text: Option<&'_ str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let (subject, recipient) = (said(look.message_id), said(look.recipient));
    let Some(record_type) = look.record_type else { return Identity { subject, dedupe_key: None } };
    let time = match time_field(record_type) {
        Some("DeliveredAt") => look.delivered_at,
        Some("ReceivedAt") => look.received_at,
        Some("ChangedAt") => look.changed_at,
        _ => None,
    };
    let key = Key {
        record_type,
        id: look.id.map(|id| id.to_string()),
        message_id: subject.as_deref(),
        recipient: recipient.as_deref(),
        time: time.filter(|time| !time.is_empty()),
    };
    Identity { dedupe_key: key.text(vendor), subject }
}

/// The event in a callback.
///
/// # Errors
/// The body is not a JSON object.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let fields: Map<String, Value> =
        serde_json::from_slice(&callback.body).map_err(|error| json::unreadable("a JSON object", &error))?;
    let reading = Reading { vendor, callback, fields };
    Ok(vec![match reading.text("RecordType") {
        Some(record_type) => reading.record(&record_type),
        None if reading.fields.contains_key("FromFull") || reading.fields.contains_key("From") => reading.received(),
        None => reading.event(EventType::Unknown, None, ""),
    }])
}

struct Reading<'a> {
    vendor: &'a str,
    callback: &'a Callback,
    fields: Map<String, Value>,
}

impl Reading<'_> {
    fn text(&self, name: &str) -> Option<String> {
        json::field(&self.fields, name)
    }

    fn record(&self, record_type: &str) -> Event {
        let recipient = self.text("Recipient").or_else(|| self.text("Email"));
        let time = time_field(record_type).and_then(|field| self.text(field));
        let key = Key {
            record_type,
            id: self.text("ID"),
            message_id: self.text("MessageID").as_deref(),
            recipient: recipient.as_deref(),
            time: time.as_deref(),
        }
        .text(self.vendor);
        let event = Event {
            occurred_at: time.as_deref().and_then(json::time_of_text),
            recipient: recipient.clone(),
            sender: self.text("From"),
            ..self.event(EventType::Unknown, key, record_type)
        };
        let as_type = |event_type, event| Event { event_type, ..event };
        match record_type {
            "Delivery" => as_type(EventType::MessageDelivered, event),
            "Open" => as_type(EventType::MessageOpened, event),
            "Click" => Event { url: self.text("OriginalLink"), ..as_type(EventType::MessageClicked, event) },
            "Bounce" => self.bounce(event),
            "SpamComplaint" => as_type(EventType::MessageComplained, event),
            "SubscriptionChange" => {
                Event { reason_code: self.text("SuppressionReason"), ..as_type(self.subscription(), event) }
            }
            "SMTPApiError" => Event { reason: self.text("Details"), ..as_type(EventType::MessageFailed, event) },
            _ => event,
        }
    }

    fn bounce(&self, event: Event) -> Event {
        let name = self.text("Type").unwrap_or_default();
        let (event_type, bounce_class) = bounce_type(&name);
        Event {
            event_type,
            bounce_class,
            reason_code: self.text("TypeCode"),
            // What the other server said, else what Postmark makes of it.
            reason: self.text("Details").or_else(|| self.text("Description")),
            provider_status: if name.is_empty() { event.provider_status } else { name },
            ..event
        }
    }

    /// A change of the suppression list:
    /// <https://postmarkapp.com/developer/webhooks/subscription-change-webhook>
    fn subscription(&self) -> EventType {
        match (self.fields.get("SuppressSending"), self.text("SuppressionReason").as_deref()) {
            (Some(Value::Bool(false)), _) => EventType::RecipientResubscribed,
            (Some(Value::Bool(true)), Some("ManualSuppression")) => EventType::RecipientUnsubscribed,
            (Some(Value::Bool(true)), Some("SpamComplaint")) => EventType::MessageComplained,
            // Whatever the reason may be, nothing is sent any more.
            (Some(Value::Bool(true)), _) => EventType::RecipientSuppressed,
            _ => EventType::Unknown,
        }
    }

    /// A received e-mail. Its `Date` is the writer's word, so it has no time.
    fn received(&self) -> Event {
        let from = self.fields.get("FromFull").and_then(|from| from.get("Email")).and_then(json::text);
        let key = self.text("MessageID").map(|id| format!("{}:{id}", self.vendor));
        Event {
            recipient: self.text("OriginalRecipient").or_else(|| self.text("To")),
            sender: from.or_else(|| self.text("From")),
            text: self.text("TextBody").or_else(|| self.text("HtmlBody")),
            ..self.event(EventType::MessageReceived, key, "inbound")
        }
    }

    /// Without a key or a message id, a digest of the callback takes its place: a suppression by hand has no message.
    fn event(&self, event_type: EventType, key: Option<String>, status: &str) -> Event {
        let digest = || digest::of_callback(self.callback);
        let message_id = self.text("MessageID").unwrap_or_else(digest);
        let key = key.unwrap_or_else(|| format!("{}:{}", self.vendor, digest()));
        Event {
            provider_status: status.to_owned(),
            ..Event::new(event_type, self.callback.channel, self.vendor, &message_id, key)
        }
    }
}
