//! The SMS service: reports for one recipient or for a whole batch, and inbound messages.
//! <https://developers.sinch.com/docs/sms/api-reference/sms/tag/Webhooks/>
//!
//! A batch has one id for all its recipients, so an outcome is named by batch, recipient and status.

use serde_json::Value;

use super::payload::Reading;
use crate::{
    event::{Event, EventType},
    vendors::json,
};

fn event_type(status: &str) -> EventType {
    match status.to_ascii_lowercase().as_str() {
        "queued" => EventType::MessageQueued,
        "dispatched" => EventType::MessageSent,
        "delivered" => EventType::MessageDelivered,
        // The carrier did not deliver it, or dropped it.
        "failed" | "deleted" => EventType::MessageUndelivered,
        "rejected" => EventType::MessageRejected,
        "expired" => EventType::MessageExpired,
        // It never left Sinch.
        "aborted" => EventType::MessageFailed,
        "cancelled" | "canceled" => EventType::MessageCanceled,
        _ => EventType::Unknown,
    }
}

pub(super) fn is_recipient_report(kind: &str) -> bool {
    matches!(kind, "recipient_delivery_report_sms" | "recipient_delivery_report_mms")
}

pub(super) fn is_batch_report(kind: &str) -> bool {
    matches!(kind, "delivery_report_sms" | "delivery_report_mms")
}

pub(super) fn is_inbound(kind: &str) -> bool {
    matches!(kind, "mo_text" | "mo_binary" | "mo_media")
}

/// The same in both kinds of report: they tell the same fact.
pub(super) fn key(vendor: &str, batch: &str, recipient: &str, status: &str) -> String {
    format!("{vendor}:{batch}:{recipient}:{status}")
}

pub(super) fn recipient_report(reading: &Reading<'_>) -> Event {
    let (batch, recipient) = (reading.text("batch_id"), reading.text("recipient"));
    let status = reading.text("status").unwrap_or_default();
    let event = match (&batch, &recipient) {
        (Some(batch), Some(recipient)) if !status.is_empty() => {
            let key = key(reading.vendor, batch, recipient, &status);
            reading.event(event_type(&status), batch, key, &status)
        }
        _ => Event { event_type: event_type(&status), ..reading.unknown(batch, &status) },
    };
    Event { occurred_at: reading.time("at"), recipient, reason_code: reading.text("code"), ..event }
}

/// One event for each recipient. A report may also count recipients without naming them: then there is one for each
/// status, and since it tells of nobody in particular it is `unknown`.
pub(super) fn batch_report(reading: &Reading<'_>) -> Vec<Event> {
    let batch = reading.text("batch_id").unwrap_or_else(|| reading.digest());
    let statuses = reading.body.get("statuses").and_then(Value::as_array);
    let Some(statuses) = statuses.filter(|statuses| !statuses.is_empty()) else {
        return vec![reading.unknown(Some(batch), "")];
    };
    // Taken once, however many elements need it.
    let mut digest = None;
    let mut events = Vec::new();
    for (index, element) in statuses.iter().enumerate() {
        let text = |name| element.get(name).and_then(json::text);
        let status = text("status").unwrap_or_default();
        let recipients = element.get("recipients").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for recipient in recipients.iter().filter_map(json::text) {
            let key = key(reading.vendor, &batch, &recipient, &status);
            let event = reading.event(event_type(&status), &batch, key, &status);
            events.push(Event { recipient: Some(recipient), reason_code: text("code"), ..event });
        }
        if recipients.iter().filter_map(json::text).next().is_none() {
            let digest = digest.get_or_insert_with(|| reading.digest());
            let key = format!("{}:{digest}:{index}", reading.vendor);
            let event = reading.event(EventType::Unknown, &batch, key, &status);
            events.push(Event { reason_code: text("code"), ..event });
        }
    }
    events
}

/// A message from a person: text, or bytes that are no text, or media with a text beside it.
pub(super) fn inbound(reading: &Reading<'_>, kind: &str) -> Event {
    let id = reading.text("id").unwrap_or_else(|| reading.digest());
    let key = format!("{}:{id}", reading.vendor);
    Event {
        occurred_at: reading.time("received_at"),
        recipient: reading.text("to"),
        sender: reading.text("from"),
        text: match kind {
            "mo_text" => reading.text("body"),
            _ => reading.below("body", "/message"),
        },
        url: reading.below("body", "/media/0/url"),
        ..reading.event(EventType::MessageReceived, &id, key, kind)
    }
}
