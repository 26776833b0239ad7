//! What Telnyx's JSON says: one event in `data`, about the message or the call in `data.payload`. Names and values as in
//! <https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks> and
//! <https://developers.telnyx.com/docs/voice/programmable-voice/voice-api-webhooks>; new ones appear without notice.
//!
//! `data.id` stays when Telnyx tries again; `meta` beside it counts the attempts, so it is no part of any identity.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    event::{Event, EventType},
    vendors::{Callback, Identity, Unreadable, digest, json},
};

const RECEIVED: &str = "message.received";

fn message_type(status: &str) -> EventType {
    match status {
        "queued" => EventType::MessageQueued,
        "sending" => EventType::MessageSending,
        "sent" => EventType::MessageSent,
        "delivered" => EventType::MessageDelivered,
        // It never left Telnyx.
        "sending_failed" => EventType::MessageFailed,
        // The carrier did not deliver it.
        "delivery_failed" => EventType::MessageUndelivered,
        // The carrier gives no receipts: that it was sent is all that is known.
        "delivery_unconfirmed" => EventType::MessageSent,
        "expired" => EventType::MessageExpired,
        "read" => EventType::MessageRead,
        _ => EventType::Unknown,
    }
}

fn hangup_type(cause: &str) -> EventType {
    match cause {
        "normal_clearing" | "time_limit" => EventType::CallCompleted,
        "user_busy" => EventType::CallBusy,
        "no_answer" | "timeout" => EventType::CallNoAnswer,
        "originator_cancel" => EventType::CallCanceled,
        "call_rejected" | "not_found" | "unspecified" => EventType::CallFailed,
        _ => EventType::Unknown,
    }
}

/// What answering machine detection found, in the plain and the premium edition.
fn detection_type(result: &str) -> EventType {
    match result {
        "human" | "human_residence" | "human_business" => EventType::CallAnswered,
        "machine" | "fax_detected" => EventType::CallMachineDetected,
        _ => EventType::Unknown,
    }
}

/// The fields of the payload that may name what an event is about, the best first.
fn subject_fields(event_type: &str) -> &'static [&'static str] {
    match event_type.starts_with("message.") {
        true => &["id"],
        false => &["call_leg_id", "call_session_id", "call_control_id", "id"],
    }
}

/// What [`identify`] reads. A field of another type leaves the question open.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(borrow)]
    data: GlanceData<'a>,
}

#[derive(Deserialize)]
struct GlanceData<'a> {
    id: &'a str,
    event_type: &'a str,
    #[serde(borrow)]
    payload: GlancePayload<'a>,
}

#[derive(Deserialize)]
struct GlancePayload<'a> {
    id: Option<&'a str>,
    call_leg_id: Option<&'a str>,
    call_session_id: Option<&'a str>,
    call_control_id: Option<&'a str>,
    /// A number, or a list of recipients.
    #[serde(borrow)]
    to: Option<&'a RawValue>,
}

/// The subject and the dedupe key of a body that is as expected: then the key is that of the first event in
/// [`events`]. With several recipients no key stands for them all.
pub(super) fn identify(vendor: &str, body: &[u8]) -> Identity {
    let Ok(Glance { data }) = serde_json::from_slice::<Glance<'_>>(body) else { return Identity::default() };
    let payload = &data.payload;
    let field = |name: &&str| match *name {
        "id" => payload.id,
        "call_leg_id" => payload.call_leg_id,
        "call_session_id" => payload.call_session_id,
        "call_control_id" => payload.call_control_id,
        _ => None,
    };
    let subject = subject_fields(data.event_type).iter().filter_map(field).find(|text| !text.is_empty());
    let recipients = || {
        let list = payload.to.and_then(|to| serde_json::from_str::<Vec<IgnoredAny>>(to.get()).ok());
        list.map_or(0, |list| list.len())
    };
    let outbound = data.event_type.starts_with("message.") && data.event_type != RECEIVED;
    let several = outbound && recipients() > 1;
    let dedupe_key = (!several && !data.id.is_empty()).then(|| format!("{vendor}:{}", data.id));
    Identity { subject: subject.map(str::to_owned), dedupe_key }
}

/// The event, or one for each recipient.
///
/// # Errors
/// The body is not a JSON object with an object in `data`.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let unreadable = |error| json::unreadable("an event of Telnyx", &error);
    let Envelope { data: raw } = serde_json::from_slice(&callback.body).map_err(unreadable)?;
    let mut data: Map<String, Value> = serde_json::from_str(raw.get()).map_err(unreadable)?;
    let payload = match data.remove("payload") {
        Some(Value::Object(payload)) => payload,
        _ => Map::new(),
    };
    let name = json::field(&data, "event_type").unwrap_or_default();
    // Of `data` alone, without the count of attempts beside it.
    let digest = || digest::of(raw.get().as_bytes());
    let subject = subject_fields(&name).iter().find_map(|name| json::field(&payload, name));
    let reading = Reading {
        vendor,
        callback,
        key: format!("{vendor}:{}", json::field(&data, "id").unwrap_or_else(digest)),
        subject: subject.unwrap_or_else(digest),
        name,
        data,
        payload,
    };
    Ok(match reading.name.as_str() {
        RECEIVED => reading.received(),
        name if name.starts_with("message.") => reading.statuses(),
        _ => vec![reading.call()],
    })
}

struct Reading<'a> {
    vendor: &'a str,
    callback: &'a Callback,
    /// The dedupe key of the event as a whole.
    key: String,
    subject: String,
    /// `data.event_type`
    name: String,
    data: Map<String, Value>,
    payload: Map<String, Value>,
}

/// A number stands alone in a call's payload, and beside its carrier in a message's.
fn phone_number(value: &Value) -> Option<String> {
    json::text(value.get("phone_number").unwrap_or(value))
}

impl Reading<'_> {
    fn text(&self, name: &str) -> Option<String> {
        json::field(&self.payload, name)
    }

    fn list(&self, name: &str) -> &[Value] {
        self.payload.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn sender(&self) -> Option<String> {
        self.payload.get("from").and_then(phone_number)
    }

    /// Each recipient of an outbound message has a status of its own.
    fn statuses(&self) -> Vec<Event> {
        match self.list("to") {
            [] => vec![self.status(&Value::Null, self.key.clone())],
            [recipient] => vec![self.status(recipient, self.key.clone())],
            several => several
                .iter()
                .enumerate()
                .map(|(index, recipient)| {
                    let number = phone_number(recipient).unwrap_or_else(|| index.to_string());
                    self.status(recipient, format!("{}:{number}", self.key))
                })
                .collect(),
        }
    }

    fn status(&self, recipient: &Value, key: String) -> Event {
        let status = recipient.get("status").and_then(json::text);
        let (event_type, status) = match status {
            Some(status) => (message_type(&status), status),
            None => (EventType::Unknown, self.name.clone()),
        };
        // The errors are the whole message's: they do not belong to a recipient whom it reached.
        let reached = matches!(event_type, EventType::MessageDelivered | EventType::MessageRead);
        let error = self.list("errors").first().filter(|_| !reached);
        Event {
            recipient: phone_number(recipient),
            reason_code: error.and_then(|error| error.get("code")).and_then(json::text),
            ..self.event(event_type, key, &status)
        }
    }

    fn received(&self) -> Vec<Event> {
        let received = Event {
            recipient: self.list("to").first().and_then(phone_number),
            text: self.text("text"),
            url: self.list("media").first().and_then(|media| media.get("url")).and_then(json::text),
            ..self.event(EventType::MessageReceived, self.key.clone(), &self.name)
        };
        let wish = self.text("autoresponse_type").map(|word| self.wish(&received, &word));
        std::iter::once(received).chain(wish).collect()
    }

    /// Telnyx answered a keyword itself and tells which. The event is about the person: who sent the message is now the
    /// recipient.
    /// <https://developers.telnyx.com/docs/messaging/messages/advanced-opt-in-out>
    fn wish(&self, received: &Event, word: &str) -> Event {
        let (event_type, suffix) = match word.to_ascii_uppercase().as_str() {
            "STOP" | "OPT_OUT" => (EventType::RecipientOptedOut, "optout".into()),
            "START" | "OPT_IN" => (EventType::RecipientOptedIn, "optin".into()),
            "HELP" => (EventType::RecipientHelp, "help".into()),
            _ => (EventType::Unknown, format!("optout:{word}")),
        };
        Event {
            recipient: received.sender.clone(),
            sender: received.recipient.clone(),
            ..self.event(event_type, format!("{}:{}:{suffix}", self.vendor, self.subject), word)
        }
    }

    fn call(&self) -> Event {
        let detailed = |detail: Option<String>| match detail {
            Some(detail) => format!("{}:{detail}", self.name),
            None => self.name.clone(),
        };
        let recipient = self.payload.get("to").and_then(phone_number);
        let simple = |event_type| self.event(event_type, self.key.clone(), &self.name);
        let event = match self.name.as_str() {
            "call.initiated" => simple(EventType::CallInitiated),
            "call.answered" => simple(EventType::CallAnswered),
            "call.hangup" => {
                let cause = self.text("hangup_cause");
                let event_type = hangup_type(cause.as_deref().unwrap_or_default());
                let sip = self.text("sip_hangup_cause").filter(|code| code != "unspecified");
                Event {
                    reason_code: sip.filter(|_| event_type != EventType::CallCompleted),
                    ..self.event(event_type, self.key.clone(), &detailed(cause))
                }
            }
            "call.machine.detection.ended" | "call.machine.premium.detection.ended" => {
                let result = self.text("result");
                let event_type = detection_type(result.as_deref().unwrap_or_default());
                self.event(event_type, self.key.clone(), &detailed(result))
            }
            "call.recording.saved" => Event { url: self.recording(), ..simple(EventType::CallRecordingAvailable) },
            _ => simple(EventType::Unknown),
        };
        Event { recipient, ..event }
    }

    fn recording(&self) -> Option<String> {
        let mut urls =
            ["recording_urls", "public_recording_urls"].into_iter().filter_map(|name| self.payload.get(name));
        urls.find_map(|urls| ["mp3", "wav"].into_iter().find_map(|format| urls.get(format).and_then(json::text)))
    }

    fn event(&self, event_type: EventType, key: String, status: &str) -> Event {
        Event {
            occurred_at: self.data.get("occurred_at").and_then(json::time),
            provider_status: status.to_owned(),
            sender: self.sender(),
            ..Event::new(event_type, self.callback.channel, self.vendor, &self.subject, key)
        }
    }
}
