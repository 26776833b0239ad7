//! What Vonage's callbacks say. Names and values as in
//! <https://developer.vonage.com/en/messages/concepts/messages-status-callbacks>,
//! <https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts> and
//! <https://developer.vonage.com/en/voice/voice-api/webhook-reference>.

use std::borrow::Cow;

use chrono::NaiveDateTime;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    event::{Event, EventType},
    vendors::{Callback, Identity, Request, Unreadable, digest, json, parameters::Parameters},
};

/// Of the Messages API.
fn message_type(status: &str) -> EventType {
    match status {
        "submitted" => EventType::MessageSent,
        "delivered" => EventType::MessageDelivered,
        // The messaging provider could not be reached.
        "undeliverable" => EventType::MessageUndelivered,
        "rejected" => EventType::MessageFailed,
        "read" => EventType::MessageRead,
        _ => EventType::Unknown,
    }
}

/// Of a delivery receipt of the SMS API.
fn receipt_type(status: &str) -> EventType {
    match status {
        // By the carrier.
        "accepted" => EventType::MessageSent,
        "buffered" => EventType::MessageQueued,
        "delivered" => EventType::MessageDelivered,
        "expired" => EventType::MessageExpired,
        "failed" => EventType::MessageFailed,
        "rejected" => EventType::MessageRejected,
        _ => EventType::Unknown,
    }
}

fn call_type(status: &str) -> EventType {
    match status {
        "started" => EventType::CallInitiated,
        "ringing" => EventType::CallRinging,
        "answered" | "human" => EventType::CallAnswered,
        "machine" => EventType::CallMachineDetected,
        "completed" => EventType::CallCompleted,
        "busy" => EventType::CallBusy,
        "unanswered" | "timeout" => EventType::CallNoAnswer,
        "rejected" | "failed" => EventType::CallFailed,
        "cancelled" => EventType::CallCanceled,
        _ => EventType::Unknown,
    }
}

/// The parameters that tell one callback from another; blank where absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct About<'a> {
    /// Messages API.
    #[serde(borrow)]
    message_uuid: Cow<'a, str>,
    #[serde(borrow)]
    message_type: Cow<'a, str>,
    /// SMS API.
    #[serde(borrow, rename = "messageId")]
    message_id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, rename = "concat-part")]
    part: Cow<'a, str>,
    /// Voice.
    #[serde(borrow)]
    uuid: Cow<'a, str>,
    #[serde(borrow)]
    call_uuid: Cow<'a, str>,
    #[serde(borrow)]
    sub_state: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

impl About<'_> {
    fn of(fields: &Map<String, Value>) -> Self {
        let text = |name| json::field(fields, name).unwrap_or_default().into();
        Self {
            message_uuid: text("message_uuid"),
            message_type: text("message_type"),
            message_id: text("messageId"),
            kind: text("type"),
            part: text("concat-part"),
            uuid: text("uuid"),
            call_uuid: text("call_uuid"),
            sub_state: text("sub_state"),
            status: text("status"),
        }
    }

    fn message(&self) -> Option<&str> {
        [&self.message_uuid, &self.message_id].into_iter().map(Cow::as_ref).find(|id| !id.is_empty())
    }

    fn call(&self) -> Option<&str> {
        [&self.uuid, &self.call_uuid].into_iter().map(Cow::as_ref).find(|id| !id.is_empty())
    }

    fn subject(&self) -> Option<&str> {
        self.message().or_else(|| self.call())
    }

    /// An inbound message has a type where others have a status.
    fn is_inbound(&self) -> bool {
        self.status.is_empty() && !(self.message_type.is_empty() && self.kind.is_empty())
    }

    /// Vonage calls back once for each status. A part of a long message counts for itself, and so does each step of
    /// finding out what kind of machine answered.
    fn key(&self, vendor: &str) -> Option<String> {
        let id = self.subject()?;
        let (word, step) = match self.message() {
            Some(_) if self.is_inbound() => ("received", &self.part),
            Some(_) => (self.status.as_ref(), &Cow::Borrowed("")),
            None => (self.status.as_ref(), &self.sub_state),
        };
        match (word, step.as_ref()) {
            ("", _) => None,
            (word, "") => Some(format!("{vendor}:{id}:{word}")),
            (word, step) => Some(format!("{vendor}:{id}:{word}:{step}")),
        }
    }
}

/// The subject and the dedupe key, where the parameters say them plainly: the key is then that of the event.
pub(super) fn identify(vendor: &str, request: &Request<'_>) -> Identity {
    let about: About<'_> = Parameters::of_request(request).look().unwrap_or_default();
    Identity { subject: about.subject().map(str::to_owned), dedupe_key: about.key(vendor) }
}

/// The event in a callback: Vonage sends no batches.
///
/// # Errors
/// The body is neither a form nor a JSON object.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let fields = Parameters::of_callback(callback).object()?;
    let about = About::of(&fields);
    let reading = Reading { vendor, callback, fields: &fields };
    let event = match (about.key(vendor), about.message(), about.call()) {
        (Some(key), Some(id), _) if about.message_uuid.is_empty() => reading.sms(&about, id, key),
        (Some(key), Some(id), _) => reading.message(&about, id, key),
        (Some(key), None, Some(id)) => reading.call(&about, id, key),
        (None, None, _) if reading.has("recording_url") => reading.recording(&about),
        _ => reading.unknown(&about),
    };
    Ok(vec![event])
}

struct Reading<'a> {
    vendor: &'a str,
    callback: &'a Callback,
    fields: &'a Map<String, Value>,
}

impl Reading<'_> {
    fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    fn text(&self, name: &str) -> Option<String> {
        json::field(self.fields, name)
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        self.fields.get(name).and_then(json::time)
    }

    fn within(&self, object: &str, name: &str) -> Option<String> {
        self.fields.get(object)?.get(name).and_then(json::text)
    }

    fn message(&self, about: &About<'_>, id: &str, key: String) -> Event {
        if about.is_inbound() {
            let media = ["image", "audio", "video", "file"];
            return Event {
                text: self.text("text"),
                url: media.into_iter().find_map(|kind| self.within(kind, "url")),
                ..self.event(EventType::MessageReceived, id, key, "received")
            };
        }
        Event {
            // The title is the code; the type, a link, has it at its end.
            reason_code: self.within("error", "title"),
            reason: self.within("error", "detail"),
            ..self.event(message_type(&about.status), id, key, &about.status)
        }
    }

    /// `msisdn` is the person's number in both directions, `to` is what we sent from or received at.
    fn sms(&self, about: &About<'_>, id: &str, key: String) -> Event {
        let (person, ours) = (self.text("msisdn"), self.text("to"));
        let occurred_at = self.text("message-timestamp").and_then(|text| utc(&text));
        if about.is_inbound() {
            return Event {
                occurred_at,
                recipient: ours,
                sender: person,
                text: self.text("text"),
                ..self.event(EventType::MessageReceived, id, key, "received")
            };
        }
        Event {
            occurred_at,
            recipient: person,
            sender: ours,
            reason_code: self.text("err-code").filter(|code| code != "0"),
            ..self.event(receipt_type(&about.status), id, key, &about.status)
        }
    }

    fn call(&self, about: &About<'_>, id: &str, key: String) -> Event {
        Event {
            reason: self.text("detail"),
            duration_s: self.fields.get("duration").and_then(json::integer).and_then(|length| length.try_into().ok()),
            ..self.event(call_type(&about.status), id, key, &about.status)
        }
    }

    /// What a `record` action leaves. It names the conversation, and rarely the call.
    fn recording(&self, about: &About<'_>) -> Event {
        let length = self.time("start_time").zip(self.time("end_time")).map(|(start, end)| (end - start).num_seconds());
        let digest = || digest::of_callback(self.callback);
        let recording = self.text("recording_uuid").unwrap_or_else(digest);
        let id = about.call().map(str::to_owned).or_else(|| self.text("conversation_uuid"));
        let id = id.unwrap_or_else(|| recording.clone());
        let key = format!("{}:{id}:recording:{recording}", self.vendor);
        Event {
            url: self.text("recording_url"),
            duration_s: length.and_then(|length| length.try_into().ok()),
            ..self.event(EventType::CallRecordingAvailable, &id, key, "record")
        }
    }

    /// Kept, whatever it may be (input, a transfer, an error in a call's script): its key is a digest, so that it stays
    /// apart from all that is known.
    fn unknown(&self, about: &About<'_>) -> Event {
        let digest = digest::of_callback(self.callback);
        let id = about.subject().map(str::to_owned).or_else(|| self.text("conversation_uuid"));
        let key = format!("{}:{digest}", self.vendor);
        Event {
            reason: self.text("reason"),
            ..self.event(EventType::Unknown, &id.unwrap_or(digest), key, &about.status)
        }
    }

    fn event(&self, event_type: EventType, id: &str, key: String, status: &str) -> Event {
        Event {
            occurred_at: self.time("timestamp"),
            provider_status: status.to_owned(),
            recipient: self.text("to"),
            sender: self.text("from"),
            ..Event::new(event_type, self.callback.channel, self.vendor, id, key)
        }
    }
}

/// `2026-11-20 18:40:29`, in UTC.
fn utc(text: &str) -> Option<Timestamp> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok().map(|time| time.and_utc())
}
