//! What Twilio's parameters say. Names and values as in
//! <https://www.twilio.com/docs/messaging/guides/track-outbound-message-status> and
//! <https://www.twilio.com/docs/voice/api/call-resource#statuscallback>; new ones appear without notice.

use std::borrow::Cow;

use chrono::DateTime;
use serde_json::{Map, Value};

use super::Content;
use crate::{
    event::{Event, EventType},
    vendors::{Callback, Identity, Unreadable, digest, form, json},
};

fn message_type(status: &str) -> EventType {
    match status {
        "accepted" => EventType::MessageAccepted,
        "scheduled" | "queued" => EventType::MessageQueued,
        "sending" => EventType::MessageSending,
        "sent" => EventType::MessageSent,
        "delivered" => EventType::MessageDelivered,
        "read" => EventType::MessageRead,
        // The carrier did not deliver it.
        "undelivered" => EventType::MessageUndelivered,
        // It never left Twilio.
        "failed" => EventType::MessageFailed,
        "canceled" => EventType::MessageCanceled,
        "received" => EventType::MessageReceived,
        _ => EventType::Unknown,
    }
}

fn call_type(status: &str) -> EventType {
    match status {
        "queued" | "initiated" => EventType::CallInitiated,
        "ringing" => EventType::CallRinging,
        "in-progress" | "answered" => EventType::CallAnswered,
        "completed" => EventType::CallCompleted,
        "busy" => EventType::CallBusy,
        "no-answer" => EventType::CallNoAnswer,
        "failed" => EventType::CallFailed,
        "canceled" => EventType::CallCanceled,
        _ => EventType::Unknown,
    }
}

/// Twilio calls back once for each status of a message.
fn message_key(vendor: &str, sid: &str, status: &str) -> String {
    [vendor, ":", sid, ":", status].concat()
}

/// A call counts its events, and one status can come again (a transferred call rings twice).
fn call_key(vendor: &str, sid: &str, sequence: &str, status: &str) -> String {
    [vendor, ":", sid, ":", sequence, ":", status].concat()
}

/// The subject and the dedupe key, where a form says them plainly: then the key is that of the first event in
/// [`events`]. A parameter that is there twice leaves the question open.
pub(super) fn identify(vendor: &str, form: &[u8]) -> Identity {
    let [mut message, mut message_status, mut sms_status] = [None; 3];
    let [mut call, mut call_status, mut sequence, mut recording] = [None; 4];
    for (key, value) in form::raw_pairs(form) {
        let slot = match key {
            b"MessageSid" => &mut message,
            b"MessageStatus" => &mut message_status,
            b"SmsStatus" => &mut sms_status,
            b"CallSid" => &mut call,
            b"CallStatus" => &mut call_status,
            b"SequenceNumber" => &mut sequence,
            b"RecordingStatus" => &mut recording,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Identity::default();
        }
    }
    let text = |slot: Option<&'_ [u8]>| slot.and_then(form::text).filter(|text| !text.is_empty()).map(Cow::into_owned);
    if let Some(sid) = text(message) {
        let status = text(message_status).or_else(|| text(sms_status));
        let dedupe_key = status.map(|status| message_key(vendor, &sid, &status));
        return Identity { subject: Some(sid), dedupe_key };
    }
    let Some(sid) = text(call) else { return Identity::default() };
    let dedupe_key = match (text(sequence), text(call_status), recording) {
        (Some(sequence), Some(status), None) => Some(call_key(vendor, &sid, &sequence, &status)),
        _ => None,
    };
    Identity { subject: Some(sid), dedupe_key }
}

/// The events in a callback.
///
/// # Errors
/// The body is neither a form nor a JSON object.
pub(super) fn events(vendor: &str, callback: &Callback) -> Result<Vec<Event>, Unreadable> {
    let reading = Reading { vendor, callback, parameters: Parameters::of(callback)? };
    let message = ["MessageSid", "SmsSid", "SmsMessageSid"].into_iter().find_map(|name| reading.get(name));
    if let Some(sid) = message {
        return Ok(reading.message(sid));
    }
    Ok(match reading.get("CallSid") {
        Some(sid) => reading.call(sid),
        None => vec![reading.unknown(None, "")],
    })
}

/// Parameters in the order of the wire; the first of a name counts.
struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    fn of(callback: &'a Callback) -> Result<Self, Unreadable> {
        let form = |bytes: &'a [u8]| Self(form_urlencoded::parse(bytes).collect());
        match Content::of(callback.content_type.as_deref(), &callback.body) {
            Content::Form => Ok(form(&callback.body)),
            Content::Nothing => Ok(form(callback.query.as_bytes())),
            Content::Other => {
                let object: Map<String, Value> = serde_json::from_slice(&callback.body)
                    .map_err(|error| json::unreadable("a form or a JSON object", &error))?;
                let text = |(name, value): (String, Value)| Some((name.into(), json::text(&value)?.into()));
                Ok(Self(object.into_iter().filter_map(text).collect()))
            }
        }
    }
}

struct Reading<'a> {
    vendor: &'a str,
    callback: &'a Callback,
    parameters: Parameters<'a>,
}

impl Reading<'_> {
    /// A parameter that says something: blank ones are as good as absent.
    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.parameters.0.iter().find(|(key, value)| key == name && !value.is_empty())?;
        Some(value)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    fn error_code(&self) -> Option<String> {
        // Recordings report "no error" as 0.
        self.text("ErrorCode").filter(|code| code != "0")
    }

    fn message(&self, sid: &str) -> Vec<Event> {
        // An inbound message may come without a status, but it has a body, though that may be blank.
        let inbound = || self.parameters.0.iter().any(|(key, _)| key == "Body").then_some("received");
        let Some(status) = self.get("MessageStatus").or_else(|| self.get("SmsStatus")).or_else(inbound) else {
            return vec![self.unknown(Some(sid), "")];
        };
        let key = message_key(self.vendor, sid, status);
        let event_type = message_type(status);
        let event = Event {
            reason_code: self.error_code(),
            reason: self.text("ErrorMessage"),
            ..self.event(event_type, sid, key, status)
        };
        if event_type != EventType::MessageReceived {
            return vec![event];
        }
        let received = Event { text: self.text("Body"), url: self.text("MediaUrl0"), ..event };
        let opt_out = self.get("OptOutType").map(|word| self.opt_out(sid, word));
        std::iter::once(received).chain(opt_out).collect()
    }

    /// Advanced Opt-Out names what the person wants. The event is about that person: who sent the message is now the
    /// recipient.
    fn opt_out(&self, sid: &str, word: &str) -> Event {
        let (event_type, suffix) = match word.to_ascii_uppercase().as_str() {
            "STOP" => (EventType::RecipientOptedOut, "optout".into()),
            "START" => (EventType::RecipientOptedIn, "optin".into()),
            "HELP" => (EventType::RecipientHelp, "help".into()),
            _ => (EventType::Unknown, format!("optout:{word}")),
        };
        Event {
            recipient: self.text("From"),
            sender: self.text("To"),
            ..self.event(event_type, sid, format!("{}:{sid}:{suffix}", self.vendor), word)
        }
    }

    fn call(&self, sid: &str) -> Vec<Event> {
        if let Some(status) = self.get("RecordingStatus") {
            return vec![self.recording(sid, status)];
        }
        let answered_by = self.get("AnsweredBy");
        let Some(status) = self.get("CallStatus") else {
            return vec![match answered_by {
                Some(answered_by) => self.answered_by(sid, answered_by),
                None => self.unknown(Some(sid), self.get("StatusCallbackEvent").unwrap_or_default()),
            }];
        };
        let key = match self.get("SequenceNumber") {
            Some(sequence) => call_key(self.vendor, sid, sequence, status),
            None => format!("{}:{sid}:{status}", self.vendor),
        };
        let event_type = call_type(status);
        let failed = matches!(
            event_type,
            EventType::CallBusy | EventType::CallNoAnswer | EventType::CallFailed | EventType::CallCanceled
        );
        let reached = Event {
            occurred_at: self
                .get("Timestamp")
                .and_then(|text| DateTime::parse_from_rfc2822(text).ok())
                .map(|t| t.to_utc()),
            reason_code: self.error_code().or_else(|| self.text("SipResponseCode").filter(|_| failed)),
            reason: self.text("ErrorMessage"),
            url: self.text("RecordingUrl"),
            sequence: self.number("SequenceNumber"),
            duration_s: self.number("CallDuration"),
            ..self.event(event_type, sid, key, status)
        };
        // A status callback repeats what detection found. The key is that of the detection's own callback, so the two
        // are one fact.
        let machine = answered_by.map(|word| self.answered_by(sid, word));
        let machine = machine.filter(|event| event.event_type == EventType::CallMachineDetected);
        std::iter::once(reached).chain(machine).collect()
    }

    /// What answering machine detection found: `human`, `fax`, `unknown` or one of several `machine_...`
    fn answered_by(&self, sid: &str, word: &str) -> Event {
        let event_type = match word {
            "human" => EventType::CallAnswered,
            "fax" => EventType::CallMachineDetected,
            _ if word.starts_with("machine") => EventType::CallMachineDetected,
            _ => EventType::Unknown,
        };
        self.event(event_type, sid, format!("{}:{sid}:amd:{word}", self.vendor), word)
    }

    fn recording(&self, sid: &str, status: &str) -> Event {
        let event_type = if status == "completed" { EventType::CallRecordingAvailable } else { EventType::Unknown };
        let key = match self.get("RecordingSid") {
            Some(recording) => format!("{}:{sid}:recording:{recording}:{status}", self.vendor),
            None => format!("{}:{}", self.vendor, digest::of_callback(self.callback)),
        };
        Event {
            reason_code: self.error_code(),
            url: self.text("RecordingUrl"),
            duration_s: self.number("RecordingDuration"),
            ..self.event(event_type, sid, key, status)
        }
    }

    /// Kept, whatever it may be: its key is a digest, so that it stays apart from all that is known.
    fn unknown(&self, sid: Option<&str>, status: &str) -> Event {
        let digest = digest::of_callback(self.callback);
        let key = format!("{}:{digest}", self.vendor);
        self.event(EventType::Unknown, sid.unwrap_or(&digest), key, status)
    }

    fn event(&self, event_type: EventType, sid: &str, key: String, status: &str) -> Event {
        Event {
            provider_status: status.to_owned(),
            recipient: self.text("To"),
            sender: self.text("From"),
            ..Event::new(event_type, self.callback.channel, self.vendor, sid, key)
        }
    }
}
