//! The batch in `mandrill_events`, a JSON array of up to 1000 events of three kinds:
//! <https://mandrill.zendesk.com/hc/en-us/articles/360038740594-Webhook-Format>. An event about a message has an `event`
//! and an `_id`, a received e-mail has no `_id`, and a change of a list has a `type` instead of an `event`.

use serde_json::{Map, Value, value::RawValue};

use super::EVENTS;
use crate::{
    event::{BounceClass, Event, EventType},
    vendors::{Callback, Unreadable, digest, form, json},
};

fn event_type(name: &str) -> (EventType, Option<BounceClass>) {
    match name {
        "send" => (EventType::MessageAccepted, None),
        "delivered" => (EventType::MessageDelivered, None),
        "deferral" => (EventType::MessageDeferred, None),
        "hard_bounce" => (EventType::MessageBounced, Some(BounceClass::Hard)),
        "soft_bounce" => (EventType::MessageBounced, Some(BounceClass::Soft)),
        "reject" => (EventType::MessageRejected, None),
        "open" => (EventType::MessageOpened, None),
        "click" => (EventType::MessageClicked, None),
        "spam" => (EventType::MessageComplained, None),
        "unsub" => (EventType::RecipientUnsubscribed, None),
        _ => (EventType::Unknown, None),
    }
}

/// What a change of a list means. Only an entry in the denylist stops mail; one that is taken out of it, or put into the
/// allowlist, is no consent of the person.
fn list_change(list: &str, action: Option<&str>) -> EventType {
    match (list, action) {
        ("blacklist" | "denylist", Some("add" | "change")) => EventType::RecipientSuppressed,
        _ => EventType::Unknown,
    }
}

/// The events of a batch. An element that cannot be read is an `unknown` event: nothing in a batch is passed over.
///
/// # Errors
/// The body is not a form with one field `mandrill_events`, or that is not a JSON array.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let mut batches = form::raw_pairs(&callback.body)
        .filter(|(name, _)| form::text(name).as_deref() == Some(EVENTS))
        .map(|(_, batch)| batch);
    let (Some(batch), None) = (batches.next(), batches.next()) else {
        return Err(Unreadable(format!("the body has not exactly one field {EVENTS}")));
    };
    let batch = form::text(batch).ok_or_else(|| Unreadable(format!("{EVENTS} is not UTF-8")))?;
    // Each element keeps its own text, for a digest of what was sent.
    let elements: Vec<&RawValue> =
        serde_json::from_str(&batch).map_err(|error| json::unreadable("a form with a JSON array", &error))?;
    Ok(elements.into_iter().map(|element| event(vendor, callback, element.get())).collect())
}

fn event(vendor: &str, callback: &Callback, element: &str) -> Event {
    let mut fields: Map<String, Value> = serde_json::from_str(element).unwrap_or_default();
    let mut object = |name| match fields.remove(name) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    };
    let entry = Entry { vendor, callback, element, message: object("msg"), reject: object("reject"), fields };
    let event = match (entry.text("event"), entry.text("type")) {
        (Some(name), _) if name == "inbound" => entry.received(),
        (Some(name), _) => entry.about_message(&name),
        (None, Some(list)) => entry.list_change(&list),
        (None, None) => entry.event(EventType::Unknown, None, ""),
    };
    Event { occurred_at: entry.fields.get("ts").and_then(json::time), ..event }
}

struct Entry<'a> {
    vendor: &'a str,
    callback: &'a Callback,
    /// The element's own text, for a digest.
    element: &'a str,
    fields: Map<String, Value>,
    /// `msg`
    message: Map<String, Value>,
    /// `reject`: the entry of a list.
    reject: Map<String, Value>,
}

impl Entry<'_> {
    fn text(&self, name: &str) -> Option<String> {
        json::field(&self.fields, name)
    }

    fn about_message(&self, name: &str) -> Event {
        let (event_type, bounce_class) = event_type(name);
        let id = self.text("_id").or_else(|| json::field(&self.message, "_id"));
        let url = self.text("url").filter(|_| event_type == EventType::MessageClicked);
        let key = id.as_ref().zip(self.text("ts")).map(|(id, time)| match &url {
            // Two links may be followed within a second.
            Some(url) => format!("{}:{id}:{name}:{time}:{url}", self.vendor),
            None => format!("{}:{id}:{name}:{time}", self.vendor),
        });
        let event = Event {
            recipient: json::field(&self.message, "email"),
            sender: json::field(&self.message, "sender"),
            bounce_class,
            url,
            ..self.event(event_type, key, name)
        };
        let message_id = id.unwrap_or_else(|| event.provider_message_id.clone());
        let event = Event { provider_message_id: message_id, ..event };
        match event_type {
            EventType::MessageDeferred => Event { reason: self.last_diagnosis(), ..event },
            EventType::MessageRejected => Event { reason_code: self.reject_reason(), ..event },
            _ => event,
        }
    }

    /// What the other server said last.
    fn last_diagnosis(&self) -> Option<String> {
        let said = self.message.get("smtp_events").and_then(Value::as_array).and_then(|events| events.last());
        said.and_then(|event| event.get("diag")).and_then(json::text).or_else(|| json::field(&self.message, "diag"))
    }

    fn reject_reason(&self) -> Option<String> {
        let in_message = || self.message.get("reject").and_then(|reject| reject.get("reason")).and_then(json::text);
        json::field(&self.reject, "reason").or_else(in_message)
    }

    fn list_change(&self, list: &str) -> Event {
        Event {
            recipient: json::field(&self.reject, "email"),
            reason_code: json::field(&self.reject, "reason"),
            reason: json::field(&self.reject, "detail"),
            ..self.event(list_change(list, self.text("action").as_deref()), None, list)
        }
    }

    fn received(&self) -> Event {
        let event = Event {
            recipient: json::field(&self.message, "email"),
            sender: json::field(&self.message, "from_email"),
            text: json::field(&self.message, "text").or_else(|| json::field(&self.message, "html")),
            ..self.event(EventType::MessageReceived, None, "inbound")
        };
        // Not the key: strangers choose it. In its angle brackets it stays apart from the ids of our own messages.
        let headers = self.message.get("headers").and_then(Value::as_object).into_iter().flatten();
        let mut ids = headers.filter(|(name, _)| name.eq_ignore_ascii_case("message-id"));
        let id = ids.next().and_then(|(_, id)| id.as_str()).map(|id| id.trim().trim_matches(['<', '>']));
        match id.filter(|id| !id.is_empty()) {
            Some(id) => Event { provider_message_id: format!("<{id}>"), ..event },
            None => event,
        }
    }

    /// Where an event has no key of its own, a digest of it is one, and its message id too.
    fn event(&self, event_type: EventType, key: Option<String>, status: &str) -> Event {
        let digest = digest::of(self.element.as_bytes());
        let key = key.unwrap_or_else(|| format!("{}:{digest}", self.vendor));
        Event {
            provider_status: status.to_owned(),
            ..Event::new(event_type, self.callback.channel, self.vendor, &digest, key)
        }
    }
}
