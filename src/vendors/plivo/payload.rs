//! What Plivo's parameters say. Names and values as in
//! <https://www.plivo.com/docs/messaging/api/message/message-status-callbacks>,
//! <https://docs.plivo.com/docs/voice/xml/request> and <https://docs.plivo.com/docs/voice/api/call/machine-detection>.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime};

use crate::{
    clock::Timestamp,
    event::{Event, EventType},
    vendors::{Callback, Identity, digest, form},
};

/// Our word for an inbound message, which comes without a status.
const RECEIVED: &str = "received";

fn message_type(status: &str) -> EventType {
    match status {
        "queued" => EventType::MessageQueued,
        "sent" => EventType::MessageSent,
        "delivered" => EventType::MessageDelivered,
        "undelivered" => EventType::MessageUndelivered,
        "failed" => EventType::MessageFailed,
        "rejected" => EventType::MessageRejected,
        "read" => EventType::MessageRead,
        RECEIVED => EventType::MessageReceived,
        _ => EventType::Unknown,
    }
}

fn call_type(status: &str) -> EventType {
    match status {
        "initiated" | "queued" => EventType::CallInitiated,
        "ringing" => EventType::CallRinging,
        "in-progress" => EventType::CallAnswered,
        "completed" => EventType::CallCompleted,
        "busy" => EventType::CallBusy,
        "no-answer" | "timeout" => EventType::CallNoAnswer,
        "failed" => EventType::CallFailed,
        "cancel" | "canceled" => EventType::CallCanceled,
        "machine" => EventType::CallMachineDetected,
        _ => EventType::Unknown,
    }
}

/// The parameters that decide what a callback is about, from [`identify`]'s quick look or from a whole reading.
#[derive(Default)]
struct Names<'a> {
    message: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    part: Option<Cow<'a, str>>,
    call: Option<Cow<'a, str>>,
    call_status: Option<Cow<'a, str>>,
    event: Option<Cow<'a, str>>,
    recording: Option<Cow<'a, str>>,
    /// Whether there is the content of a message, though it may be blank.
    content: bool,
}

impl<'a> Names<'a> {
    /// `None` where a parameter is there twice or is not text.
    fn of(form: &'a [u8]) -> Option<Self> {
        let mut names = Self::default();
        for (key, value) in form::raw_pairs(form) {
            let slot = match key {
                b"MessageUUID" => &mut names.message,
                b"Status" => &mut names.status,
                b"PartInfo" => &mut names.part,
                b"CallUUID" => &mut names.call,
                b"CallStatus" => &mut names.call_status,
                b"Event" => &mut names.event,
                b"RecordUrl" => &mut names.recording,
                b"Text" | b"Body" | b"Media0" => {
                    names.content = true;
                    continue;
                }
                _ => continue,
            };
            if slot.replace(form::text(value)?).is_some() {
                return None;
            }
        }
        Some(names)
    }

    /// The status of a message, and its key.
    fn message(&self, vendor: &str, uuid: &str) -> Option<(&str, String)> {
        let status = said(&self.status).or(self.content.then_some(RECEIVED))?;
        Some((status, message_key(vendor, uuid, status, said(&self.part))))
    }

    /// The status of a call, and its key, where the callback is about the call's own life. A call has one of each
    /// status, but any number of other callbacks while it has it.
    fn call(&self, vendor: &str, uuid: &str) -> Option<(&str, String)> {
        let about_life = match said(&self.event) {
            Some(event) => matches!(event, "Ring" | "StartApp" | "Hangup"),
            None => said(&self.recording).is_none(),
        };
        let status = said(&self.call_status).filter(|_| about_life)?;
        Some((status, format!("{vendor}:{uuid}:{status}")))
    }
}

/// A parameter that says something: blank ones are as good as absent.
fn said<'a>(text: &'a Option<Cow<'_, str>>) -> Option<&'a str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Plivo calls back once for each status of a message, and for each part of a long one.
fn message_key(vendor: &str, uuid: &str, status: &str, part: Option<&str>) -> String {
    match part {
        None | Some("1 of 1") => format!("{vendor}:{uuid}:{status}"),
        Some(part) => format!("{vendor}:{uuid}:{status}:{part}"),
    }
}

/// The subject and the dedupe key, where a form says them plainly: then the key is that of the event in [`events`].
pub(super) fn identify(vendor: &str, form: &[u8]) -> Identity {
    let Some(names) = Names::of(form) else { return Identity::default() };
    let (uuid, found) = match (said(&names.message), said(&names.call)) {
        (Some(uuid), _) => (uuid, names.message(vendor, uuid)),
        (None, Some(uuid)) => (uuid, names.call(vendor, uuid)),
        (None, None) => return Identity::default(),
    };
    Identity { subject: Some(uuid.to_owned()), dedupe_key: found.map(|(_, key)| key) }
}

/// The event in a callback. What is neither a message nor a call is kept as `unknown`.
pub(super) fn events(vendor: &str, callback: &Callback, form: &[u8]) -> Vec<Event> {
    let reading = Reading { vendor, callback, parameters: form_urlencoded::parse(form).collect() };
    let names = reading.names();
    let event = match (said(&names.message), said(&names.call)) {
        (Some(uuid), _) => reading.message(uuid, &names),
        (None, Some(uuid)) => reading.call(uuid, &names),
        (None, None) => reading.unknown(None, ""),
    };
    vec![event]
}

struct Reading<'a> {
    vendor: &'a str,
    callback: &'a Callback,
    /// In the order of the wire; the first of a name that says something counts.
    parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl Reading<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.parameters.iter().find(|(key, value)| key == name && !value.is_empty())?;
        Some(value)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        self.get(name).and_then(time)
    }

    fn names(&self) -> Names<'_> {
        let get = |name| self.get(name).map(Cow::Borrowed);
        Names {
            message: get("MessageUUID"),
            status: get("Status"),
            part: get("PartInfo"),
            call: get("CallUUID"),
            call_status: get("CallStatus"),
            event: get("Event"),
            recording: get("RecordUrl"),
            content: self.parameters.iter().any(|(key, _)| matches!(&**key, "Text" | "Body" | "Media0")),
        }
    }

    fn message(&self, uuid: &str, names: &Names<'_>) -> Event {
        let Some((status, key)) = names.message(self.vendor, uuid) else { return self.unknown(Some(uuid), "") };
        let event_type = message_type(status);
        let event = Event {
            occurred_at: match event_type {
                EventType::MessageQueued => self.time("QueuedTime").or_else(|| self.time("MessageTime")),
                EventType::MessageSent => self.time("SentTime"),
                // What was read was delivered before, and only that has a time.
                EventType::MessageRead | EventType::MessageReceived | EventType::Unknown => None,
                _ => self.time("DeliveryReportTime"),
            },
            // A message without an error has error 000.
            reason_code: self.text("ErrorCode").filter(|code| code.bytes().any(|digit| digit != b'0')),
            sequence: self.number("Sequence"),
            ..self.event(event_type, uuid, key, status)
        };
        match event_type {
            EventType::MessageReceived => {
                Event { text: self.text("Text").or_else(|| self.text("Body")), url: self.text("Media0"), ..event }
            }
            _ => event,
        }
    }

    fn call(&self, uuid: &str, names: &Names<'_>) -> Event {
        if let Some((status, key)) = names.call(self.vendor, uuid) {
            return self.life(uuid, key, status);
        }
        match (said(&names.event), self.get("Machine"), said(&names.recording)) {
            (Some(event @ "MachineDetection"), Some(machine), _) => {
                let event_type = if machine.eq_ignore_ascii_case("true") {
                    EventType::CallMachineDetected
                } else {
                    EventType::Unknown
                };
                self.event(event_type, uuid, format!("{}:{uuid}:amd:{machine}", self.vendor), event)
            }
            (event, _, Some(url)) => {
                let recording = self.get("RecordingID").unwrap_or(url);
                let key = format!("{}:{uuid}:recording:{recording}", self.vendor);
                Event {
                    url: Some(url.to_owned()),
                    duration_s: self.number("RecordingDuration"),
                    ..self.event(EventType::CallRecordingAvailable, uuid, key, event.unwrap_or_default())
                }
            }
            (event, ..) => self.unknown(Some(uuid), event.unwrap_or_default()),
        }
    }

    /// What became of a call.
    fn life(&self, uuid: &str, key: String, status: &str) -> Event {
        let event_type = call_type(status);
        // A call that ended well has a reason too, which is no news.
        let reason = self.text("HangupCauseName").filter(|_| event_type != EventType::CallCompleted);
        Event {
            occurred_at: match event_type {
                EventType::CallAnswered => self.time("AnswerTime"),
                EventType::CallInitiated | EventType::CallRinging => None,
                _ => self.time("EndTime"),
            },
            reason_code: self.text("HangupCauseCode"),
            reason,
            duration_s: self.number("Duration"),
            ..self.event(event_type, uuid, key, status)
        }
    }

    /// Kept, whatever it may be: its key is a digest, so that it stays apart from all that is known.
    fn unknown(&self, uuid: Option<&str>, status: &str) -> Event {
        let digest = digest::of_callback(self.callback);
        let key = format!("{}:{digest}", self.vendor);
        self.event(EventType::Unknown, uuid.unwrap_or(&digest), key, status)
    }

    fn event(&self, event_type: EventType, uuid: &str, key: String, status: &str) -> Event {
        Event {
            provider_status: status.to_owned(),
            recipient: self.text("To"),
            sender: self.text("From"),
            ..Event::new(event_type, self.callback.channel, self.vendor, uuid, key)
        }
    }
}

/// `2026-11-20 18:40:05`, with or without a fraction and an offset. Without one it is taken as UTC: the documentation of
/// messages names no zone, and that of Plivo's other callbacks names UTC.
fn time(text: &str) -> Option<Timestamp> {
    match DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z") {
        Ok(time) => Some(time.to_utc()),
        Err(_) => NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok().map(|time| time.and_utc()),
    }
}
