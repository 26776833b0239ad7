//! What SendGrid's callbacks say. Custom arguments lie among the event's own properties, so that any type may turn up
//! under any name.

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::{
    event::{BounceClass, Event, EventType},
    vendors::{
        Callback, Unreadable,
        form::{self, Parameters},
        mapping::{digest, text_of},
    },
};

pub(super) fn normalise(provider: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    if callback.content_type.as_deref().is_some_and(form::is_form) {
        return inbound_parse(provider, callback).map(|event| vec![event]);
    }
    if callback.content_type.as_deref().is_some_and(|media| media.trim_start().starts_with("multipart/")) {
        return Err(Unreadable("multipart Inbound Parse posts are not read by this version".into()));
    }
    match serde_json::from_slice(&callback.body) {
        Ok(Value::Array(elements)) => Ok(elements.iter().map(|element| event(provider, callback, element)).collect()),
        Ok(_) => Err(Unreadable("the body is JSON, but no array of events".into())),
        Err(error) => Err(Unreadable(format!("the body is no JSON: {error}"))),
    }
}

fn event(provider: &str, callback: &Callback, element: &Value) -> Event {
    let Value::Object(properties) = element else {
        return unrecognised(provider, callback, element);
    };
    let text = |name: &str| properties.get(name).and_then(text_of);
    let status = text("event").unwrap_or_default();
    let Some(id) = message_id(properties) else { return unrecognised(provider, callback, element) };
    let (event_type, bounce_class) = match status.as_str() {
        "processed" => (EventType::MessageAccepted, None),
        "deferred" => (EventType::MessageDeferred, None),
        "delivered" => (EventType::MessageDelivered, None),
        "bounce" if text("type").as_deref() == Some("blocked") => (EventType::MessageBounced, Some(BounceClass::Block)),
        "bounce" => (EventType::MessageBounced, Some(BounceClass::Hard)),
        "blocked" => (EventType::MessageBounced, Some(BounceClass::Block)),
        "dropped" => (EventType::MessageRejected, None),
        "open" => (EventType::MessageOpened, None),
        "click" => (EventType::MessageClicked, None),
        "spamreport" => (EventType::MessageComplained, None),
        "unsubscribe" | "group_unsubscribe" => (EventType::RecipientUnsubscribed, None),
        "group_resubscribe" => (EventType::RecipientResubscribed, None),
        _ => (EventType::Unknown, None),
    };
    let event_id = text("sg_event_id").unwrap_or_else(|| digest(&[element.to_string().as_bytes()]));
    let mut event = Event::new(event_type, callback.channel, provider, &id, format!("{provider}:{event_id}"));
    event.provider_status = status;
    event.bounce_class = bounce_class;
    event.occurred_at = properties.get("timestamp").and_then(seconds);
    event.recipient = text("email");
    event.url = text("url").filter(|_| event_type == EventType::MessageClicked);
    event.unsubscribe_group = properties.get("asm_group_id").and_then(Value::as_i64);
    event.reason_code = match event_type {
        EventType::MessageBounced | EventType::MessageDeferred => text("status"),
        _ => None,
    };
    event.reason = match event_type {
        EventType::MessageDeferred => text("reason").or_else(|| text("response")),
        _ => text("reason"),
    };
    event
}

/// `X-Message-Id` of the send API is the part before the first dot.
fn message_id(properties: &Map<String, Value>) -> Option<String> {
    let id =
        properties.get("sg_message_id").and_then(text_of).or_else(|| properties.get("smtp-id").and_then(text_of))?;
    let id = id.split('.').next().unwrap_or_default();
    (!id.is_empty()).then(|| id.to_owned())
}

fn seconds(value: &Value) -> Option<crate::clock::Timestamp> {
    let seconds = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    DateTime::from_timestamp(seconds, 0)
}

/// An element that names no message, or is no object: kept, so that nothing is lost.
fn unrecognised(provider: &str, callback: &Callback, element: &Value) -> Event {
    let digest = digest(&[element.to_string().as_bytes()]);
    let id = element.get("sg_event_id").and_then(text_of).unwrap_or_else(|| digest.clone());
    let key = format!("{provider}:{id}");
    let mut event = Event::new(EventType::Unknown, callback.channel, provider, &id, key);
    event.provider_status = element.get("event").and_then(text_of).unwrap_or_default();
    event.recipient = element.get("email").and_then(text_of);
    event.occurred_at = element.get("timestamp").and_then(seconds);
    event
}

/// Inbound Parse names no id and no time of its own: the mail's `Message-ID` header is both key and id.
fn inbound_parse(provider: &str, callback: &Callback) -> Result<Event, Unreadable> {
    let parameters = Parameters::parse(&callback.body);
    if parameters.is_empty() {
        return Err(Unreadable("the form has no fields".into()));
    }
    let message_id = parameters.get("headers").and_then(|headers| {
        let line =
            headers.lines().find(|line| line.get(..11).is_some_and(|name| name.eq_ignore_ascii_case("message-id:")))?;
        Some(line[11..].trim().trim_start_matches('<').trim_end_matches('>').to_owned())
    });
    let id = message_id.filter(|id| !id.is_empty()).unwrap_or_else(|| digest(&[&callback.body]));
    let key = format!("{provider}:{id}:received");
    let mut event = Event::new(EventType::MessageReceived, callback.channel, provider, &id, key);
    event.provider_status = "received".into();
    event.recipient = parameters.owned("to");
    event.sender = parameters.owned("from");
    event.text = parameters.owned("text");
    Ok(event)
}
