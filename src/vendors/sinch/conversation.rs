//! The Conversation API, which carries messages over many channels. Each callback has one field that says what it is.
//! <https://developers.sinch.com/docs/conversation/callbacks>

use super::payload::Reading;
use crate::event::{Event, EventType};

const REPORT: &str = "message_delivery_report";
const MESSAGE: &str = "message";
const OPT_IN: &str = "opt_in_notification";
const OPT_OUT: &str = "opt_out_notification";

fn report_type(status: &str) -> EventType {
    match status {
        "QUEUED_ON_CHANNEL" => EventType::MessageQueued,
        "DELIVERED" => EventType::MessageDelivered,
        "READ" => EventType::MessageRead,
        "FAILED" => EventType::MessageFailed,
        _ => EventType::Unknown,
    }
}

/// The event, where the callback is one of this API.
pub(super) fn event(reading: &Reading<'_>) -> Option<Event> {
    let there = |name: &&str| reading.body.get(*name).is_some_and(|value| value.is_object());
    let event = match [REPORT, MESSAGE, OPT_IN, OPT_OUT].into_iter().find(there)? {
        REPORT => report(reading),
        MESSAGE => message(reading),
        OPT_IN => wish(reading, OPT_IN, "OPT_IN_SUCCEEDED", EventType::RecipientOptedIn),
        _ => wish(reading, OPT_OUT, "OPT_OUT_SUCCEEDED", EventType::RecipientOptedOut),
    };
    // The channel's own time, or else that of Sinch.
    Some(Event { occurred_at: reading.time("event_time").or_else(|| reading.time("accepted_time")), ..event })
}

/// What became of a message. One that falls back on another channel is queued once more there.
fn report(reading: &Reading<'_>) -> Event {
    let text = |pointer| reading.below(REPORT, pointer);
    let status = text("/status").unwrap_or_default();
    let event = match text("/message_id") {
        Some(id) if !status.is_empty() => {
            let channel = text("/channel_identity/channel").map(|channel| format!("{channel}:")).unwrap_or_default();
            let key = format!("{}:{id}:{channel}{status}", reading.vendor);
            reading.event(report_type(&status), &id, key, &status)
        }
        id => reading.unknown(id, &status),
    };
    Event {
        recipient: text("/channel_identity/identity"),
        reason_code: text("/reason/code"),
        reason: text("/reason/description"),
        ..event
    }
}

/// A message from a person.
fn message(reading: &Reading<'_>) -> Event {
    let text = |pointer| reading.below(MESSAGE, pointer);
    let direction = text("/direction").unwrap_or_else(|| "TO_APP".into());
    let Some(id) = text("/id").filter(|_| direction == "TO_APP") else {
        return reading.unknown(text("/id"), &direction);
    };
    let key = format!("{}:{id}", reading.vendor);
    Event {
        recipient: text("/sender_id"),
        sender: text("/channel_identity/identity"),
        text: text("/contact_message/text_message/text"),
        url: text("/contact_message/media_message/url"),
        ..reading.event(EventType::MessageReceived, &id, key, &direction)
    }
}

/// What a person wants, where it took effect.
fn wish(reading: &Reading<'_>, field: &str, succeeded: &str, event_type: EventType) -> Event {
    let text = |pointer| reading.below(field, pointer);
    let status = text("/status").unwrap_or_default();
    let id = text("/request_id").unwrap_or_else(|| reading.digest());
    let key = format!("{}:{id}:{status}", reading.vendor);
    let event_type = if status == succeeded { event_type } else { EventType::Unknown };
    Event {
        recipient: text("/identity"),
        reason: text("/error_details/description"),
        ..reading.event(event_type, &id, key, &status)
    }
}
