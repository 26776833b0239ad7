//! Calls: incoming (`ice`), answered (`ace`), disconnected (`dice`), a prompt's input (`pie`), and `notify`.
//! <https://developers.sinch.com/docs/voice/api-reference/voice/tag/Callbacks/>

use super::payload::Reading;
use crate::{
    event::{Event, EventType},
    vendors::json,
};

fn result_type(result: &str, reason: &str) -> EventType {
    match (result, reason) {
        ("ANSWERED", _) => EventType::CallCompleted,
        ("BUSY", _) => EventType::CallBusy,
        (_, "CANCEL") => EventType::CallCanceled,
        ("NOANSWER", _) => EventType::CallNoAnswer,
        ("FAILED", _) => EventType::CallFailed,
        _ => EventType::Unknown,
    }
}

/// A call comes in, is answered and ends once. A prompt's input or a notice may come any number of times, and has no key
/// but a digest.
pub(super) fn key(vendor: &str, call: &str, event: &str) -> Option<String> {
    matches!(event, "ice" | "ace" | "dice").then(|| format!("{vendor}:{call}:{event}"))
}

/// The event, and what answering machine detection found, where the callback tells.
pub(super) fn events(reading: &Reading<'_>, call: &str, event: &str) -> Vec<Event> {
    let detail = match event {
        "dice" => reading.text("result"),
        "notify" => reading.text("type"),
        _ => None,
    };
    let event_type = match (event, detail.as_deref()) {
        ("ice", _) => EventType::CallInitiated,
        ("ace", _) => EventType::CallAnswered,
        ("dice", Some(result)) => result_type(result, &reading.text("reason").unwrap_or_default()),
        ("notify", Some("recording_available")) => EventType::CallRecordingAvailable,
        _ => EventType::Unknown,
    };
    let found = detected(reading, call);
    // Here what was found is the event itself.
    if let ("notify", Some("amd"), Some(found)) = (event, detail.as_deref(), &found) {
        return vec![found.clone()];
    }
    let key = key(reading.vendor, call, event)
        .unwrap_or_else(|| format!("{}:{call}:{event}:{}", reading.vendor, reading.digest()));
    let status = detail.map_or_else(|| event.to_owned(), |detail| format!("{event}:{detail}"));
    let happened = Event {
        reason_code: reading.text("reason").filter(|_| event_type != EventType::CallCompleted),
        url: reading.text("destination").filter(|_| event_type == EventType::CallRecordingAvailable),
        duration_s: reading.body.get("duration").and_then(json::integer).and_then(|seconds| seconds.try_into().ok()),
        ..with_parties(reading, reading.event(event_type, call, key, &status))
    };
    let machine = found.filter(|found| found.event_type == EventType::CallMachineDetected);
    std::iter::once(happened).chain(machine).collect()
}

/// What answering machine detection found. The key is the same wherever it is told.
fn detected(reading: &Reading<'_>, call: &str) -> Option<Event> {
    let status = reading.below("amd", "/status")?;
    let event_type = match status.as_str() {
        "machine" => EventType::CallMachineDetected,
        "human" => EventType::CallAnswered,
        _ => EventType::Unknown,
    };
    let key = format!("{}:{call}:amd:{status}", reading.vendor);
    Some(with_parties(reading, reading.event(event_type, call, key, &format!("amd:{status}"))))
}

fn with_parties(reading: &Reading<'_>, event: Event) -> Event {
    Event {
        occurred_at: reading.time("timestamp"),
        recipient: reading.below("to", "/endpoint"),
        sender: reading.text("from").or_else(|| reading.text("cli")),
        ..event
    }
}
