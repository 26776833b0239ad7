//! What Mailgun tells: one event in JSON (<https://documentation.mailgun.com/docs/mailgun/user-manual/events/event-structure>),
//! or one received e-mail as a form (<https://documentation.mailgun.com/docs/mailgun/user-manual/receive-forward-store/receive-http>).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::signature::{Content, Fields};
use crate::{
    event::{BounceClass, Event, EventType},
    vendors::{Callback, Unreadable, digest, json, multipart},
};

/// The event of a callback.
///
/// # Errors
/// The body is neither an event nor a form.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let event = match Content::of(callback.content_type.as_deref(), &callback.body) {
        Content::Json => event(vendor, callback)?,
        Content::Form | Content::Multipart => mail(vendor, callback)?,
    };
    Ok(vec![event])
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "event-data", borrow)]
    event: &'a RawValue,
}

fn event(vendor: &str, callback: &Callback) -> Result<Event, Unreadable> {
    let body: Body<'_> =
        serde_json::from_slice(&callback.body).map_err(|error| json::unreadable("an event of Mailgun", &error))?;
    let fields: Value = serde_json::from_str(body.event.get()).unwrap_or_default();
    let text = |pointer: &str| fields.pointer(pointer).and_then(json::text);

    let name = text("/event").unwrap_or_default();
    let severity = text("/severity").filter(|_| name == "failed");
    let reason = text("/reason");
    let message_id = text("/message/headers/message-id");
    let key = match text("/id") {
        // An id may come again on another day, so the message belongs to the key.
        Some(id) => format!("{vendor}:{id}:{name}:{}", message_id.as_deref().unwrap_or_default()),
        None => format!("{vendor}:{}", digest::of(body.event.get().as_bytes())),
    };
    let event_type = event_type(&name, severity.as_deref(), reason.as_deref());
    let message_id = match (message_id, event_type) {
        (Some(id), EventType::MessageReceived) => in_brackets(&id),
        (Some(id), _) => id,
        (None, _) => digest::of(body.event.get().as_bytes()),
    };

    let mut event = Event::new(event_type, callback.channel, vendor, &message_id, key);
    event.occurred_at = fields.get("timestamp").and_then(json::time);
    event.recipient = text("/recipient");
    event.reason_code = text("/delivery-status/code").filter(|_| name == "failed");
    match event_type {
        EventType::MessageBounced => event.bounce_class = Some(bounce_class(reason.as_deref())),
        EventType::MessageRejected => event.reason = reason.or_else(|| text("/reject/reason")),
        EventType::MessageClicked => event.url = text("/url"),
        EventType::MessageReceived => event.sender = text("/envelope/sender").or_else(|| text("/message/headers/from")),
        _ => {}
    }
    event.provider_status = severity.map_or_else(|| name.clone(), |severity| format!("{name}:{severity}"));
    Ok(event)
}

fn event_type(name: &str, severity: Option<&str>, reason: Option<&str>) -> EventType {
    match (name, severity) {
        ("accepted", _) => EventType::MessageAccepted,
        ("rejected", _) => EventType::MessageRejected,
        ("delivered", _) => EventType::MessageDelivered,
        // An earlier bounce, complaint or unsubscribe stands against the address: nothing was sent to it.
        ("failed", _) if reason.is_some_and(|reason| reason.starts_with("suppress-")) => EventType::MessageRejected,
        ("failed", Some("permanent")) => EventType::MessageBounced,
        ("failed", Some("temporary")) => EventType::MessageDeferred,
        ("failed", _) => EventType::MessageFailed,
        ("opened", _) => EventType::MessageOpened,
        ("clicked", _) => EventType::MessageClicked,
        ("unsubscribed", _) => EventType::RecipientUnsubscribed,
        ("complained", _) => EventType::MessageComplained,
        ("stored", _) => EventType::MessageReceived,
        _ => EventType::Unknown,
    }
}

fn bounce_class(reason: Option<&str>) -> BounceClass {
    match reason {
        // Given up after 8 hours of trying: the other server's fault rather than the address's.
        Some("old") => BounceClass::Soft,
        Some("espblock") => BounceClass::Block,
        _ => BounceClass::Hard,
    }
}

/// A received e-mail. Strangers choose most of its fields, its Message-Id too, so its key is the token.
fn mail(vendor: &str, callback: &Callback) -> Result<Event, Unreadable> {
    let content_type = callback.content_type.as_deref();
    let signed = Fields::of(content_type, &callback.body)
        .ok_or_else(|| Unreadable("the body is neither an event nor a form of Mailgun".into()))?;
    let form: Vec<(Cow<'_, str>, Cow<'_, str>)> = match Content::of(content_type, &callback.body) {
        Content::Multipart => multipart::parts(content_type.unwrap_or_default(), &callback.body)
            .unwrap_or_default()
            .into_iter()
            .map(|part| (part.name, String::from_utf8_lossy(part.content)))
            .collect(),
        Content::Json | Content::Form => form_urlencoded::parse(&callback.body).collect(),
    };
    let text = |name: &str| {
        let (_, value) = form.iter().rev().find(|(key, value)| key == name && !value.is_empty())?;
        Some(value.clone().into_owned())
    };

    let sender = text("sender").or_else(|| text("from"));
    // Webhooks of the past are forms as well; they name an event, and nobody who wrote a mail.
    let (event_type, status, kind) = match (&sender, text("event")) {
        (None, Some(event)) => (EventType::Unknown, event, "form"),
        _ => (EventType::MessageReceived, "inbound".to_owned(), "inbound"),
    };
    let message_id =
        text("Message-Id").map_or_else(|| digest::of(signed.token.as_bytes()), |message_id| in_brackets(&message_id));
    let key = format!("{vendor}:{kind}:{}", signed.token);
    Ok(Event {
        occurred_at: json::time_of_text(&signed.timestamp),
        provider_status: status,
        recipient: text("recipient"),
        sender,
        ..Event::new(event_type, callback.channel, vendor, &message_id, key)
    })
}

/// The id of a received e-mail, which a stranger has chosen: in its angle brackets it is never one of our own messages',
/// which have none.
fn in_brackets(message_id: &str) -> String {
    format!("<{}>", message_id.trim().trim_matches(['<', '>']))
}
